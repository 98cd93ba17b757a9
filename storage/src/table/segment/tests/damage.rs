//! Damage to an event segment: it is always seen and never gives a wrong answer.

use std::{path::Path, sync::Arc};

use super::{
    PATH, open, same, texts,
    values::{Recipe, array, nulls},
    write,
};
use crate::{
    StorageError,
    rng::Rng,
    table::{BLOCK_ROWS, ColumnKey, Kind, ListKind, Part, Rows},
    vfs::{MemFs, OpenMode, Vfs},
};

fn damaged(bytes: &[u8]) -> Arc<dyn Vfs> {
    let vfs: Arc<dyn Vfs> = Arc::new(MemFs::new());
    vfs.open(Path::new(PATH), OpenMode::CreateNew).unwrap().write_all_at(bytes, 0).unwrap();
    vfs
}

/// Rows of several kinds, small enough that damage can be tried at many places.
fn sample() -> Rows {
    let len = BLOCK_ROWS + 500;
    let recipe = Recipe { seed: 4, bits: 20, style: 4, nulls: 60, run: 5 };
    let kinds = [Kind::Text, Kind::Int64, Kind::Float64, Kind::List(ListKind::Text), Kind::Bool];
    let mut columns: Vec<_> =
        kinds.iter().map(|k| (ColumnKey::new("a", *k), array(*k, &recipe, len, nulls(&recipe, len)))).collect();
    columns.push(texts("level", (0..len).map(|at| ["info", "warn", "error"][at % 3].to_owned())));
    Rows::new(len, columns).unwrap()
}

#[test]
fn damage_is_always_seen() {
    let rows = sample();
    let (vfs, summary) = write(std::slice::from_ref(&rows), 1, true).unwrap();
    let mut bytes = vec![0; summary.file_len as usize];
    vfs.open(Path::new(PATH), OpenMode::Read).unwrap().read_exact_at(&mut bytes, 0).unwrap();
    let mut rng = Rng::new(17);
    let cases = if cfg!(debug_assertions) { 150 } else { 3_000 };
    for case in 0..cases {
        let mut bytes = bytes.clone();
        let at = rng.below(bytes.len() as u64) as usize;
        if case % 5 == 4 {
            bytes.truncate(at);
        } else {
            bytes[at] ^= 1 << rng.below(8);
        }
        let segment = match open(&damaged(&bytes)) {
            Ok(segment) => segment,
            Err(StorageError::Corrupt { .. } | StorageError::NewerFormat { .. }) => continue,
            Err(other) => panic!("case {case}: {other}"),
        };
        assert!(!segment.verify().unwrap().is_empty(), "case {case}: byte {at} is not told");
        for block in 0..segment.blocks() {
            let len = BLOCK_ROWS.min(rows.len() - block * BLOCK_ROWS);
            for (key, array) in rows.columns() {
                match segment.read(key, block) {
                    Ok(got) => {
                        assert!(same(&got, &array.slice(block * BLOCK_ROWS, len)), "case {case}: a wrong answer")
                    }
                    Err(e) => assert!(matches!(e, StorageError::Corrupt { .. }), "case {case}: {e}"),
                }
            }
        }
    }
}

#[test]
fn a_newer_format_is_refused() {
    let (vfs, summary) = write(&[sample()], 1, false).unwrap();
    let mut bytes = vec![0; summary.file_len as usize];
    vfs.open(Path::new(PATH), OpenMode::Read).unwrap().read_exact_at(&mut bytes, 0).unwrap();
    bytes[8] = 2;
    let checksum = crc32c::crc32c(&bytes[..20]).to_le_bytes();
    bytes[20..24].copy_from_slice(&checksum);
    assert!(matches!(open(&damaged(&bytes)), Err(StorageError::NewerFormat { found: 2, .. })));
}
