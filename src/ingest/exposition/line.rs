//! One sample line: a series, a value, perhaps a timestamp and an exemplar.

use std::borrow::Cow;

use chronolith_storage::model::labels::{Labels, METRIC_NAME};

use super::{
    Format,
    parser::{ParseProblem, cut},
    text::{Scanner, unescape, value},
};
use crate::ingest::label_rules::{LabelError, LabelLimits, exemplar_labels, validate_labels};

/// A sample as its line says it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SampleLine<'a> {
    series: &'a str,
    /// The value.
    pub value: f64,
    /// Milliseconds since the Unix epoch.
    pub timestamp: Option<i64>,
    /// The exemplar behind it.
    pub exemplar: Option<ExemplarLine<'a>>,
}

/// An exemplar as its line says it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExemplarLine<'a> {
    labels: &'a str,
    /// The value.
    pub value: f64,
    /// Milliseconds since the Unix epoch.
    pub timestamp: Option<i64>,
}

impl<'a> SampleLine<'a> {
    pub(super) fn parse(line: &'a str, format: Format) -> Result<Self, ParseProblem> {
        let mut scanner = Scanner::new(line);
        check_series(&mut scanner)?;
        let series = line.get(..line.len() - scanner.rest().len()).unwrap_or(line).trim_end_matches([' ', '\t']);
        let (value, timestamp) = value_and_time(&mut scanner, format)?;
        let exemplar = if format == Format::OpenMetrics && scanner.take(b'#') {
            Some(ExemplarLine::parse(&mut scanner)?)
        } else {
            None
        };
        if scanner.rest().is_empty() {
            Ok(Self { series, value, timestamp, exemplar })
        } else {
            Err(ParseProblem::Trailing(cut(scanner.rest())))
        }
    }

    /// The series as it is written: name and labels. Equal texts are equal series, so it can be the key of a cache.
    #[must_use]
    pub const fn series(&self) -> &'a str {
        self.series
    }

    /// The labels in the order of the line, the metric's name first among them.
    #[must_use]
    pub fn labels(&self) -> LabelPairs<'a> {
        LabelPairs::of_series(self.series)
    }

    /// The labels as a set.
    ///
    /// # Errors
    /// When a label is there twice, has no name, or is over a limit.
    pub fn to_labels(&self, limits: &LabelLimits) -> Result<Labels, LabelError> {
        let mut pairs: Vec<_> = self.labels().collect();
        pairs.sort_unstable();
        let pairs = pairs.iter().map(|(name, value)| (name.as_ref(), value.as_ref()));
        validate_labels(pairs.clone(), limits)?;
        Ok(Labels::from_sorted(pairs.filter(|(_, value)| !value.is_empty())))
    }
}

impl<'a> ExemplarLine<'a> {
    fn parse(scanner: &mut Scanner<'a>) -> Result<Self, ParseProblem> {
        scanner.skip_blanks();
        let start = scanner.rest();
        if !scanner.take(b'{') {
            return Err(ParseProblem::expected("the exemplar's labels in braces", start));
        }
        check_labels(scanner, None)?;
        let labels = start.get(..start.len() - scanner.rest().len()).unwrap_or(start);
        let (value, timestamp) = value_and_time(scanner, Format::OpenMetrics)?;
        Ok(Self { labels, value, timestamp })
    }

    /// The labels in the order of the line.
    #[must_use]
    pub fn labels(&self) -> LabelPairs<'a> {
        LabelPairs::of_series(self.labels)
    }

    /// The labels as a set.
    ///
    /// # Errors
    /// When they break a rule that exemplars have.
    pub fn to_labels(&self) -> Result<Labels, LabelError> {
        let pairs: Vec<_> = self.labels().collect();
        exemplar_labels(pairs.iter().map(|(n, v)| Ok((n.as_ref(), v.as_ref()))))
    }
}

