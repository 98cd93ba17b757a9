//! Makes native histograms with custom buckets of classic ones, as `load_with_nhcb` does.

use std::{collections::BTreeMap, sync::Arc};

use chronolith_storage::{
    Buckets, Histogram, Labels, LabelsBuilder, ResetHint, Span,
    model::{histogram::CUSTOM_BUCKETS_SCHEMA, labels::METRIC_NAME},
};

use super::load::{LoadedSample, LoadedSeries, SampleValue};
use crate::format::float_general;

/// The label with the upper bound of a classic bucket.
const BOUND: &str = "le";

/// Why a classic histogram cannot be converted.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ClassicError {
    /// A `_bucket` series has no bound.
    #[error("expected bucket label in metric {0}")]
    NoBound(Labels),
    /// A bucket holds less than nothing.
    #[error("bucket count must be non-negative: le={}, count={}", float_general(*.0), float_general(*.1))]
    NegativeBucket(f64, f64),
    /// The count is below 0.
    #[error("count must be non-negative: count={}", float_general(*.0))]
    NegativeCount(f64),
    /// A bucket holds less than one with a lower bound.
    #[error("count is not cumulative: {} < {}", float_general(*.0), float_general(*.1))]
    NotCumulative(f64, f64),
    /// The last bucket holds another number than the count.
    #[error(
        "count mismatch: count={} != le={} count={}",
        float_general(*.0), float_general(*.1), float_general(*.2)
    )]
    Mismatch(f64, f64, f64),
}

/// What one moment's samples tell about a histogram.
#[derive(Default)]
struct Parts {
    /// Bounds with cumulative counts.
    buckets: Vec<(f64, f64)>,
    count: Option<f64>,
    sum: f64,
}

/// The part of a classic histogram that a series holds.
enum Role {
    Bucket(f64),
    Count,
    Sum,
}

/// The native histograms that the series describe, sorted by labels; series that are none are passed over.
pub(super) fn converted(series: &[LoadedSeries]) -> Result<Vec<LoadedSeries>, ClassicError> {
    let mut histograms: BTreeMap<Labels, BTreeMap<i64, Parts>> = BTreeMap::new();
    for s in series {
        let Some((labels, role)) = role(&s.labels)? else { continue };
        let moments = histograms.entry(labels).or_default();
        for sample in &s.samples {
            let SampleValue::Float(value) = sample.value else { continue };
            let parts = moments.entry(sample.timestamp).or_default();
            match role {
                Role::Bucket(bound) => parts.buckets.push((bound, value)),
                Role::Count => parts.count = Some(value),
                Role::Sum => parts.sum = value,
            }
        }
    }
    histograms
        .into_iter()
        .map(|(labels, moments)| {
            let samples = moments.into_iter().map(|(timestamp, parts)| {
                let value = SampleValue::Histogram(Arc::new(parts.convert()?));
                Ok(LoadedSample { timestamp, start_timestamp: 0, value })
            });
            Ok(LoadedSeries { labels, samples: samples.collect::<Result<_, _>>()? })
        })
        .collect()
}

/// The labels of the histogram that a series is part of, and which part; `None` when it is of none.
fn role(labels: &Labels) -> Result<Option<(Labels, Role)>, ClassicError> {
    let name = labels.metric_name();
    let (base, role) = if let Some(base) = name.strip_suffix("_bucket") {
        let bound = labels.get(BOUND).ok_or_else(|| ClassicError::NoBound(labels.clone()))?;
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

impl Parts {
    fn convert(mut self) -> Result<Histogram, ClassicError> {
        self.buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        // Bounds that are written in two ways are one bucket.
        self.buckets.dedup_by(|later, first| later.0 == first.0);
        let mut before = 0.0;
        for (bound, count) in &self.buckets {
            if *count < 0.0 {
                return Err(ClassicError::NegativeBucket(*bound, *count));
            }
            if *count < before {
                return Err(ClassicError::NotCumulative(*count, before));
            }
            before = *count;
        }
        // Without a count the highest bucket tells it.
        let count = self.count.or(self.buckets.last().map(|b| b.1)).unwrap_or(0.0);
        if count < 0.0 {
            return Err(ClassicError::NegativeCount(count));
        }
        if self.buckets.last().is_none_or(|b| b.0 != f64::INFINITY) {
            self.buckets.push((f64::INFINITY, count));
        }
        if let Some((bound, last)) = self.buckets.last().filter(|b| b.1 != count) {
            return Err(ClassicError::Mismatch(count, *bound, *last));
        }
        let mut below = 0.0;
        let positive: Vec<f64> = self.buckets.iter().map(|(_, c)| c - std::mem::replace(&mut below, *c)).collect();
        Ok(Histogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            zero_threshold: 0.0,
            sum: self.sum,
            reset_hint: ResetHint::Unknown,
            // As many as there are lines in a text.
            positive_spans: vec![Span { offset: 0, length: positive.len() as u32 }],
            negative_spans: Vec::new(),
            custom_values: self.buckets.iter().map(|b| b.0).filter(|b| *b != f64::INFINITY).collect(),
            buckets: Buckets::Float { count, zero_count: 0.0, positive, negative: Vec::new() },
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::series_notation::{HistogramText, SampleValue, parse_load};

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
                SampleValue::Histogram(h) => (s.timestamp, HistogramText(&h.to_float()).to_string()),
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
            ("h_bucket{le=\"1\"} 2\nh_bucket{le=\"2\"} 1", "count is not cumulative: 1 < 2"),
            ("h_bucket{le=\"1\"} -2", "bucket count must be non-negative: le=1, count=-2"),
            ("h_count -1", "count must be non-negative: count=-1"),
            ("h_bucket{le=\"+Inf\"} 2\nh_count 3", "count mismatch: count=3 != le=+Inf count=2"),
            ("h_bucket 1", "expected bucket label in metric h_bucket"),
        ];
        for (lines, error) in cases {
            let found = parse_load(&format!("load_with_nhcb 1m\n{lines}")).map_err(|e| e.to_string());
            assert_eq!(found, Err(format!("line 1: {error}")), "{lines}");
        }
    }
}
