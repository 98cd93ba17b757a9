//! The notation of series: `metric{label="value"} 1 2+1x3 _ stale`.

use std::sync::LazyLock;

use chronolith_promql::{duration, format, parse_selector};
use chronolith_storage::Labels;
use regex::Regex;

/// The bits of a stale marker.
const STALE: u64 = 0x7ff0_0000_0000_0002;

/// Splits a line into its label set and the rest.
pub(crate) fn series(line: &str) -> (Labels, &str) {
    let name_len = line.find(|c: char| c.is_whitespace() || c == '{').unwrap_or(line.len());
    let (name, rest) = line.split_at(name_len);
    let after = rest.trim_start();
    let (braces, rest) = if after.starts_with('{') { after.split_at(end_of_braces(after)) } else { ("", rest) };
    let matchers = parse_selector(&format!("{name}{braces}")).unwrap_or_else(|e| panic!("{line}: {e}"));
    (Labels::from_pairs(matchers.iter().map(|m| (m.name(), m.value()))), rest.trim())
}

/// One past the brace that closes the one at the front.
fn end_of_braces(text: &str) -> usize {
    let (mut quote, mut escaped) = (None, false);
    for (i, c) in text.char_indices() {
        match quote {
            _ if escaped => escaped = false,
            Some('"' | '\'') if c == '\\' => escaped = true,
            Some(q) if c == q => quote = None,
            Some(_) => {}
            None if matches!(c, '"' | '\'' | '`') => quote = Some(c),
            None if c == '}' => return i + 1,
            None => {}
        }
    }
    panic!("no closing brace in {text:?}");
}

static POINT: LazyLock<Regex> = LazyLock::new(|| {
    let number = r"(?:[0-9]*\.?[0-9]+(?:e[+-]?[0-9]+)?|[0-9]+\.|inf|nan|(?:[0-9]+(?:ms|y|w|d|h|m|s))+)";
    Regex::new(&format!(r"(?i)^([+-]?{number})(?:([+-]{number}))?(?:x([0-9]+))?$")).expect("a valid pattern")
});

/// The values of a series; `None` for a gap.
pub(crate) fn points(text: &str) -> Vec<Option<f64>> {
    let mut out = Vec::new();
    for word in text.split_whitespace() {
        if word == "_" {
            out.push(None);
        } else if let Some(n) = word.strip_prefix("_x") {
            out.extend(std::iter::repeat_n(None, n.parse().expect("a count")));
        } else if word == "stale" {
            out.push(Some(f64::from_bits(STALE)));
        } else {
            let c = POINT.captures(word).unwrap_or_else(|| panic!("value {word:?}"));
            let mut v = number(&c[1]).expect("a number");
            let increment = c.get(2).map_or(0.0, |m| number(m.as_str()).expect("a number"));
            let times: usize = c.get(3).map_or(0, |m| m.as_str().parse().expect("a count"));
            for i in 0..=times {
                if i > 0 && c.get(2).is_some() {
                    v += increment;
                }
                out.push(Some(v));
            }
        }
    }
    out
}

/// A signed number or duration.
pub(crate) fn number(text: &str) -> Option<f64> {
    let (sign, rest) = match text.as_bytes().first()? {
        b'-' => (-1.0, &text[1..]),
        b'+' => (1.0, &text[1..]),
        _ => (1.0, text),
    };
    let value = format::parse_number(rest).ok().or_else(|| duration::parse(rest).ok().map(|ms| ms as f64 / 1000.0))?;
    Some(sign * value)
}

#[test]
fn the_notation_by_example() {
    assert_eq!(
        points("1 2x2 1+1x2 3-2x1 _ _x2 -1.5e-3"),
        [
            Some(1.0),
            Some(2.0),
            Some(2.0),
            Some(2.0),
            Some(1.0),
            Some(2.0),
            Some(3.0),
            Some(3.0),
            Some(1.0),
            None,
            None,
            None,
            Some(-0.0015)
        ]
    );
    assert_eq!(points("Inf -inf 1m")[..2], [Some(f64::INFINITY), Some(f64::NEG_INFINITY)]);
    let (labels, rest) = series(r#"up{a="}", b='x"'}  1 2"#);
    assert_eq!((labels.get("a"), labels.get("b"), rest), (Some("}"), Some("x\""), "1 2"));
    assert_eq!(series("{} 3").0, Labels::empty());
}
