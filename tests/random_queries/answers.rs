//! Answers of the HTTP API with everything they tell, and when two of them are equal.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::rules::{Peer, Rule};

/// Values may differ by so much, relative to the larger.
const TOLERANCE: f64 = 1e-9;
/// The API shows no more warnings or infos; which ones is then chance.
const SHOWN: usize = 10;
/// How our engine says that it lacks something.
const LACKS: &str = "is not supported yet";

/// What a query got.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Success { kind: String, series: BTreeMap<String, Vec<Sample>>, order: Vec<String>, notes: [BTreeSet<String>; 2] },
    Failure { kind: String, text: String },
}

/// One sample.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) ms: i64,
    pub(crate) point: Point,
}

/// Its value.
#[derive(Clone, Debug)]
pub(crate) enum Point {
    Float(f64),
    Text(String),
    /// Count and sum, and the buckets: rule, bounds, count.
    Histogram([f64; 2], Vec<[f64; 4]>),
}

/// Reads an answer.
pub(crate) fn parse(body: &[u8]) -> Result<Answer, String> {
    let json: Value = serde_json::from_slice(body).map_err(|e| format!("not JSON: {e}"))?;
    let text = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
    if json["status"] == "error" {
        return Ok(Answer::Failure { kind: text("errorType"), text: text("error") });
    }
    let notes = ["warnings", "infos"].map(|name| {
        let list = json[name].as_array().map_or(&[][..], Vec::as_slice);
        list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
    });
    let result = &json["data"]["result"];
    let kind = json["data"]["resultType"].as_str().ok_or("no resultType")?.to_owned();
    let (mut series, mut order) = (BTreeMap::new(), Vec::new());
    match kind.as_str() {
        "scalar" => _ = series.insert(String::new(), vec![float(result)?]),
        "string" => {
            let text = result[1].as_str().ok_or("a string that is none")?.to_owned();
            series.insert(String::new(), vec![Sample { ms: time(result)?, point: Point::Text(text) }]);
        }
        _ => {
            for one in result.as_array().ok_or("a result that is no list")? {
                let labels = one["metric"].to_string();
                order.push(labels.clone());
                if series.insert(labels, samples(one)?).is_some() {
                    return Err(format!("two series {}", one["metric"]));
                }
            }
        }
    }
    Ok(Answer::Success { kind, series, order, notes })
}

fn samples(series: &Value) -> Result<Vec<Sample>, String> {
    let list = |one: &str, many: &str| -> Vec<Value> {
        series[many].as_array().cloned().or_else(|| series.get(one).map(|v| vec![v.clone()])).unwrap_or_default()
    };
    let mut found: Vec<Sample> = list("value", "values").iter().map(float).collect::<Result<_, _>>()?;
    for sample in list("histogram", "histograms") {
        found.push(Sample { ms: time(&sample)?, point: histogram(&sample[1])? });
    }
    found.sort_by_key(|sample| sample.ms);
    Ok(found)
}

fn time(json: &Value) -> Result<i64, String> {
    json[0].as_f64().map(|seconds| (seconds * 1000.0).round() as i64).ok_or_else(|| format!("no time: {json}"))
}

fn number(json: &Value) -> Result<f64, String> {
    json.as_str().and_then(|text| text.parse().ok()).ok_or_else(|| format!("no number: {json}"))
}

fn float(json: &Value) -> Result<Sample, String> {
    Ok(Sample { ms: time(json)?, point: Point::Float(number(&json[1])?) })
}

fn histogram(json: &Value) -> Result<Point, String> {
    let buckets = json["buckets"].as_array().map_or(&[][..], Vec::as_slice);
    let bucket = |b: &Value| {
        let rule = b[0].as_f64().ok_or_else(|| format!("no rule: {b}"))?;
        Ok([rule, number(&b[1])?, number(&b[2])?, number(&b[3])?])
    };
    let buckets = buckets.iter().map(bucket).collect::<Result<_, String>>()?;
    Ok(Point::Histogram([number(&json["count"])?, number(&json["sum"])?], buckets))
}

impl Answer {
    /// Whether our engine says that it lacks what is asked for.
    pub(crate) fn lacks(&self) -> bool {
        matches!(self, Self::Failure { text, .. } if text.ends_with(LACKS))
    }

