//! Native histograms as Prometheus' API writes them: count, sum, and every bucket that is not empty.

use chronolith_storage::{FloatHistogram, model::histogram::Bucket};

use crate::server::json;

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
    const fn of(bucket: &Bucket) -> Self {
        match (bucket.lower_inclusive, bucket.upper_inclusive) {
            (true, true) => Self::ClosedBoth,
            (true, false) => Self::OpenRight,
            (false, true) => Self::OpenLeft,
            (false, false) => Self::OpenBoth,
        }
    }
}

/// Appends a histogram as an object.
pub(crate) fn write(out: &mut Vec<u8>, histogram: &FloatHistogram) {
    out.extend_from_slice(br#"{"count":"#);
    json::value(out, histogram.count);
    out.extend_from_slice(br#","sum":"#);
    json::value(out, histogram.sum);
    let mut separator: &[u8] = br#","buckets":["#;
    for bucket in histogram.all_buckets().filter(|b| b.count != 0.0) {
        out.extend_from_slice(separator);
        separator = b",";
        out.extend_from_slice(&[b'[', b'0' + Rule::of(&bucket) as u8, b',']);
        json::value(out, bucket.lower);
        out.push(b',');
        json::value(out, bucket.upper);
        out.push(b',');
        json::value(out, bucket.count);
        out.push(b']');
    }
    if separator == b"," {
        out.push(b']');
    }
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use chronolith_storage::{Buckets, Histogram, ResetHint, Span, model::histogram::CUSTOM_BUCKETS_SCHEMA};

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
