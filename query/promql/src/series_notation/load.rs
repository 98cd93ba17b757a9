//! Blocks of the series notation: `load 15s`, then one series a line.

use std::{collections::BTreeMap, sync::Arc};

use chronolith_storage::{Histogram, Labels};

use super::{
    MAX_POINTS, Point,
    classic::{self, NotClassic},
    cursor::Cursor,
    metric, parse_series,
};
use crate::{
    duration::{self, DurationError},
    error::ParseError,
};

/// A block of series.
#[derive(Debug, Clone, PartialEq)]
pub struct Load {
    /// Distance of the points, in milliseconds.
    pub interval_ms: i64,
    /// The series, sorted by their labels.
    pub series: Vec<LoadedSeries>,
}

/// A series with its samples.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadedSeries {
    /// The labels, the metric's name among them.
    pub labels: Labels,
    /// The samples in order of time; gaps are left out.
    pub samples: Vec<LoadedSample>,
}

/// A sample of a block.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadedSample {
    /// Milliseconds since the Unix epoch; the first point of a line stands at 0.
    pub timestamp: i64,
    /// When the series started, 0 when that is not known.
    pub start_timestamp: i64,
    /// The value.
    pub value: SampleValue,
}

/// The value of a sample.
#[derive(Debug, Clone, PartialEq)]
pub enum SampleValue {
    /// A number; a stale marker is the stale NaN.
    Float(f64),
    /// A native histogram with float counts.
    Histogram(Arc<Histogram>),
}

/// Why a block cannot be read. Lines are counted from 1.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum LoadError {
    /// There is no `load` line.
    #[error("line {line}: {}", self.reason())]
    Header {
        /// The line.
        line: usize,
    },
    /// A classic histogram of `load_with_nhcb` cannot be converted.
    #[error("line {line}: {}", self.reason())]
    Classic {
        /// The line that the block starts with.
        line: usize,
        /// What is wrong with the histogram.
        error: NotClassic,
    },
    /// The interval is not a duration.
    #[error("line {line}: {}", self.reason())]
    Interval {
        /// The line.
        line: usize,
        /// What was written.
        text: String,
        /// What is wrong with it.
        reason: DurationError,
    },
    /// A series cannot be read.
    #[error("line {line}: {}", self.reason())]
    Series {
        /// The line.
        line: usize,
        /// What is wrong with it, and where in the line.
        error: ParseError,
    },
    /// A line of start timestamps does not fit the series that has to follow it.
    #[error("line {line}: {}", self.reason())]
    StartTimestamps {
        /// The line of start timestamps.
        line: usize,
        /// What does not fit.
        reason: String,
    },
}

impl LoadError {
    /// The line, counted as the caller of the reader counts.
    #[must_use]
    pub const fn line(&self) -> usize {
        match self {
            Self::Header { line }
            | Self::Classic { line, .. }
            | Self::Interval { line, .. }
            | Self::Series { line, .. }
            | Self::StartTimestamps { line, .. } => *line,
        }
    }

    /// What is wrong, without the line.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Self::Header { .. } => "expected `load <interval>` and one series a line below it".to_owned(),
            Self::Classic { error, .. } => error.to_string(),
            Self::Interval { text, reason, .. } => format!("invalid interval {text:?}: {reason}"),
            Self::Series { error, .. } => error.to_string(),
            Self::StartTimestamps { reason, .. } => reason.clone(),
        }
    }
}

/// Start timestamps that wait for their series.
struct Pending {
    line: usize,
    labels: Labels,
    /// Milliseconds from each sample; `None` where it is not known.
    offsets: Vec<Option<i64>>,
}

/// How the lines of a block are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// Where the first point of a line stands, in milliseconds since the Unix epoch.
    pub start_ms: i64,
    /// Distance of the points, in milliseconds.
    pub interval_ms: i64,
    /// `load_with_nhcb`: classic histograms come again as native ones with custom buckets.
    pub with_custom_buckets: bool,
}

/// Reads a block: `load <interval>` or `load_with_nhcb <interval>`, then series, one a line. Empty lines and lines that
/// start with `#` are skipped. A label set that comes again replaces the one before.
///
/// # Errors
/// The first line that cannot be read.
pub fn parse_load(text: &str) -> Result<Load, LoadError> {
    let mut lines = text
        .lines()
        .enumerate()
        .map(|(i, line)| (i + 1, line.trim()))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let (line, header) = lines.next().ok_or(LoadError::Header { line: 1 })?;
    let block = block(line, header)?;
    Ok(Load { interval_ms: block.interval_ms, series: parse_block(block, line, lines)? })
}

