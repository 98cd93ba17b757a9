//! The commands of a test file.

use chronolith_promql::duration;

use crate::applicable::Loaded;

/// One command.
pub(crate) enum Command {
    Clear,
    Load { step: i64, lines: Vec<String>, loaded: Loaded },
    Eval(Eval),
}

/// When a case is evaluated.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum When {
    Instant(i64),
    Range { start: i64, end: i64, step: i64 },
}

/// What a case expects beside values.
#[derive(Clone, PartialEq)]
pub(crate) enum Expect {
    Ordered,
    Fail(Text),
    Warn(Text),
    NoWarn,
    Info(Text),
    NoInfo,
    /// An instant query that gives a matrix at these times.
    Matrix {
        start: i64,
        step: i64,
    },
    String(String),
}

/// How a text is compared.
#[derive(Clone, PartialEq)]
pub(crate) enum Text {
    Any,
    Equal(String),
    Regex(String),
}

/// One case.
pub(crate) struct Eval {
    pub(crate) line: usize,
    pub(crate) expr: String,
    pub(crate) when: When,
    pub(crate) expect: Vec<Expect>,
    /// The lines with expected series, or the one number.
    pub(crate) values: Vec<String>,
}

impl Eval {
    /// The text that the failure must have, when it must fail.
    pub(crate) fn fails(&self) -> Option<&Text> {
        self.expect.iter().find_map(|e| if let Expect::Fail(text) = e { Some(text) } else { None })
    }

    pub(crate) fn is_ordered(&self) -> bool {
        self.expect.contains(&Expect::Ordered)
    }
}

/// A signed duration or a number of seconds, in milliseconds.
pub(crate) fn milliseconds(text: &str) -> i64 {
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |t| (-1, t));
    let ms = duration::parse(text).unwrap_or_else(|_| (text.parse::<f64>().expect("a duration") * 1000.0) as i64);
    sign * ms
}

/// Reads the commands of a file.
pub(crate) fn commands(text: &str) -> Vec<Command> {
    let lines: Vec<&str> = text.lines().map(str::trim).map(|l| if l.starts_with('#') { "" } else { l }).collect();
    let mut out = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let (line, number) = (lines[at], at + 1);
        at += 1;
        if line.is_empty() {
            continue;
        }
        let body_start = at;
        while at < lines.len() && !lines[at].is_empty() {
            at += 1;
        }
        let body = &lines[body_start..at];
        let word = line.split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
        if word == "clear" {
            out.push(Command::Clear);
            at = body_start;
        } else if word.starts_with("load") {
            let loaded = if body.iter().any(|l| l.contains("{{") || l.contains("@st")) {
                Loaded::Native
            } else if word.contains("nhcb") {
                Loaded::Converted
            } else {
                Loaded::Floats
            };
            let step = milliseconds(line.split_whitespace().last().expect("a step"));
            out.push(Command::Load { step, lines: body.iter().map(|l| (*l).to_owned()).collect(), loaded });
        } else if word.starts_with("eval") {
            out.push(Command::Eval(eval(line, number, body)));
        } else {
            panic!("line {number}: unknown command {line:?}");
        }
    }
    out
}

fn eval(line: &str, number: usize, body: &[&str]) -> Eval {
    let (word, rest) = line.split_once(char::is_whitespace).expect("arguments of eval");
    let mut expect = Vec::new();
    match word.strip_prefix("eval_") {
        Some("fail") => expect.push(Expect::Fail(Text::Any)),
        Some("warn") => expect.push(Expect::Warn(Text::Any)),
        Some("info") => expect.push(Expect::Info(Text::Any)),
        Some("ordered") => expect.push(Expect::Ordered),
        _ => {}
    }
    let (when, expr) = when(rest.trim_start());
    let mut eval = Eval { line: number, expr: expr.to_owned(), when, expect, values: Vec::new() };
    for line in body {
        let legacy = [("expected_fail_message ", true), ("expected_fail_regexp ", false)];
        if let Some((text, equal)) = legacy.iter().find_map(|(p, e)| line.strip_prefix(p).map(|t| (t.trim(), *e))) {
            let text = if equal { Text::Equal(text.to_owned()) } else { Text::Regex(text.to_owned()) };
            eval.expect = vec![Expect::Fail(text)];
        } else if let Some(rest) = line.strip_prefix("expect ") {
            eval.expect.push(expectation(rest.trim()));
        } else {
            eval.values.push((*line).to_owned());
        }
    }
    eval
}

fn when(rest: &str) -> (When, &str) {
    let mut take = Words(rest);
    match take.next() {
        "instant" => {
            assert_eq!(take.next(), "at");
            let at = milliseconds(take.next());
            (When::Instant(at), take.0)
        }
        "range" => {
            let mut named = |name| {
                assert_eq!(take.next(), name);
                milliseconds(take.next())
            };
            let (start, end, step) = (named("from"), named("to"), named("step"));
            (When::Range { start, end, step }, take.0)
        }
        other => panic!("unknown kind of eval {other:?}"),
    }
}

/// Cuts words off a line.
struct Words<'a>(&'a str);

impl<'a> Words<'a> {
    fn next(&mut self) -> &'a str {
        let (word, rest) = self.0.split_once(char::is_whitespace).unwrap_or((self.0, ""));
        self.0 = rest.trim_start();
        word
    }
}

fn expectation(rest: &str) -> Expect {
    let mut words = Words(rest);
    let kind = words.next();
    let text = |rest: &str| match (rest.strip_prefix("msg:"), rest.strip_prefix("regex:")) {
        (Some(t), _) => Text::Equal(t.trim().to_owned()),
        (_, Some(t)) => Text::Regex(t.trim().to_owned()),
        _ => Text::Any,
    };
    match kind {
        "ordered" => Expect::Ordered,
        "fail" => Expect::Fail(text(words.0)),
        "warn" => Expect::Warn(text(words.0)),
        "no_warn" => Expect::NoWarn,
        "info" => Expect::Info(text(words.0)),
        "no_info" => Expect::NoInfo,
        "string" => Expect::String(words.0.to_owned()),
        "range" => {
            // `range vector from A to B step C`
            let times: Vec<&str> = words.0.split_whitespace().collect();
            Expect::Matrix { start: milliseconds(times[2]), step: milliseconds(times[6]) }
        }
        other => panic!("unknown expectation {other:?}"),
    }
}
