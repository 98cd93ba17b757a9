//! Reads the samples and exemplars of one series.

use std::{cell::RefCell, sync::Arc};

use super::{
    NO_TIME,
    chunk::{ChunkKind, decode_chunk},
    open::Segment,
    records::RecordBlock,
    table::Table,
};
use crate::{
    Exemplar, Labels, Result, SampleBuffer, StorageError, TimeRange,
    encoding::{ColumnHead, Reader, decode_floats, decode_integers, decode_timestamps, malformed},
};

/// How many timestamp columns a scratch remembers.
const COLUMNS: usize = 256;

/// Memory that reads of one thread share: the blocks read last, and decoded timestamp columns, since series scraped
/// together have the same ones. It may be used with any number of segments in turn.
#[derive(Debug, Default)]
pub struct ReadScratch {
    times: Held,
    chunks: Held,
    series: Held,
    exemplars: Held,
    columns: Vec<Column>,
    /// Blocks that are read once, in order, need not go into the cache.
    sequential: bool,
}

impl ReadScratch {
    /// For reading everything once, in order: blocks stay out of the cache.
    pub(super) fn sequential() -> Self {
        Self { sequential: true, ..Self::default() }
    }
}

#[derive(Debug, Default)]
struct Held(Option<(u64, usize, Arc<[u8]>)>);

#[derive(Debug, Default)]
struct Column {
    /// The segment's number and the column's, if one is held.
    key: Option<(u64, u32)>,
    timestamps: Vec<i64>,
}

/// What a series' record says about its chunks.
#[derive(Debug, Clone, Copy)]
pub(super) struct SeriesChunks<'a> {
    /// The number of the first chunk.
    pub(super) first: u32,
    pub(super) count: u32,
    pub(super) exemplars: Option<u32>,
    references: Reader<'a>,
}

/// One chunk as its series' record refers to it.
#[derive(Debug, Clone, Copy)]
pub(super) struct ChunkReference {
    pub(super) chunk: u32,
    pub(super) times: u32,
    pub(super) kind: ChunkKind,
}

impl<'a> SeriesChunks<'a> {
    /// Finds the chunks of the series at position `at` of its block; those between the restart and it have to be counted.
    pub(super) fn find(block: &RecordBlock<'a>, at: usize) -> Result<Self> {
        let mut cursor = block.seek(at)?;
        let (mut first, mut exemplar) = (0u32, 0u32);
        loop {
            let (position, restart) = cursor.position();
            let mut reader = Reader::new(cursor.take()?);
            let head = reader.uvarint()?;
            if restart {
                first = reader.id()?;
                exemplar = reader.id()?;
            }
            let count = u32::try_from(head >> 1).map_err(|_| malformed("series", "number of chunks"))?;
            let next = first.checked_add(count).ok_or_else(|| malformed("series", "number of chunks"))?;
            if position == at {
                let exemplars = (head & 1 != 0).then_some(exemplar);
                return Ok(Self { first, count, exemplars, references: reader });
            }
            first = next;
            exemplar = exemplar.saturating_add((head & 1) as u32);
        }
    }

    /// The chunks in order, floats before histograms, each sorted by time.
    pub(super) fn references(&self) -> impl Iterator<Item = Result<ChunkReference>> + use<'a> {
        let mut reader = self.references;
        let mut times: Option<u32> = None;
        (self.first..self.first + self.count).map(move |chunk| {
            let field = reader.uvarint()?;
            let number = field >> 2;
            let next = match times {
                None => u32::try_from(number).ok(),
                Some(last) => {
                    let step = (number >> 1) as i64 ^ -((number & 1) as i64);
                    i64::from(last).checked_add(step).and_then(|n| u32::try_from(n).ok())
                }
            };
            let next = next.ok_or_else(|| malformed("series", "number of a timestamp column"))?;
            times = Some(next);
            Ok(ChunkReference { chunk, times: next, kind: ChunkKind::from_bits(field) })
        })
    }

    /// What follows the chunk references in a record: the labels.
    pub(super) fn skip(record: &'a [u8], restart: bool) -> Result<Reader<'a>> {
        let mut reader = Reader::new(record);
        let head = reader.uvarint()?;
        if restart {
            reader.id()?;
            reader.id()?;
        }
        for _ in 0..head >> 1 {
            reader.uvarint()?;
        }
        Ok(reader)
    }
}

thread_local! {
    /// For callers that bring no scratch of their own.
    static SCRATCH: RefCell<ReadScratch> = RefCell::default();
}

