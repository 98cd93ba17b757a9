//! What is sent, told by numbers alone, and what an answer shows of it.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    io,
};

use chronolith::ingest::{
    remote_write::{Sample, SeriesData, V1Encoder, V2Encoder},
    snappy,
};
use chronolith_storage::Labels;
use serde::Deserialize;

use crate::server::get;

pub(crate) const WRITERS: u64 = 3;
/// What one request holds.
pub(crate) const SERIES: u64 = 5;
pub(crate) const SAMPLES: u64 = 3;
pub(crate) const WHOLE: u64 = (1 << (SERIES * SAMPLES)) - 1;
/// How often the same timestamps get other values, at most.
pub(crate) const VERSIONS: u64 = 256;
/// A request's samples are a second apart, and requests this far.
pub(crate) const SLOT_MS: i64 = 10_000;
/// How far back a late request goes: beyond a day, so that several segments are touched.
pub(crate) const LATE_MS: i64 = 36 * 3_600_000;

/// One request: which samples it holds follows from these numbers alone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request {
    /// Unique; its remainder by [`WRITERS`] is the writer.
    pub(crate) id: u64,
    pub(crate) cycle: u64,
    pub(crate) is_late: bool,
}

/// A request and what the database must say of it.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) request: Request,
    /// The version of its values that is there for sure; `None`: nothing of it is.
    pub(crate) known: Option<u64>,
    /// A version that was sent and not acknowledged: all of it is there, or nothing.
    pub(crate) pending: Option<u64>,
}

impl Request {
    pub(crate) fn labels(&self, series: u64) -> Labels {
        let (own, cycle, request) = (series.to_string(), self.cycle.to_string(), self.id.to_string());
        let writer = (self.id % WRITERS).to_string();
        // Series that live for ever, for a cycle, and for this request alone: the last are defined by its own records.
        let (metric, name, value) = match series {
            0..=2 => ("load_total", "series", own),
            3 => ("load_of_cycle", "cycle", cycle),
            _ => ("load_of_request", "request", request),
        };
        Labels::from_pairs([("__name__", metric), (name, value.as_str()), ("writer", writer.as_str())])
    }

    pub(crate) fn timestamp(&self, start: i64, sample: u64) -> i64 {
        // Late ones lie between the others, so that no two requests share a timestamp.
        let late = if self.is_late { SLOT_MS / 2 - LATE_MS } else { 0 };
        start + self.id as i64 * SLOT_MS + late + sample as i64 * 1_000
    }

    pub(crate) fn body(&self, start: i64, version: u64, is_v2: bool) -> Vec<u8> {
        let (mut v1, mut v2) = (V1Encoder::new(), V2Encoder::new());
        for series in 0..SERIES {
            let labels = self.labels(series);
            let samples: Vec<Sample> = (0..SAMPLES)
                .map(|i| Sample::new(self.timestamp(start, i), value(self.id, series, i, version)))
                .collect();
            let data = SeriesData::floats(&labels, &samples);
            if is_v2 { v2.push(&data) } else { v1.push(&data) }
        }
        let bytes = if is_v2 { v2.finish() } else { v1.as_bytes().to_vec() };
        snappy::encode(&bytes).unwrap()
    }
}

/// A value that says which sample it is.
pub(crate) fn value(id: u64, series: u64, sample: u64, version: u64) -> f64 {
    (((id * SERIES + series) * SAMPLES + sample) * VERSIONS + version) as f64
}

#[derive(Deserialize)]
pub(crate) struct Answer {
    pub(crate) data: Data,
}

#[derive(Deserialize)]
pub(crate) struct Data {
    pub(crate) result: Vec<Series>,
}

#[derive(Deserialize)]
pub(crate) struct Series {
    pub(crate) metric: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) values: Vec<(f64, String)>,
}

/// The samples of the selector in the `window` that ends at `end`.
pub(crate) fn samples(address: &str, selector: &str, window: &str, end: i64) -> io::Result<Vec<Series>> {
    let query: String = format!("{selector}[{window}]").bytes().map(|b| format!("%{b:02x}")).collect();
    let time = end as f64 / 1_000.0;
    let (status, body) = get(address, &format!("/api/v1/query?query={query}&time={time:.3}"))?;
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
    Ok(serde_json::from_slice::<Answer>(&body).unwrap().data.result)
}

/// What an answer shows of one request: a bit for each sample, all of one version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) version: u64,
    pub(crate) samples: u64,
}

/// Which requests an answer shows. Every sample in it must be one that was sent, and be there once.
pub(crate) fn found(answer: &[Series], start: i64, request: impl Fn(u64) -> Option<Request>) -> HashMap<u64, Found> {
    let mut all: HashMap<u64, Found> = HashMap::new();
    let mut seen = HashSet::new();
    for series in answer {
        let labels = Labels::from_pairs(&series.metric);
        assert!(series.values.is_sorted_by(|a, b| a.0 < b.0), "{labels}: {:?}", series.values);
        for (seconds, text) in &series.values {
            let number = text.parse::<f64>().unwrap() as u64;
            let (place, version) = (number / VERSIONS, number % VERSIONS);
            let (slot, id) = (place % (SERIES * SAMPLES), place / (SERIES * SAMPLES));
            let request = request(id).unwrap_or_else(|| panic!("{labels}: {text} at {seconds} was never sent"));
            assert_eq!(labels, request.labels(slot / SAMPLES), "{text} at {seconds}");
            let timestamp = (seconds * 1_000.0).round() as i64;
            assert_eq!(timestamp, request.timestamp(start, slot % SAMPLES), "{labels}: {text}");
            let found = all.entry(id).or_insert(Found { version, samples: 0 });
            assert_eq!(found.version, version, "{labels} at {seconds}: versions of {request:?} are mixed");
            assert_eq!(found.samples & 1 << slot, 0, "{labels}: {text} at {seconds} is there twice");
            found.samples |= 1 << slot;
        }
        assert!(seen.insert(labels), "a series is there twice");
    }
    for (id, found) in &all {
        assert_eq!(found.samples, WHOLE, "request {id} is there in part: {found:?}");
    }
    all
}
