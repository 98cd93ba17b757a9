//! Histograms as texts: as Prometheus prints them, and in the notation of its tests.

use std::fmt::{self, Write};

use super::{FloatHistogram, ResetHint, Span};
use crate::encoding::MAX_HISTOGRAM_BUCKETS;

/// A number as Go's `%g` prints it: the shortest decimal, with an exponent when that is under -4 or over 5.
pub(super) const fn general(value: f64) -> General {
    General(value)
}

pub(super) struct General(f64);

impl fmt::Display for General {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.0;
        if !value.is_finite() {
            return f.write_str(if value.is_nan() {
                "NaN"
            } else if value > 0.0 {
                "+Inf"
            } else {
                "-Inf"
            });
        }
        let scientific = shortest(value);
        let Some((digits, exponent)) = scientific.split_once('e') else { return f.write_str(&scientific) };
        match exponent.parse::<i32>() {
            Ok(exponent) if !GENERAL_PLAIN.contains(&exponent) => {
                let sign = if exponent < 0 { '-' } else { '+' };
                write!(f, "{digits}e{sign}{:02}", exponent.unsigned_abs())
            }
            Ok(exponent) => f.write_str(&plain(digits, exponent)),
            Err(_) => write!(f, "{value}"),
        }
    }
}

/// The shortest decimal that reads back the same, with an exponent. Of two that are equally near, Go takes the even one,
/// which is how the standard library rounds to a number of digits, but not how it finds the shortest.
fn shortest(value: f64) -> String {
    let shortest = format!("{value:e}");
    let digits = shortest.bytes().take_while(|b| *b != b'e').filter(u8::is_ascii_digit).count();
    let even = format!("{value:.*e}", digits.saturating_sub(1));
    if even.parse() == Ok(value) { even } else { shortest }
}

/// The digits `d.ddd` times ten to the exponent, of those that are written without one.
fn plain(digits: &str, exponent: i32) -> String {
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |digits| ("-", digits));
    let digits = digits.replace('.', "");
    match usize::try_from(exponent) {
        Ok(exponent) if exponent + 1 >= digits.len() => format!("{sign}{digits:0<width$}", width = exponent + 1),
        Ok(exponent) => {
            let (whole, rest) = digits.split_at(exponent + 1);
            format!("{sign}{whole}.{rest}")
        }
        Err(_) => format!("{sign}0.{digits:0>width$}", width = digits.len() + exponent.unsigned_abs() as usize - 1),
    }
}

/// The exponents of numbers that `%g` prints without one.
const GENERAL_PLAIN: std::ops::Range<i32> = -4..6;

/// `{count:6, sum:18.4, [-0.001,0.001]:2, (1,2]:4}`: the buckets that are not empty by rising bounds.
impl fmt::Display for FloatHistogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{count:{}, sum:{}", general(self.count), general(self.sum))?;
        for bucket in self.negative_buckets().rev().filter(|b| b.count != 0.0) {
            write!(f, ", {bucket}")?;
        }
        if self.zero_count != 0.0 && !self.uses_custom_buckets() {
            write!(f, ", {}", self.zero_bucket())?;
        }
        for bucket in self.positive_buckets().filter(|b| b.count != 0.0) {
            write!(f, ", {bucket}")?;
        }
        f.write_char('}')
    }
}

impl FloatHistogram {
    /// The histogram in the notation of Prometheus' tests, `{{schema:1 count:3 sum:5 buckets:[1 2]}}`.
    ///
    /// The notation spells out the empty buckets of every gap. Where they would be more than a histogram can have, the
    /// text is that of `Display`.
    #[must_use]
    pub fn test_expression(&self) -> String {
        let mut compact = self.clone();
        compact.compact(0);
        if gaps(&compact.positive_spans) > WIDEST || gaps(&compact.negative_spans) > WIDEST {
            return self.to_string();
        }
        compact.compact(usize::MAX);
        let mut parts: Vec<String> = Vec::new();
        if compact.schema != 0 {
            parts.push(format!("schema:{}", compact.schema));
        }
        for (name, value) in [
            ("count", compact.count),
            ("sum", compact.sum),
            ("z_bucket", compact.zero_count),
            ("z_bucket_w", compact.zero_threshold),
        ] {
            if value != 0.0 {
                parts.push(format!("{name}:{}", general(value)));
            }
        }
        if compact.uses_custom_buckets() {
            parts.push(format!("custom_values:{}", list(&compact.custom_values)));
        }
        match compact.reset_hint {
            ResetHint::Unknown => {}
            ResetHint::Reset => parts.push("counter_reset_hint:reset".to_owned()),
            ResetHint::NotReset => parts.push("counter_reset_hint:not_reset".to_owned()),
            ResetHint::Gauge => parts.push("counter_reset_hint:gauge".to_owned()),
        }
        for (prefix, spans, counts) in [
            ("", &compact.positive_spans, &compact.positive_buckets),
            ("n_", &compact.negative_spans, &compact.negative_buckets),
        ] {
            if let Some(span) = spans.first().filter(|span| span.offset != 0) {
                parts.push(format!("{prefix}offset:{}", span.offset));
            }
            if !counts.is_empty() {
                parts.push(format!("{prefix}buckets:{}", list(counts)));
            }
        }
        format!("{{{{{}}}}}", parts.join(" "))
    }
}

/// More empty buckets are not spelled out.
const WIDEST: u64 = MAX_HISTOGRAM_BUCKETS as u64;

fn gaps(spans: &[Span]) -> u64 {
    spans.iter().skip(1).map(|s| u64::from(s.offset.unsigned_abs())).sum()
}

fn list(values: &[f64]) -> String {
    let texts: Vec<String> = values.iter().map(|v| general(*v).to_string()).collect();
    format!("[{}]", texts.join(" "))
}
