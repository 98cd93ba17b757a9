//! The load: recorded scrapes played by a fleet of hosts, encoded as remote-write 1.0 requests before any timing.

use crate::scrapes::{Recorded, Recording};

/// Milliseconds between two scrapes of a host.
pub(crate) const INTERVAL_MS: i64 = 15_000;

/// What is played.
#[derive(Clone, Copy)]
pub(crate) struct Fleet {
    /// Simulated hosts, each a target of its own.
    pub(crate) hosts: usize,
    /// Series of each host (at most as many as were recorded).
    pub(crate) series: usize,
    /// Scrapes of each host.
    pub(crate) steps: usize,
}

/// One remote-write request: one scrape of one host.
pub(crate) struct Request {
    /// The host; a host's requests keep their order by staying on one connection.
    pub(crate) host: usize,
    /// The scrape's number.
    pub(crate) step: usize,
    /// Protobuf, snappy.
    pub(crate) body: Box<[u8]>,
}

/// All requests in time order, the same bytes for every server.
pub(crate) struct Load {
    /// In time order.
    pub(crate) requests: Vec<Request>,
    /// Samples in all requests.
    pub(crate) samples: u64,
    /// Series in all requests.
    pub(crate) series: u64,
    /// Every sample's timestamp is in `start_ms..end_ms`.
    pub(crate) start_ms: i64,
    /// The end of the last interval: evaluation times count back from here.
    pub(crate) end_ms: i64,
}

/// An end time that has passed already, a quarter minute off the full minute. Scrapes keep half a second away from
/// multiples of 15 s, so no sample and no subquery step falls on the edge of a window, where Prometheus 2 (closed
/// windows) and 3 (left-open) differ.
pub(crate) fn end_before(now_ms: i64) -> i64 {
    (now_ms - 15_000).div_euclid(60_000) * 60_000 + 15_000
}

impl Load {
    /// Plays `recording` on `fleet`, ending at `end_ms`.
    pub(crate) fn build(recording: &Recording, fleet: Fleet, end_ms: i64) -> Result<Load, String> {
        let mut random = Random(0x0c0f_fee0_1234_5678);
        let played = &recording.series[..fleet.series.min(recording.series.len())];
        let hosts: Vec<Host> = (0..fleet.hosts).map(|n| Host::new(n, played, recording.scrapes, &mut random)).collect();
        let mut order: Vec<usize> = (0..hosts.len()).collect();
        order.sort_by_key(|&h| hosts[h].phase_ms);
        let start_ms = end_ms - fleet.steps as i64 * INTERVAL_MS;
        let mut requests = Vec::with_capacity(fleet.hosts * fleet.steps);
        let mut plain = Vec::new();
        let mut snappy = snap::raw::Encoder::new();
        for step in 0..fleet.steps {
            for &h in &order {
                let host = &hosts[h];
                let jitter = random.below(5) as i64;
                let at = start_ms + step as i64 * INTERVAL_MS + host.phase_ms + jitter;
                plain.clear();
                host.encode(played, recording.scrapes, step, at, &mut plain);
                let body = snappy.compress_vec(&plain).map_err(|e| format!("snappy: {e}"))?;
                requests.push(Request { host: h, step, body: body.into_boxed_slice() });
            }
        }
        let series = (fleet.hosts * played.len()) as u64;
        Ok(Load { requests, samples: series * fleet.steps as u64, series, start_ms, end_ms })
    }

    /// Bytes of all bodies.
    pub(crate) fn bytes(&self) -> u64 {
        self.requests.iter().map(|r| r.body.len() as u64).sum()
    }
}

struct Host {
    /// Encoded labels of each series.
    labels: Vec<Vec<u8>>,
    /// The scrape it begins at, so that hosts do not move in step.
    offset: usize,
    /// When in the interval it is scraped: Prometheus spreads its targets over it.
    phase_ms: i64,
}

impl Host {
    fn new(number: usize, played: &[Recorded], scrapes: usize, random: &mut Random) -> Host {
        let instance = format!("host-{number}:9100");
        let labels = played.iter().map(|series| encode_labels(&series.labels, &instance)).collect();
        let offset = random.below(scrapes as u64) as usize;
        let phase_ms = 500 + random.below(INTERVAL_MS as u64 - 1_000) as i64;
        Host { labels, offset, phase_ms }
    }

    fn encode(&self, played: &[Recorded], scrapes: usize, step: usize, at: i64, out: &mut Vec<u8>) {
        let position = self.offset + step;
        let (scrape, lap) = (position % scrapes, position / scrapes);
        for (labels, series) in self.labels.iter().zip(played) {
            let sample = encode_sample(series.value(scrape, lap), at);
            let sample = sample.as_slice();
            out.push(0x0a);
            varint(out, (labels.len() + sample.len()) as u64);
            out.extend_from_slice(labels);
            out.extend_from_slice(sample);
        }
    }
}

fn encode_labels(own: &[(String, String)], instance: &str) -> Vec<u8> {
    let mut all: Vec<(&str, &str)> = own.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    all.extend([("instance", instance), ("job", "node")]);
    all.sort_unstable();
    let mut out = Vec::new();
    for (name, value) in all {
        let mut label = Vec::new();
        for (tag, text) in [(0x0a, name), (0x12, value)] {
            label.push(tag);
            varint(&mut label, text.len() as u64);
            label.extend_from_slice(text.as_bytes());
        }
        out.push(0x0a);
        varint(&mut out, label.len() as u64);
        out.extend_from_slice(&label);
    }
    out
}

/// A sample as field 2 of a TimeSeries. Zero is left out, as protobuf has it.
fn encode_sample(value: f64, at: i64) -> Vec<u8> {
    let mut sample = Vec::with_capacity(20);
    if value != 0.0 {
        sample.push(0x09);
        sample.extend_from_slice(&value.to_le_bytes());
    }
    sample.push(0x10);
    varint(&mut sample, at as u64);
    let mut out = Vec::with_capacity(22);
    out.push(0x12);
    varint(&mut out, sample.len() as u64);
    out.extend_from_slice(&sample);
    out
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// SplitMix64: the same fleet in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodes_as_protobuf_does() {
        let labels = encode_labels(&[("__name__".to_owned(), "up".to_owned())], "h");
        let mut expected = b"\x0a\x0e\x0a\x08__name__\x12\x02up".to_vec();
        expected.extend_from_slice(b"\x0a\x0d\x0a\x08instance\x12\x01h\x0a\x0b\x0a\x03job\x12\x04node");
        assert_eq!(labels, expected);
        assert_eq!(encode_sample(1.0, 300), b"\x12\x0c\x09\x00\x00\x00\x00\x00\x00\xf0\x3f\x10\xac\x02");
        assert_eq!(encode_sample(0.0, 1), b"\x12\x02\x10\x01");
    }

    #[test]
    fn ends_a_quarter_past_a_full_minute_that_has_passed() {
        for now in [1_000_000_i64, 1_020_014, 1_035_000, 1_079_999] {
            let end = end_before(now);
            assert!(end <= now && now - end < 60_000 && end % 60_000 == 15_000, "{now} {end}");
        }
    }
}
