//! Compares two answers of the HTTP API: the same series, the same timestamps, values within 1e-9 relative.

use std::collections::BTreeMap;

use serde_json::Value;

const TOLERANCE: f64 = 1e-9;

/// Samples by labels; a list of strings or label sets has no samples.
type Answer = BTreeMap<String, Vec<(f64, f64)>>;

/// What differs, if anything.
pub(crate) fn difference(ours: &[u8], theirs: &[u8]) -> Option<String> {
    let (ours, theirs) = match (answer(ours), answer(theirs)) {
        (Ok(ours), Ok(theirs)) => (ours, theirs),
        (Err(e), _) => return Some(format!("our answer: {e}")),
        (_, Err(e)) => return Some(format!("their answer: {e}")),
    };
    if let Some(extra) = ours.keys().find(|key| !theirs.contains_key(*key)) {
        return Some(format!("{} series against {}; only ours: {extra}", ours.len(), theirs.len()));
    }
    theirs.iter().find_map(|(key, wanted)| match ours.get(key) {
        None => Some(format!("{} series against {}; only theirs: {key}", ours.len(), theirs.len())),
        Some(got) => samples_differ(got, wanted).map(|what| format!("{key}: {what}")),
    })
}

/// How many series or entries an answer holds; an error when it is none.
pub(crate) fn size(body: &[u8]) -> Result<usize, String> {
    answer(body).map(|a| a.len())
}

/// The only value of an instant answer (0 when it is empty).
pub(crate) fn single_value(body: &[u8]) -> Result<f64, String> {
    Ok(answer(body)?.values().next().and_then(|samples| samples.first()).map_or(0.0, |sample| sample.1))
}

/// The entries of an answer that is a list of strings.
pub(crate) fn strings(body: &[u8]) -> Result<Vec<String>, String> {
    let json: Value = serde_json::from_slice(body).map_err(|e| e.to_string())?;
    let list = json["data"].as_array().ok_or("no list")?;
    Ok(list.iter().filter_map(Value::as_str).map(str::to_owned).collect())
}

fn samples_differ(got: &[(f64, f64)], wanted: &[(f64, f64)]) -> Option<String> {
    if got.len() != wanted.len() {
        return Some(format!("{} samples against {}", got.len(), wanted.len()));
    }
    let pairs = got.iter().zip(wanted);
    let different = |(g, w): &(&(f64, f64), &(f64, f64))| g.0 != w.0 || !equal(g.1, w.1);
    pairs.into_iter().find(different).map(|(g, w)| format!("{} @{} against {} @{}", g.1, g.0, w.1, w.0))
}

fn equal(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= TOLERANCE * a.abs().max(b.abs())
}

fn answer(body: &[u8]) -> Result<Answer, String> {
    let excerpt = || String::from_utf8_lossy(body).chars().take(200).collect::<String>();
    let json: Value = serde_json::from_slice(body).map_err(|_| format!("not JSON: {}", excerpt()))?;
    if json["status"] != "success" {
        return Err(format!("not a success: {}", excerpt()));
    }
    let data = &json["data"];
    let mut out = Answer::new();
    match data["resultType"].as_str() {
        Some("scalar" | "string") => {
            out.insert(String::new(), vec![sample(&data["result"])?]);
        }
        Some(_) => {
            for series in data["result"].as_array().ok_or("no result")? {
                let samples = match (&series["values"], &series["value"]) {
                    (Value::Array(many), _) => many.iter().map(sample).collect::<Result<_, String>>()?,
                    (_, one) => vec![sample(one)?],
                };
                // A map's keys are sorted: equal label sets have equal texts.
                out.insert(series["metric"].to_string(), samples);
            }
        }
        None => out.extend(data.as_array().ok_or("no list")?.iter().map(|entry| (entry.to_string(), Vec::new()))),
    }
    Ok(out)
}

fn sample(json: &Value) -> Result<(f64, f64), String> {
    let value = json[1].as_str().and_then(|text| text.parse().ok());
    json[0].as_f64().zip(value).ok_or_else(|| format!("not a sample: {json}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(series: &str) -> Vec<u8> {
        format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{series}]}}}}"#).into_bytes()
    }

    #[test]
    fn tells_what_differs() {
        let one = vector(r#"{"metric":{"a":"1","b":"2"},"value":[1,"1"]}"#);
        let same = vector(r#"{"metric":{"b":"2","a":"1"},"value":[1.0,"1.0000000001"]}"#);
        assert_eq!(difference(&one, &same), None);
        for other in [
            r#"{"metric":{"a":"1","b":"2"},"value":[1,"1.00000001"]}"#,
            r#"{"metric":{"a":"1","b":"2"},"value":[1.001,"1"]}"#,
            r#"{"metric":{"a":"1"},"value":[1,"1"]}"#,
            r#"{"metric":{"a":"1","b":"2"},"value":[1,"NaN"]}"#,
            "",
        ] {
            assert!(difference(&one, &vector(other)).is_some(), "{other}");
        }
        let nan = vector(r#"{"metric":{},"value":[1,"NaN"]}"#);
        assert_eq!(difference(&nan, &nan), None);
        assert!(difference(br#"{"status":"error"}"#, &one).is_some());
        let list = br#"{"status":"success","data":["a","b"]}"#;
        assert!(difference(list, br#"{"status":"success","data":["b","a"]}"#).is_none());
        assert!(difference(list, br#"{"status":"success","data":["b"]}"#).is_some());
    }
}
