//! Native histograms as Prometheus' API writes them: count, sum, and every bucket that is not empty.

use chronolith_storage::{
    FloatHistogram, Span,
    model::histogram::{
        CUSTOM_BUCKETS_SCHEMA,
        bounds::{custom_bound, exponential_bound},
    },
};

use crate::server::json;

/// A bucket between two bounds.
struct Bucket {
    lower: f64,
    upper: f64,
    count: f64,
}

/// Which of a bucket's bounds belong to it, by the API's number.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Rule {
    OpenLeft = 0,
    OpenRight = 1,
    OpenBoth = 2,
    ClosedBoth = 3,
}

impl Rule {
    const fn of(lower_inclusive: bool, upper_inclusive: bool) -> Self {
        match (lower_inclusive, upper_inclusive) {
            (true, true) => Self::ClosedBoth,
            (true, false) => Self::OpenRight,
            (false, true) => Self::OpenLeft,
            (false, false) => Self::OpenBoth,
        }
    }
}

/// Appends a histogram as an object.
pub(crate) fn write(out: &mut Vec<u8>, histogram: &FloatHistogram) {
    let custom = histogram.schema == CUSTOM_BUCKETS_SCHEMA;
    let (count, zero_count) = (histogram.count, histogram.zero_count);
    out.extend_from_slice(br#"{"count":"#);
    json::value(out, count);
    out.extend_from_slice(br#","sum":"#);
    json::value(out, histogram.sum);
    let before = out.len();
    let mut buckets = Writer { out, zero_threshold: histogram.zero_threshold };

    let mut negative = buckets_of(histogram, false);
    negative.reverse();
    for (index, count) in negative {
        let bucket = Bucket {
            lower: -exponential_bound(index, histogram.schema),
            upper: -exponential_bound(index.saturating_sub(1), histogram.schema),
            count,
        };
        buckets.exponential(bucket);
    }
    if zero_count > 0.0 {
        let width = histogram.zero_threshold;
        buckets.bucket(&Bucket { lower: -width, upper: width, count: zero_count }, Rule::ClosedBoth);
    }
    for (index, count) in buckets_of(histogram, true) {
        if custom {
            buckets.bucket(&custom_bucket(&histogram.custom_values, index, count), Rule::of(index == 0, true));
        } else {
            let bucket = Bucket {
                lower: exponential_bound(index.saturating_sub(1), histogram.schema),
                upper: exponential_bound(index, histogram.schema),
                count,
            };
            buckets.exponential(bucket);
        }
    }
    if out.len() > before {
        out.push(b']');
    }
    out.push(b'}');
}

/// Writes `,"buckets":[` before the first bucket and a comma before the others.
struct Writer<'o> {
    out: &'o mut Vec<u8>,
    zero_threshold: f64,
}

impl Writer<'_> {
    /// A bucket of an exponential schema, cut where it reaches into the zero bucket.
    fn exponential(&mut self, mut bucket: Bucket) {
        // Bounds are inclusive on the side that is further from zero, told before the cut.
        let rule = Rule::of(bucket.lower < 0.0, bucket.upper > 0.0);
        if bucket.upper < 0.0 && bucket.upper > -self.zero_threshold {
            bucket.upper = -self.zero_threshold;
        } else if bucket.lower > 0.0 && bucket.lower < self.zero_threshold {
            bucket.lower = self.zero_threshold;
        }
        self.bucket(&bucket, rule);
    }

    fn bucket(&mut self, bucket: &Bucket, rule: Rule) {
        if bucket.count == 0.0 {
            return;
        }
        // The object so far ends with the sum's quote, or with a bucket's bracket.
        let first = self.out.last() == Some(&b'"');
        self.out.extend_from_slice(if first { br#","buckets":["# } else { b"," });
        self.out.extend_from_slice(&[b'[', b'0' + rule as u8, b',']);
        json::value(self.out, bucket.lower);
        self.out.push(b',');
        json::value(self.out, bucket.upper);
        self.out.push(b',');
        json::value(self.out, bucket.count);
        self.out.push(b']');
    }
}

fn custom_bucket(bounds: &[f64], index: i32, count: f64) -> Bucket {
    Bucket { lower: custom_bound(index.saturating_sub(1), bounds), upper: custom_bound(index, bounds), count }
}

/// The index and the count of each bucket of one side.
pub(crate) fn buckets_of(histogram: &FloatHistogram, positive: bool) -> Vec<(i32, f64)> {
    if positive {
        place(&histogram.positive_spans, histogram.positive_buckets.iter().copied())
    } else {
        place(&histogram.negative_spans, histogram.negative_buckets.iter().copied())
    }
}

fn place(spans: &[Span], mut counts: impl Iterator<Item = f64>) -> Vec<(i32, f64)> {
    let mut placed = Vec::new();
    let mut index = 0i32;
    for span in spans {
        index = index.saturating_add(span.offset);
        for _ in 0..span.length {
            let Some(count) = counts.next() else { return placed };
            placed.push((index, count));
            index = index.saturating_add(1);
        }
    }
    placed
}

#[cfg(test)]
mod tests {
    use chronolith_storage::{Buckets, Histogram, ResetHint};

    use super::*;

    fn text(histogram: &Histogram) -> String {
        let mut out = Vec::new();
        write(&mut out, &histogram.to_float());
        String::from_utf8(out).unwrap()
    }

    fn exponential(buckets: Buckets) -> Histogram {
        Histogram {
            schema: 0,
            zero_threshold: 0.25,
            sum: 34593.34,
            reset_hint: ResetHint::Unknown,
            positive_spans: vec![Span { offset: -1, length: 2 }, Span { offset: 1, length: 1 }],
            negative_spans: vec![Span { offset: 0, length: 2 }],
            custom_values: Vec::new(),
            buckets,
        }
    }

    #[test]
    fn buckets_stand_in_order_with_their_rule() {
        let histogram = exponential(Buckets::Integer {
            count: 42,
            zero_count: 3,
            positive: vec![12, 9, -15],
            negative: vec![1, 1],
        });
        assert_eq!(
            text(&histogram),
            r#"{"count":"42","sum":"34593.34","buckets":[[1,"-2","-1","2"],[1,"-1","-0.5","1"],[3,"-0.25","0.25","3"],[0,"0.25","0.5","12"],[0,"0.5","1","21"],[0,"2","4","6"]]}"#
        );
    }

    #[test]
    fn empty_buckets_and_no_buckets_are_left_out() {
        let mut histogram = exponential(Buckets::Float {
            count: 1.5,
            zero_count: 0.0,
            positive: vec![0.0, 1.5, 0.0],
            negative: vec![0.0, 0.0],
        });
        assert_eq!(text(&histogram), r#"{"count":"1.5","sum":"34593.34","buckets":[[0,"0.5","1","1.5"]]}"#);
        histogram.buckets = Buckets::Float { count: 0.0, zero_count: 0.0, positive: Vec::new(), negative: Vec::new() };
        histogram.sum = f64::NAN;
        assert_eq!(text(&histogram), r#"{"count":"0","sum":"NaN"}"#);
    }

    #[test]
    fn a_bucket_that_reaches_into_the_zero_bucket_is_cut() {
        let mut histogram =
            exponential(Buckets::Float { count: 1.0, zero_count: 0.0, positive: vec![1.0], negative: vec![1.0] });
        histogram.zero_threshold = 0.3;
        histogram.positive_spans = vec![Span { offset: -1, length: 1 }];
        histogram.negative_spans = vec![Span { offset: -1, length: 1 }];
        assert_eq!(
            text(&histogram),
            r#"{"count":"1","sum":"34593.34","buckets":[[1,"-0.5","-0.3","1"],[0,"0.3","0.5","1"]]}"#
        );
    }

    #[test]
    fn custom_buckets_have_their_own_bounds() {
        let mut histogram =
            exponential(Buckets::Integer { count: 6, zero_count: 0, positive: vec![1, 1, 1], negative: Vec::new() });
        histogram.schema = CUSTOM_BUCKETS_SCHEMA;
        histogram.custom_values = vec![5.0, 10.0];
        histogram.positive_spans = vec![Span { offset: 0, length: 3 }];
        histogram.negative_spans = Vec::new();
        assert_eq!(
            text(&histogram),
            r#"{"count":"6","sum":"34593.34","buckets":[[3,"-Inf","5","1"],[0,"5","10","2"],[0,"10","+Inf","3"]]}"#
        );
    }
}
