//! Gives histograms the reset hints that Prometheus' storage gives them: it does not keep those that were written, but tells
//! what follows from how it cuts series into chunks, and its test files expect that.

use std::{collections::BTreeMap, sync::Arc};

use chronolith_storage::{FloatHistogram, Histogram, Labels, ResetHint};

use crate::series_notation::{LoadedSample, LoadedSeries, SampleValue};

/// Chunks begin anew at multiples of this.
const CHUNK_RANGE_MS: i64 = 2 * 3_600_000;

/// The last sample of each series.
#[derive(Debug, Default)]
pub struct StoredHints(BTreeMap<Labels, LoadedSample>);

impl StoredHints {
    /// Sets the hints of samples that are appended to what went through here before.
    ///
    /// A gauge stays one. Of a counter the storage says that it was not reset where the histogram goes on in the chunk of
    /// the one before; where it begins a chunk, for a reset or for another reason, it says nothing.
    pub fn apply(&mut self, series: &mut [LoadedSeries]) {
        for s in series {
            let mut last = self.0.get(&s.labels).cloned();
            for sample in &mut s.samples {
                // The chunk goes on from what was written, so this looks at it before the hint is replaced.
                let written = sample.clone();
                if let SampleValue::Histogram(histogram) = &mut sample.value
                    && histogram.reset_hint != ResetHint::Gauge
                    && !histogram.is_stale()
                {
                    let goes_on = last.as_ref().is_some_and(|last| goes_on(last, &written));
                    let hint = if goes_on { ResetHint::NotReset } else { ResetHint::Unknown };
                    if hint != histogram.reset_hint {
                        *histogram = Arc::new(Histogram { reset_hint: hint, ..Histogram::clone(histogram) });
                    }
                }
                last = Some(written);
            }
            if let Some(last) = last {
                self.0.insert(s.labels.clone(), last);
            }
        }
    }
}

/// Whether the storage appends a counter to the chunk that ends with `last`.
fn goes_on(last: &LoadedSample, next: &LoadedSample) -> bool {
    let (SampleValue::Histogram(previous), SampleValue::Histogram(histogram)) = (&last.value, &next.value) else {
        return false;
    };
    if previous.is_stale()
        || previous.reset_hint == ResetHint::Gauge
        || histogram.reset_hint == ResetHint::Reset
        || last.timestamp.div_euclid(CHUNK_RANGE_MS) != next.timestamp.div_euclid(CHUNK_RANGE_MS)
    {
        return false;
    }
    // What a histogram says about itself otherwise is not believed.
    let histogram = FloatHistogram { reset_hint: ResetHint::Unknown, ..histogram.to_float() };
    let previous = previous.to_float();
    histogram.schema == previous.schema
        && histogram.zero_threshold == previous.zero_threshold
        && histogram.custom_values == previous.custom_values
        && !histogram.detect_reset(&previous)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series_notation::parse_load;

    fn hints(line: &str) -> Vec<ResetHint> {
        let mut series = parse_load(&format!("load 1m\nm {line}")).unwrap().series;
        let mut stored = StoredHints::default();
        // In two parts, as two loads would append them.
        let mut later = series.clone();
        later[0].samples.drain(..1);
        series[0].samples.truncate(1);
        stored.apply(&mut series);
        stored.apply(&mut later);
        let hint = |s: &LoadedSample| match &s.value {
            SampleValue::Histogram(h) => Some(h.reset_hint),
            SampleValue::Float(_) => None,
        };
        series.iter().chain(&later).flat_map(|s| &s.samples).filter_map(hint).collect()
    }

    #[test]
    fn hints_follow_from_what_is_stored_before() {
        use ResetHint::{Gauge, NotReset, Unknown};
        assert_eq!(hints("{{count:1 buckets:[1]}}+{{count:1 buckets:[1]}}x2"), [Unknown, NotReset, NotReset]);
        assert_eq!(
            hints("{{count:2 buckets:[1 1]}} {{count:2 buckets:[2]}} {{count:3 buckets:[3]}}"),
            [Unknown, Unknown, NotReset]
        );
        assert_eq!(hints("{{count:1}} {{count:2 counter_reset_hint:reset}}"), [Unknown, Unknown]);
        assert_eq!(hints("{{count:2}} {{count:1 counter_reset_hint:not_reset}}"), [Unknown, Unknown]);
        assert_eq!(hints("{{counter_reset_hint:gauge}}x1 {{}}"), [Gauge, Gauge, Unknown]);
        assert_eq!(hints("{{}} 1 {{}}"), [Unknown, Unknown]);
        assert_eq!(hints("{{}} {{schema:-1}}"), [Unknown, Unknown]);
        let long = hints("{{}}x121");
        assert_eq!((long[119], long[120], long[121]), (NotReset, Unknown, NotReset));
    }
}
