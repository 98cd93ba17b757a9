//! Tests of whole event segments: what is written comes back, statistics and finds tell no lies.

mod damage;
mod values;

use std::{collections::BTreeMap, path::Path, sync::Arc};

use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, PrimitiveArray, StringViewArray, UInt32Array, UInt64Array,
    cast::AsArray,
    types::{
        Date32Type, Decimal128Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type, Time64MicrosecondType,
        TimestampMicrosecondType, TimestampNanosecondType,
    },
};
use arrow_select::take::take;
use proptest::prelude::*;

use self::values::{KINDS, Recipe, array, nulls, recipes};
use super::{EventSegment, EventSegmentIdentity, EventSegmentOptions, EventSegmentSummary, EventSegmentWriter};
use crate::{
    Result, StorageError,
    rng::Rng,
    segment::{BlockCache, Level},
    table::{BLOCK_ROWS, ColumnKey, Kind, ListKind, Needle, Part, Rows, TableId},
    vfs::{MemFs, Vfs},
};

const PATH: &str = "events";

fn identity() -> EventSegmentIdentity {
    EventSegmentIdentity { table: TableId(7), id: 3, sequence: 5, merges: 1 }
}

fn options() -> EventSegmentOptions {
    EventSegmentOptions {
        identity: identity(),
        level: Level::Merge,
        time: Some(ColumnKey::new("time", Kind::Nanos)),
        state: b"state".to_vec(),
    }
}

fn write(batches: &[Rows], first_id: u64, keys: bool) -> Result<(Arc<dyn Vfs>, EventSegmentSummary)> {
    let vfs: Arc<dyn Vfs> = Arc::new(MemFs::new());
    let mut writer = EventSegmentWriter::create(&vfs, Path::new(PATH), options())?;
    let mut id = first_id;
    for rows in batches {
        let ids = UInt64Array::from_iter_values(id..id + rows.len() as u64);
        let hashes: Vec<u64> = ids.values().iter().map(|id| key_hash(*id)).collect();
        writer.push(rows, &ids, keys.then_some(&hashes))?;
        id += rows.len() as u64;
    }
    let summary = writer.finish()?;
    Ok((vfs, summary))
}

fn open(vfs: &Arc<dyn Vfs>) -> Result<EventSegment> {
    EventSegment::open(vfs, Path::new(PATH), BlockCache::new(64 << 20))
}

/// Two rows in 64 share a key.
fn key_hash(id: u64) -> u64 {
    xxhash_rust::xxh3::xxh3_64(&(id - u64::from(id % 64 == 63)).to_le_bytes())
}

/// Equal to the bit: Arrow's own equality calls two NaNs equal only when their bits are, and looks at no null's value.
fn same(a: &ArrayRef, b: &ArrayRef) -> bool {
    a.to_data() == b.to_data()
}

fn text_rows(array: &ArrayRef) -> Vec<Vec<&str>> {
    if let Some(lists) = array.as_list_opt::<i32>() {
        let all = lists.values().as_string_view();
        let offsets = lists.value_offsets();
        let row = |row: usize| (offsets[row]..offsets[row + 1]).map(|at| all.value(at as usize)).collect();
        return (0..lists.len()).map(|r| if lists.is_valid(r) { row(r) } else { Vec::new() }).collect();
    }
    array.as_string_view().iter().map(|t| t.into_iter().collect()).collect()
}

/// Every text and every word of some rows is found where it is.
fn check_finds(part: &EventSegment, key: &ColumnKey, array: &ArrayRef) {
    let mut rows_of: BTreeMap<(bool, String), Vec<u32>> = BTreeMap::new();
    for (row, texts) in text_rows(array).into_iter().enumerate() {
        for text in texts {
            rows_of.entry((true, text.to_owned())).or_default().push(row as u32);
            for word in text.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()) {
                rows_of.entry((false, word.to_lowercase())).or_default().push(row as u32);
            }
        }
    }
    let step = rows_of.len() / 60 + 1;
    for ((whole, text), rows) in rows_of.iter().step_by(step) {
        let needle = if *whole { Needle::Value(text) } else { Needle::Token(text) };
        let found = part.find(key, &needle).unwrap().unwrap();
        for row in rows {
            assert!(found.contains(*row), "{key}: {needle:?} is in row {row} and was not found there");
        }
        assert!(found.max().is_none_or(|max| (max as usize) < part.len()));
    }
}

