//! Walks through an exposition line by line. A line that is wrong is an error, and the next call goes on behind it.

use std::borrow::Cow;

use chronolith_storage::MetricKind;

use super::{
    Format, SampleLine,
    text::{Scanner, unescape},
};

/// Why a line is refused, and which.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct ParseError {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: ParseProblem,
}

/// What is wrong with a line. Texts in it are cut to a readable length.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseProblem {
    /// The line is not UTF-8.
    #[error("the line is not valid UTF-8")]
    Utf8,
    /// Something else was expected.
    #[error("expected {what}, found {found}")]
    Expected {
        /// What was expected.
        what: &'static str,
        /// What stands there.
        found: String,
    },
    /// A quote is not closed.
    #[error("a quoted text is not closed")]
    OpenQuote,
    /// There is no value.
    #[error("the value is missing")]
    NoValue,
    /// The value is no number.
    #[error("the value {0:?} is no number")]
    Value(String),
    /// The timestamp is no timestamp.
    #[error("the timestamp {0:?} is none: Prometheus text has whole milliseconds, OpenMetrics seconds")]
    Timestamp(String),
    /// Something stands behind the end.
    #[error("{0:?} stands behind the end of the sample")]
    Trailing(String),
    /// A metric type that does not exist.
    #[error("the metric type {0:?} does not exist")]
    Kind(String),
    /// OpenMetrics ends by `# EOF`.
    #[error("the exposition does not end by \"# EOF\": it may have been cut off")]
    NoEof,
    /// Something follows `# EOF`.
    #[error("there is text behind \"# EOF\"")]
    BehindEof,
}

impl ParseProblem {
    pub(super) fn expected(what: &'static str, found: &str) -> Self {
        let found = if found.is_empty() { "the end of the line".to_owned() } else { format!("{:?}", cut(found)) };
        Self::Expected { what, found }
    }
}

/// The first 40 characters of a text from outside, for an error.
pub(super) fn cut(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text.to_owned(),
    }
}

/// What a line says.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry<'a> {
    /// The help text of a metric family.
    Help {
        /// The family's name.
        family: Cow<'a, str>,
        /// The text.
        text: Cow<'a, str>,
    },
    /// The type of a metric family.
    Type {
        /// The family's name.
        family: Cow<'a, str>,
        /// Its type; `untyped` is unknown.
        kind: MetricKind,
    },
    /// The unit of a metric family.
    Unit {
        /// The family's name.
        family: Cow<'a, str>,
        /// The unit.
        unit: &'a str,
    },
    /// A comment, without its `#`.
    Comment(&'a str),
    /// A sample.
    Sample(SampleLine<'a>),
}

/// An iterator over the lines of an exposition; empty lines are passed over. After an error it goes on with the next
/// line. A large file can be parsed piece by piece if each piece ends at a line's end, by [`Self::continued`].
#[derive(Debug, Clone)]
pub struct Parser<'a> {
    rest: &'a [u8],
    line: usize,
    format: Format,
    end: End,
}

/// What is still to be said about the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// `# EOF` must come.
    Awaited,
    /// `# EOF` was there.
    Seen,
    /// Nothing.
    Any,
}

impl<'a> Parser<'a> {
    /// A parser of a whole exposition.
    #[must_use]
    pub const fn new(bytes: &'a [u8], format: Format) -> Self {
        let end = match format {
            Format::Prometheus => End::Any,
            Format::OpenMetrics => End::Awaited,
        };
        Self { rest: bytes, line: 0, format, end }
    }

    /// A parser of one piece of an exposition that begins behind `lines` lines. A piece need not end by `# EOF`:
    /// [`Self::saw_eof`] tells whether it did.
    #[must_use]
    pub const fn continued(bytes: &'a [u8], format: Format, lines: usize) -> Self {
        Self { rest: bytes, line: lines, format, end: End::Any }
    }

    /// How many lines were read, those of former pieces included.
    #[must_use]
    pub const fn lines(&self) -> usize {
        self.line
    }

    /// Whether the line `# EOF` was read.
    #[must_use]
    pub fn saw_eof(&self) -> bool {
        self.end == End::Seen
    }

    /// Bytes that are left.
    #[must_use]
    pub const fn remaining(&self) -> usize {
        self.rest.len()
    }

    fn next_line(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let end = memchr::memchr(b'\n', self.rest).unwrap_or(self.rest.len());
        let (line, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, &[]));
        self.rest = rest.get(1..).unwrap_or_default();
        self.line += 1;
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    }

    fn parse_line(&mut self, line: &'a [u8]) -> Result<Option<Entry<'a>>, ParseProblem> {
        let line = std::str::from_utf8(line).map_err(|_| ParseProblem::Utf8)?;
        let line = line.trim_start_matches([' ', '\t']);
        if line.is_empty() {
            return Ok(None);
        }
        if self.end == End::Seen {
            self.rest = &[];
            return Err(ParseProblem::BehindEof);
        }
        match line.strip_prefix('#') {
            Some(comment) if self.format == Format::OpenMetrics && comment.trim_end() == " EOF" => {
                self.end = End::Seen;
                Ok(None)
            }
            Some(comment) => parse_comment(comment).map(Some),
            None => SampleLine::parse(line, self.format).map(|sample| Some(Entry::Sample(sample))),
        }
    }
}

impl<'a> Iterator for Parser<'a> {
    type Item = Result<Entry<'a>, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(line) = self.next_line() {
            match self.parse_line(line) {
                Ok(None) => {}
                Ok(Some(entry)) => return Some(Ok(entry)),
                Err(problem) => return Some(Err(ParseError { line: self.line, problem })),
            }
        }
        if self.end == End::Awaited {
            self.end = End::Any;
            return Some(Err(ParseError { line: self.line, problem: ParseProblem::NoEof }));
        }
        None
    }
}

fn parse_comment(comment: &str) -> Result<Entry<'_>, ParseProblem> {
    let mut scanner = Scanner::new(comment);
    scanner.skip_blanks();
    let keyword = scanner.word();
    if !matches!(keyword, "HELP" | "TYPE" | "UNIT") {
        return Ok(Entry::Comment(comment));
    }
    scanner.skip_blanks();
    let start = scanner.rest();
    let family = if scanner.peek() == Some(b'"') {
        unescape(scanner.quoted()?)
    } else {
        Cow::Borrowed(scanner.plain_name(true))
    };
    if family.is_empty() {
        return Err(ParseProblem::expected("a metric name", start));
    }
    if !matches!(scanner.peek(), None | Some(b' ' | b'\t')) {
        return Err(ParseProblem::expected("a blank behind the metric name", scanner.rest()));
    }
    // One blank ends the name; more belong to the help text, as in Prometheus.
    if !scanner.take(b' ') {
        scanner.take(b'\t');
    }
    Ok(match keyword {
        "HELP" => Entry::Help { family, text: unescape(scanner.rest()) },
        "TYPE" => Entry::Type { family, kind: kind(scanner.rest().trim())? },
        _ => Entry::Unit { family, unit: scanner.rest().trim() },
    })
}

fn kind(word: &str) -> Result<MetricKind, ParseProblem> {
    if word == "untyped" {
        return Ok(MetricKind::Unknown);
    }
    let kind = MetricKind::ALL.into_iter().find(|k| k.as_str() == word);
    kind.ok_or_else(|| ParseProblem::Kind(cut(word)))
}