/// Reads a value and, if it is there, a timestamp.
fn value_and_time(scanner: &mut Scanner<'_>, format: Format) -> Result<(f64, Option<i64>), ParseProblem> {
    scanner.skip_blanks();
    let word = scanner.word();
    if word.is_empty() {
        return Err(ParseProblem::NoValue);
    }
    let value = value(word)?;
    scanner.skip_blanks();
    if scanner.rest().is_empty() || (format == Format::OpenMetrics && scanner.peek() == Some(b'#')) {
        return Ok((value, None));
    }
    let word = scanner.word();
    let timestamp = match format {
        Format::Prometheus => word.parse().ok(),
        Format::OpenMetrics => word.parse().ok().and_then(milliseconds),
    };
    let Some(timestamp) = timestamp else { return Err(ParseProblem::Timestamp(cut(word))) };
    scanner.skip_blanks();
    Ok((value, Some(timestamp)))
}

fn milliseconds(seconds: f64) -> Option<i64> {
    let ms = (seconds * 1_000.0).round();
    // The largest float below 2^63.
    (ms.is_finite() && ms.abs() <= 9_223_372_036_854_774_784.0).then_some(ms as i64)
}

/// Reads a name and labels, and checks them so that [`LabelPairs`] cannot fail.
fn check_series(scanner: &mut Scanner<'_>) -> Result<(), ParseProblem> {
    let start = scanner.rest();
    let mut named = !scanner.plain_name(true).is_empty();
    let mut behind_blanks = *scanner;
    behind_blanks.skip_blanks();
    if behind_blanks.take(b'{') {
        *scanner = behind_blanks;
        check_labels(scanner, Some(&mut named))?;
    }
    if named { Ok(()) } else { Err(ParseProblem::expected("a metric name", start)) }
}

/// Checks labels up to the closing brace. `named` tells whether the metric has its name already; an exemplar has none.
fn check_labels(scanner: &mut Scanner<'_>, mut named: Option<&mut bool>) -> Result<(), ParseProblem> {
    loop {
        scanner.skip_blanks();
        if scanner.take(b'}') {
            return Ok(());
        }
        let start = scanner.rest();
        let quoted = scanner.peek() == Some(b'"');
        let name = if quoted { scanner.quoted()? } else { scanner.plain_name(false) };
        scanner.skip_blanks();
        if scanner.take(b'=') {
            if name.is_empty() {
                return Err(ParseProblem::expected("a label name", start));
            }
            scanner.skip_blanks();
            scanner.quoted()?;
        } else if quoted && !name.is_empty() && named.as_ref().is_some_and(|named| !**named) {
            if let Some(named) = named.as_mut() {
                **named = true;
            }
        } else {
            let what = if name.is_empty() { "a label name or '}'" } else { "'=' and the label's value" };
            return Err(ParseProblem::expected(what, if name.is_empty() { start } else { scanner.rest() }));
        }
        scanner.skip_blanks();
        if !scanner.take(b',') && scanner.peek() != Some(b'}') {
            return Err(ParseProblem::expected("',' or '}'", scanner.rest()));
        }
    }
}

/// Pairs of label name and value; a metric's name has the name `__name__`.
#[derive(Debug, Clone)]
pub struct LabelPairs<'a> {
    name: Option<&'a str>,
    scanner: Scanner<'a>,
}

impl<'a> LabelPairs<'a> {
    /// `series` was checked.
    fn of_series(series: &'a str) -> Self {
        let mut scanner = Scanner::new(series);
        let name = scanner.plain_name(true);
        scanner.skip_blanks();
        scanner.take(b'{');
        Self { name: (!name.is_empty()).then_some(name), scanner }
    }
}

impl<'a> Iterator for LabelPairs<'a> {
    type Item = (Cow<'a, str>, Cow<'a, str>);

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(name) = self.name.take() {
            return Some((Cow::Borrowed(METRIC_NAME), Cow::Borrowed(name)));
        }
        self.scanner.skip_blanks();
        let quoted = self.scanner.peek() == Some(b'"');
        let name = if quoted { self.scanner.quoted().ok()? } else { self.scanner.plain_name(false) };
        self.scanner.skip_blanks();
        let pair = if self.scanner.take(b'=') {
            self.scanner.skip_blanks();
            (unescape(name), unescape(self.scanner.quoted().ok()?))
        } else if quoted {
            (Cow::Borrowed(METRIC_NAME), unescape(name))
        } else {
            return None;
        };
        self.scanner.skip_blanks();
        self.scanner.take(b',');
        Some(pair)
    }
}
