//! `chronolith tsdb ls`: lists the segments of a data directory.

use std::path::Path;

use chronolith_storage::engine::EngineStats;

use crate::cli::{
    error::CliError,
    open,
    output::table::{Align, Table},
    size::{ByteSize, thousands},
    terminal::print,
    time::format_time,
};

/// Examples and hints below the options.
pub(super) const HELP: &str = "\
Examples:
  $ chronolith tsdb ls ./data

The last line counts samples that are in the write-ahead log and in no segment yet.";

/// Lists.
pub(super) fn run(dir: &Path) -> Result<(), CliError> {
    let db = open::read_only(dir)?;
    let heads = [
        ("segment", Align::Left),
        ("first sample", Align::Left),
        ("last sample", Align::Left),
        ("series", Align::Right),
        ("samples", Align::Right),
        ("size", Align::Right),
        ("bytes/sample", Align::Right),
        ("merged", Align::Right),
    ];
    let mut table = Table::new(heads.into_iter());
    let mut segments = db.engine().segments();
    segments.sort_by_key(|s| (s.range.start, s.id));
    for s in &segments {
        table.push(vec![
            format!("{:020}", s.id),
            format_time(s.range.start),
            format_time(s.range.end),
            thousands(s.series),
            thousands(s.samples),
            ByteSize(s.file_len).to_string(),
            per_sample(s.file_len, s.samples),
            s.level.to_string(),
        ]);
    }
    print(&format!("{}{}", table.render(), summary(&db.engine().stats())))
}

fn summary(stats: &EngineStats) -> String {
    format!(
        "{} segments, {} samples, {}, {} bytes/sample; {} samples of {} series in the log only\n",
        stats.segments,
        thousands(stats.segment_samples),
        ByteSize(stats.segment_bytes),
        per_sample(stats.segment_bytes, stats.segment_samples),
        thousands(stats.memtable_samples),
        thousands(stats.active_series as u64),
    )
}

/// Bytes for each sample, with two decimals.
pub(super) fn per_sample(bytes: u64, samples: u64) -> String {
    if samples == 0 { "-".to_owned() } else { format!("{:.2}", bytes as f64 / samples as f64) }
}
