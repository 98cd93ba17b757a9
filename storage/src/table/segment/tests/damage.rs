//! Damage to an event segment: it is always seen and never gives a wrong answer.

use std::{path::Path, sync::Arc};

use arrow_array::Array;
use arrow_buffer::Buffer;
use proptest::prelude::*;

use super::{
    super::{
        chunk::{Beside, ChunkSink, decode_chunk, decode_rows, encode_chunk, is_text},
        column::{ColumnIndex, TermIndex},
        dictionary::{Dictionary, DictionaryBuilder},
        footer::{Footer, decode_directory},
        pack::{Pack, Place, decode_table},
        presence::{Presences, decode_presence},
        shapes::RowTimes,
        terms::{TermBuilder, TermKind},
        text::TextColumn,
    },
    PATH, open, same, texts,
    values::{KINDS, Recipe, array, nulls, recipes},
    write,
};
use crate::{
    Result, StorageError,
    encoding::Reader,
    rng::Rng,
    segment::block::BlockKind,
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
fn other_formats_are_refused() {
    let (vfs, summary) = write(&[sample()], 1, false).unwrap();
    let mut bytes = vec![0; summary.file_len as usize];
    vfs.open(Path::new(PATH), OpenMode::Read).unwrap().read_exact_at(&mut bytes, 0).unwrap();
    let mut of_version = |version| {
        bytes[8] = version;
        let checksum = crc32c::crc32c(&bytes[..20]).to_le_bytes();
        bytes[20..24].copy_from_slice(&checksum);
        open(&damaged(&bytes))
    };
    assert!(of_version(2).is_ok());
    assert!(matches!(of_version(3), Err(StorageError::NewerFormat { found: 3, supported: 2, .. })));
    assert!(matches!(of_version(1), Err(StorageError::OlderFormat { found: 1, oldest: 2, .. })));
}

/// What chunks refer to, as it was given.
struct Given {
    texts: Option<TextColumn>,
    binary: bool,
    presence: Vec<u8>,
}

impl Beside for Given {
    fn times(&self) -> Result<RowTimes> {
        Ok(RowTimes { times: vec![1_767_225_600_327_000_000; 300], digits: 9 })
    }

    fn dictionary(&self) -> Result<Arc<Dictionary>> {
        let Some(texts) = &self.texts else { panic!("a dictionary is asked for of numbers") };
        let mut bytes = texts.dictionary.encode();
        bytes.extend_from_slice(&[b'x'; 8]);
        Dictionary::decode(&bytes.into(), texts.dictionary.len(), self.binary).map(Arc::new)
    }

    fn presence(&self, place: Place) -> Result<Buffer> {
        let (start, len) = (self.presence.len().min(place.start as usize), place.len as usize);
        Ok(Buffer::from(self.presence[start..].iter().copied().take(len).collect::<Vec<u8>>().as_slice()))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 300 } else { 5_000 }))]

    /// Bytes whose checksum fits need not be what this program writes.
    #[test]
    fn changed_chunks_decode_or_fail(
        kind in 0..KINDS.len(),
        recipe in recipes(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
        rows in 1usize..400,
    ) {
        let kind = KINDS[kind];
        let mut texts = is_text(kind).then(|| TextColumn {
            dictionary: DictionaryBuilder::default(),
            codes: TermBuilder::new(TermKind::Codes, Pack::new(BlockKind::Terms)),
            terms: None,
        });
        let (mut bytes, mut shared) = (Vec::new(), Vec::new());
        let mut sink = ChunkSink {
            block: 0,
            may_grow: true,
            times: None,
            texts: texts.as_mut(),
            presences: &mut Presences::default(),
            put_presence: &mut |presence| {
                let start = shared.len() as u32;
                shared.extend_from_slice(presence);
                Ok(Place { pack: 0, start, len: presence.len() as u32 })
            },
            out: &mut bytes,
        };
        encode_chunk(kind, &array(kind, &recipe, rows, nulls(&recipe, rows)), &mut sink).unwrap();
        let mut beside = Given { texts, binary: kind == Kind::Bytes, presence: shared };
        for (at, byte) in &edits {
            let at = at.index(bytes.len());
            bytes[at] = *byte;
        }
        if edits.len() == 3 {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let (Some((at, byte)), false) = (edits.first(), beside.presence.is_empty()) {
            let at = at.index(beside.presence.len());
            beside.presence[at] = *byte;
        }
        let bytes = Buffer::from_vec(bytes);
        let picked = [rows as u32 / 3, rows as u32 / 2 + 1];
        if picked[1] < rows as u32 && let Ok(array) = decode_rows(kind, &bytes, rows, &picked, &beside) {
            prop_assert_eq!((array.len(), array.data_type()), (2, &kind.arrow()));
        }
        match decode_chunk(kind, &bytes, rows, &beside) {
            Ok(array) => prop_assert_eq!((array.len(), array.data_type()), (rows, &kind.arrow())),
            Err(e) => prop_assert!(!edits.is_empty() && matches!(e, StorageError::Malformed { .. }), "{}", e),
        }
    }

    #[test]
    fn any_bytes_are_an_index_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), rows in 0u32..100_000) {
        let _ = ColumnIndex::decode(&bytes, rows);
        let _ = TermIndex::decode(&bytes, rows);
        let _ = decode_directory(&bytes);
        let _ = decode_table(&bytes);
        let _ = Footer::decode(&bytes);
        let beside = Given { texts: None, binary: false, presence: bytes.iter().rev().copied().collect() };
        let _ = decode_presence(&mut Reader::new(&bytes), rows as usize, &beside);
    }
}
