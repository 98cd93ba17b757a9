//! What a case expects, and the `expect` lines that say it.

use std::{fmt, sync::LazyLock};

use chronolith_storage::Labels;
use regex::Regex;

use super::error::RunErrorReason as Reason;
use crate::{quote, series_notation::Point};

/// All that a case expects.
#[derive(Debug, Default)]
pub(super) struct Expected {
    /// The samples of a vector come in the order of the lines.
    pub(super) ordered: bool,
    /// The evaluation fails, with an error that fits all of these.
    pub(super) fail: Vec<Text>,
    pub(super) warn: Vec<Text>,
    pub(super) no_warn: bool,
    pub(super) info: Vec<Text>,
    pub(super) no_info: bool,
    pub(super) value: Value,
    /// The value is none that a range query gives.
    pub(super) instant_only: bool,
}

/// The value that a case expects.
#[derive(Debug)]
pub(super) enum Value {
    Scalar(f64),
    String(String),
    /// Of a vector or a matrix, in the order of the lines.
    Series(Vec<Series>),
}

impl Default for Value {
    fn default() -> Self {
        Self::Series(Vec::new())
    }
}

/// A series of a case.
#[derive(Debug)]
pub(super) struct Series {
    pub(super) labels: Labels,
    /// Its place among the lines of the case, counted from 1; labels that come again take the later place.
    pub(super) place: usize,
    pub(super) points: Vec<Point>,
}

/// How a text is compared.
#[derive(Debug)]
pub(super) enum Text {
    Any,
    Equal(String),
    Matches(Regex),
}

impl Text {
    pub(super) fn fits(&self, found: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Equal(text) => text == found,
            Self::Matches(pattern) => pattern.is_match(found),
        }
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Equal(text) => f.write_str(text),
            Self::Matches(pattern) => write!(f, "what matches {pattern}"),
        }
    }
}

/// A pattern of the script; `what` is the directive that it stands in.
pub(super) fn pattern(text: &str, what: &str) -> Result<Regex, Reason> {
    Regex::new(text).map_err(|_| Reason::Regex(text.to_owned(), what.to_owned()))
}

#[expect(clippy::unwrap_used, reason = "the pattern is a constant that a test compiles")]
static EXPECT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^expect\s+(ordered|fail|warn|no_warn|info|no_info)(?:\s+(regex|msg):(.+))?$").unwrap()
});

/// The `expect` lines of a case that were read so far: which may not stand together depends on lines, not on the legacy
/// forms of `eval`.
#[derive(Debug, Default)]
pub(super) struct Lines {
    fail: bool,
    warn: bool,
    info: bool,
}

impl Lines {
    /// Reads a line that starts with `expect` and adds it to what the case expects.
    pub(super) fn read(&mut self, line: &str, expected: &mut Expected) -> Result<(), Reason> {
        let refused = |text: &str| Reason::Expect(text.to_owned());
        let captures = EXPECT.captures(line).ok_or_else(|| {
            refused("invalid expect statement, must match `expect <type> <match_type>: <string>` format")
        })?;
        let kind = &captures[1];
        let text = match (captures.get(2).map(|m| m.as_str()), captures.get(3)) {
            (Some("msg"), Some(text)) => Text::Equal(text.as_str().trim().to_owned()),
            (Some(_), Some(text)) => Text::Matches(pattern(text.as_str().trim(), kind)?),
            _ => Text::Any,
        };
        match kind {
            "ordered" => expected.ordered = true,
            "fail" if self.fail => {
                return Err(refused("invalid expect lines, multiple expect fail lines are not allowed"));
            }
            "fail" => {
                self.fail = true;
                expected.fail.push(text);
            }
            "warn" => {
                self.warn = true;
                expected.warn.push(text);
            }
            "info" => {
                self.info = true;
                expected.info.push(text);
            }
            "no_warn" => expected.no_warn = true,
            _ => expected.no_info = true,
        }
        if self.info && expected.no_info {
            return Err(refused("invalid expect lines, info and no_info cannot be used together"));
        }
        if self.warn && expected.no_warn {
            return Err(refused("invalid expect lines, warn and no_warn cannot be used together"));
        }
        Ok(())
    }
}

/// The text behind `expect string`.
pub(super) fn string_literal(text: &str) -> Result<String, Reason> {
    let refused = |why| Reason::Expect(format!("expected string literal not valid - {why}"));
    let literal = text.strip_prefix(' ').unwrap_or_default();
    if literal.is_empty() {
        return Err(refused("a quoted string literal is required"));
    }
    quote::unquote(literal).map_err(|_| refused("check that the string is correctly quoted"))
}
