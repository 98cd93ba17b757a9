//! Imports the finished blocks of a Prometheus data directory.

use std::path::Path;

use chronolith_storage::{Labels, SampleBuffer, read::HistogramSample};

use super::{Importer, shown};
use crate::{
    cli::{
        error::CliError,
        target::{Batch, BatchSeries},
        terminal::note,
        time::format_time,
    },
    ingest::{
        prometheus_tsdb::{Block, BlockMeta, DataDir, TsdbError},
        remote_write::Sample,
    },
};

/// How many samples are written at once.
const BATCH_SAMPLES: u64 = 100_000;

/// Imports every block that was not imported before.
pub(super) fn import(importer: &mut Importer, input: &Path) -> Result<(), CliError> {
    let failed = |e: TsdbError| CliError::Failed(e.to_string());
    let directory = DataDir::open(input).map_err(failed)?;
    if directory.has_wal {
        note(&format!(
            "{}: samples that are only in the write-ahead log (about the last two hours) are not imported; \
             take a snapshot of the Prometheus and import that to have them",
            shown(input)
        ));
    }
    let mut damaged = 0u64;
    for meta in &directory.blocks {
        if importer.state.has_block(&meta.ulid) {
            note(&format!("{}: imported before, skipped", meta.ulid));
            continue;
        }
        note(&format!(
            "{}: {} to {}, {} series, {} samples",
            meta.ulid,
            format_time(meta.min_time),
            format_time(meta.max_time),
            meta.series,
            meta.samples
        ));
        let bad = block(importer, meta)?;
        damaged += bad;
        // A damaged block is tried again the next time: somebody may have mended it.
        if bad == 0 {
            importer.state.add_block(&meta.ulid)?;
        }
    }
    if damaged > 0 {
        return Err(CliError::Damage(format!("{damaged} series could not be read; the others are imported")));
    }
    Ok(())
}

/// Imports one block; tells how many of its series could not be read.
fn block(importer: &mut Importer, meta: &BlockMeta) -> Result<u64, CliError> {
    let mut block = Block::open(meta).map_err(|e| CliError::Failed(e.to_string()))?;
    let mut buffer = SampleBuffer::default();
    let (mut batch, mut pending, mut damaged) = (Batch::default(), 0, 0);
    loop {
        match block.next_series(&mut buffer) {
            Ok(None) => break,
            Ok(Some(labels)) => {
                pending += buffer.len() as u64;
                batch.series.push(series(labels, &mut buffer));
            }
            Err(error) => {
                damaged += 1;
                note(&format!("error: {error}"));
            }
        }
        if pending >= BATCH_SAMPLES {
            importer.write(std::mem::take(&mut batch), 0)?;
            pending = 0;
        }
    }
    importer.write(batch, 0)?;
    Ok(damaged)
}

/// Takes the samples out of the buffer.
fn series(labels: Labels, buffer: &mut SampleBuffer) -> BatchSeries {
    let start = |i: usize| buffer.start_timestamps.get(i).copied().unwrap_or(0);
    let floats = buffer.timestamps.iter().zip(&buffer.values).enumerate();
    let samples = floats.map(|(i, (t, v))| Sample { timestamp: *t, value: *v, start_timestamp: start(i) }).collect();
    let histograms: Vec<HistogramSample> = std::mem::take(&mut buffer.histograms);
    BatchSeries { labels, samples, histograms }
}
