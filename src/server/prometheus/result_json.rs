//! A query's value as Prometheus' API writes it.

use chronolith_promql::engine::{InstantSample, QueryValue, RangeSeries, SampleValue};

use super::histogram_json;
use crate::server::json;

/// Appends `"resultType":...,"result":...`, of series the first `limit`. Tells whether some were left out.
pub(crate) fn write(out: &mut Vec<u8>, value: &QueryValue, limit: Option<usize>) -> bool {
    let limit = limit.unwrap_or(usize::MAX);
    let kind: &[u8] = match value {
        QueryValue::Scalar { .. } => b"scalar",
        QueryValue::String { .. } => b"string",
        QueryValue::Vector { .. } => b"vector",
        QueryValue::Matrix(_) => b"matrix",
    };
    out.extend_from_slice(br#""resultType":""#);
    out.extend_from_slice(kind);
    out.extend_from_slice(br#"","result":"#);
    match value {
        QueryValue::Scalar { timestamp, value } => point(out, *timestamp, *value),
        QueryValue::String { timestamp, value } => {
            out.push(b'[');
            json::timestamp(out, *timestamp);
            out.push(b',');
            json::string(out, value);
            out.push(b']');
        }
        QueryValue::Vector { timestamp, samples } => {
            json::array(out, samples.iter().take(limit), |out, s| sample(out, *timestamp, s));
            return samples.len() > limit;
        }
        QueryValue::Matrix(all) => {
            json::array(out, all.iter().take(limit), series);
            return all.len() > limit;
        }
    }
    false
}

fn sample(out: &mut Vec<u8>, timestamp: i64, sample: &InstantSample) {
    out.extend_from_slice(br#"{"metric":"#);
    json::labels(out, &sample.labels);
    match &sample.value {
        SampleValue::Float(v) => {
            out.extend_from_slice(br#","value":"#);
            point(out, timestamp, *v);
        }
        SampleValue::Histogram(h) => {
            out.extend_from_slice(br#","histogram":"#);
            histogram_point(out, timestamp, h);
        }
    }
    out.push(b'}');
}

fn series(out: &mut Vec<u8>, series: &RangeSeries) {
    out.extend_from_slice(br#"{"metric":"#);
    json::labels(out, &series.labels);
    if !series.timestamps.is_empty() {
        out.extend_from_slice(br#","values":"#);
        json::array(out, series.timestamps.iter().zip(&series.values), |out, (t, v)| point(out, *t, *v));
    }
    if !series.histograms.is_empty() {
        out.extend_from_slice(br#","histograms":"#);
        json::array(out, &series.histograms, |out, (t, h)| histogram_point(out, *t, h));
    }
    out.push(b'}');
}

fn point(out: &mut Vec<u8>, timestamp: i64, value: f64) {
    out.push(b'[');
    json::timestamp(out, timestamp);
    out.push(b',');
    json::value(out, value);
    out.push(b']');
}

fn histogram_point(out: &mut Vec<u8>, timestamp: i64, histogram: &chronolith_storage::FloatHistogram) {
    out.push(b'[');
    json::timestamp(out, timestamp);
    out.push(b',');
    histogram_json::write(out, histogram);
    out.push(b']');
}

#[cfg(test)]
mod tests {
    use chronolith_storage::Labels;

    use super::*;

    fn text(value: &QueryValue, limit: Option<usize>) -> (String, bool) {
        let mut out = Vec::new();
        let truncated = write(&mut out, value, limit);
        (String::from_utf8(out).unwrap(), truncated)
    }

    #[test]
    fn every_type_has_its_form() {
        let scalar = QueryValue::Scalar { timestamp: 1_500, value: f64::NAN };
        assert_eq!(text(&scalar, None), (r#""resultType":"scalar","result":[1.500,"NaN"]"#.to_owned(), false));
        let string = QueryValue::String { timestamp: 0, value: "a\"b".to_owned() };
        assert_eq!(text(&string, Some(0)), (r#""resultType":"string","result":[0,"a\"b"]"#.to_owned(), false));
        let labels = Labels::from_pairs([("__name__", "up"), ("job", "a")]);
        let one = InstantSample { labels: labels.clone(), value: SampleValue::Float(1.0) };
        let vector = QueryValue::Vector { timestamp: 1_000, samples: vec![one.clone(), one] };
        let written = r#""resultType":"vector","result":[{"metric":{"__name__":"up","job":"a"},"value":[1,"1"]}]"#;
        assert_eq!(text(&vector, Some(1)), (written.to_owned(), true));
        let series =
            RangeSeries { labels, timestamps: vec![1_000, 2_000], values: vec![0.5, 2.0], histograms: Vec::new() };
        let written =
            r#""resultType":"matrix","result":[{"metric":{"__name__":"up","job":"a"},"values":[[1,"0.5"],[2,"2"]]}]"#;
        assert_eq!(text(&QueryValue::Matrix(vec![series]), Some(1)), (written.to_owned(), false));
        assert_eq!(text(&QueryValue::Matrix(Vec::new()), None).0, r#""resultType":"matrix","result":[]"#);
    }
}
