//! Reads the commands of a file.

use std::sync::LazyLock;

use regex::Regex;

use super::{
    error::{RunErrorReason as Reason, ScriptError},
    expect::{self, Expected, Lines, Series, Text, Value},
    report::When,
};
use crate::{
    ast::Expr,
    duration,
    error::ParseError,
    format, parse,
    series_notation::{Block, LoadedSeries, MAX_POINTS, parse_block, parse_series},
};

/// One command.
#[derive(Debug)]
pub(super) enum Command {
    Clear,
    Load(Vec<LoadedSeries>),
    Eval(Box<Eval>),
}

/// One case.
#[derive(Debug)]
pub(super) struct Eval {
    /// Counted from 1.
    pub(super) line: usize,
    pub(super) text: String,
    pub(super) expr: Expr,
    pub(super) when: When,
    /// The times of the points of a matrix: start, end and step.
    pub(super) times: (i64, i64, i64),
    pub(super) expected: Expected,
}

type Result<T, E = Reason> = std::result::Result<T, E>;

#[expect(clippy::unwrap_used, reason = "the pattern is a constant that a test compiles")]
static LOAD: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^load(?:_(with_nhcb))?\s+(.+?)$").unwrap());

#[expect(clippy::unwrap_used, reason = "the pattern is a constant that a test compiles")]
static EVAL_INSTANT: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^eval(?:_(fail|warn|ordered|info))?\s+instant\s+(?:at\s+(.+?))?\s+(.+)$").unwrap());

#[expect(clippy::unwrap_used, reason = "the pattern is a constant that a test compiles")]
static EVAL_RANGE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^eval(?:_(fail|warn|info))?\s+range\s+from\s+(.+)\s+to\s+(.+)\s+step\s+(.+?)\s+(.+)$").unwrap()
});

#[expect(clippy::unwrap_used, reason = "the pattern is a constant that a test compiles")]
static EXPECT_RANGE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^expect range vector\s+from\s+(.+)\s+to\s+(.+)\s+step\s+(.+)$").unwrap());

/// Lines without comments, with the one that is read next.
struct Cursor<'a> {
    lines: Vec<&'a str>,
    next: usize,
}

impl<'a> Cursor<'a> {
    fn new(text: &'a str) -> Self {
        let lines = text.split('\n').map(str::trim).map(|l| if l.starts_with('#') { "" } else { l }).collect();
        Self { lines, next: 0 }
    }

    /// The next line and its number, counted from 1.
    fn line(&mut self) -> Option<(usize, &'a str)> {
        let line = self.lines.get(self.next)?;
        self.next += 1;
        Some((self.next, line))
    }

    /// The next line of the body of a command, which an empty line ends.
    fn body_line(&mut self) -> Option<(usize, &'a str)> {
        if self.lines.get(self.next).is_none_or(|l| l.is_empty()) { None } else { self.line() }
    }
}

/// Reads all commands, each with its line, counted from 1.
pub(super) fn commands(text: &str) -> Result<Vec<(usize, Command)>, ScriptError> {
    let mut cursor = Cursor::new(text);
    let mut out = Vec::new();
    while let Some((number, line)) = cursor.line() {
        if line.is_empty() {
            continue;
        }
        let word = line.split([' ', '\t']).next().unwrap_or_default().to_lowercase();
        let command = if word == "clear" {
            Command::Clear
        } else if word.starts_with("load") {
            Command::Load(load(&mut cursor, number, line)?)
        } else if word.starts_with("eval") {
            Command::Eval(Box::new(eval(&mut cursor, number, line)?))
        } else {
            return Err(ScriptError { line: number, reason: Reason::Command(line.to_owned()) });
        };
        out.push((number, command));
    }
    Ok(out)
}

fn load(cursor: &mut Cursor<'_>, line: usize, text: &str) -> Result<Vec<LoadedSeries>, ScriptError> {
    let at_line = |reason| ScriptError { line, reason };
    let captures = LOAD.captures(text).ok_or_else(|| at_line(Reason::Load))?;
    let interval_ms = milliseconds("step", &captures[2]).map_err(at_line)?;
    let block = Block { start_ms: 0, interval_ms, with_custom_buckets: captures.get(1).is_some() };
    let body = std::iter::from_fn(|| cursor.body_line());
    parse_block(block, line, body).map_err(|e| ScriptError { line: e.line(), reason: Reason::of_block(e) })
}

fn eval(cursor: &mut Cursor<'_>, number: usize, line: &str) -> Result<Eval, ScriptError> {
    let (mut eval, legacy) = header(number, line).map_err(|reason| ScriptError { line: number, reason })?;
    match legacy {
        "fail" => eval.expected.fail.push(Text::Any),
        "warn" => eval.expected.warn.push(Text::Any),
        "info" => eval.expected.info.push(Text::Any),
        "ordered" => eval.expected.ordered = true,
        _ => {}
    }
    let mut body = Body { is_legacy_fail: legacy == "fail", lines: Lines::default(), place: 0, matrix: false };
    while let Some((line, text)) = cursor.body_line() {
        if body.read(text, &mut eval).map_err(|reason| ScriptError { line, reason })? {
            break;
        }
    }
    Ok(eval)
}

