//! Answers of the HTTP API, and when two of them are equal.

use std::collections::BTreeMap;

use serde_json::Value;

/// Values may differ by so much, relative to the larger.
const TOLERANCE: f64 = 1e-9;

/// One sample.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// Its timestamp in milliseconds.
    pub(crate) ms: i64,
    value: f64,
}

/// Samples by series; a series is the text of its labels as sorted JSON, a scalar has none.
pub(crate) type Answer = BTreeMap<String, Vec<Sample>>;

/// Reads the answer of a query.
pub(crate) fn parse(body: &[u8]) -> Result<Answer, String> {
    let json: Value = serde_json::from_slice(body).map_err(|e| format!("not JSON: {e}"))?;
    let (kind, result) = (&json["data"]["resultType"], &json["data"]["result"]);
    if json["status"] != "success" {
        return Err(format!("not a success: {json}"));
    }
    match kind.as_str() {
        Some("scalar" | "string") => Ok(Answer::from([(kind.to_string(), vec![sample(result)?])])),
        Some("vector" | "matrix") => {
            let mut answer = Answer::new();
            for series in result.as_array().ok_or("a result that is no list")? {
                let one = std::slice::from_ref(&series["value"]);
                let samples = series["values"].as_array().map_or(one, Vec::as_slice);
                let samples = samples.iter().map(sample).collect::<Result<Vec<Sample>, String>>()?;
                if answer.insert(series["metric"].to_string(), samples).is_some() {
                    return Err(format!("two series {}", series["metric"]));
                }
            }
            Ok(answer)
        }
        _ => Err(format!("resultType {kind}")),
    }
}

fn sample(json: &Value) -> Result<Sample, String> {
    let time = json[0].as_f64().map(|seconds| (seconds * 1000.0).round() as i64);
    let value = json[1].as_str().and_then(|text| text.parse().ok());
    let (ms, value) = time.zip(value).ok_or_else(|| format!("not a sample: {json}"))?;
    Ok(Sample { ms, value })
}

/// The first difference: the set of series, the timestamps, the values.
pub(crate) fn difference(ours: &Answer, theirs: &Answer) -> Option<String> {
    let extra = ours.keys().find(|key| !theirs.contains_key(*key)).map(|key| format!("only ours: {key}"));
    let missing = theirs.keys().find(|key| !ours.contains_key(*key)).map(|key| format!("only Prometheus': {key}"));
    if let Some(what) = extra.or(missing) {
        return Some(format!("{} series, Prometheus has {}; {what}", ours.len(), theirs.len()));
    }
    ours.iter().zip(theirs.values()).find_map(|((key, ours), theirs)| {
        if ours.len() != theirs.len() {
            return Some(format!("{key}: {} samples, Prometheus has {}", ours.len(), theirs.len()));
        }
        let (ours, theirs) = ours.iter().zip(theirs).find(|(o, t)| o.ms != t.ms || !equal(o.value, t.value))?;
        Some(format!("{key}: {ours:?}, Prometheus has {theirs:?}"))
    })
}

fn equal(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= TOLERANCE * a.abs().max(b.abs())
}

#[test]
fn differences_are_seen() {
    let vector = |series: &str| {
        let text = format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{series}]}}}}"#);
        parse(text.as_bytes()).unwrap()
    };
    let one = vector(r#"{"metric":{"a":"1","b":"2"},"value":[1,"1"]}"#);
    let same = vector(r#"{"metric":{"b":"2","a":"1"},"value":[1.0,"1.0000000001"]}"#);
    assert_eq!(difference(&one, &same), None);
    for other in [
        r#"{"metric":{"a":"1","b":"2"},"value":[1,"1.00000001"]}"#,
        r#"{"metric":{"a":"1","b":"2"},"value":[1.001,"1"]}"#,
        r#"{"metric":{"a":"1","b":"2"},"value":[1,"NaN"]}"#,
        r#"{"metric":{"a":"1","b":"2"},"values":[[1,"1"],[2,"1"]]}"#,
        r#"{"metric":{"a":"1"},"value":[1,"1"]}"#,
        "",
    ] {
        assert!(difference(&one, &vector(other)).is_some(), "{other}");
        assert!(difference(&vector(other), &one).is_some(), "{other}");
    }
}
