//! Replay: the log's generations above the catalog's floor become the first memtable.

use std::sync::Arc;

use super::{metadata::MetadataTable, tables::replay::TableReplay};
use crate::{
    Result,
    memtable::{Index, MemtableData},
    model::{exemplar::Exemplar, histogram::Histogram, metadata::MetricMetadata},
    wal::record::{FloatSample, RecordVisitor, TableRecord, decode},
};

/// Numbers in a log are below this: a higher one is damage that a checksum missed, not a reason to allocate.
const NUMBER_MAX: u32 = 1 << 28;

/// Takes the records of one generation. Its numbers are its own: they are translated to those of the index.
pub(super) struct Replay<'a> {
    pub(super) index: &'a mut Index,
    pub(super) data: &'a mut MemtableData,
    pub(super) metadata: &'a mut MetadataTable,
    pub(super) tables: &'a mut TableReplay,
    pairs: Numbers,
    series: Numbers,
    scratch: Vec<u32>,
    /// Samples and exemplars taken.
    pub(super) taken: u64,
    /// Samples and exemplars whose series' definition was lost with a damaged part of the log.
    pub(super) orphans: u64,
}

/// Numbers of a generation to numbers of the index.
#[derive(Debug, Default)]
struct Numbers(Vec<u32>);

impl Numbers {
    const NONE: u32 = u32::MAX;

    fn get(&self, number: u32) -> Option<u32> {
        self.0.get(number as usize).copied().filter(|n| *n != Self::NONE)
    }

    fn set(&mut self, number: u32, to: u32) {
        if number >= NUMBER_MAX {
            return;
        }
        if self.0.len() <= number as usize {
            self.0.resize(number as usize + 1, Self::NONE);
        }
        self.0[number as usize] = to;
    }
}

impl<'a> Replay<'a> {
    pub(super) fn new(
        index: &'a mut Index,
        data: &'a mut MemtableData,
        metadata: &'a mut MetadataTable,
        tables: &'a mut TableReplay,
    ) -> Self {
        let (pairs, series) = (Numbers::default(), Numbers::default());
        Self { index, data, metadata, tables, pairs, series, scratch: Vec::new(), taken: 0, orphans: 0 }
    }

    fn known(&mut self, series: u32) -> Option<u32> {
        let known = self.series.get(series);
        match known {
            Some(_) => self.taken += 1,
            None => self.orphans += 1,
        }
        known
    }

    /// Takes the records of one frame.
    pub(super) fn frame(&mut self, payload: &[u8]) -> Result<()> {
        decode(payload, self)
    }
}

impl RecordVisitor for Replay<'_> {
    fn pair(&mut self, id: u32, name: &str, value: &str) -> Result<()> {
        if let Some(known) = self.index.intern(name, value) {
            self.pairs.set(id, known);
        }
        Ok(())
    }

    fn series(&mut self, id: u32, pairs: &[u32]) -> Result<()> {
        self.scratch.clear();
        for pair in pairs {
            match self.pairs.get(*pair) {
                Some(known) => self.scratch.push(known),
                None => return Ok(()), // its samples are counted as orphans
            }
        }
        if let Some(known) = self.index.register_pairs(&self.scratch) {
            self.series.set(id, known);
        }
        Ok(())
    }

    fn float(&mut self, sample: FloatSample) -> Result<()> {
        if let Some(id) = self.known(sample.series) {
            self.data.float(id, sample.timestamp, sample.value, sample.start_timestamp);
        }
        Ok(())
    }

    fn histogram(&mut self, series: u32, timestamp: i64, start: i64, histogram: Histogram) -> Result<()> {
        if let Some(id) = self.known(series) {
            self.data.histogram(id, timestamp, start, Arc::new(histogram));
        }
        Ok(())
    }

    fn exemplar(&mut self, series: u32, exemplar: Exemplar) -> Result<()> {
        if let Some(id) = self.known(series) {
            self.data.exemplar(id, exemplar);
        }
        Ok(())
    }

    fn metadata(&mut self, metric: &str, metadata: MetricMetadata) -> Result<()> {
        self.metadata.set(metric, metadata);
        Ok(())
    }

    fn table(&mut self, record: TableRecord<'_>) -> Result<()> {
        self.tables.take(record)
    }
}
