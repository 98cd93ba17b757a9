//! Real scrapes: read from a file, or captured on the spot from node_exporter, and played beyond their end.

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::http::Client;
use crate::server;

/// One series of the recording: its labels (with `__name__`, sorted) and one value per scrape.
pub(crate) struct Recorded {
    /// Label names and values, sorted by name; `__name__` is among them.
    pub(crate) labels: Vec<(String, String)>,
    values: Vec<f64>,
    lap: Lap,
}

/// What a series does when the recording starts over.
enum Lap {
    /// A gauge begins again at its first value.
    Repeat,
    /// A counter carries on rising. The recorded decimals are kept as integers over `scale`, so that the
    /// continued value has as many decimals as the recorded one and not the digits of a floating point addition.
    RiseDecimal { scaled: Vec<i64>, scale: f64, rise: i64 },
    /// A counter whose decimals do not fit 53 bits.
    RiseFloat { rise: f64 },
}

/// A recording: the same series in every scrape.
pub(crate) struct Recording {
    /// The series, sorted by labels.
    pub(crate) series: Vec<Recorded>,
    /// How many scrapes were recorded.
    pub(crate) scrapes: usize,
    /// Where it came from, for the report.
    pub(crate) origin: String,
}

impl Recorded {
    /// The value at `scrape` of the `lap`-th time through the recording.
    pub(crate) fn value(&self, scrape: usize, lap: usize) -> f64 {
        let recorded = self.values[scrape];
        if lap == 0 {
            return recorded;
        }
        match &self.lap {
            Lap::Repeat => recorded,
            Lap::RiseDecimal { scaled, scale, rise } => (scaled[scrape] + lap as i64 * rise) as f64 / scale,
            Lap::RiseFloat { rise } => recorded + lap as f64 * rise,
        }
    }

    fn new(labels: Vec<(String, String)>, texts: &[String]) -> Result<Recorded, String> {
        let values = texts
            .iter()
            .map(|text| text.parse::<f64>().map_err(|_| format!("{labels:?}: {text:?} is not a sample value")))
            .collect::<Result<Vec<f64>, String>>()?;
        let name = labels.iter().find(|(n, _)| n == "__name__").map_or("", |(_, v)| v.as_str());
        let counter = ["_total", "_count", "_sum", "_bucket"].iter().any(|suffix| name.ends_with(suffix));
        let lap = if counter { rising(&values, texts) } else { Lap::Repeat };
        Ok(Recorded { labels, values, lap })
    }
}

fn rising(values: &[f64], texts: &[String]) -> Lap {
    let (first, last) = (values[0], values[values.len() - 1]);
    let decimals = texts.iter().map(|text| decimals(text)).max().unwrap_or(0);
    let scale = 10f64.powi(decimals as i32);
    // Room for a hundred laps below 2^53.
    if decimals > 15 || values.iter().any(|v| !v.is_finite() || (v * scale).abs() > 9e13) {
        return Lap::RiseFloat { rise: (last - first).max(0.0) };
    }
    let scaled: Vec<i64> = values.iter().map(|v| (v * scale).round() as i64).collect();
    let rise = (scaled[scaled.len() - 1] - scaled[0]).max(0);
    Lap::RiseDecimal { scaled, scale, rise }
}

/// Digits after the decimal point of a number as Prometheus prints it (`1.5e-07` has 8).
fn decimals(text: &str) -> usize {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let fraction = mantissa.split_once('.').map_or(0, |(_, f)| f.len()) as i64;
    (fraction - exponent.parse::<i64>().unwrap_or(0)).max(0) as usize
}

/// Reads the recording of `path` (zstd): each scrape begins with a line `@N`, then Prometheus text lines.
pub(crate) fn read(path: &Path) -> Result<Recording, String> {
    let shown = path.display();
    let file = std::fs::File::open(path).map_err(|e| format!("{shown}: {e}"))?;
    let mut text = String::new();
    zstd::Decoder::new(file)
        .and_then(|mut decoder| decoder.read_to_string(&mut text))
        .map_err(|e| format!("{shown}: not a zstd text file: {e}"))?;
    let scrapes = text.trim_start_matches('@').split("\n@");
    let bodies: Vec<&str> = scrapes.map(|s| s.split_once('\n').map_or("", |(_, body)| body)).collect();
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    parse(&bodies, name)
}