    pub(crate) fn is_failure(&self) -> bool {
        matches!(self, Self::Failure { .. })
    }

    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Self::Success { series, .. } if series.is_empty())
    }

    /// Whether every series has this label.
    pub(crate) fn all_have(&self, label: &str) -> bool {
        let label = format!("{label:?}:");
        matches!(self, Self::Success { order, .. } if order.iter().all(|series| series.contains(&label)))
    }

    pub(crate) fn times(&self) -> BTreeSet<i64> {
        match self {
            Self::Success { series, .. } => series.values().flatten().map(|sample| sample.ms).collect(),
            Self::Failure { .. } => BTreeSet::new(),
        }
    }
}

/// The first difference between our answer and theirs. `ordered` where the order of an instant vector has a meaning.
pub(crate) fn difference(ours: &Answer, theirs: &Answer, peer: Peer, ordered: bool) -> Option<String> {
    let both = |what: &str, ours: &dyn std::fmt::Debug, theirs: &dyn std::fmt::Debug| {
        Some(format!("{what}: ours {ours:?}, theirs {theirs:?}"))
    };
    match (ours, theirs) {
        (Answer::Failure { kind, text }, Answer::Failure { kind: their_kind, text: their_text }) => {
            if kind != their_kind {
                return both("error type", &(kind, text), &(their_kind, their_text));
            }
            (text != their_text && !peer.has(Rule::ErrorTexts)).then(|| both("error", text, their_text))?
        }
        (
            Answer::Success { kind, series, order, notes },
            Answer::Success { kind: their_kind, series: their_series, order: their_order, notes: their_notes },
        ) => {
            if kind != their_kind {
                return both("result type", kind, their_kind);
            }
            if let Some(what) = different_series(series, their_series) {
                return Some(what);
            }
            if ordered && !peer.has(Rule::TiesByChance) && values(order, series) != values(their_order, their_series) {
                return both("order", order, their_order);
            }
            if peer.has(Rule::Annotations) {
                return None;
            }
            let mut levels = ["warnings", "infos"].iter().zip(notes.iter().zip(their_notes));
            levels.find_map(|(level, (ours, theirs))| {
                let all_shown = ours.len().max(theirs.len()) < SHOWN;
                (all_shown && ours != theirs).then(|| both(level, ours, theirs))?
            })
        }
        (Answer::Success { .. }, Answer::Failure { text, .. }) => Some(format!("only theirs fails: {text}")),
        (Answer::Failure { text, .. }, Answer::Success { .. }) => Some(format!("only ours fails: {text}")),
    }
}

/// The values in order: among equal values the order is chance. Values are compared by their shortest text.
fn values(order: &[String], series: &BTreeMap<String, Vec<Sample>>) -> Vec<String> {
    let first = |labels: &String| series.get(labels).and_then(|samples| samples.first());
    let value = |sample: &Sample| match &sample.point {
        Point::Float(value) => format!("{value:.6e}"),
        other => format!("{other:?}"),
    };
    order.iter().map(|labels| first(labels).map(value).unwrap_or_default()).collect()
}

type Series = BTreeMap<String, Vec<Sample>>;

fn different_series(ours: &Series, theirs: &Series) -> Option<String> {
    let extra = ours.keys().find(|key| !theirs.contains_key(*key)).map(|key| format!("only ours: {key}"));
    let missing = theirs.keys().find(|key| !ours.contains_key(*key)).map(|key| format!("only theirs: {key}"));
    if let Some(what) = extra.or(missing) {
        return Some(format!("{} series, theirs {}; {what}", ours.len(), theirs.len()));
    }
    ours.iter().zip(theirs.values()).find_map(|((key, ours), theirs)| {
        let times = |samples: &[Sample]| samples.iter().map(|s| s.ms).collect::<Vec<_>>();
        if times(ours) != times(theirs) {
            return Some(format!("{key}: samples at {:?}, theirs at {:?}", times(ours), times(theirs)));
        }
        let (ours, theirs) = ours.iter().zip(theirs).find(|(o, t)| !same(&o.point, &t.point))?;
        Some(format!("{key} at {} ms: ours {:?}, theirs {:?}", ours.ms, ours.point, theirs.point))
    })
}

fn same(a: &Point, b: &Point) -> bool {
    match (a, b) {
        (Point::Float(a), Point::Float(b)) => equal(*a, *b),
        (Point::Text(a), Point::Text(b)) => a == b,
        (Point::Histogram(a, a_buckets), Point::Histogram(b, b_buckets)) => {
            let pairs = a_buckets.iter().flatten().zip(b_buckets.iter().flatten());
            a_buckets.len() == b_buckets.len() && a.iter().zip(b).chain(pairs).all(|(a, b)| equal(*a, *b))
        }
        _ => false,
    }
}

fn equal(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= TOLERANCE * a.abs().max(b.abs())
}
