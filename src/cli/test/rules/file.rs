//! The format of promtool's rule tests: YAML, with unknown keys refused.

use std::collections::{BTreeMap, BTreeSet};

use chronolith_promql::duration;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer};
use serde_saphyr::Spanned;

/// A file of tests.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UnitTests {
    #[serde(default, deserialize_with = "or_default")]
    pub(super) rule_files: Vec<Spanned<String>>,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) evaluation_interval: Milliseconds,
    #[serde(default, deserialize_with = "or_default")]
    group_eval_order: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) tests: Vec<TestGroup>,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) fuzzy_compare: bool,
}

/// Series with what is asked of them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TestGroup {
    #[serde(default, deserialize_with = "or_default")]
    pub(super) interval: Milliseconds,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) input_series: Vec<InputSeries>,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) alert_rule_test: Vec<AlertTest>,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) promql_expr_test: Vec<ExprTest>,
    /// For the templates of alerts; read so that a wrong type is told.
    #[serde(default, rename = "external_labels", deserialize_with = "or_default")]
    _external_labels: BTreeMap<String, String>,
    /// As the labels.
    #[serde(default, rename = "external_url", deserialize_with = "or_default")]
    _external_url: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) name: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) start_timestamp: StartTimestamp,
}

/// A series in promqltest's notation.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InputSeries {
    pub(super) series: Spanned<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) values: String,
}

/// An expression with what it gives.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExprTest {
    pub(super) expr: Spanned<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) eval_time: Milliseconds,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) exp_samples: Vec<ExpectedSample>,
}

/// One expected sample.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExpectedSample {
    #[serde(default, deserialize_with = "or_default")]
    pub(super) labels: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) value: f64,
    /// In promqltest's notation; when it is there, the value has no meaning.
    #[serde(default, deserialize_with = "or_default")]
    pub(super) histogram: String,
}

/// The alerts of a rule at one time.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AlertTest {
    #[serde(default, deserialize_with = "or_default")]
    pub(super) eval_time: Milliseconds,
    pub(super) alertname: Spanned<String>,
    /// Read so that unknown keys are told.
    #[serde(default, rename = "exp_alerts", deserialize_with = "or_default")]
    _exp_alerts: Vec<Alert>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Alert {
    #[serde(default, rename = "exp_labels", deserialize_with = "or_default")]
    _exp_labels: BTreeMap<String, String>,
    #[serde(default, rename = "exp_annotations", deserialize_with = "or_default")]
    _exp_annotations: BTreeMap<String, String>,
}

/// A duration in PromQL's notation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Milliseconds(pub(super) i64);

impl TryFrom<String> for Milliseconds {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        duration::parse(&text).map(Self).map_err(|e| e.to_string())
    }
}

/// When a group's time starts, in milliseconds: seconds since the Unix epoch, or RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct StartTimestamp(pub(super) i64);

impl TryFrom<String> for StartTimestamp {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if let Ok(seconds) = text.parse::<f64>() {
            // A cast saturates; what is that far away the engine refuses.
            return Ok(Self((seconds * 1000.0).round() as i64));
        }
        let moment: Timestamp = text.parse().map_err(|_| format!("cannot parse {text:?} to a valid timestamp"))?;
        Ok(Self(moment.as_millisecond()))
    }
}

/// A key without a value stands for nothing, as in promtool.
fn or_default<'de, T: Deserialize<'de> + Default, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Rules are evaluated once a minute unless the file says otherwise.
const DEFAULT_INTERVAL: Milliseconds = Milliseconds(60_000);

/// Reads a file.
pub(super) fn parse(text: &str) -> Result<UnitTests, String> {
    let mut file: UnitTests = serde_saphyr::from_str(text).map_err(|e| e.to_string())?;
    let mut seen = BTreeSet::new();
    if let Some(group) = file.group_eval_order.iter().find(|g| !seen.insert(*g)) {
        return Err(format!("group name repeated in evaluation order: {group}"));
    }
    if file.evaluation_interval.0 == 0 {
        file.evaluation_interval = DEFAULT_INTERVAL;
    }
    for (i, group) in file.tests.iter_mut().enumerate() {
        if group.interval.0 == 0 {
            group.interval = file.evaluation_interval;
        }
        if group.name.is_empty() {
            group.name = format!("unnamed#{i}");
        }
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_promtools() {
        let file =
            parse("evaluation_interval: 30s\ntests: [{input_series: [{series: a, values: 0x3}]}, {interval: 5s}]");
        let file = file.unwrap_or_else(|e| panic!("{e}"));
        assert_eq!((file.tests[0].interval.0, file.tests[1].interval.0), (30_000, 5_000));
        assert_eq!((file.tests[0].name.as_str(), file.tests[0].input_series[0].values.as_str()), ("unnamed#0", "0x3"));
        assert_eq!(parse("rule_files:\ntests:").map(|f| f.evaluation_interval.0), Ok(60_000));
    }

    #[test]
    fn starts_are_seconds_or_dates() {
        let start = |text: &str| StartTimestamp::try_from(text.to_owned());
        assert_eq!(start("1609459200"), start("2021-01-01T00:00:00Z"));
        assert_eq!(start("1.5"), Ok(StartTimestamp(1500)));
        assert_eq!(start("soon"), Err("cannot parse \"soon\" to a valid timestamp".to_owned()));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let cases = [
            ("tests: [{promql_expr_tests: []}]", "promql_expr_tests"),
            ("group_eval_order: [a, b, a]", "group name repeated in evaluation order: a"),
            ("tests: [{interval: 5q}]", "unknown unit \"q\""),
            ("tests: [{alert_rule_test: [{eval_time: 1m}]}]", "alertname"),
            ("tests: {", "line 1"),
        ];
        for (text, word) in cases {
            let error = parse(text).map(|_| ()).expect_err(text);
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}
