//! JSON in the shape of the API's `data`: what reads answers of a server reads this too.

use serde_json::{Map, Value, json};

use super::format_number;
use crate::cli::answer::{AnswerSeries, AnswerValue, HistogramPoint, PointValue};

/// A query's answer as one line of JSON.
pub(crate) fn render(value: &AnswerValue) -> String {
    let (kind, result) = match value {
        AnswerValue::Scalar(t, v) => ("scalar", json!([seconds(*t), format_number(*v)])),
        AnswerValue::Text(t, text) => ("string", json!([seconds(*t), text])),
        AnswerValue::Vector(all) => ("vector", all.iter().map(|s| series(s, "value", "histogram", true)).collect()),
        AnswerValue::Matrix(all) => ("matrix", all.iter().map(|s| series(s, "values", "histograms", false)).collect()),
    };
    format!("{}\n", json!({ "resultType": kind, "result": result }))
}

fn series(s: &AnswerSeries, floats: &str, histograms: &str, one: bool) -> Value {
    let metric: Map<String, Value> = s.labels.iter().map(|(n, v)| (n.to_owned(), Value::from(v))).collect();
    let mut out = Map::new();
    out.insert("metric".to_owned(), Value::Object(metric));
    let (mut values, mut shapes) = (Vec::new(), Vec::new());
    for (t, point) in &s.points {
        match point {
            PointValue::Float(v) => values.push(json!([seconds(*t), format_number(*v)])),
            PointValue::Histogram(h) => shapes.push(json!([seconds(*t), histogram(h)])),
        }
    }
    for (name, mut points) in [(floats, values), (histograms, shapes)] {
        match points.pop() {
            None => {}
            Some(only) if one => {
                out.insert(name.to_owned(), only);
            }
            Some(last) => {
                points.push(last);
                out.insert(name.to_owned(), Value::Array(points));
            }
        }
    }
    Value::Object(out)
}

fn histogram(h: &HistogramPoint) -> Value {
    let buckets: Vec<Value> = h
        .buckets
        .iter()
        .map(|b| json!([b.rule, format_number(b.lower), format_number(b.upper), format_number(b.count)]))
        .collect();
    json!({ "count": format_number(h.count), "sum": format_number(h.sum), "buckets": buckets })
}

/// A whole number of seconds has no decimals, as in the API.
fn seconds(ms: i64) -> Value {
    if ms % 1_000 == 0 { Value::from(ms / 1_000) } else { Value::from(ms as f64 / 1_000.0) }
}

#[cfg(test)]
mod tests {
    use chronolith_storage::Labels;

    use super::*;
    use crate::cli::answer::WireValue;

    #[test]
    fn reads_back_as_the_api_does() {
        let labels = Labels::from_pairs([("__name__", "up"), ("a", "\"")]);
        let h = HistogramPoint { count: 1.0, sum: 2.0, buckets: Vec::new() };
        let points = vec![(1_500, PointValue::Float(f64::INFINITY)), (2_000, PointValue::Histogram(Box::new(h)))];
        let one = |points: &[_]| vec![AnswerSeries { labels: labels.clone(), points: points.to_vec() }];
        for value in [
            AnswerValue::Matrix(one(&points)),
            AnswerValue::Vector(one(&points[..1])),
            AnswerValue::Vector(one(&points[1..])),
            AnswerValue::Scalar(1, 2.5),
            AnswerValue::Text(1_000, "x".to_owned()),
        ] {
            let read: WireValue = serde_json::from_str(&render(&value)).unwrap();
            assert_eq!(read.into_value(), Some(value));
        }
    }
}
