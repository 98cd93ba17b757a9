//! Packs: pieces of bytes that are alike, joined into blocks, and the table that says where each pack is.
//!
//! A piece is found by the number of its pack, its start and its length. Packs that stay small share a block with others
//! of their kind; a piece that is longer than a pack goes on in the packs of the next numbers.

use std::collections::BTreeMap;

use crate::{
    Result, StorageError,
    encoding::{MAX_COLUMN_VALUES, Reader, decode_integers, encode_integers, malformed, put_uvarint},
    segment::block::{BlockKind, BlockRef, BlockWriter},
};

/// A pack is closed before it gets longer.
pub(super) const PACK_LEN: usize = 64 << 10;
/// A pack that is shorter when it is closed shares a block.
const SMALL_LEN: usize = 24 << 10;
/// Longest part of a long piece in one block.
const PART_LEN: usize = 1 << 20;

/// Where a piece is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Place {
    pub(super) pack: u32,
    pub(super) start: u32,
    pub(super) len: u32,
}

impl Place {
    /// Appends the three numbers.
    pub(super) fn put(self, out: &mut Vec<u8>) {
        for number in [self.pack, self.start, self.len] {
            put_uvarint(out, u64::from(number));
        }
    }

    /// Takes the three numbers.
    pub(super) fn take(reader: &mut Reader<'_>) -> Result<Self> {
        Ok(Self { pack: reader.id()?, start: reader.id()?, len: reader.id()? })
    }
}

/// Appends places as three integer columns.
pub(super) fn put_places(places: impl Iterator<Item = Place> + Clone, out: &mut Vec<u8>) {
    let column = |of: fn(Place) -> u32| places.clone().map(|p| i64::from(of(p))).collect::<Vec<_>>();
    encode_integers(&column(|p| p.pack), out);
    encode_integers(&column(|p| p.start), out);
    encode_integers(&column(|p| p.len), out);
}

/// Takes `count` places.
pub(super) fn take_places(reader: &mut Reader<'_>, count: usize) -> Result<Vec<Place>> {
    let (packs, starts, lens) = (take_u32s(reader, count)?, take_u32s(reader, count)?, take_u32s(reader, count)?);
    let parts = packs.into_iter().zip(starts).zip(lens);
    Ok(parts.map(|((pack, start), len)| Place { pack, start, len }).collect())
}

/// Takes an integer column whose values fit 32 bits.
pub(super) fn take_u32s(reader: &mut Reader<'_>, count: usize) -> Result<Vec<u32>> {
    let mut values = Vec::new();
    decode_integers(reader, count, &mut values)?;
    let narrow = values.into_iter().map(|v| u32::try_from(v).map_err(|_| malformed("number", "not of 32 bits")));
    narrow.collect()
}

/// A pack that is being filled.
#[derive(Debug)]
pub(super) struct Pack {
    kind: BlockKind,
    number: u32,
    bytes: Vec<u8>,
}

impl Pack {
    /// An empty pack of blocks of one kind.
    pub(super) const fn new(kind: BlockKind) -> Self {
        Self { kind, number: 0, bytes: Vec::new() }
    }

    /// Bytes that wait to be written.
    pub(super) const fn len(&self) -> usize {
        self.bytes.len()
    }
}

/// Where a pack is: its block, and where in the block it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct PackAt {
    pub(super) kind: u8,
    pub(super) base: u32,
    pub(super) at: BlockRef,
}

/// Closed packs that wait for others of their kind.
#[derive(Debug, Default)]
struct Shared {
    members: Vec<(u32, u32)>,
    bytes: Vec<u8>,
}

/// Writes packs to a file.
pub(super) struct PackWriter {
    pub(super) file: BlockWriter,
    table: Vec<PackAt>,
    shared: BTreeMap<u8, (BlockKind, Shared)>,
}

impl PackWriter {
    pub(super) const fn new(file: BlockWriter) -> Self {
        Self { file, table: Vec::new(), shared: BTreeMap::new() }
    }

