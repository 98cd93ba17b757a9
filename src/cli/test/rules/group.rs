//! Runs a group of tests: loads its series, evaluates its expressions, compares.

use std::time::Duration;

use chronolith_promql::{
    engine::{QueryOptions, QueryValue, SampleValue},
    format::float_general,
    series_notation::{Block, Point, parse_block, parse_series},
};
use chronolith_storage::Labels;
use serde_saphyr::Spanned;

use super::file::{ExpectedSample, ExprTest, TestGroup};
use crate::{Db, cli::time::HumanDuration};

/// What came of one test.
#[derive(Debug, PartialEq)]
pub(super) struct Outcome {
    /// The line of the file, counted from 1.
    pub(super) line: u64,
    /// Which test it is.
    pub(super) what: String,
    /// How it is not as expected.
    pub(super) failure: Option<String>,
}

/// What counts for all groups of a file.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) evaluation_interval_ms: i64,
    pub(super) fuzzy_compare: bool,
    pub(super) query: QueryOptions,
}

/// Runs all tests of a group.
pub(super) fn run(group: &TestGroup, settings: &Settings) -> Vec<Outcome> {
    let db = load(group, settings);
    let alerts = group.alert_rule_test.iter().map(|test| Outcome {
        line: line(&test.alertname),
        what: format!("{}: alert {} at {}", group.name, test.alertname.value, shown(test.eval_time.0)),
        failure: Some("alert_rule_test: rules are not evaluated by this version yet".to_owned()),
    });
    let mut outcomes: Vec<Outcome> = alerts.collect();
    match db {
        Ok(db) => outcomes.extend(group.promql_expr_test.iter().map(|test| Outcome {
            line: line(&test.expr),
            what: format!("{}: {} at {}", group.name, test.expr.value, shown(test.eval_time.0)),
            failure: expression(&db, group, test, settings.fuzzy_compare).err(),
        })),
        Err((line, failure)) => {
            outcomes.push(Outcome { line, what: format!("{}: input_series", group.name), failure: Some(failure) });
        }
    }
    outcomes
}

pub(super) fn line<T>(spanned: &Spanned<T>) -> u64 {
    spanned.referenced.line()
}

fn shown(ms: i64) -> HumanDuration {
    HumanDuration(Duration::from_millis(ms.unsigned_abs()))
}

/// A database with the group's series, or what is wrong with them and in which line.
fn load(group: &TestGroup, settings: &Settings) -> Result<Db, (u64, String)> {
    let start_ms = group.start_timestamp.0;
    let block = Block { start_ms, interval_ms: group.interval.0, with_custom_buckets: false };
    let lines: Vec<(usize, String)> = group
        .input_series
        .iter()
        .map(|s| {
            (line(&s.series) as usize, format!("{} {}", s.series.value.trim(), s.values.trim()).replace('\n', " "))
        })
        .collect();
    let mut series = parse_block(block, 0, lines.iter().map(|(line, text)| (*line, text.as_str())))
        .map_err(|e| (e.line() as u64, e.reason()))?;
    // As in promtool, only what was there when rules were evaluated for the last time.
    let longest = group.promql_expr_test.iter().map(|t| t.eval_time.0);
    let longest = longest.chain(group.alert_rule_test.iter().map(|t| t.eval_time.0)).max().unwrap_or(0);
    let last = start_ms.saturating_add(longest - longest % settings.evaluation_interval_ms.max(1));
    for s in &mut series {
        s.samples.retain(|sample| sample.timestamp <= last);
    }
    let first = lines.first().map_or(0, |(line, _)| *line as u64);
    let db = Db::builder().query_options(settings.query.clone()).in_memory().map_err(|e| (first, e.to_string()))?;
    db.append_loaded(&series).map_err(|e| (first, e.to_string()))?;
    Ok(db)
}

/// A sample as it is compared.
#[derive(Debug, Clone)]
struct Sample {
    labels: Labels,
    value: f64,
    /// In promqltest's notation.
    histogram: Option<String>,
}

