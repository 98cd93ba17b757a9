//! Chunks: the values of one column in one block of rows, as bytes and as an Arrow array.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, ListArray, UInt32Array, cast::AsArray, new_empty_array};
use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, Field};
use arrow_select::{concat::concat, take::take};

use super::{
    dictionary::Dictionary,
    distinct::Distinct,
    numbers::{decode_numbers, encode_numbers, wrong_type},
    pack::Place,
    pick::{Pick, places},
    presence::{Presences, decode_presence, some_nulls, spread},
    shapes::RowTimes,
    text::{TextColumn, TextSource, TextsAt, decode_texts, encode_texts, take_lengths},
    zone::Zone,
};
use crate::{
    Result, StorageError,
    encoding::{Reader, encode_integers, malformed},
    table::{Kind, ListKind, part::take_places},
};

/// Most elements of all lists of a chunk.
const ELEMENTS_MAX: usize = 1 << 24;
/// Elements that are encoded together.
const ELEMENTS_PART: usize = 1 << 20;

/// Whether values of a kind are texts or bytes.
pub(super) const fn is_text(kind: Kind) -> bool {
    matches!(kind, Kind::Text | Kind::Json | Kind::NumberText | Kind::Bytes | Kind::List(ListKind::Text))
}

/// Whether a kind's texts come into the term index.
pub(super) const fn is_searched(kind: Kind) -> bool {
    matches!(kind, Kind::Text | Kind::List(ListKind::Text))
}

/// What is known of a chunk beside its bytes.
#[derive(Debug)]
pub(super) struct ChunkFacts {
    pub(super) present: u32,
    pub(super) zone: Zone,
    pub(super) flags: u8,
}

/// Where a chunk goes, and what its texts need.
pub(super) struct ChunkSink<'a> {
    pub(super) block: u32,
    /// Whether dictionaries may grow.
    pub(super) may_grow: bool,
    pub(super) texts: Option<&'a mut TextColumn>,
    /// The times of the block's rows, when all have one.
    pub(super) times: Option<&'a RowTimes>,
    /// The presences of the block's columns so far, and what writes one.
    pub(super) presences: &'a mut Presences,
    pub(super) put_presence: &'a mut dyn FnMut(&[u8]) -> Result<Place>,
    pub(super) out: &'a mut Vec<u8>,
}

impl ChunkSink<'_> {
    fn put_presence(&mut self, nulls: Option<&NullBuffer>) -> Result<()> {
        self.presences.encode(nulls, self.put_presence, self.out)
    }
}

/// What chunks refer to.
pub(super) trait Beside {
    /// The dictionary of the chunk's column.
    fn dictionary(&self) -> Result<Arc<Dictionary>>;

    /// A presence that chunks share.
    fn presence(&self, place: Place) -> Result<Buffer>;

    /// The times of the rows of the chunk's block, all of which have one.
    fn times(&self) -> Result<RowTimes>;
}

/// Encodes a chunk.
pub(super) fn encode_chunk(kind: Kind, array: &ArrayRef, sink: &mut ChunkSink<'_>) -> Result<ChunkFacts> {
    let present = (array.len() - some_nulls(array.nulls()).map_or(0, |n| n.null_count())) as u32;
    let (zone, flags) = match kind {
        Kind::List(of) => (Zone::default(), encode_lists(of.element(), array, sink)?),
        _ => encode_values(kind, array, &|at| at as u32, sink.times, sink)?,
    };
    Ok(ChunkFacts { present, zone, flags })
}

/// Encodes values that are no lists; `rows` tells in which row of the block a value is.
fn encode_values(
    kind: Kind,
    array: &ArrayRef,
    rows: &dyn Fn(usize) -> u32,
    times: Option<&RowTimes>,
    sink: &mut ChunkSink<'_>,
) -> Result<(Zone, u8)> {
    sink.put_presence(array.nulls())?;
    if !is_text(kind) {
        return Ok((encode_numbers(kind, array, sink.out)?, 0));
    }
    let there: Option<Vec<usize>> = some_nulls(array.nulls()).map(|nulls| nulls.valid_indices().collect());
    let (values, distinct) = match (array.as_string_view_opt(), array.as_binary_view_opt()) {
        (Some(texts), _) => gather(there.as_deref(), texts.views(), |at| texts.value(at).as_bytes()),
        (_, Some(bytes)) => gather(there.as_deref(), bytes.views(), |at| bytes.value(at)),
        _ => return Err(wrong_type(array)),
    };
    let zone = match kind {
        Kind::Text | Kind::Bytes => Zone::texts(distinct.texts(&values), kind == Kind::Text),
        _ => Zone::default(),
    };
    let Some(column) = sink.texts.as_deref_mut() else { return Err(wrong_type(array)) };
    let rows = |number: usize| rows(there.as_ref().map_or(number, |there| there[number]));
    let at = TextsAt { block: sink.block, rows: &rows, may_grow: sink.may_grow, times };
    let flags = encode_texts(&values, &distinct, &at, column, sink.out);
    Ok((zone, flags))
}

/// The values that are there, and which of them differ.
fn gather<'a>(there: Option<&[usize]>, views: &[u128], value: impl Fn(usize) -> &'a [u8]) -> (Vec<&'a [u8]>, Distinct) {
    match there {
        None => {
            let values: Vec<&[u8]> = (0..views.len()).map(value).collect();
            let distinct = Distinct::of(&values, views.iter().copied());
            (values, distinct)
        }
        Some(there) => {
            let values: Vec<&[u8]> = there.iter().map(|at| value(*at)).collect();
            let distinct = Distinct::of(&values, there.iter().map(|at| views[*at]));
            (values, distinct)
        }
    }
}

