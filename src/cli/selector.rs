//! Series selectors as they are typed: `up`, `{job="api"}`.

use std::fmt::Write as _;

use chronolith_storage::{
    MatchOp, Matcher, TimeRange,
    model::labels::{METRIC_NAME, is_legacy_label_name},
};

use super::{caret, error::CliError};
use crate::promql::parse_selector;

/// A selector with its text.
#[derive(Debug)]
pub(crate) struct Selector {
    pub(crate) text: String,
    pub(crate) matchers: Vec<Matcher>,
}

/// Everything.
const ALL: &str = "{__name__!=\"\"}";

/// Reads selectors; none stands for all series.
pub(crate) fn parse_all(texts: &[String]) -> Result<Vec<Selector>, CliError> {
    if texts.is_empty() {
        return Ok(vec![parse_one(ALL)?]);
    }
    texts.iter().map(|text| parse_one(text)).collect()
}

fn parse_one(text: &str) -> Result<Selector, CliError> {
    let matchers = parse_selector(text).map_err(|e| {
        let place = caret::point_at(text, e.pos.start as usize, e.pos.end as usize);
        let hint = "write a selector as up or '{job=\"api\"}'";
        CliError::Usage(format!("this selects no series: {}\n{place}\n{hint}", e.message))
    })?;
    Ok(Selector { text: text.to_owned(), matchers })
}

impl Selector {
    /// A range selector over the samples of one metric, to be asked at the end of the range.
    pub(crate) fn of_metric(&self, name: &str, range: TimeRange) -> String {
        let mut out = "{".to_owned();
        push(&mut out, METRIC_NAME, MatchOp::Equal, name);
        for matcher in &self.matchers {
            out.push(',');
            push(&mut out, matcher.name(), matcher.op(), matcher.value());
        }
        // A range does not include its beginning.
        let ms = range.end.saturating_sub(range.start).saturating_add(1);
        let _ = write!(out, "}}[{ms}ms]");
        out
    }
}

fn push(out: &mut String, name: &str, op: MatchOp, value: &str) {
    if is_legacy_label_name(name) {
        out.push_str(name)
    } else {
        quote(out, name)
    }
    out.push_str(op.as_str());
    quote(out, value);
}

/// A text in PromQL's double quotes.
fn quote(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            _ => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_samples_of_one_metric() {
        let text = r#"{job=~"a|b","x.y"!="q\"\\"}"#.to_owned();
        let selectors = parse_all(&[text]).unwrap();
        let query = selectors[0].of_metric("up", TimeRange::new(1_000, 2_000));
        assert_eq!(query, r#"{__name__="up",job=~"a|b","x.y"!="q\"\\"}[1001ms]"#);
        assert!(crate::promql::parse(&query).is_ok());
    }

    #[test]
    fn all_series_unless_told_otherwise_and_no_other_expression() {
        assert_eq!(parse_all(&[]).unwrap()[0].matchers.len(), 1);
        for text in ["rate(up[5m])", "{", "up[5m]", "1"] {
            let error = parse_all(&[text.to_owned()]).unwrap_err();
            assert!(matches!(&error, CliError::Usage(m) if m.contains(text) && m.contains('^')), "{error}");
        }
    }
}
