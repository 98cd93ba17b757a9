//! Writes a segment as a stream: samples leave at once, only the index grows until the end.

use std::{path::Path, sync::Arc};

use xxhash_rust::xxh3::xxh3_64;

use super::{
    Level, NO_TIME, SegmentIdentity, SegmentSummary, WriterOptions,
    block::{BlockFile, BlockKind, BlockRef, BlockWriter, MAX_PAYLOAD, METRIC_SEGMENT},
    chunk::{ChunkKind, cut_floats, cut_histograms, encode_float_chunk, encode_histogram_chunk},
    index::{ChunkPart, IndexBuilder, too_many},
    table::TableWriter,
    times::SharedTimes,
};
use crate::{
    Exemplar, Labels, Result, SampleBuffer, StorageError, TimeRange,
    codec::segment::{SegmentFooter, encode_segment_footer},
    encoding::{encode_floats, encode_integers, put_uvarint},
    vfs::{OpenMode, Vfs, at_path},
};

const CHUNKS_BLOCK_LEN: usize = 64 << 10;
const EXEMPLARS_BLOCK_LEN: usize = 32 << 10;

/// Writes one segment file. Dropped before [`SegmentWriter::finish`], it leaves a file that no reader accepts.
pub struct SegmentWriter {
    file: BlockWriter,
    times: SharedTimes,
    chunks: TableWriter,
    exemplars: TableWriter,
    index: IndexBuilder,
    last: Option<Labels>,
    footer: SegmentFooter,
    record: Vec<u8>,
    part: ChunkPart,
    /// Timestamp column of the chunk written last in this series.
    last_times: Option<u32>,
    histogram_times: Vec<i64>,
}