/// Encodes lists: which are there, their lengths, and the elements of all.
fn encode_lists(element: Kind, array: &ArrayRef, sink: &mut ChunkSink<'_>) -> Result<u8> {
    let lists = array.as_list_opt::<i32>().ok_or_else(|| wrong_type(array))?;
    sink.put_presence(lists.nulls())?;
    let offsets = lists.value_offsets();
    let there: Vec<usize> = match some_nulls(lists.nulls()) {
        None => (0..lists.len()).collect(),
        Some(nulls) => nulls.valid_indices().collect(),
    };
    let extent = |row: usize| offsets[row] as usize..offsets[row + 1] as usize;
    let lengths: Vec<i64> = there.iter().map(|row| extent(*row).len() as i64).collect();
    encode_integers(&lengths, sink.out);
    let rows: Vec<u32> = there.iter().flat_map(|row| extent(*row).map(|_| *row as u32)).collect();
    if rows.len() > ELEMENTS_MAX {
        let reason = format!("{} elements in the lists of {} rows are over {ELEMENTS_MAX}", rows.len(), lists.len());
        return Err(StorageError::Invalid(reason));
    }
    // A list that is null may have elements all the same.
    let close = offsets.first().zip(offsets.last()).is_some_and(|(a, z)| (z - a) as usize == rows.len());
    let elements = if close {
        lists.values().slice(offsets.first().map_or(0, |a| *a as usize), rows.len())
    } else {
        let places: Vec<u32> = there.iter().flat_map(|row| extent(*row).map(|at| at as u32)).collect();
        take(lists.values(), &UInt32Array::from(places), None).map_err(|e| StorageError::Invalid(e.to_string()))?
    };
    let mut flags = 0;
    for start in (0..rows.len()).step_by(ELEMENTS_PART) {
        let part = elements.slice(start, ELEMENTS_PART.min(rows.len() - start));
        flags |= encode_values(element, &part, &|at| rows[start + at], None, sink)?.1;
    }
    Ok(flags)
}

/// Decodes the values of some rows, whose places rise, of the chunk of a block of `rows` rows.
pub(super) fn decode_rows(
    kind: Kind,
    chunk: &Buffer,
    rows: usize,
    picked: &[u32],
    beside: &dyn Beside,
) -> Result<ArrayRef> {
    // To pick few values pays where the others need not be decoded.
    if matches!(kind, Kind::List(_)) || picked.len() > rows / 4 {
        return take_places(&decode_chunk(kind, chunk, rows, beside)?, picked);
    }
    let mut reader = Reader::new(chunk);
    let source = TextSource { chunk, beside, binary: kind == Kind::Bytes };
    let (there, count) = decode_presence(&mut reader, rows, beside)?;
    let (places, nulls) = places(there.as_ref(), picked);
    let (pick, nulls) = (Pick::At(&places), nulls.as_ref());
    let array = match is_text(kind) {
        true => decode_texts(&mut reader, count, there.as_ref(), pick, nulls, &source)?,
        false => decode_numbers(kind, &mut reader, count, pick, nulls)?,
    };
    reader.finish("column chunk")?;
    if array.len() != picked.len() {
        return Err(malformed("column chunk", "fewer values than rows that have one"));
    }
    Ok(array)
}

/// Decodes the chunk of a block of `rows` rows.
pub(super) fn decode_chunk(kind: Kind, chunk: &Buffer, rows: usize, beside: &dyn Beside) -> Result<ArrayRef> {
    let mut reader = Reader::new(chunk);
    let source = TextSource { chunk, beside, binary: kind == Kind::Bytes };
    let array = match kind {
        Kind::List(of) => decode_lists(of.element(), &mut reader, rows, &source)?,
        _ => decode_values(kind, &mut reader, rows, &source)?,
    };
    reader.finish("column chunk")?;
    Ok(array)
}

fn decode_values(kind: Kind, reader: &mut Reader<'_>, len: usize, source: &TextSource<'_>) -> Result<ArrayRef> {
    let (nulls, count) = decode_presence(reader, len, source.beside)?;
    match is_text(kind) {
        true => decode_texts(reader, count, nulls.as_ref(), Pick::All, nulls.as_ref(), source),
        false => decode_numbers(kind, reader, count, Pick::All, nulls.as_ref()),
    }
}

fn decode_lists(element: Kind, reader: &mut Reader<'_>, rows: usize, source: &TextSource<'_>) -> Result<ArrayRef> {
    let wrong = |e: ArrowError| malformed("lists", e.to_string());
    let (nulls, count) = decode_presence(reader, rows, source.beside)?;
    let lengths = take_lengths(reader, count)?;
    let total: usize = lengths.iter().map(|l| *l as usize).sum();
    if total > ELEMENTS_MAX {
        return Err(malformed("lists", format!("{total} elements")));
    }
    let mut parts = Vec::new();
    for start in (0..total).step_by(ELEMENTS_PART) {
        parts.push(decode_values(element, reader, ELEMENTS_PART.min(total - start), source)?);
    }
    let elements = match parts.as_slice() {
        [] => new_empty_array(&element.arrow()),
        [only] => Arc::clone(only),
        _ => concat(&parts.iter().map(|p| &**p).collect::<Vec<_>>()).map_err(wrong)?,
    };
    let mut end = 0;
    let lengths = spread(lengths, nulls.as_ref());
    let offsets = std::iter::once(0).chain(lengths.into_iter().map(|len| {
        end += len as i32;
        end
    }));
    let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets.collect::<Vec<i32>>()));
    let field = Arc::new(Field::new_list_field(element.arrow(), true));
    Ok(Arc::new(ListArray::try_new(field, offsets, elements, nulls).map_err(wrong)?))
}