/// Captures `count` scrapes, a second apart, from a node_exporter that is started for it.
pub(crate) fn capture(count: usize) -> Result<Recording, String> {
    let exporter = server::start_node_exporter()?;
    let mut client = Client::new(exporter.address());
    let mut bodies = Vec::with_capacity(count);
    let begin = Instant::now();
    for n in 0..count {
        let due = begin + Duration::from_secs(n as u64);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        bodies.push(client.get("/metrics").map_err(|e| format!("scraping node_exporter: {e}"))?.text());
        eprint!("\rcapturing scrapes from node_exporter: {} of {count}", n + 1);
    }
    eprintln!();
    let refs: Vec<&str> = bodies.iter().map(String::as_str).collect();
    parse(&refs, format!("{count} scrapes captured from node_exporter"))
}

fn parse(bodies: &[&str], origin: String) -> Result<Recording, String> {
    let mut found: HashMap<String, Vec<String>> = HashMap::new();
    for (n, body) in bodies.iter().enumerate() {
        for line in body.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (series, value) = line.rsplit_once(' ').ok_or_else(|| format!("scrape {n}: no value in {line:?}"))?;
            found.entry(series.to_owned()).or_default().push(value.to_owned());
        }
    }
    // A series that comes or goes while recording would need stale markers: only what is in every scrape is played.
    let mut series = found
        .into_iter()
        .filter(|(_, values)| values.len() == bodies.len())
        .map(|(text, values)| Recorded::new(labels(&text)?, &values))
        .collect::<Result<Vec<Recorded>, String>>()?;
    series.sort_by(|a, b| a.labels.cmp(&b.labels));
    if series.is_empty() {
        return Err(format!("{origin}: no series that is in every scrape"));
    }
    Ok(Recording { series, scrapes: bodies.len(), origin })
}

/// Labels of a text line's series: `name{a="b",c="d"}`.
fn labels(text: &str) -> Result<Vec<(String, String)>, String> {
    let (name, mut rest) = text.split_once('{').unwrap_or((text, "}"));
    let mut labels = vec![("__name__".to_owned(), name.to_owned())];
    let bad = || format!("not a series: {text:?}");
    while rest != "}" {
        let (label, after) = rest.split_once("=\"").ok_or_else(bad)?;
        let mut value = String::new();
        let mut chars = after.char_indices();
        let end = loop {
            match chars.next().ok_or_else(bad)? {
                (at, '"') => break at,
                (_, '\\') => value.push(match chars.next().ok_or_else(bad)?.1 {
                    'n' => '\n',
                    other => other,
                }),
                (_, c) => value.push(c),
            }
        };
        if !value.is_empty() {
            labels.push((label.to_owned(), value));
        }
        rest = after[end + 1..].trim_start_matches(',');
    }
    labels.sort();
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_decimals_of_printed_numbers() {
        assert_eq!(decimals("426.41"), 2);
        assert_eq!(decimals("1.774592e+06"), 0);
        assert_eq!(decimals("7.479e-06"), 9);
        assert_eq!(decimals("12"), 0);
    }

    #[test]
    fn counters_rise_over_the_seam_with_their_own_decimals() {
        let texts = ["0.1", "0.2", "0.4"].map(str::to_owned);
        let labels = vec![("__name__".to_owned(), "x_total".to_owned())];
        let counter = Recorded::new(labels, &texts).unwrap();
        assert_eq!([counter.value(0, 1), counter.value(1, 1), counter.value(0, 2)], [0.4, 0.5, 0.7]);
        let gauge = Recorded::new(vec![("__name__".to_owned(), "x".to_owned())], &texts).unwrap();
        assert_eq!(gauge.value(0, 1), 0.1);
    }

    #[test]
    fn reads_text_lines() {
        let recording =
            parse(&["a{x=\"1\\\"}\",y=\"\"} 1\nb 2\n", "a{x=\"1\\\"}\",y=\"\"} 2\n"], String::new()).unwrap();
        assert_eq!(recording.series.len(), 1);
        let pair = |n: &str, v: &str| (n.to_owned(), v.to_owned());
        assert_eq!(recording.series[0].labels, [pair("__name__", "a"), pair("x", "1\"}")]);
        assert!(parse(&["a{x 1\n"], String::new()).is_err());
    }
}
