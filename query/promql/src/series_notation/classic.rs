//! Makes native histograms with custom buckets of classic ones, as `load_with_nhcb` does.

use std::{collections::BTreeMap, sync::Arc};

use chronolith_storage::{
    Labels, LabelsBuilder,
    model::{
        histogram::classic::{ClassicError, ClassicHistogram},
        labels::METRIC_NAME,
    },
};

use super::load::{LoadedSample, LoadedSeries, SampleValue};

/// The label with the upper bound of a classic bucket.
const BOUND: &str = "le";

/// Why a classic histogram cannot be converted.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum NotClassic {
    /// A `_bucket` series has no bound.
    #[error("expected bucket label in metric {0}")]
    NoBound(Labels),
    /// Its samples at one time make no histogram.
    #[error("{labels}: {error}")]
    Samples {
        /// The labels that the histogram would have.
        labels: Labels,
        /// What is wrong with them.
        error: ClassicError,
    },
}

/// The part of a classic histogram that a series holds.
enum Role {
    Bucket(f64),
    Count,
    Sum,
}

/// The native histograms that the series describe, sorted by labels; series that are none are passed over.
pub(super) fn converted(series: &[LoadedSeries]) -> Result<Vec<LoadedSeries>, NotClassic> {
    let mut histograms: BTreeMap<Labels, BTreeMap<i64, ClassicHistogram>> = BTreeMap::new();
    for s in series {
        let Some((labels, role)) = role(&s.labels)? else { continue };
        let moments = histograms.entry(labels).or_default();
        for sample in &s.samples {
            let SampleValue::Float(value) = sample.value else { continue };
            let classic = moments.entry(sample.timestamp).or_default();
            // An error stays in the histogram, and comes again when it is converted.
            let _ = match role {
                Role::Bucket(bound) => classic.set_bucket(bound, value),
                Role::Count => classic.set_count(value),
                Role::Sum => classic.set_sum(value),
            };
        }
    }
    histograms
        .into_iter()
        .map(|(labels, moments)| {
            let samples = moments.into_iter().map(|(timestamp, classic)| {
                let value = SampleValue::Histogram(Arc::new(classic.convert()?.to_stored()));
                Ok(LoadedSample { timestamp, start_timestamp: 0, value })
            });
            match samples.collect::<Result<_, ClassicError>>() {
                Ok(samples) => Ok(LoadedSeries { labels, samples }),
                Err(error) => Err(NotClassic::Samples { labels, error }),
            }
        })
        .collect()
}

/// The labels of the histogram that a series is part of, and which part; `None` when it is of none.
fn role(labels: &Labels) -> Result<Option<(Labels, Role)>, NotClassic> {
    let name = labels.metric_name();
    let (base, role) = if let Some(base) = name.strip_suffix("_bucket") {
        let bound = labels.get(BOUND).ok_or_else(|| NotClassic::NoBound(labels.clone()))?;
        match bound.parse::<f64>() {
            Ok(bound) if !bound.is_nan() => (base, Role::Bucket(bound)),
            _ => return Ok(None),
        }
    } else if let Some(base) = name.strip_suffix("_count") {
        (base, Role::Count)
    } else if let Some(base) = name.strip_suffix("_sum") {
        (base, Role::Sum)
    } else {
        return Ok(None);
    };
    let mut builder = LabelsBuilder::default();
    for (name, value) in labels.iter().filter(|(n, _)| *n != BOUND && *n != METRIC_NAME) {
        builder.set(name, value);
    }
    builder.set(METRIC_NAME, base);
    Ok(Some((builder.build(), role)))
}

#[cfg(test)]
mod tests {
    use crate::series_notation::{SampleValue, parse_load};

    #[test]
    fn classic_histograms_come_again_as_native_ones() {
        let text = "load_with_nhcb 1m
            h_bucket{a=\"b\", le=\"1\"} 1 _ 2
            h_bucket{a=\"b\", le=\"2.5\"} 1 _ 5
            h_bucket{a=\"b\", le=\"+Inf\"} 4 _ 6.5
            h_sum{a=\"b\"} 7 _ 8
            other 1";
        let series = parse_load(text).unwrap().series;
        assert_eq!(series.len(), 6);
        let native = &series[5];
        assert_eq!(native.labels.to_string(), "h{a=\"b\"}");
        let texts: Vec<(i64, String)> = native
            .samples
            .iter()
            .map(|s| match &s.value {
                SampleValue::Histogram(h) => (s.timestamp, h.to_float().test_expression()),
                value @ SampleValue::Float(_) => panic!("{value:?}"),
            })
            .collect();
        let wanted = [
            (0, "{{schema:-53 count:4 sum:7 custom_values:[1 2.5] buckets:[1 0 3]}}"),
            (120_000, "{{schema:-53 count:6.5 sum:8 custom_values:[1 2.5] buckets:[2 3 1.5]}}"),
        ];
        assert_eq!(texts, wanted.map(|(t, s)| (t, s.to_owned())));
    }

    #[test]
    fn what_is_no_histogram_is_refused() {
        let cases = [
            ("h_bucket{le=\"1\"} 2\nh_bucket{le=\"2\"} 1", "h: count is not cumulative: 1 < 2"),
            ("h_bucket{le=\"1\"} -2", "h: bucket count must be non-negative: le=1, count=-2"),
            ("h_count -1", "h: count must be non-negative: count=-1"),
            ("h_bucket{le=\"+Inf\"} 2\nh_count 3", "h: count mismatch: count=3 != le=+Inf count=2"),
            ("h_bucket 1", "expected bucket label in metric h_bucket"),
        ];
        for (lines, error) in cases {
            let found = parse_load(&format!("load_with_nhcb 1m\n{lines}")).map_err(|e| e.to_string());
            assert_eq!(found, Err(format!("line 1: {error}")), "{lines}");
        }
    }
}