    /// Appends a piece to a pack; closes the pack when it would get too long.
    pub(super) fn append(&mut self, pack: &mut Pack, piece: &[u8]) -> Result<Place> {
        let Ok(len) = u32::try_from(piece.len()) else {
            return Err(StorageError::Invalid(format!("{} bytes of one column in one block of rows", piece.len())));
        };
        if !pack.bytes.is_empty() && pack.bytes.len() + piece.len() > PACK_LEN {
            self.close(pack)?;
        }
        if piece.len() > PACK_LEN {
            let parts = piece.chunks(PART_LEN);
            let first = self.number(parts.len())?;
            for (part, number) in parts.zip(first..) {
                let at = self.file.write(pack.kind, part)?;
                self.settle(number, PackAt { kind: pack.kind as u8, base: 0, at });
            }
            return Ok(Place { pack: first, start: 0, len });
        }
        if pack.bytes.is_empty() {
            pack.number = self.number(1)?;
        }
        let place = Place { pack: pack.number, start: pack.bytes.len() as u32, len };
        pack.bytes.extend_from_slice(piece);
        // An empty piece must not leave a numbered pack without a byte.
        if pack.bytes.is_empty() {
            pack.bytes.push(0);
        }
        Ok(place)
    }

    /// Writes a pack, or lays it aside until others fill a block with it. It is empty afterwards.
    pub(super) fn close(&mut self, pack: &mut Pack) -> Result<()> {
        if pack.bytes.is_empty() {
            return Ok(());
        }
        let kind = pack.kind;
        if pack.bytes.len() >= SMALL_LEN {
            let at = self.file.write(kind, &pack.bytes)?;
            self.settle(pack.number, PackAt { kind: kind as u8, base: 0, at });
        } else {
            let (_, shared) = self.shared.entry(kind as u8).or_insert_with(|| (kind, Shared::default()));
            if shared.bytes.len() + pack.bytes.len() > PACK_LEN {
                let full = std::mem::take(shared);
                self.write_shared(kind, full)?;
            }
            if let Some((_, shared)) = self.shared.get_mut(&(kind as u8)) {
                shared.members.push((pack.number, shared.bytes.len() as u32));
                shared.bytes.extend_from_slice(&pack.bytes);
            }
        }
        pack.bytes = Vec::new();
        Ok(())
    }

    /// Writes what was laid aside and the table, and says where the table is.
    pub(super) fn finish(&mut self) -> Result<BlockRef> {
        for (kind, shared) in std::mem::take(&mut self.shared).into_values() {
            self.write_shared(kind, shared)?;
        }
        self.file.write(BlockKind::Packs, &encode_table(&self.table))
    }

    fn write_shared(&mut self, kind: BlockKind, shared: Shared) -> Result<()> {
        if shared.members.is_empty() {
            return Ok(());
        }
        let at = self.file.write(kind, &shared.bytes)?;
        for (number, base) in shared.members {
            self.settle(number, PackAt { kind: kind as u8, base, at });
        }
        Ok(())
    }

    fn settle(&mut self, number: u32, pack: PackAt) {
        if let Some(entry) = self.table.get_mut(number as usize) {
            *entry = pack;
        }
    }

    fn number(&mut self, count: usize) -> Result<u32> {
        let first = self.table.len();
        if first + count > MAX_COLUMN_VALUES {
            return Err(StorageError::Invalid(format!("more than {MAX_COLUMN_VALUES} packs in one event segment")));
        }
        self.table.resize(first + count, PackAt::default());
        Ok(first as u32)
    }
}

fn encode_table(table: &[PackAt]) -> Vec<u8> {
    let mut out = Vec::new();
    put_uvarint(&mut out, table.len() as u64);
    let column = |of: fn(&PackAt) -> i64| table.iter().map(of).collect::<Vec<_>>();
    encode_integers(&column(|p| i64::from(p.kind)), &mut out);
    encode_integers(&column(|p| p.at.offset as i64), &mut out);
    encode_integers(&column(|p| i64::from(p.at.len)), &mut out);
    encode_integers(&column(|p| i64::from(p.base)), &mut out);
    out
}

/// The table of packs in these bytes.
pub(super) fn decode_table(payload: &[u8]) -> Result<Vec<PackAt>> {
    let mut reader = Reader::new(payload);
    let count = reader.length(MAX_COLUMN_VALUES)?;
    let kinds = take_u32s(&mut reader, count)?;
    let mut offsets = Vec::new();
    decode_integers(&mut reader, count, &mut offsets)?;
    let lens = take_u32s(&mut reader, count)?;
    let bases = take_u32s(&mut reader, count)?;
    reader.finish("pack table")?;
    let parts = kinds.into_iter().zip(offsets).zip(lens).zip(bases);
    let packs = parts.map(|(((kind, offset), len), base)| match (u8::try_from(kind), u64::try_from(offset)) {
        (Ok(kind), Ok(offset)) => Ok(PackAt { kind, base, at: BlockRef { offset, len } }),
        _ => Err(malformed("pack table", "a kind or an offset that cannot be")),
    });
    packs.collect()
}
