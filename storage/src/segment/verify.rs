//! Reads everything in a segment and reports what is damaged.

use std::collections::BTreeMap;

use super::{
    NO_TIME,
    block::{BlockKind, BlockRef, SEGMENT_HEADER_LEN, SEGMENT_TRAILER_LEN},
    open::Segment,
    postings::Postings,
    read::ReadScratch,
    table::Table,
};
use crate::{
    Labels, Result, SampleBuffer, StorageError, TimeRange,
    encoding::{FrontDecoder, Reader},
};

/// How many series are looked at together.
const BATCH: u32 = 1024;

/// One damaged place of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Offset of the damaged block.
    pub offset: u64,
    /// What does not fit.
    pub reason: String,
    /// The times of the samples that cannot be read for it; empty when no series is hit, or their times are lost too.
    pub range: TimeRange,
    /// How many series are hit.
    pub series: u32,
}

#[derive(Default)]
struct Findings(BTreeMap<u64, Damage>);

impl Findings {
    /// Notes damage; other errors go on to the caller.
    fn note(&mut self, result: Result<()>, series: Option<TimeRange>) -> Result<()> {
        let (offset, reason) = match result {
            Ok(()) => return Ok(()),
            Err(StorageError::Corrupt { offset, reason, .. }) => (offset, reason),
            Err(other) => return Err(other),
        };
        let damage = self.0.entry(offset).or_insert(Damage { offset, reason, range: NO_TIME, series: 0 });
        if let Some(range) = series {
            damage.range = damage.range.union(&range);
            damage.series += 1;
        }
        Ok(())
    }
}

impl Segment {
    /// Reads every block and decodes every chunk, past the cache, and returns what is damaged, by offset.
    ///
    /// # Errors
    /// When the file cannot be read at all.
    pub fn verify(&self) -> Result<Vec<Damage>> {
        let mut findings = Findings::default();
        self.verify_blocks(&mut findings)?;
        // What is found by decoding is told with the series it hits.
        let mut counts = vec![0u64; self.values.count as usize];
        self.verify_series(&mut findings, &mut counts)?;
        if findings.0.is_empty() {
            let result = self.verify_values(&counts);
            findings.note(result, None)?;
        }
        Ok(findings.0.into_values().collect())
    }

    /// Every byte between header and footer belongs to a block, and every block fits its checksum.
    fn verify_blocks(&self, findings: &mut Findings) -> Result<()> {
        let end = self.summary.file_len - SEGMENT_TRAILER_LEN as u64;
        let mut offset = SEGMENT_HEADER_LEN as u64;
        while offset < end {
            let (kind, len) = self.file.peek(offset)?;
            let kind = KINDS.iter().copied().find(|k| *k as u8 == kind);
            let at = u32::try_from(len).ok().filter(|_| offset + len <= end).map(|len| BlockRef { offset, len });
            let result = match (kind, at) {
                (Some(kind), Some(at)) => self.file.read(at, kind).map(drop),
                _ => Err(self.file.corrupt(offset, "not the beginning of a block")),
            };
            let lost = at.is_none();
            findings.note(result, None)?;
            if lost {
                // The rest is found through the indexes.
                break;
            }
            offset += len;
        }
        for table in self.tables() {
            for block in &table.blocks {
                findings.note(self.file.read(block.at, table.kind).map(drop), None)?;
            }
        }
        for at in &self.name_blocks {
            findings.note(self.file.read(*at, BlockKind::Names).map(drop), None)?;
        }
        Ok(())
    }

    const fn tables(&self) -> [&Table; 6] {
        [&self.times, &self.chunks, &self.exemplars, &self.series, &self.values, &self.postings]
    }

    /// Every series decodes, and together they are what the footer says. Counts how many series have each label value.
    fn verify_series(&self, findings: &mut Findings, counts: &mut [u64]) -> Result<()> {
        let mut scratch = ReadScratch::sequential();
        let mut samples = SampleBuffer::default();
        let (mut floats, mut histograms, mut exemplars) = (0, 0, 0);
        let mut before: Option<Labels> = None;
        for start in (0..self.summary.series).step_by(BATCH as usize) {
            let batch: Vec<u32> = (start..start.saturating_add(BATCH).min(self.summary.series)).collect();
            let result = self.verify_labels(&batch, &mut before, counts);
            findings.note(result, None)?;
            for ordinal in batch {
                samples.clear();
                let result = self.read_with(ordinal, TimeRange::ALL, &mut scratch, &mut samples);
                let range = if result.is_err() { self.series_range(ordinal).unwrap_or(NO_TIME) } else { NO_TIME };
                findings.note(result, Some(range))?;
                floats += samples.timestamps.len() as u64;
                histograms += samples.histograms.len() as u64;
                let found = self.exemplars_with(ordinal, TimeRange::ALL, &mut scratch);
                findings.note(found.map(|found| exemplars += found.len() as u64), None)?;
            }
        }
        let counted = (floats, histograms, exemplars);
        let told = (self.summary.float_samples, self.summary.histogram_samples, self.summary.exemplars);
        if findings.0.is_empty() && counted != told {
            let reason = format!("the footer tells of {told:?} floats, histograms, exemplars; there are {counted:?}");
            findings.note(Err(self.file.corrupt(self.summary.file_len, reason)), None)?;
        }
        Ok(())
    }

    fn verify_labels(&self, batch: &[u32], before: &mut Option<Labels>, counts: &mut [u64]) -> Result<()> {
        for labels in self.labels(batch)? {
            if before.as_ref().is_some_and(|b| *b >= labels) {
                return Err(self.file.corrupt(0, format!("series {labels} is out of order")));
            }
            *before = Some(labels);
        }
        let rows = self.rows(batch)?;
        for id in (0..batch.len()).flat_map(|row| rows.get(row)) {
            if let Some(count) = counts.get_mut(*id as usize) {
                *count += 1;
            }
        }
        Ok(())
    }

    /// Every value has postings for as many series as have it, and the values of a label rise.
    fn verify_values(&self, counts: &[u64]) -> Result<()> {
        let mut front = FrontDecoder::default();
        let mut before: Vec<u8> = Vec::new();
        self.walk(&self.values, 0..self.values.count, |id, restart, _, record| {
            if restart {
                front.restart();
            }
            let mut reader = Reader::new(record);
            front.advance(&mut reader)?;
            let first = self.name_of(id).is_none_or(|n| n.first == id);
            let postings = Postings::decode(&mut reader, self.summary.series)?;
            reader.finish("label value")?;
            let having = match &postings {
                Postings::Runs(runs) => runs.iter().map(|(start, end)| u64::from(end - start) + 1).sum(),
                Postings::Bitmap(bitmap) => self.bitmap(*bitmap)?.len(),
            };
            if (!first && front.bytes() <= before.as_slice()) || counts.get(id as usize) != Some(&having) {
                let reason = format!("label value {:?} is out of order or has wrong postings", front.text()?);
                return Err(self.at_record(&self.values, id)(crate::encoding::malformed("label value", reason)));
            }
            before.clear();
            before.extend_from_slice(front.bytes());
            Ok(())
        })
    }
}

const KINDS: [BlockKind; 9] = [
    BlockKind::Times,
    BlockKind::Chunks,
    BlockKind::Exemplars,
    BlockKind::Series,
    BlockKind::Values,
    BlockKind::Postings,
    BlockKind::Names,
    BlockKind::Index,
    BlockKind::Footer,
];