fn check_statistics(part: &EventSegment, key: &ColumnKey, block: usize, array: &ArrayRef) {
    let told = part.zones(key).unwrap();
    assert_eq!(told.nulls.len(), part.blocks());
    assert_eq!(told.nulls.value(block), array.null_count() as u64);
    assert_eq!((told.min.data_type(), told.max.data_type()), (&key.kind.arrow(), &key.kind.arrow()));
    if told.min.is_null(block) || told.max.is_null(block) {
        return;
    }
    let (min, max) = (told.min.slice(block, 1), told.max.slice(block, 1));
    let mut low_seen = false;
    let mut high_seen = false;
    for at in (0..array.len()).filter(|at| array.is_valid(*at)) {
        let value = array.slice(at, 1);
        if is_nan(&value) {
            continue;
        }
        let (below, above) = (compare(&min, &value), compare(&max, &value));
        assert!(below.is_le() && above.is_ge(), "{key}: {value:?} is outside {min:?} to {max:?}");
        low_seen |= below.is_eq();
        high_seen |= above.is_eq();
    }
    assert!(!told.exact[block] || (low_seen && high_seen), "{key}: {min:?} to {max:?} do not occur");
}

fn is_nan(value: &ArrayRef) -> bool {
    value.as_primitive_opt::<Float64Type>().is_some_and(|a| a.value(0).is_nan())
        || value.as_primitive_opt::<Float32Type>().is_some_and(|a| a.value(0).is_nan())
}

fn compare(a: &ArrayRef, b: &ArrayRef) -> std::cmp::Ordering {
    fn by<T: ArrowPrimitiveType>(a: &ArrayRef, b: &ArrayRef) -> Option<std::cmp::Ordering>
    where
        T::Native: PartialOrd,
    {
        a.as_primitive_opt::<T>()?.value(0).partial_cmp(&b.as_primitive_opt::<T>()?.value(0))
    }
    if let (Some(a), Some(b)) = (a.as_boolean_opt(), b.as_boolean_opt()) {
        return a.value(0).cmp(&b.value(0));
    }
    if let (Some(a), Some(b)) = (a.as_string_view_opt(), b.as_string_view_opt()) {
        return a.value(0).cmp(b.value(0));
    }
    if let (Some(a), Some(b)) = (a.as_binary_view_opt(), b.as_binary_view_opt()) {
        return a.value(0).cmp(b.value(0));
    }
    by::<Int16Type>(a, b)
        .or_else(|| by::<Int32Type>(a, b))
        .or_else(|| by::<Int64Type>(a, b))
        .or_else(|| by::<Float32Type>(a, b))
        .or_else(|| by::<Float64Type>(a, b))
        .or_else(|| by::<Date32Type>(a, b))
        .or_else(|| by::<Time64MicrosecondType>(a, b))
        .or_else(|| by::<TimestampMicrosecondType>(a, b))
        .or_else(|| by::<TimestampNanosecondType>(a, b))
        .or_else(|| by::<Decimal128Type>(a, b))
        .unwrap()
}