/// Reads the series of a block, one a line; each line comes with its number. `header` is the line that the block starts
/// with. Native histograms made of classic ones stand behind the series of the lines.
///
/// # Errors
/// The first line that cannot be read, or a classic histogram that cannot be converted.
pub fn parse_block<'a>(
    block: Block,
    header: usize,
    lines: impl IntoIterator<Item = (usize, &'a str)>,
) -> Result<Vec<LoadedSeries>, LoadError> {
    let mut series = BTreeMap::new();
    let mut pending: Option<Pending> = None;
    for (line, text) in lines {
        let at_line = |error| LoadError::Series { line, error };
        if let Some(starts) = start_timestamps(text).map_err(at_line)? {
            if let Some(before) = pending {
                return Err(no_series(before.line));
            }
            pending = Some(Pending { line, labels: starts.0, offsets: starts.1 });
            continue;
        }
        let parsed = parse_series(text).map_err(at_line)?;
        let offsets = match pending.take() {
            Some(starts) => starts.checked(&parsed.labels, parsed.points.len())?,
            None => Vec::new(),
        };
        series.insert(parsed.labels, samples(parsed.points, &offsets, block));
    }
    if let Some(before) = pending {
        return Err(no_series(before.line));
    }
    let mut series: Vec<LoadedSeries> =
        series.into_iter().map(|(labels, samples)| LoadedSeries { labels, samples }).collect();
    if block.with_custom_buckets {
        let native = classic::converted(&series).map_err(|error| LoadError::Classic { line: header, error })?;
        series.extend(native);
    }
    Ok(series)
}

fn block(line: usize, header: &str) -> Result<Block, LoadError> {
    let (command, interval) = header.split_once(char::is_whitespace).ok_or(LoadError::Header { line })?;
    let with_custom_buckets = match command {
        "load" => false,
        "load_with_nhcb" => true,
        _ => return Err(LoadError::Header { line }),
    };
    let interval = interval.trim();
    let interval_ms =
        duration::parse(interval).map_err(|reason| LoadError::Interval { line, text: interval.to_owned(), reason })?;
    Ok(Block { start_ms: 0, interval_ms, with_custom_buckets })
}

fn no_series(line: usize) -> LoadError {
    LoadError::StartTimestamps { line, reason: "@st line has no following sample line".to_owned() }
}

impl Pending {
    /// The offsets, when they belong to a series of these labels and so many points.
    fn checked(self, labels: &Labels, points: usize) -> Result<Vec<Option<i64>>, LoadError> {
        let reason = if self.labels != *labels {
            "@st metric does not match the following sample line metric".to_owned()
        } else if self.offsets.len() != points {
            format!("@st line has {} values but sample line has {points}", self.offsets.len())
        } else {
            return Ok(self.offsets);
        };
        Err(LoadError::StartTimestamps { line: self.line, reason })
    }
}

fn samples(points: Vec<Point>, offsets: &[Option<i64>], block: Block) -> Vec<LoadedSample> {
    let mut samples = Vec::with_capacity(points.len());
    let mut timestamp = block.start_ms;
    for (i, point) in points.into_iter().enumerate() {
        let value = match point {
            Point::Gap => None,
            Point::Float(value) => Some(SampleValue::Float(value)),
            Point::Histogram { histogram, .. } => Some(SampleValue::Histogram(Arc::new(histogram.to_stored()))),
        };
        if let Some(value) = value {
            let offset = offsets.get(i).copied().flatten();
            let start_timestamp = offset.map_or(0, |offset| timestamp.saturating_add(offset));
            samples.push(LoadedSample { timestamp, start_timestamp, value });
        }
        timestamp = timestamp.saturating_add(block.interval_ms);
    }
    samples
}

/// Reads a line of start timestamps, `metric{...}@st -1m _x3 0s-30sx5`; `None` when it is another line.
#[expect(clippy::type_complexity, reason = "labels and offsets of one line, used at one place")]
fn start_timestamps(line: &str) -> Result<Option<(Labels, Vec<Option<i64>>)>, ParseError> {
    let (labels, end) = metric::metric(line)?;
    let mut cursor = Cursor::new(line, end);
    if !cursor.take("@st") {
        return Ok(None);
    }
    let mut offsets = Vec::new();
    while !cursor.is_at_end() {
        if !cursor.skip_spaces() {
            return Err(cursor.unexpected("start timestamps", "a space"));
        }
        if !cursor.is_at_end() {
            start_timestamp_item(&mut cursor, &mut offsets)?;
        }
    }
    Ok(Some((labels, offsets)))
}

fn start_timestamp_item(cursor: &mut Cursor<'_>, offsets: &mut Vec<Option<i64>>) -> Result<(), ParseError> {
    if cursor.take("_") {
        let count = super::repetition(cursor, offsets.len())?.unwrap_or(1);
        if count == 0 {
            return Err(cursor.error("invalid repeat count"));
        }
        offsets.extend(std::iter::repeat_n(None, count));
        return Ok(());
    }
    let mut offset = cursor.signed_duration()?;
    let step = if cursor.is_at_sign() { Some(cursor.signed_duration()?) } else { None };
    match super::repetition(cursor, offsets.len())? {
        Some(count) => {
            for _ in 0..=count {
                offsets.push(Some(offset));
                offset = offset.saturating_add(step.unwrap_or(0));
            }
        }
        None if step.is_some() => return Err(cursor.error("expected 'x<count>' after step duration")),
        None if offsets.len() >= MAX_POINTS => {
            return Err(cursor.error(format!("the line stands for more than {MAX_POINTS} points")));
        }
        None => offsets.push(Some(offset)),
    }
    Ok(())
}
