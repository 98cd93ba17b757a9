//! An event segment of any bytes: opened, read, searched and verified, or refused; never a panic. Input that begins with
//! an even byte edits a whole segment and mends the checksums, so that the edits reach the decoders behind them.
#![no_main]

use std::{
    path::Path,
    sync::{Arc, OnceLock},
};

use arrow_array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, StringViewArray, TimestampNanosecondArray, UInt64Array,
};
use chronolith_storage::{
    segment::{BlockCache, Level},
    table::{
        ColumnKey, Kind, Needle, Part, Rows, TableId,
        segment::{EventSegment, EventSegmentIdentity, EventSegmentOptions, EventSegmentWriter},
    },
    vfs::{MemFs, OpenMode, Vfs},
};
use libfuzzer_sys::fuzz_target;

const HEADER: usize = 24;
const TRAILER: usize = 32;
const BLOCK_HEADER: usize = 14;

fuzz_target!(|data: &[u8]| {
    let Some((mode, data)) = data.split_first() else { return };
    let bytes = if mode % 2 == 0 { edited(data) } else { data.to_vec() };
    let vfs: Arc<dyn Vfs> = Arc::new(MemFs::new());
    let path = Path::new("segment");
    let file = vfs.open(path, OpenMode::CreateNew).expect("a new file in memory");
    file.write_all_at(&bytes, 0).expect("memory takes every byte");
    let Ok(segment) = EventSegment::open(&vfs, path, BlockCache::new(1 << 20)) else { return };
    let _ = segment.verify();
    let Ok(columns) = segment.columns() else { return };
    for key in columns.iter().take(20) {
        for block in 0..segment.blocks().min(4) {
            let _ = segment.read(key, block);
            let _ = segment.read_rows(key, block, &[3, 50, 299]);
        }
        let _ = segment.zones(key);
        let _ = segment.find(key, &Needle::Value("warn"));
        let _ = segment.find(key, &Needle::Token("user"));
    }
    let _ = segment.row_ids(0);
    let _ = segment.row_ids_at(0, &[7, 200]);
    let _ = segment.find_key(7);
});

/// A small segment with columns of many forms.
fn template() -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| {
        let rows = 300u64;
        let text = |of: &dyn Fn(u64) -> Option<String>| -> ArrayRef {
            Arc::new((0..rows).map(of).collect::<StringViewArray>())
        };
        let mixed = |row: u64| row.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let columns = vec![
            (Kind::Text, "a", text(&|row| Some(["info", "warn"][row as usize % 2].to_owned()))),
            (Kind::Text, "b", text(&|row| Some(format!("user {row} went {}", mixed(row))))),
            (Kind::Text, "c", text(&|row| (row % 9 == 0).then(|| format!("{:016x}", mixed(row))))),
            (Kind::Text, "d", text(&|row| Some(format!("2026-01-01T00:{:02}:{:02}Z", row / 60, row % 60)))),
            (
                Kind::Bool,
                "e",
                Arc::new(BooleanArray::from_iter((0..rows).map(|r| Some(mixed(r) % 2 == 0)))) as ArrayRef,
            ),
            (Kind::Int64, "f", Arc::new(Int64Array::from_iter_values((0..rows).map(|r| mixed(r) as i64 >> 40)))),
            (Kind::Float64, "g", Arc::new(Float64Array::from_iter_values((0..rows).map(|r| r as f64 / 7.0)))),
            (Kind::Text, "h", text(&|row| (row % 9 == 0).then(|| format!("s{:06}-{}", mixed(row) % 999_999, row % 7)))),
            (Kind::Text, "i", text(&|row| Some(format!("{:x}", mixed(row) >> (row % 8))))),
            (
                Kind::Text,
                "j",
                text(&|row| (row % 2 == 0).then(|| format!("1970-01-01T00:{:02}:{:02}Z", row / 60, row % 60))),
            ),
            (
                Kind::Nanos,
                "time",
                Arc::new(TimestampNanosecondArray::from_iter_values((0..rows).map(|row| row as i64 * 1_000_000_000))),
            ),
        ];
        let columns = columns.into_iter().map(|(kind, field, array)| (ColumnKey::new(field, kind), array)).collect();
        let rows = Rows::new(rows as usize, columns).expect("columns of one length");
        let vfs: Arc<dyn Vfs> = Arc::new(MemFs::new());
        let path = Path::new("template");
        let identity = EventSegmentIdentity { table: TableId(1), id: 1, sequence: 1, merges: 0 };
        let time = Some(ColumnKey::new("time", Kind::Nanos));
        let options = EventSegmentOptions { identity, level: Level::Flush, time, state: Vec::new() };
        let mut writer = EventSegmentWriter::create(&vfs, path, options).expect("a new file in memory");
        let ids = UInt64Array::from_iter_values(1..=rows.len() as u64);
        let keys: Vec<u64> = (0..rows.len() as u64).map(mixed).collect();
        writer.push(&rows, &ids, Some(&keys)).expect("rows that fit");
        let len = writer.finish().expect("memory takes every byte").file_len;
        let mut bytes = vec![0; len as usize];
        let file = vfs.open(path, OpenMode::Read).expect("the file that was written");
        file.read_exact_at(&mut bytes, 0).expect("as many bytes as were written");
        bytes
    })
}

/// The template with a byte changed for every three bytes of input, and all checksums as they should be.
fn edited(data: &[u8]) -> Vec<u8> {
    let before = template();
    let mut bytes = before.to_vec();
    for edit in data.chunks_exact(3) {
        let at = usize::from(u16::from_le_bytes([edit[0], edit[1]])) % bytes.len();
        bytes[at] = edit[2];
    }
    // The blocks are where they were, whatever became of their headers.
    let mut at = HEADER;
    while at < before.len() - TRAILER {
        let stored = u32::from_le_bytes([before[at + 6], before[at + 7], before[at + 8], before[at + 9]]) as usize;
        let end = at + BLOCK_HEADER + stored;
        let mut covered = before[12..20].to_vec();
        covered.extend_from_slice(&(at as u64).to_le_bytes());
        covered.extend_from_slice(&bytes[at..at + 10]);
        covered.extend_from_slice(&bytes[at + BLOCK_HEADER..end]);
        bytes[at + 10..at + BLOCK_HEADER].copy_from_slice(&crc32c::crc32c(&covered).to_le_bytes());
        at = end;
    }
    bytes[..HEADER].copy_from_slice(&before[..HEADER]);
    let trailer = before.len() - TRAILER;
    bytes[trailer..].copy_from_slice(&before[trailer..]);
    bytes
}