/// Reads some rows of a block: few, and many.
fn check_some_rows(part: &EventSegment, key: &ColumnKey, block: usize, array: &ArrayRef) {
    for (first, every) in [(0, 1), (1, 3), (3, 7), (0, 127), (array.len() - 1, 1), (array.len() / 2, 8_192)] {
        let places: Vec<u32> = (first as u32..array.len() as u32).step_by(every).collect();
        let wanted = take(array, &UInt32Array::from(places.clone()), None).unwrap();
        let got = part.read_rows(key, block, &places).unwrap();
        assert!(same(&got, &wanted), "{key}, block {block}, every {every}: {got:?} instead of {wanted:?}");
        let (ids, all) = (part.row_ids_at(block, &places).unwrap(), part.row_ids(block).unwrap());
        assert!(ids.values().iter().copied().eq(places.iter().map(|row| all.value(*row as usize))));
    }
    for wrong in [&[array.len() as u32][..], &[1, 0], &[0, 0]] {
        assert!(matches!(part.read_rows(key, block, wrong), Err(StorageError::Invalid(_))), "{wrong:?}");
        assert!(matches!(part.row_ids_at(block, wrong), Err(StorageError::Invalid(_))), "{wrong:?}");
    }
}

/// Writes rows in batches of the given lengths, reads them back in every way, and compares.
fn check(rows: &Rows, batches: &[usize]) {
    let mut parts = Vec::new();
    let mut start = 0;
    for len in batches.iter().cycle() {
        if start >= rows.len() {
            break;
        }
        let len = (*len).clamp(1, rows.len() - start);
        parts.push(rows.slice(start, len));
        start += len;
    }
    let (vfs, summary) = write(&parts, 1000, true).unwrap();
    let segment = open(&vfs).unwrap();
    assert_eq!(segment.summary(), &summary);
    assert_eq!(summary.rows as usize, rows.len());
    assert_eq!(segment.verify().unwrap(), []);
    let with_values: Vec<ColumnKey> =
        rows.columns().iter().filter(|(_, a)| a.null_count() < a.len()).map(|(k, _)| k.clone()).collect();
    assert_eq!(&*segment.columns().unwrap(), with_values.as_slice());
    for block in 0..segment.blocks() {
        let start = block * BLOCK_ROWS;
        let len = BLOCK_ROWS.min(rows.len() - start);
        let ids = segment.row_ids(block).unwrap();
        assert!(ids.values().iter().copied().eq((1000 + start as u64)..(1000 + (start + len) as u64)));
        for (key, array) in rows.columns() {
            let wanted = array.slice(start, len);
            let got = segment.read(key, block).unwrap();
            assert!(same(&got, &wanted), "{key}, block {block}: {got:?} instead of {wanted:?}");
            check_statistics(&segment, key, block, &wanted);
            check_some_rows(&segment, key, block, &wanted);
        }
    }
    for (key, array) in rows.columns() {
        match key.kind {
            Kind::Text | Kind::List(ListKind::Text) => check_finds(&segment, key, array),
            _ => assert!(segment.find(key, &Needle::Value("a")).unwrap().is_none()),
        }
    }
    for row in (0..rows.len() as u64).step_by(97).chain([62, 63]).filter(|r| *r < rows.len() as u64) {
        assert!(segment.find_key(key_hash(1000 + row)).unwrap().unwrap().contains(row as u32));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 24 } else { 200 }))]

    #[test]
    fn what_is_written_comes_back(
        len in prop_oneof![0usize..50, Just(BLOCK_ROWS), BLOCK_ROWS - 2..BLOCK_ROWS * 5 / 2],
        columns in prop::collection::vec((0..KINDS.len(), recipes()), 1..6),
        batches in prop::collection::vec(prop_oneof![1usize..40, 1000usize..20_000], 1..4),
    ) {
        let columns = columns.iter().enumerate().map(|(at, (kind, recipe))| {
            let kind = KINDS[*kind];
            (ColumnKey::new(format!("c{at}"), kind), array(kind, recipe, len, nulls(recipe, len)))
        });
        check(&Rows::new(len, columns.collect()).unwrap(), &batches);
    }
}

