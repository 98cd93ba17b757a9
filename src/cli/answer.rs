//! The answer to a query, whoever gave it: read from the API's JSON.

use std::collections::BTreeMap;

use chronolith_storage::Labels;
use serde::{Deserialize, de::DeserializeOwned};

use super::http_client::{Answer as HttpAnswer, HttpError};

/// A server's refusal, in its words.
#[derive(Debug, thiserror::Error)]
#[error("the server refused ({kind}): {message}")]
pub(crate) struct ApiFailure {
    /// The API's `errorType`.
    pub(crate) kind: String,
    /// The API's `error`.
    pub(crate) message: String,
}

/// The answer to a query.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct QueryAnswer {
    pub(crate) value: AnswerValue,
    /// Warnings, then remarks.
    pub(crate) remarks: Vec<String>,
}

/// The value of an expression.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum AnswerValue {
    Scalar(i64, f64),
    Text(i64, String),
    /// One point a series.
    Vector(Vec<AnswerSeries>),
    Matrix(Vec<AnswerSeries>),
}

/// A series with its points in order of time.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AnswerSeries {
    pub(crate) labels: Labels,
    /// Milliseconds since the Unix epoch, and the value.
    pub(crate) points: Vec<(i64, PointValue)>,
}

/// The value of a point.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum PointValue {
    Float(f64),
    Histogram(Box<HistogramPoint>),
}

/// A native histogram as the API shows it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct HistogramPoint {
    pub(crate) count: f64,
    pub(crate) sum: f64,
    pub(crate) buckets: Vec<BucketPoint>,
}

/// A bucket that holds something.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BucketPoint {
    /// Which bounds belong to it: 0 the upper, 1 the lower, 2 none, 3 both.
    pub(crate) rule: u8,
    pub(crate) lower: f64,
    pub(crate) upper: f64,
    pub(crate) count: f64,
}

/// The API's envelope.
#[derive(Deserialize)]
struct Envelope<T> {
    status: String,
    data: Option<T>,
    #[serde(rename = "errorType", default)]
    error_type: String,
    #[serde(default)]
    error: String,
    #[serde(default)]
    warnings: Vec<String>,
    #[serde(default)]
    infos: Vec<String>,
}

/// Why an answer of the API gives no data.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error(transparent)]
    Refused(#[from] ApiFailure),
}

/// The data in an answer of the API, and what it remarks.
pub(crate) fn read_api<T: DeserializeOwned>(answer: HttpAnswer) -> Result<(T, Vec<String>), ApiError> {
    let envelope: Envelope<T> = match serde_json::from_slice(&answer.body) {
        Ok(envelope) => envelope,
        Err(error) => {
            let url = answer.success()?.url;
            return Err(HttpError::NotTheApi { url, reason: error.to_string() }.into());
        }
    };
    match envelope.data {
        Some(data) if envelope.status == "success" => {
            Ok((data, envelope.warnings.into_iter().chain(envelope.infos).collect()))
        }
        _ => Err(ApiFailure { kind: envelope.error_type, message: envelope.error }.into()),
    }
}

/// `data` of `query` and `query_range`.
#[derive(Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
pub(crate) enum WireValue {
    Scalar((f64, String)),
    String((f64, String)),
    Vector(Vec<WireSeries>),
    Matrix(Vec<WireSeries>),
}

/// A series of a vector or a matrix.
#[derive(Deserialize)]
pub(crate) struct WireSeries {
    metric: BTreeMap<String, String>,
    value: Option<(f64, String)>,
    #[serde(default)]
    values: Vec<(f64, String)>,
    histogram: Option<(f64, WireHistogram)>,
    #[serde(default)]
    histograms: Vec<(f64, WireHistogram)>,
}

#[derive(Deserialize)]
struct WireHistogram {
    count: String,
    sum: String,
    #[serde(default)]
    buckets: Vec<(u8, String, String, String)>,
}