impl Sample {
    /// A NaN equals a NaN. With `fuzzy`, so do neighbouring numbers.
    fn equals(&self, other: &Self, fuzzy: bool) -> bool {
        let (a, b) = (self.value, other.value);
        let same = a == b || (a.is_nan() && b.is_nan()) || (fuzzy && (a.next_up() == b || a.next_down() == b));
        self.labels == other.labels && self.histogram == other.histogram && (self.histogram.is_some() || same)
    }
}

fn expression(db: &Db, group: &TestGroup, test: &ExprTest, fuzzy: bool) -> Result<(), String> {
    let mut wanted = test.exp_samples.iter().map(expected).collect::<Result<Vec<Sample>, String>>()?;
    let at = group.start_timestamp.0.saturating_add(test.eval_time.0);
    let output = db.query(&test.expr.value, at).map_err(|e| format!("err: {e}"))?.into_output();
    let mut got: Vec<Sample> = match output.value {
        QueryValue::Vector { samples, .. } => samples
            .into_iter()
            .map(|s| match s.value {
                SampleValue::Float(value) => Sample { labels: s.labels, value, histogram: None },
                SampleValue::Histogram(h) => {
                    Sample { labels: s.labels, value: 0.0, histogram: Some(h.test_expression()) }
                }
            })
            .collect(),
        QueryValue::Scalar { value, .. } => vec![Sample { labels: Labels::empty(), value, histogram: None }],
        _ => return Err("err: rule result is not a vector or scalar".to_owned()),
    };
    wanted.sort_by(|a, b| a.labels.cmp(&b.labels));
    got.sort_by(|a, b| a.labels.cmp(&b.labels));
    if wanted.len() == got.len() && wanted.iter().zip(&got).all(|(w, g)| w.equals(g, fuzzy)) {
        return Ok(());
    }
    Err(format!("wanted: {}\ngot:    {}", all(&wanted), all(&got)))
}

fn expected(sample: &ExpectedSample) -> Result<Sample, String> {
    let at_labels = |e: String| format!("labels {:?}: {e}", sample.labels);
    let text = sample.labels.trim();
    let labels = if text.is_empty() {
        Labels::empty()
    } else {
        let line = parse_series(text).map_err(|e| at_labels(e.to_string()))?;
        if !line.points.is_empty() {
            return Err(at_labels("labels only, a value stands in `value` or `histogram`".to_owned()));
        }
        line.labels
    };
    let histogram = match sample.histogram.trim() {
        "" => None,
        text => {
            let line = parse_series(&format!("{{}} {text}")).map_err(|e| at_labels(e.to_string()))?;
            match line.points.as_slice() {
                [Point::Histogram { histogram, .. }] => Some(histogram.test_expression()),
                [_] => return Err(at_labels(format!("expected histogram, got {text}"))),
                many => return Err(at_labels(format!("expected 1 value, got {}", many.len()))),
            }
        }
    };
    Ok(Sample { labels, value: sample.value, histogram })
}