#[test]
fn every_kind_comes_back() {
    for style in 0..10 {
        let recipe = Recipe { seed: u64::from(style) + 5, bits: 6 * u32::from(style) + 3, style, nulls: 40, run: 3 };
        let len = 3_000;
        let columns =
            KINDS.iter().map(|kind| (ColumnKey::new("c", *kind), array(*kind, &recipe, len, nulls(&recipe, len))));
        check(&Rows::new(len, columns.collect()).unwrap(), &[700]);
    }
}

fn texts(field: &str, values: impl Iterator<Item = String>) -> (ColumnKey, ArrayRef) {
    (ColumnKey::new(field, Kind::Text), Arc::new(values.map(Some).collect::<StringViewArray>()))
}

#[test]
fn sparse_columns_cost_almost_nothing() {
    let len = 3 * BLOCK_ROWS;
    let size = |columns: usize| {
        let all = (0..columns).map(|column| {
            let values = (0..len).map(|row| (row == column * 7).then(|| format!("only {column}")));
            (
                ColumnKey::new(format!("attributes.{column}"), Kind::Text),
                Arc::new(values.collect::<StringViewArray>()) as ArrayRef,
            )
        });
        let rows = Rows::new(len, all.collect()).unwrap();
        let (vfs, summary) = write(std::slice::from_ref(&rows), 1, false).unwrap();
        let segment = open(&vfs).unwrap();
        for (key, array) in rows.columns().iter().step_by(61) {
            assert!(same(&segment.read(key, 0).unwrap(), &array.slice(0, BLOCK_ROWS)));
            assert_eq!(segment.zones(key).unwrap().nulls.value(1), BLOCK_ROWS as u64);
        }
        assert_eq!(segment.verify().unwrap(), []);
        summary.file_len as usize
    };
    let per_column = (size(1000) - size(1)) / 999;
    assert!(per_column < 80, "{per_column} bytes a column");
}

#[test]
fn a_value_longer_than_a_block_comes_back() {
    let mut rng = Rng::new(9);
    let long: String = (0..3_000_000).map(|_| char::from(b'a' + rng.below(26) as u8)).collect();
    let values = [String::new(), long.clone(), "short".to_owned(), long[..100_000].to_owned()];
    check(&Rows::new(4, vec![texts("t", values.into_iter())]).unwrap(), &[4]);
}

#[test]
fn what_is_not_there_is_not_looked_for_in_values() {
    let len = 4 * BLOCK_ROWS;
    let mut rng = Rng::new(3);
    let ids = texts("id", (0..len).map(|_| format!("id-{:016x}", rng.next_u64())));
    let levels =
        texts("level", (0..len).map(|at| if at == 20_000 { "rare" } else { ["info", "warn"][at % 2] }.to_owned()));
    let messages =
        texts("message", (0..len).map(|at| format!("request {at} of user {} took {} ms", at % 1000, at % 77)));
    let (vfs, _) = write(&[Rows::new(len, vec![ids, levels, messages]).unwrap()], 1, true).unwrap();
    let segment = open(&vfs).unwrap();
    let find =
        |field: &str, needle: Needle<'_>| segment.find(&ColumnKey::new(field, Kind::Text), &needle).unwrap().unwrap();
    let far = (0..1000).map(|n| find("id", Needle::Value(&format!("id-none{n}"))).len()).sum::<u64>();
    assert!(far < BLOCK_ROWS as u64 * 40, "{far} rows for a thousand ids that are not there");
    assert!(find("level", Needle::Value("error")).is_empty());
    assert_eq!(find("level", Needle::Value("rare")).len(), BLOCK_ROWS as u64);
    assert_eq!(find("level", Needle::Token("RARE")).min(), Some(2 * BLOCK_ROWS as u32));
    assert_eq!(find("message", Needle::Token("29999")).len(), 128);
    assert!(find("message", Needle::Value("request 29999 of user 999 took 46 ms")).len() <= 128);
    assert!(find("nothing", Needle::Value("a")).is_empty());
    assert_eq!(segment.find_key(key_hash(100)).unwrap().unwrap().iter().collect::<Vec<_>>(), [99]);
    let strange = (0..1000u64).map(|n| segment.find_key(n << 40).unwrap().unwrap().len()).sum::<u64>();
    assert!(strange < 5, "{strange} rows for a thousand keys that are not there");
    assert!(segment.find(&ColumnKey::new("id", Kind::Text), &Needle::Token("two words")).unwrap().is_none());
}