impl Segment {
    /// Appends the samples of a series that are in `range` to `out`.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`] when a block is damaged, [`StorageError::Io`] when it cannot be read. `out` then holds
    /// an unknown part of the samples.
    pub fn read(&self, ordinal: u32, range: TimeRange, out: &mut SampleBuffer) -> Result<()> {
        SCRATCH.with_borrow_mut(|scratch| self.read_with(ordinal, range, scratch, out))
    }

    /// As [`Segment::read`], with the caller's scratch.
    ///
    /// # Errors
    /// As [`Segment::read`].
    pub fn read_with(
        &self,
        ordinal: u32,
        range: TimeRange,
        scratch: &mut ReadScratch,
        out: &mut SampleBuffer,
    ) -> Result<()> {
        if !range.overlaps(&self.summary.range) {
            return Ok(());
        }
        let (payload, at) = self.held(&self.series, ordinal, scratch.sequential, &mut scratch.series)?;
        let wrong = self.at_record(&self.series, ordinal);
        let records = self.records_of(&self.series, ordinal, &payload)?;
        let chunks = SeriesChunks::find(&records, at).map_err(&wrong)?;
        let mut ends = [None::<i64>; 2];
        for reference in chunks.references() {
            let reference = reference.map_err(&wrong)?;
            let Some(slot) =
                self.times(reference.times, range, &mut ends[usize::from(reference.kind.histograms)], scratch)?
            else {
                continue;
            };
            let sequential = scratch.sequential;
            let (payload, at) = self.held(&self.chunks, reference.chunk, sequential, &mut scratch.chunks)?;
            let timestamps = scratch.columns.get(slot).map_or(&[][..], |c| &c.timestamps);
            let from = timestamps.partition_point(|t| *t < range.start);
            let to = timestamps.partition_point(|t| *t <= range.end);
            self.records_of(&self.chunks, reference.chunk, &payload)?
                .get(at)
                .and_then(|record| decode_chunk(record, reference.kind, timestamps, from..to.max(from), out))
                .map_err(self.at_record(&self.chunks, reference.chunk))?;
        }
        Ok(())
    }

    /// The first and last sample of a series; an empty range when it has none.
    ///
    /// # Errors
    /// As [`Segment::read`].
    pub fn series_range(&self, ordinal: u32) -> Result<TimeRange> {
        SCRATCH.with_borrow_mut(|scratch| {
            let (payload, at) = self.held(&self.series, ordinal, false, &mut scratch.series)?;
            let wrong = self.at_record(&self.series, ordinal);
            let records = self.records_of(&self.series, ordinal, &payload)?;
            let mut range = NO_TIME;
            for reference in SeriesChunks::find(&records, at).map_err(&wrong)?.references() {
                let times = reference.map_err(&wrong)?.times;
                range = range.union(&self.time_head(times, false, &mut scratch.times)?.range);
            }
            Ok(range)
        })
    }

    /// The exemplars of a series that are in `range`, in the order in which they were written.
    ///
    /// # Errors
    /// As [`Segment::read`].
    pub fn exemplars(&self, ordinal: u32, range: TimeRange) -> Result<Vec<Exemplar>> {
        SCRATCH.with_borrow_mut(|scratch| self.exemplars_with(ordinal, range, scratch))
    }

    /// As [`Segment::exemplars`], with the caller's scratch.
    ///
    /// # Errors
    /// As [`Segment::read`].
    pub fn exemplars_with(&self, ordinal: u32, range: TimeRange, scratch: &mut ReadScratch) -> Result<Vec<Exemplar>> {
        if !range.overlaps(&self.summary.exemplar_range) {
            return Ok(Vec::new());
        }
        let (payload, at) = self.held(&self.series, ordinal, scratch.sequential, &mut scratch.series)?;
        let records = self.records_of(&self.series, ordinal, &payload)?;
        let chunks = SeriesChunks::find(&records, at).map_err(self.at_record(&self.series, ordinal))?;
        let Some(id) = chunks.exemplars else { return Ok(Vec::new()) };
        let (payload, at) = self.held(&self.exemplars, id, scratch.sequential, &mut scratch.exemplars)?;
        let mut exemplars = self
            .records_of(&self.exemplars, id, &payload)?
            .get(at)
            .and_then(decode_exemplars)
            .map_err(self.at_record(&self.exemplars, id))?;
        exemplars.retain(|e| range.contains(e.timestamp));
        Ok(exemplars)
    }

