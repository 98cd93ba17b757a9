//! Reads everything in an event segment and reports what is damaged.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    column::{TermIndex, block_len},
    open::EventSegment,
    terms::{Section, TermKind},
};
use crate::{
    Result, StorageError,
    segment::block::{BlockKind, BlockRef, SEGMENT_HEADER_LEN, SEGMENT_TRAILER_LEN},
    table::Part,
};

/// One damaged place of an event segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventDamage {
    /// Offset of the damaged block.
    pub offset: u64,
    /// What does not fit.
    pub reason: String,
    /// How many values or row ids cannot be read for it.
    pub values: u64,
}

#[derive(Default)]
struct Findings(BTreeMap<u64, EventDamage>);

impl Findings {
    /// Notes damage that hits so many values; other errors go on to the caller.
    fn note(&mut self, result: Result<()>, values: usize) -> Result<()> {
        let (offset, reason) = match result {
            Ok(()) => return Ok(()),
            Err(StorageError::Corrupt { offset, reason, .. }) => (offset, reason),
            Err(other) => return Err(other),
        };
        let damage = self.0.entry(offset).or_insert(EventDamage { offset, reason, values: 0 });
        damage.values += values as u64;
        Ok(())
    }
}

impl EventSegment {
    /// Reads every block and decodes every chunk, and returns what is damaged, by offset.
    ///
    /// # Errors
    /// When the file cannot be read at all.
    pub fn verify(&self) -> Result<Vec<EventDamage>> {
        let mut findings = Findings::default();
        self.verify_blocks(&mut findings)?;
        for block in 0..self.blocks() {
            findings.note(self.row_ids(block).map(drop), block_len(self.footer.rows, block as u32))?;
        }
        for column in &self.columns {
            let index = match self.index(column) {
                Ok(index) => index,
                Err(e) => {
                    findings.note(Err(e), 0)?;
                    continue;
                }
            };
            for chunk in &index.chunks {
                findings.note(self.decode(column, &index, chunk).map(drop), chunk.facts.present as usize)?;
            }
            match self.terms(column) {
                Ok(terms) => {
                    let TermIndex { codes, words, wholes } = &*terms;
                    self.verify_sections(codes, TermKind::Codes, &mut findings)?;
                    self.verify_sections(words, TermKind::Words, &mut findings)?;
                    self.verify_sections(wholes, TermKind::Wholes, &mut findings)?;
                }
                Err(e) => findings.note(Err(e), 0)?,
            }
        }
        match self.key_sections() {
            Ok(sections) => {
                let sections = sections.unwrap_or_default();
                self.verify_sections(&sections, TermKind::Keys, &mut findings)?;
            }
            Err(e) => findings.note(Err(e), 0)?,
        }
        Ok(findings.0.into_values().collect())
    }

    fn verify_sections(&self, sections: &[Section], kind: TermKind, findings: &mut Findings) -> Result<()> {
        let blocks = if kind == TermKind::Keys { BlockKind::Keys } else { BlockKind::Terms };
        for section in sections {
            for (place, first) in section.places() {
                let read = self.file.read(place, blocks);
                let found =
                    read.and_then(|piece| section.find(&piece, first, first, |_| {}).map_err(self.file.at(place)));
                findings.note(found, 0)?;
            }
        }
        Ok(())
    }

    /// Every byte between header and footer belongs to a block, and every block fits its checksum.
    fn verify_blocks(&self, findings: &mut Findings) -> Result<()> {
        let file = &self.file.file;
        let end = self.summary().file_len - SEGMENT_TRAILER_LEN as u64;
        let mut offset = SEGMENT_HEADER_LEN as u64;
        let mut blocks = BTreeSet::new();
        while offset < end {
            let (kind, len) = file.peek(offset)?;
            let kind = KINDS.iter().copied().find(|k| *k as u8 == kind);
            let at = u32::try_from(len).ok().filter(|_| offset + len <= end).map(|len| BlockRef { offset, len });
            let result = match (kind, at) {
                (Some(kind), Some(at)) => file.read(at, kind).map(drop),
                _ => Err(file.corrupt(offset, "not the beginning of a block")),
            };
            findings.note(result, 0)?;
            let (Some(kind), Some(at)) = (kind, at) else {
                // What lies behind is found through the table of packs.
                break;
            };
            blocks.insert((kind as u8, at.offset, at.len));
            offset += len;
        }
        let mut told = BTreeSet::new();
        for pack in &self.file.packs {
            let block = (pack.kind, pack.at.offset, pack.at.len);
            if !blocks.contains(&block) && told.insert(block) {
                let reason = format!("no block of kind {} and {} bytes for a pack", pack.kind, pack.at.len);
                findings.note(Err(file.corrupt(pack.at.offset, reason)), 0)?;
            }
        }
        Ok(())
    }
}

const KINDS: [BlockKind; 10] = [
    BlockKind::Columns,
    BlockKind::Dictionary,
    BlockKind::ColumnIndex,
    BlockKind::Terms,
    BlockKind::Keys,
    BlockKind::TermIndex,
    BlockKind::Directory,
    BlockKind::Packs,
    BlockKind::EventFooter,
    BlockKind::Presence,
];