#[test]
fn the_summary_tells_the_bounds() {
    let key = ColumnKey::new("time", Kind::Nanos);
    let times: ArrayRef = Arc::new(PrimitiveArray::<TimestampNanosecondType>::from(vec![None, Some(-5), Some(9)]));
    let (vfs, summary) = write(&[Rows::new(3, vec![(key, times)]).unwrap()], 40, false).unwrap();
    assert_eq!((summary.rows, summary.row_ids.clone(), summary.time), (3, 40..=42, Some((-5, 9))));
    assert_eq!((summary.identity, summary.columns), (identity(), 1));
    let segment = open(&vfs).unwrap();
    assert!(segment.find_key(1).unwrap().is_none());
    assert_eq!(segment.state(), b"state");
    let (vfs, summary) = write(&[], 1, false).unwrap();
    assert!(summary.row_ids.is_empty() && summary.time.is_none());
    let empty = open(&vfs).unwrap();
    assert!(empty.is_empty() && empty.verify().unwrap().is_empty() && empty.row_ids(0).is_err());
}

#[test]
fn a_text_of_the_rows_time_takes_no_bytes() {
    let len = BLOCK_ROWS + 900;
    let mut rng = Rng::new(11);
    let nanos: Vec<i64> = (0..len).map(|_| 1_767_225_600_000_000_000 + rng.below(1 << 50) as i64).collect();
    let text = |at: usize, off: i64| {
        let whole = crate::document::time::to_text((nanos[at] + off).div_euclid(1_000_000) * 1_000_000);
        let (date, fraction) = whole.trim_end_matches('Z').split_once('.').unwrap_or((whole.trim_end_matches('Z'), ""));
        format!("{date}.{fraction:0<3}Z")
    };
    let size = |off: i64| {
        let time: ArrayRef = Arc::new(PrimitiveArray::<TimestampNanosecondType>::from(nanos.clone()));
        let values = (0..len).map(|at| (at % 3 != 1).then(|| text(at, if at == 5 { off } else { 0 })));
        let told: ArrayRef = Arc::new(values.collect::<StringViewArray>());
        let columns = vec![(ColumnKey::new("time", Kind::Nanos), time), (ColumnKey::new("told", Kind::Text), told)];
        let rows = Rows::new(len, columns).unwrap();
        check(&rows, &[700, 9_000]);
        write(&[rows], 1, false).unwrap().1.file_len
    };
    let (same, other) = (size(0), size(1_000_000_000));
    assert!(same + 15_000 < other, "{same} and {other} bytes");
}

#[test]
fn what_does_not_fit_is_refused() {
    let vfs: Arc<dyn Vfs> = Arc::new(MemFs::new());
    let mut writer = EventSegmentWriter::create(&vfs, Path::new(PATH), options()).unwrap();
    assert!(EventSegmentWriter::create(&vfs, Path::new(PATH), options()).is_err());
    let rows = Rows::new(1, vec![texts("t", std::iter::once("a".to_owned()))]).unwrap();
    assert!(writer.push(&rows, &UInt64Array::from(vec![1, 2]), None).is_err());
    assert!(writer.push(&rows, &UInt64Array::from(vec![None]), None).is_err());
    assert!(writer.push(&rows, &UInt64Array::from(vec![1]), Some(&[])).is_err());
    writer.push(&rows, &UInt64Array::from(vec![1]), None).unwrap();
    assert!(writer.push(&rows, &UInt64Array::from(vec![2]), Some(&[4])).is_err());
    drop(writer);
    assert!(matches!(open(&vfs), Err(StorageError::Corrupt { .. })));
}