/// The case of an `eval` line, and the legacy word in the command's name.
fn header(number: usize, line: &str) -> Result<(Eval, &str)> {
    let group = |c: &regex::Captures<'_>, i| c.get(i).map(|m| m.range());
    let text = |range: Option<std::ops::Range<usize>>| range.and_then(|r| line.get(r)).unwrap_or_default();
    let instant = EVAL_INSTANT.captures(line);
    let range = EVAL_RANGE.captures(line);
    let (captures, expr_group) = match (&instant, &range) {
        (Some(c), _) => (c, 3),
        (None, Some(c)) => (c, 5),
        (None, None) => return Err(Reason::Eval),
    };
    let expr_range = group(captures, expr_group).unwrap_or_default();
    let expr_text = text(Some(expr_range.clone()));
    let expr = parse(expr_text).map_err(|e| Reason::Parse(shifted(e, expr_range.start)))?;
    let (when, times) = if instant.is_some() {
        let at = milliseconds("timestamp", text(group(captures, 2)))?;
        (When::Instant(at), (at, at, 0))
    } else {
        let [start, end, step] = [2, 3, 4].map(|i| text(group(captures, i)));
        let times = range_times(start, end, step)?;
        (When::Range { start: times.0, end: times.1, step: times.2 }, times)
    };
    let eval = Eval { line: number, text: expr_text.to_owned(), expr, when, times, expected: Expected::default() };
    Ok((eval, text(group(captures, 1))))
}

/// The error with its column counted in a line in which the expression starts at this byte.
fn shifted(mut error: ParseError, start: usize) -> ParseError {
    error.column = error.column.saturating_add(u32::try_from(start).unwrap_or(u32::MAX));
    error
}

/// The body of a case while it is read.
struct Body {
    is_legacy_fail: bool,
    lines: Lines,
    /// The place of the line that was read last.
    place: usize,
    /// An instant query gives a matrix.
    matrix: bool,
}

impl Body {
    /// Reads one line; true when it ends the body.
    fn read(&mut self, line: &str, eval: &mut Eval) -> Result<bool> {
        self.place += 1;
        if self.is_legacy_fail {
            if let Some(text) = line.strip_prefix("expected_fail_message") {
                let text = text.trim();
                eval.expected.fail = vec![if text.is_empty() { Text::Any } else { Text::Equal(text.to_owned()) }];
                return Ok(true);
            }
            if let Some(text) = line.strip_prefix("expected_fail_regexp") {
                eval.expected.fail = vec![Text::Matches(expect::pattern(text.trim(), "expected_fail_regexp")?)];
                return Ok(true);
            }
        }
        if line.starts_with("expect range vector") {
            let captures = EXPECT_RANGE
                .captures(line)
                .ok_or_else(|| Reason::Expect(format!("invalid range vector definition {line:?}")))?;
            eval.times = range_times(&captures[1], &captures[2], &captures[3])?;
            let (start, end, step) = eval.times;
            // The query runs at the end of the range, whatever the command says.
            eval.when = match eval.when {
                When::Instant(_) => When::Instant(end),
                When::Range { .. } => When::Range { start, end, step },
            };
            eval.expected.instant_only = true;
            self.matrix = true;
        } else if let Some(literal) = line.strip_prefix("expect string") {
            eval.expected.value = Value::String(expect::string_literal(literal)?);
            eval.expected.instant_only = true;
        } else if line.split(' ').next() == Some("expect") {
            self.place -= 1;
            self.lines.read(line, &mut eval.expected)?;
        } else if let Ok(number) = format::parse_number(line) {
            eval.expected.value = Value::Scalar(number);
            return Ok(true);
        } else {
            self.series(line, eval)?;
        }
        Ok(false)
    }

    fn series(&self, line: &str, eval: &mut Eval) -> Result<()> {
        let parsed = parse_series(line).map_err(Reason::Parse)?;
        let refused = |text: &str| Err(Reason::Expect(text.to_owned()));
        if parsed.points.len() > 1 && matches!(eval.when, When::Instant(_)) && !self.matrix {
            return refused(
                "expecting multiple values in instant evaluation not allowed. consider using 'expect range vector' \
                 directive to enable a range vector result for an instant query",
            );
        }
        if parsed.points.is_empty() {
            return refused("expected series without a value");
        }
        let Value::Series(series) = &mut eval.expected.value else {
            return refused("a series is expected beside a string");
        };
        let new = Series { labels: parsed.labels, place: self.place, points: parsed.points };
        match series.iter_mut().find(|s| s.labels == new.labels) {
            Some(old) => *old = new,
            None => series.push(new),
        }
        let points: usize = series.iter().map(|s| s.points.len()).sum();
        if points > MAX_POINTS {
            return refused("the case expects too many points");
        }
        Ok(())
    }
}

fn range_times(start: &str, end: &str, step: &str) -> Result<(i64, i64, i64)> {
    let start_ms = milliseconds("start timestamp", start)?;
    let end_ms = milliseconds("end timestamp", end)?;
    if end_ms < start_ms {
        return Err(Reason::Backwards { start: start.to_owned(), end: end.to_owned() });
    }
    Ok((start_ms, end_ms, milliseconds("step", step)?))
}

fn milliseconds(what: &'static str, text: &str) -> Result<i64> {
    duration::parse(text).map_err(|reason| Reason::Duration { what, text: text.to_owned(), reason })
}