impl WireValue {
    /// The value in numbers; `None` when a number cannot be read.
    pub(crate) fn into_value(self) -> Option<AnswerValue> {
        let series = |all: Vec<WireSeries>| all.into_iter().map(WireSeries::into_series).collect::<Option<Vec<_>>>();
        Some(match self {
            Self::Scalar((t, v)) => AnswerValue::Scalar(milliseconds(t), number(&v)?),
            Self::String((t, text)) => AnswerValue::Text(milliseconds(t), text),
            Self::Vector(all) => AnswerValue::Vector(series(all)?),
            Self::Matrix(all) => AnswerValue::Matrix(series(all)?),
        })
    }
}

impl WireSeries {
    fn into_series(self) -> Option<AnswerSeries> {
        let mut points = Vec::with_capacity(self.values.len() + self.histograms.len() + 1);
        for (t, text) in self.value.into_iter().chain(self.values) {
            points.push((milliseconds(t), PointValue::Float(number(&text)?)));
        }
        for (t, histogram) in self.histogram.into_iter().chain(self.histograms) {
            points.push((milliseconds(t), PointValue::Histogram(Box::new(histogram.into_point()?))));
        }
        points.sort_by_key(|(t, _)| *t);
        Some(AnswerSeries { labels: Labels::from_pairs(self.metric), points })
    }
}

impl WireHistogram {
    fn into_point(self) -> Option<HistogramPoint> {
        let bucket = |(rule, lower, upper, count): (u8, String, String, String)| {
            Some(BucketPoint { rule, lower: number(&lower)?, upper: number(&upper)?, count: number(&count)? })
        };
        let buckets = self.buckets.into_iter().map(bucket).collect::<Option<_>>()?;
        Some(HistogramPoint { count: number(&self.count)?, sum: number(&self.sum)?, buckets })
    }
}

/// Seconds as a JSON number hold milliseconds exactly up to the year 287396.
fn milliseconds(seconds: f64) -> i64 {
    (seconds * 1_000.0).round() as i64
}

/// Rust reads `NaN`, `+Inf` and `-Inf` as Go writes them.
fn number(text: &str) -> Option<f64> {
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(body: &str) -> HttpAnswer {
        HttpAnswer {
            url: "http://server/api".into(),
            status: hyper::StatusCode::OK,
            headers: hyper::HeaderMap::new(),
            body: bytes::Bytes::copy_from_slice(body.as_bytes()),
        }
    }

    #[test]
    fn reads_every_kind_of_value() {
        let body = r#"{"status":"success","warnings":["w"],"infos":["i"],"data":{"resultType":"matrix","result":[
            {"metric":{"__name__":"up"},"values":[[1.5,"1"],[3,"+Inf"]],"histograms":[[2,{"count":"3","sum":"1.5",
            "buckets":[[0,"0.5","1","3"]]}]]}]}}"#;
        let (data, remarks) = read_api::<WireValue>(reply(body)).unwrap();
        assert_eq!(remarks, ["w", "i"]);
        let Some(AnswerValue::Matrix(series)) = data.into_value() else { panic!("no matrix") };
        assert_eq!(series[0].labels.metric_name(), "up");
        assert_eq!(series[0].points[0], (1_500, PointValue::Float(1.0)));
        assert!(matches!(&series[0].points[1], (2_000, PointValue::Histogram(h)) if h.buckets.len() == 1));
        assert_eq!(series[0].points[2], (3_000, PointValue::Float(f64::INFINITY)));
        let scalar = r#"{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}"#;
        assert_eq!(read_api::<WireValue>(reply(scalar)).unwrap().0.into_value(), Some(AnswerValue::Scalar(1_000, 2.0)));
    }

    #[test]
    fn tells_a_refusal_from_another_server() {
        let refused = read_api::<WireValue>(reply(r#"{"status":"error","errorType":"bad_data","error":"no"}"#));
        assert!(refused.err().map(|e| e.to_string()).unwrap_or_default().contains("bad_data): no"));
        let other = read_api::<WireValue>(reply("<html>")).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(other.contains("--url"), "{other}");
    }
}
