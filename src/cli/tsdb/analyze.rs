//! `chronolith tsdb analyze`: what takes space in a data directory.

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
    fmt::Write as _,
    path::PathBuf,
};

use chronolith_storage::{Labels, SeriesSource as _, TimeRange, engine::Snapshot};

use super::ls::per_sample;
use crate::cli::{
    error::CliError,
    open,
    output::table::{Align, Table},
    size::{ByteSize, thousands},
    terminal::print,
    time::{HumanDuration, format_time},
};

/// Examples and hints below the options.
pub(super) const HELP: &str = "\
Examples:
  $ chronolith tsdb analyze ./data
  $ chronolith tsdb analyze --limit 5 --window 15m ./data

Churn is how many times the series that exist at once were replaced: all series divided by the mean number of series \
with samples in a window. 1 means that the same series were there all the time.";

/// The most windows that churn is measured in.
const MAX_WINDOWS: i64 = 500;

/// Options of `tsdb analyze`.
#[derive(Debug, clap::Args)]
pub(super) struct AnalyzeArgs {
    /// The data directory
    #[arg(value_name = "DIR")]
    data_dir: PathBuf,
    /// How many lines of each list to show
    #[arg(long, value_name = "N", default_value_t = 10)]
    limit: usize,
    /// The window in which a series counts as existing
    #[arg(long, value_name = "DURATION", default_value = "1h")]
    window: HumanDuration,
}

/// Counts over the labels of all series.
#[derive(Debug, Default)]
struct Cardinality<'a> {
    series: u64,
    by_metric: HashMap<&'a str, u64>,
    by_pair: HashMap<(&'a str, &'a str), u64>,
}

/// Reads all labels and reports.
pub(super) fn run(args: &AnalyzeArgs) -> Result<(), CliError> {
    if args.window.as_millis() == 0 {
        return Err(CliError::Usage("--window is zero; name a longer one, such as 1h".to_owned()));
    }
    let db = open::read_only(&args.data_dir)?;
    let snapshot = db.engine().snapshot();
    let range = snapshot.range();
    if range.is_empty() {
        return print("no samples\n");
    }
    let set = snapshot.select(&[], range)?;
    let mut counts = Cardinality::default();
    for index in 0..set.len() {
        counts.add(set.labels(index));
    }
    let stats = db.engine().stats();
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(out, "range         {} to {}", format_time(range.start), format_time(range.end));
    let _ = writeln!(out, "series        {}", thousands(counts.series));
    let _ = writeln!(out, "label pairs   {}", thousands(counts.by_pair.len() as u64));
    let samples = stats.segment_samples + stats.memtable_samples;
    let _ = writeln!(
        out,
        "samples       {}, {} of them in the log only",
        thousands(samples),
        thousands(stats.memtable_samples)
    );
    let bytes = ByteSize(stats.segment_bytes);
    let ratio = per_sample(stats.segment_bytes, stats.segment_samples);
    let _ = writeln!(out, "segments      {}, {bytes}, {ratio} bytes per sample", stats.segments);
    let (window, churn) = churn(&snapshot, range, args.window.as_millis(), counts.series)?;
    let _ = writeln!(out, "churn         {churn:.2} in windows of {window}");
    counts.lists(&mut out, args.limit);
    print(&out)
}

/// The window that was used, and how often series were replaced.
fn churn(snapshot: &Snapshot, range: TimeRange, window_ms: i64, series: u64) -> Result<(HumanDuration, f64), CliError> {
    let span = range.end.saturating_sub(range.start).saturating_add(1);
    let window = window_ms.max(span / MAX_WINDOWS).max(1);
    let (mut windows, mut seen, mut start) = (0u64, 0u64, range.start);
    while start <= range.end {
        let end = start.saturating_add(window - 1).min(range.end);
        let there = snapshot.series(&[Vec::new()], TimeRange::new(start, end))?.len() as u64;
        // A window without any series says that nothing was written, not that series were replaced.
        if there > 0 {
            windows += 1;
            seen += there;
        }
        let Some(next) = end.checked_add(1) else { break };
        start = next;
    }
    let used = HumanDuration(std::time::Duration::from_millis(window.unsigned_abs()));
    let mean = seen as f64 / windows.max(1) as f64;
    Ok((used, if mean > 0.0 { series as f64 / mean } else { 1.0 }))
}

impl<'a> Cardinality<'a> {
    fn add(&mut self, labels: &'a Labels) {
        self.series += 1;
        *self.by_metric.entry(labels.metric_name()).or_default() += 1;
        for pair in labels.iter() {
            *self.by_pair.entry(pair).or_default() += 1;
        }
    }

    fn lists(&self, out: &mut String, limit: usize) {
        let mut values: HashMap<&str, u64> = HashMap::new();
        let mut series: HashMap<&str, u64> = HashMap::new();
        for ((name, _), n) in &self.by_pair {
            *values.entry(name).or_default() += 1;
            *series.entry(name).or_default() += n;
        }
        let names: HashSet<&str> = values.keys().copied().collect();
        let by_values = names.iter().map(|n| ((*n).to_owned(), values.get(n).copied().unwrap_or(0)));
        list(out, "label names by values", "values", by_values, limit);
        let by_metric = self.by_metric.iter().map(|(n, c)| ((*n).to_owned(), *c));
        list(out, "metrics by series", "series", by_metric, limit);
        list(out, "label names by series", "series", series.iter().map(|(n, c)| ((*n).to_owned(), *c)), limit);
        list(
            out,
            "label pairs by series",
            "series",
            self.by_pair.iter().map(|((n, v), c)| (format!("{n}={v}"), *c)),
            limit,
        );
    }
}

/// The lines with the highest counts.
fn list(out: &mut String, title: &str, unit: &str, lines: impl Iterator<Item = (String, u64)>, limit: usize) {
    let mut lines: Vec<(String, u64)> = lines.collect();
    lines.sort_unstable_by(|a, b| (Reverse(a.1), &a.0).cmp(&(Reverse(b.1), &b.0)));
    let mut table = Table::new([(title, Align::Left), (unit, Align::Right)].into_iter());
    for (what, count) in lines.into_iter().take(limit) {
        table.push(vec![what, thousands(count)]);
    }
    out.push('\n');
    out.push_str(&table.render());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_sorts() {
        let labels: Vec<Labels> = [("up", "a"), ("up", "b"), ("down", "a")]
            .map(|(name, job)| Labels::from_pairs([("__name__", name), ("job", job)]))
            .to_vec();
        let mut counts = Cardinality::default();
        labels.iter().for_each(|l| counts.add(l));
        let mut out = String::new();
        counts.lists(&mut out, 1);
        assert!(out.contains("__name__                    2\n"), "{out}");
        assert!(out.contains("up                      2\n") && !out.contains("down"), "{out}");
        assert!(out.contains("__name__=up                 2\n"), "{out}");
    }

    #[test]
    fn churn_is_one_for_series_that_stay() {
        let db = crate::Db::in_memory().unwrap();
        let start = crate::cli::time::now_ms() - 7_200_000;
        for minute in 0..120 {
            let t = start + minute * 60_000;
            db.append(&[("__name__", "a")], t, 1.0).unwrap();
            db.append(&[("__name__", "b"), ("x", if minute < 60 { "1" } else { "2" })], t, 1.0).unwrap();
        }
        let snapshot = db.engine().snapshot();
        let (window, churn) = churn(&snapshot, TimeRange::new(start, start + 7_199_999), 3_600_000, 3).unwrap();
        assert_eq!(window.to_string(), "1h");
        assert!((churn - 1.5).abs() < 1e-9, "{churn}");
    }
}