    /// Makes sure that a timestamp column is in the scratch and returns its slot; `None` when nothing of it is in `range`.
    /// `end` is the end of the column before it in the same series, which it has to follow.
    fn times(
        &self,
        id: u32,
        range: TimeRange,
        end: &mut Option<i64>,
        scratch: &mut ReadScratch,
    ) -> Result<Option<usize>> {
        if scratch.columns.is_empty() {
            scratch.columns.resize_with(COLUMNS, Column::default);
        }
        let slot = (self.number.wrapping_mul(37).wrapping_add(u64::from(id)) % COLUMNS as u64) as usize;
        let ReadScratch { columns, times, sequential, .. } = scratch;
        let column = &mut columns[slot];
        let held = column.key == Some((self.number, id));
        let covers = match (column.timestamps.first(), column.timestamps.last()) {
            (Some(first), Some(last)) if held => TimeRange::new(*first, *last),
            _ => self.time_head(id, *sequential, times)?.range,
        };
        if end.is_some_and(|end| covers.start <= end) {
            return Err(self.at_record(&self.times, id)(malformed("series", "chunks out of order")));
        }
        *end = Some(covers.end);
        if !covers.overlaps(&range) {
            return Ok(None);
        }
        if !held {
            let (payload, at) = self.held(&self.times, id, *sequential, times)?;
            column.key = None;
            column.timestamps.clear();
            self.records_of(&self.times, id, &payload)?
                .get(at)
                .and_then(|record| {
                    let mut reader = Reader::new(record);
                    decode_timestamps(&mut reader, &mut column.timestamps)?;
                    reader.finish("timestamp column")
                })
                .map_err(self.at_record(&self.times, id))?;
            column.key = Some((self.number, id));
        }
        Ok(Some(slot))
    }

    fn time_head(&self, id: u32, sequential: bool, held: &mut Held) -> Result<ColumnHead> {
        let (payload, at) = self.held(&self.times, id, sequential, held)?;
        self.records_of(&self.times, id, &payload)?
            .get(at)
            .and_then(|record| ColumnHead::read(&mut Reader::new(record)))
            .map_err(self.at_record(&self.times, id))
    }

    /// The block that holds record `id` of a table, from `held` if it was read last, and the record's place in it.
    fn held(&self, table: &Table, id: u32, sequential: bool, held: &mut Held) -> Result<(Arc<[u8]>, usize)> {
        let Some((number, block)) = table.block_of(id).and_then(|n| Some((n, table.blocks.get(n)?))) else {
            let reason = format!("no {:?} record {id} of {}", table.kind, table.count);
            return Err(StorageError::Invalid(reason));
        };
        let at = (id - block.first) as usize;
        match &held.0 {
            Some((segment, n, payload)) if *segment == self.number && *n == number => {
                return Ok((Arc::clone(payload), at));
            }
            _ => {}
        }
        let payload = if sequential {
            match self.cache.get((self.number, block.at.offset)) {
                Some(found) => found,
                None => self.file.read(block.at, table.kind)?,
            }
        } else {
            self.block(table, number)?
        };
        held.0 = Some((self.number, number, Arc::clone(&payload)));
        Ok((payload, at))
    }

    /// As [`Segment::records`], for the block of a record.
    fn records_of<'a>(&self, table: &Table, id: u32, payload: &'a [u8]) -> Result<RecordBlock<'a>> {
        self.records(table, table.block_of(id).unwrap_or(usize::MAX), payload)
    }
}

fn decode_exemplars(record: &[u8]) -> Result<Vec<Exemplar>> {
    let mut reader = Reader::new(record);
    // Each exemplar has at least the byte that counts its labels.
    let count = reader.length(record.len())?;
    let (mut timestamps, mut values) = (Vec::new(), Vec::new());
    decode_integers(&mut reader, count, &mut timestamps)?;
    decode_floats(&mut reader, count, &mut values)?;
    let mut exemplars = Vec::with_capacity(count);
    for (timestamp, value) in timestamps.into_iter().zip(values) {
        let pairs = reader.length(reader.rest().len() / 2)?;
        let mut labels = Vec::with_capacity(pairs);
        for _ in 0..pairs {
            labels.push((reader.text()?, reader.text()?));
        }
        exemplars.push(Exemplar { labels: Labels::from_sorted(labels), value, timestamp });
    }
    reader.finish("exemplars")?;
    Ok(exemplars)
}