impl SegmentWriter {
    /// Makes a new file; it must not exist.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn create(vfs: &Arc<dyn Vfs>, path: &Path, options: WriterOptions) -> Result<Self> {
        let file = vfs.open(path, OpenMode::CreateNew).map_err(at_path(path))?;
        // Tells blocks of different files apart, so that one cannot stand for the other.
        let file_id = xxh3_64(path.as_os_str().as_encoded_bytes());
        let zstd_level = match options.level {
            Level::Flush => 1,
            Level::Merge => 3,
        };
        Ok(Self {
            file: BlockWriter::start(BlockFile { path: path.into(), file, file_id }, METRIC_SEGMENT, zstd_level)?,
            times: SharedTimes::new(),
            chunks: TableWriter::new(BlockKind::Chunks, CHUNKS_BLOCK_LEN),
            exemplars: TableWriter::new(BlockKind::Exemplars, EXEMPLARS_BLOCK_LEN),
            index: IndexBuilder::default(),
            last: None,
            footer: SegmentFooter {
                series: 0,
                float_samples: 0,
                histogram_samples: 0,
                exemplars: 0,
                range: (NO_TIME.start, NO_TIME.end),
                exemplar_range: (NO_TIME.start, NO_TIME.end),
                id: options.identity.id,
                sequence: options.identity.sequence,
                partition: (options.identity.partition.start, options.identity.partition.end),
                merges: options.identity.merges,
                indexes: Default::default(),
            },
            record: Vec::new(),
            part: ChunkPart::default(),
            last_times: None,
            histogram_times: Vec::new(),
        })
    }

    /// Appends a series with all its samples and exemplars.
    ///
    /// # Errors
    /// When the labels are not above those of the series before, timestamps do not rise, a histogram is invalid or
    /// larger than the format allows, or the file system refuses. The writer is of no use after an error.
    pub fn add_series(&mut self, labels: &Labels, samples: &SampleBuffer, exemplars: &[Exemplar]) -> Result<()> {
        if self.last.as_ref().is_some_and(|last| last >= labels) {
            return Err(StorageError::Invalid(format!("series {labels} comes out of order")));
        }
        if labels.as_bytes().len() > MAX_PAYLOAD / 4 {
            return Err(StorageError::Invalid(format!("labels of {} bytes", labels.as_bytes().len())));
        }
        self.histogram_times.clear();
        self.histogram_times.extend(samples.histograms.iter().map(|h| h.timestamp));
        check_samples(labels, samples, &self.histogram_times)?;
        self.part.references.clear();
        self.part.chunks = 0;
        self.last_times = None;
        for part in cut_floats(&samples.timestamps) {
            self.record.clear();
            let kind = encode_float_chunk(samples, part.clone(), &mut self.record);
            self.put_chunk(&samples.timestamps[part], kind)?;
        }
        let histogram_times = std::mem::take(&mut self.histogram_times);
        for part in cut_histograms(&histogram_times, &samples.histograms) {
            self.record.clear();
            let kind = encode_histogram_chunk(&samples.histograms[part.clone()], &mut self.record)?;
            self.put_chunk(&histogram_times[part], kind)?;
        }
        self.histogram_times = histogram_times;
        self.put_exemplars(exemplars)?;
        self.index.add(labels, &self.part)?;
        self.last = Some(labels.clone());
        self.footer.series = self.index.count;
        self.footer.float_samples += samples.timestamps.len() as u64;
        self.footer.histogram_samples += samples.histograms.len() as u64;
        Ok(())
    }

    /// Writes the chunk whose columns are in `record`.
    fn put_chunk(&mut self, timestamps: &[i64], kind: ChunkKind) -> Result<()> {
        let times = self.times.intern(timestamps, &mut self.file)?;
        let reference = match self.last_times {
            None => u64::from(times),
            Some(last) => {
                let step = i64::from(times) - i64::from(last);
                ((step << 1) ^ (step >> 63)) as u64
            }
        };
        put_uvarint(&mut self.part.references, reference << 2 | kind.bits());
        self.last_times = Some(times);
        self.part.chunks += 1;
        self.chunks.make_room(&mut self.file, self.record.len())?;
        if self.chunks.next_id() == u32::MAX {
            return Err(too_many("chunks"));
        }
        self.chunks.push(&self.record, &[]);
        if let (Some(first), Some(last)) = (timestamps.first(), timestamps.last()) {
            widen(&mut self.footer.range, *first, *last);
        }
        Ok(())
    }

    fn put_exemplars(&mut self, exemplars: &[Exemplar]) -> Result<()> {
        self.part.exemplars = !exemplars.is_empty();
        if exemplars.is_empty() {
            return Ok(());
        }
        self.record.clear();
        put_uvarint(&mut self.record, exemplars.len() as u64);
        encode_integers(&exemplars.iter().map(|e| e.timestamp).collect::<Vec<_>>(), &mut self.record);
        encode_floats(&exemplars.iter().map(|e| e.value).collect::<Vec<_>>(), &mut self.record);
        for exemplar in exemplars {
            put_uvarint(&mut self.record, exemplar.labels.len() as u64);
            for text in exemplar.labels.iter().flat_map(|(name, value)| [name, value]) {
                put_uvarint(&mut self.record, text.len() as u64);
                self.record.extend_from_slice(text.as_bytes());
            }
            widen(&mut self.footer.exemplar_range, exemplar.timestamp, exemplar.timestamp);
        }
        self.footer.exemplars += exemplars.len() as u64;
        self.exemplars.make_room(&mut self.file, self.record.len())?;
        self.exemplars.push(&self.record, &[]);
        Ok(())
    }

    /// Writes the index and the footer and makes the file durable; the directory is the caller's to sync.
    ///
    /// # Errors
    /// When the file system refuses; the file is then of no use.
    pub fn finish(mut self) -> Result<SegmentSummary> {
        let times = self.times.finish(&mut self.file)?;
        let chunks = self.chunks.finish(&mut self.file)?;
        let exemplars = self.exemplars.finish(&mut self.file)?;
        let [series, values, postings, names] = self.index.finish(&mut self.file)?;
        let indexes = [times, chunks, exemplars, series, values, postings, names];
        self.footer.indexes = indexes.map(|BlockRef { offset, len }| (offset, len));
        let payload = encode_segment_footer(&self.footer);
        let at = self.file.write(BlockKind::Footer, &payload)?;
        let (file_len, checksum) = self.file.finish(at, &payload)?;
        Ok(summary(&self.footer, file_len, checksum))
    }
}

impl std::fmt::Debug for SegmentWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SegmentWriter").field("path", &self.file.file.path).finish_non_exhaustive()
    }
}

/// A footer as the outside sees it.
pub(super) const fn summary(footer: &SegmentFooter, file_len: u64, checksum: u32) -> SegmentSummary {
    SegmentSummary {
        identity: SegmentIdentity {
            id: footer.id,
            sequence: footer.sequence,
            partition: TimeRange::new(footer.partition.0, footer.partition.1),
            merges: footer.merges,
        },
        series: footer.series,
        float_samples: footer.float_samples,
        histogram_samples: footer.histogram_samples,
        exemplars: footer.exemplars,
        range: TimeRange::new(footer.range.0, footer.range.1),
        exemplar_range: TimeRange::new(footer.exemplar_range.0, footer.exemplar_range.1),
        file_len,
        checksum,
    }
}

fn widen(range: &mut (i64, i64), first: i64, last: i64) {
    range.0 = range.0.min(first);
    range.1 = range.1.max(last);
}

fn check_samples(labels: &Labels, samples: &SampleBuffer, histogram_times: &[i64]) -> Result<()> {
    let starts = samples.start_timestamps.len();
    if samples.values.len() != samples.timestamps.len() || (starts != 0 && starts != samples.timestamps.len()) {
        return Err(StorageError::Invalid(format!("series {labels} has columns of different lengths")));
    }
    let rising = |times: &[i64]| times.is_sorted_by(|a, b| a < b);
    if !rising(&samples.timestamps) || !rising(histogram_times) {
        return Err(StorageError::Invalid(format!("series {labels} has samples out of order")));
    }
    Ok(())
}
