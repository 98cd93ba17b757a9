//! Writes a histogram in the notation that reads it: `{{schema:1 count:3 sum:5 buckets:[1 2]}}`.

use std::fmt;

use chronolith_storage::{FloatHistogram, ResetHint, Span, model::histogram::CUSTOM_BUCKETS_SCHEMA};

use crate::format::float_general;

/// A histogram that displays in the series notation. What is 0 is left out, as Prometheus' tests write it.
#[derive(Debug, Clone, Copy)]
pub struct HistogramText<'a>(pub &'a FloatHistogram);

/// Longer runs of empty buckets are written as their number, since spans may lie any distance apart.
const MAX_WRITTEN_GAP: u32 = 64;

impl fmt::Display for HistogramText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let h = self.0;
        let mut parts = Vec::new();
        if h.schema != 0 {
            parts.push(format!("schema:{}", h.schema));
        }
        for (key, value) in
            [("count", h.count), ("sum", h.sum), ("z_bucket", h.zero_count), ("z_bucket_w", h.zero_threshold)]
        {
            if value != 0.0 {
                parts.push(format!("{key}:{}", float_general(value)));
            }
        }
        if h.schema == CUSTOM_BUCKETS_SCHEMA {
            let bounds: Vec<String> = h.custom_values.iter().map(|v| float_general(*v)).collect();
            parts.push(format!("custom_values:[{}]", bounds.join(" ")));
        }
        match h.reset_hint {
            ResetHint::Unknown => {}
            ResetHint::Reset => parts.push("counter_reset_hint:reset".to_owned()),
            ResetHint::NotReset => parts.push("counter_reset_hint:not_reset".to_owned()),
            ResetHint::Gauge => parts.push("counter_reset_hint:gauge".to_owned()),
        }
        side(&mut parts, ["offset", "buckets"], &h.positive_spans, &h.positive_buckets);
        side(&mut parts, ["n_offset", "n_buckets"], &h.negative_spans, &h.negative_buckets);
        write!(f, "{{{{{}}}}}", parts.join(" "))
    }
}

/// One side as a single run of buckets.
fn side(parts: &mut Vec<String>, [offset_key, buckets_key]: [&str; 2], spans: &[Span], buckets: &[f64]) {
    let mut words = Vec::new();
    let mut counts = buckets.iter();
    // Offsets before the first bucket move the whole run, those behind it are gaps in it.
    let mut first = 0i64;
    for span in spans {
        if words.is_empty() {
            first += i64::from(span.offset);
        } else if span.offset.unsigned_abs() <= MAX_WRITTEN_GAP {
            words.extend((0..span.offset).map(|_| "0".to_owned()));
        } else {
            words.push(format!("({} empty)", span.offset));
        }
        words.extend(counts.by_ref().take(span.length as usize).map(|c| float_general(*c)));
    }
    if words.is_empty() {
        return;
    }
    if first != 0 {
        parts.push(format!("{offset_key}:{first}"));
    }
    parts.push(format!("{buckets_key}:[{}]", words.join(" ")));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series_notation::{Point, parse_series};

    fn histogram(text: &str) -> FloatHistogram {
        match parse_series(&format!("m {text}")).unwrap().points.remove(0) {
            Point::Histogram { histogram, .. } => histogram.to_float(),
            point => panic!("{point:?}"),
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        let texts = [
            "{{}}",
            "{{schema:1 count:3.1 sum:-0.3 z_bucket:7.1 z_bucket_w:0.05 counter_reset_hint:gauge offset:-3 \
             buckets:[5.1 10 7] n_offset:5 n_buckets:[4.1 5]}}",
            "{{schema:-53 count:4 sum:2 custom_values:[1 2.5] buckets:[1 3]}}",
        ];
        for text in texts {
            assert_eq!(HistogramText(&histogram(text)).to_string(), text);
        }
    }

    #[test]
    fn gaps_are_written() {
        let mut h = histogram("{{buckets:[1 2 3]}}");
        h.positive_spans = vec![Span { offset: 2, length: 1 }, Span { offset: 2, length: 2 }];
        assert_eq!(HistogramText(&h).to_string(), "{{offset:2 buckets:[1 0 0 2 3]}}");
        h.positive_spans[1].offset = 1_000_000;
        assert_eq!(HistogramText(&h).to_string(), "{{offset:2 buckets:[1 (1000000 empty) 2 3]}}");
    }
}