fn all(samples: &[Sample]) -> String {
    if samples.is_empty() {
        return "nothing".to_owned();
    }
    let texts = samples.iter().map(|s| {
        let value = s.histogram.clone().unwrap_or_else(|| float_general(s.value));
        format!("{} {value}", s.labels)
    });
    texts.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::{super::file, *};

    /// The failures of a file's first group.
    fn failures(text: &str) -> Vec<(u64, String)> {
        let file = file::parse(text).unwrap_or_else(|e| panic!("{e}"));
        let settings = Settings {
            evaluation_interval_ms: file.evaluation_interval.0,
            fuzzy_compare: file.fuzzy_compare,
            query: QueryOptions::default(),
        };
        run(&file.tests[0], &settings).into_iter().filter_map(|o| Some((o.line, o.failure?))).collect()
    }

    fn of(series: &str, values: &str, expr: &str, samples: &str) -> Vec<(u64, String)> {
        failures(&format!(
            "tests:\n- input_series: [{{series: '{series}', values: '{values}'}}]\n  promql_expr_test:\n  \
             - {{expr: '{expr}', eval_time: 2m, exp_samples: [{samples}]}}"
        ))
    }

    #[test]
    fn samples_are_compared_without_order() {
        let ok = |expr, samples| assert_eq!(of("m{a=\"b\"}", "1 2 3.5", expr, samples), []);
        ok("m", "{labels: 'm{a=\"b\"}', value: 3.5}");
        ok("sum(m)", "{value: 3.5}");
        ok("time()", "{value: 120}");
        ok("m > 10", "");
        ok("m or vector(1)", "{labels: '{}', value: 1}, {labels: 'm{a=\"b\"}', value: 3.5}");
        let wrong = of("m", "1 2 3.5", "m", "{labels: m, value: 3}");
        assert_eq!(wrong, [(4, "wanted: m 3\ngot:    m 3.5".to_owned())]);
        assert_eq!(of("m", "1", "m", ""), [(4, "wanted: nothing\ngot:    m 1".to_owned())]);
        assert_eq!(of("m", "1", "m[1m]", "")[0].1, "err: rule result is not a vector or scalar");
        assert_eq!(of("m{", "1", "m", "")[0].0, 2);
    }

    #[test]
    // The hint is a part of the text, also when the file does not write it: promtool compares so.
    fn histograms_are_compared_as_texts() {
        let case = |text: &str| {
            of("h", "{{count:2 sum:3 buckets:[1 1]}}x2", "h", &format!("{{labels: h, histogram: '{text}'}}"))
        };
        assert_eq!(case("{{sum:3 count:2 buckets:[1 1] counter_reset_hint:not_reset}}"), []);
        assert_eq!(case("{{sum:3 count:2 buckets:[1 1]}}x1")[0].1, "labels \"h\": expected 1 value, got 2");
        assert_eq!(case("5")[0].1, "labels \"h\": expected histogram, got 5");
        let wrong = "wanted: h {{count:2 sum:4 buckets:[1 1]}}\n\
            got:    h {{count:2 sum:3 counter_reset_hint:not_reset buckets:[1 1]}}";
        assert_eq!(case("{{sum:4 count:2 buckets:[1 1]}}")[0].1, wrong);
    }

    #[test]
    fn neighbours_are_equal_only_when_the_file_says_so() {
        let case = |fuzzy: bool, value: &str| {
            failures(&format!(
                "fuzzy_compare: {fuzzy}\ntests:\n- input_series: [{{series: m, values: {value}}}]\n  \
                 promql_expr_test: [{{expr: m, exp_samples: [{{labels: m, value: 3}}]}}]"
            ))
            .len()
        };
        assert_eq!((case(true, "2.9999999999999996"), case(false, "2.9999999999999996")), (0, 1));
        assert_eq!((case(true, "3.0000000000000004"), case(true, "3.0000000000000013")), (0, 1));
    }

    #[test]
    fn time_starts_where_the_group_says() {
        let text = "tests:
- start_timestamp: 2024-01-01T00:00:00Z
  input_series: [{series: m, values: 10+10x15}]
  promql_expr_test:
  - {expr: time(), eval_time: 5m, exp_samples: [{value: 1704067500}]}
  - {expr: m@1704067320, eval_time: 5m, exp_samples: [{labels: m, value: 30}]}
  # What comes later than the last evaluation is not there.
  - {expr: m@1704068000, eval_time: 5m, exp_samples: []}
";
        assert_eq!(failures(text), []);
    }

    #[test]
    fn rules_are_refused_by_name() {
        let text =
            "tests:\n- alert_rule_test:\n  - {eval_time: 1m, alertname: Down, exp_alerts: [{exp_labels: {a: b}}]}";
        let refused = "alert_rule_test: rules are not evaluated by this version yet";
        assert_eq!(failures(text), [(3, refused.to_owned())]);
    }
}
