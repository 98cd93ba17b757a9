//! The series notation of Prometheus' tests: `metric{label="value"} 1+2x5 _ stale {{schema:0 sum:1}}x3`.

mod classic;
mod cursor;
mod histogram_literal;
mod load;
mod metric;

use std::sync::Arc;

use chronolith_storage::{FloatHistogram, Labels, model::stale_nan};
use cursor::Cursor;

pub use self::{
    classic::NotClassic,
    load::{Block, Load, LoadError, LoadedSample, LoadedSeries, SampleValue, parse_block, parse_load},
};

use crate::error::ParseError;

/// Most points that one line may stand for, so that a short text cannot fill the memory.
pub const MAX_POINTS: usize = 1_000_000;

/// One point of a series; the points stand at equal distances.
#[derive(Debug, Clone, PartialEq)]
pub enum Point {
    /// `_`: no sample.
    Gap,
    /// A number; a stale marker is the stale NaN.
    Float(f64),
    /// `{{...}}`
    Histogram {
        /// The histogram.
        histogram: Arc<FloatHistogram>,
        /// Whether `counter_reset_hint` was written; a test compares the hint only then.
        hint_is_written: bool,
    },
}

/// A line of the notation.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesLine {
    /// The labels, the metric's name among them.
    pub labels: Labels,
    /// The points.
    pub points: Vec<Point>,
}

/// Reads a line of labels and points.
///
/// # Errors
/// What cannot be read, and where; also more than [`MAX_POINTS`] points.
pub fn parse_series(line: &str) -> Result<SeriesLine, ParseError> {
    let (labels, end) = metric::metric(line)?;
    let points = points(&mut Cursor::new(line, end))?;
    Ok(SeriesLine { labels, points })
}

fn points(cursor: &mut Cursor<'_>) -> Result<Vec<Point>, ParseError> {
    let mut points = Vec::new();
    while !cursor.is_at_end() {
        if !cursor.skip_spaces() {
            return Err(cursor.unexpected("series values", "a space"));
        }
        if !cursor.is_at_end() {
            item(cursor, &mut points)?;
        }
    }
    Ok(points)
}

/// One item, which may stand for many points.
fn item(cursor: &mut Cursor<'_>, points: &mut Vec<Point>) -> Result<(), ParseError> {
    if cursor.take("_") {
        // Gaps are as many as the number says, all else is one more.
        let count = repetition(cursor, points.len())?.unwrap_or(1);
        points.extend(std::iter::repeat_n(Point::Gap, count));
        return Ok(());
    }
    if cursor.take("{{") {
        return histograms(cursor, points);
    }
    let mut value = if cursor.take_word("stale") { stale_nan() } else { cursor.signed_number()? };
    let step = if cursor.is_at_sign() { Some(cursor.signed_number()?) } else { None };
    let Some(count) = repetition(cursor, points.len())? else {
        if step.is_some() {
            return Err(cursor.unexpected("series values", "\"x\" and a count after the step"));
        }
        points.push(Point::Float(value));
        return Ok(());
    };
    for _ in 0..=count {
        points.push(Point::Float(value));
        value += step.unwrap_or(0.0);
    }
    Ok(())
}

/// After the opening braces.
fn histograms(cursor: &mut Cursor<'_>, points: &mut Vec<Point>) -> Result<(), ParseError> {
    let first = histogram_literal::parse(cursor)?;
    let negative = cursor.is_at('-');
    let step = if negative || cursor.is_at('+') {
        cursor.take(if negative { "-" } else { "+" });
        if !cursor.take("{{") {
            return Err(cursor.unexpected("series values", "\"{{\" after the sign"));
        }
        Some(histogram_literal::parse(cursor)?)
    } else {
        None
    };
    let hint_is_written = step.as_ref().map_or(first.hint_is_written, |s| s.hint_is_written);
    let push = |points: &mut Vec<Point>, histogram: &Arc<FloatHistogram>| {
        points.push(Point::Histogram { histogram: Arc::clone(histogram), hint_is_written });
    };
    let mut current = Arc::new(first.histogram);
    let Some(count) = repetition(cursor, points.len())? else {
        if step.is_some() {
            return Err(cursor.unexpected("series values", "\"x\" and a count after the step"));
        }
        push(points, &current);
        return Ok(());
    };
    push(points, &current);
    for _ in 0..count {
        if let Some(step) = &step {
            let next = histogram_literal::add(&current, &step.histogram, negative);
            current = Arc::new(next.map_err(|e| cursor.error(e))?);
        }
        push(points, &current);
    }
    Ok(())
}

/// `x5` behind an item; the points so far and the new ones have to fit the limit.
fn repetition(cursor: &mut Cursor<'_>, before: usize) -> Result<Option<usize>, ParseError> {
    if !cursor.take("x") {
        return Ok(None);
    }
    let count = cursor.count()?;
    match usize::try_from(count) {
        Ok(count) if count < MAX_POINTS.saturating_sub(before) => Ok(Some(count)),
        _ => Err(cursor.error(format!("the line stands for more than {MAX_POINTS} points"))),
    }
}

#[cfg(test)]
mod tests;
