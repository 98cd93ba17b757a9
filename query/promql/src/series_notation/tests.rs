//! Tests of the series notation.

use chronolith_storage::{LabelsBuilder, ResetHint, Span, model::is_stale};
use proptest::prelude::*;

use super::*;

/// Numbers and gaps of a line.
fn numbers(line: &str) -> Vec<Option<f64>> {
    let point = |p: &Point| match p {
        Point::Gap => None,
        Point::Float(v) => Some(*v),
        Point::Histogram { .. } => panic!("a histogram in {line}"),
    };
    parse_series(line).unwrap_or_else(|e| panic!("{line}: {e}")).points.iter().map(point).collect()
}

fn histograms(line: &str) -> Vec<Arc<FloatHistogram>> {
    let point = |p: Point| match p {
        Point::Histogram { histogram, .. } => histogram,
        p => panic!("{p:?} in {line}"),
    };
    parse_series(line).unwrap_or_else(|e| panic!("{line}: {e}")).points.into_iter().map(point).collect()
}

#[test]
fn numbers_and_gaps() {
    let some = |values: &[f64]| values.iter().copied().map(Some).collect::<Vec<_>>();
    let cases: [(&str, &[f64]); 10] = [
        ("{} 1 2 3", &[1.0, 2.0, 3.0]),
        ("m{a=\"b\"} 1 2 3-10x4", &[1.0, 2.0, 3.0, -7.0, -17.0, -27.0, -37.0]),
        ("m 1x0", &[1.0]),
        ("m 1+1x0 1x2", &[1.0, 1.0, 1.0, 1.0]),
        ("m 1 -1 -3-10x4 7 9 +5", &[1.0, -1.0, -3.0, -13.0, -23.0, -33.0, -43.0, 7.0, 9.0, 5.0]),
        ("m 0x3", &[0.0; 4]),
        ("m 1.5e-3 .5 5. 1e3x1", &[0.0015, 0.5, 5.0, 1000.0, 1000.0]),
        ("m Inf -inf", &[f64::INFINITY, f64::NEG_INFINITY]),
        ("m 1 2 3    ", &[1.0, 2.0, 3.0]),
        ("m", &[]),
    ];
    for (line, values) in cases {
        assert_eq!(numbers(line), some(values), "{line}");
    }
    assert_eq!(numbers("m 1 _ _x2 2"), [Some(1.0), None, None, None, Some(2.0)]);
    let points = parse_series("m stale NaN").unwrap().points;
    assert!(matches!(points[..], [Point::Float(a), Point::Float(b)] if is_stale(a) && b.is_nan() && !is_stale(b)));
}

#[test]
fn labels() {
    let labels = |line| parse_series(line).unwrap().labels.to_string();
    assert_eq!(labels("m{a=\"\\u70ac\", b='c',} 1"), "m{a=\"\u{70ac}\", b=\"c\"}");
    assert_eq!(labels("{\"my.metric\", \"a.b\"=\"c\"} 1"), "{\"my.metric\", \"a.b\"=\"c\"}");
    assert_eq!(labels("{__name__=\"x\"} 1"), "x");
    assert_eq!(labels("sum{by=\"x\"} 1"), "sum{by=\"x\"}");
}

#[test]
fn bad_lines_are_named() {
    let cases = [
        (
            "m 1+1",
            "1:6: parse error: unexpected end of input in series values, expected \"x\" and a count after the step",
        ),
        ("m 1 _a4", "1:6: parse error: unexpected 'a' in series values, expected a space"),
        ("m x", "1:3: parse error: unexpected 'x' in series values, expected number or \"stale\""),
        ("m 1x", "1:5: parse error: unexpected end of input in series values, expected a count"),
        ("m 5m", "1:4: parse error: unexpected 'm' in series values, expected a space"),
        ("m{a=1} 1", "1:5: parse error: unexpected character inside braces: '1'"),
        ("m{a} 1", "1:4: parse error: unexpected \"}\" in label set, expected \"=\""),
        ("1 2", "1:1: parse error: unexpected number \"1\""),
        ("m 1x99999999", "1:13: parse error: the line stands for more than 1000000 points"),
        ("m {{schema:0 schema:1}}", "1:14: parse error: duplicate key \"schema\" in histogram"),
        ("m {{shema:0}}", "1:5: parse error: bad histogram descriptor found: \"shema\""),
        (
            "m {{schema:1}}+{{schema:0}}x2",
            "1:30: parse error: error combining histograms: cannot merge from schema 0 to 1",
        ),
    ];
    for (line, error) in cases {
        assert_eq!(parse_series(line).map_err(|e| e.to_string()), Err(error.to_owned()), "{line}");
    }
    for line in ["m -3-3 -3", "m -3 -3-3", "m -3 _-2", "m -3 3+3x4-4", "", "m {{", "m {{schema:1", "m {{buckets:[1"] {
        assert!(parse_series(line).is_err(), "{line}");
    }
}

#[test]
fn histograms_have_every_part() {
    let line = "m {{schema:1 sum:-0.3 count:3.1 z_bucket:7.1 z_bucket_w:0.05 buckets:[5.1 10 7] offset:-3 \
                n_buckets:[4.1 5] n_offset:5 counter_reset_hint:gauge}}";
    let expected = FloatHistogram {
        schema: 1,
        zero_threshold: 0.05,
        zero_count: 7.1,
        count: 3.1,
        sum: -0.3,
        reset_hint: ResetHint::Gauge,
        positive_spans: vec![Span { offset: -3, length: 3 }],
        negative_spans: vec![Span { offset: 5, length: 2 }],
        positive_buckets: vec![5.1, 10.0, 7.0],
        negative_buckets: vec![4.1, 5.0],
        custom_values: vec![],
    };
    let point = parse_series(line).unwrap().points.remove(0);
    assert_eq!(point, Point::Histogram { histogram: Arc::new(expected), hint_is_written: true });
    assert_eq!(histograms("m {{}}x2 {{ }}").len(), 4);
    let custom = histograms("m {{schema:-53 custom_values:[1 2 +Inf] buckets:[1 -2  3 ]}}");
    assert_eq!(custom[0].custom_values, [1.0, 2.0, f64::INFINITY]);
}

#[test]
fn histograms_add_up_over_the_union_of_their_spans() {
    let line = "m {{schema:0 sum:1 count:3 buckets:[1 2]}}+{{schema:0 sum:2 count:4 buckets:[4] offset:3}}x2";
    let all = histograms(line);
    assert_eq!(all.len(), 3);
    assert_eq!(all[2].positive_spans, [Span { offset: 0, length: 2 }, Span { offset: 1, length: 1 }]);
    assert_eq!((all[2].sum, all[2].count, &all[2].positive_buckets[..]), (5.0, 11.0, &[1.0, 2.0, 8.0][..]));
}

#[test]
fn a_finer_step_loses_its_resolution() {
    // Buckets 1..=4 of schema 1 are buckets 1, 1, 2, 2 of schema 0.
    let all = histograms("m {{schema:0 buckets:[1 1] offset:1}}-{{schema:1 buckets:[1 2 3 4] offset:1}}x1");
    assert_eq!(all[1].positive_buckets, [-2.0, -6.0]);
}

#[test]
fn blocks_have_absolute_timestamps() {
    let text = "
        load 15s
          # a comment

          b 1+1x2
          a{x=\"y\"}@st -1s _ 5s-1sx0
          a{x=\"y\"} 1 _ stale
          b 7";
    let load = parse_load(text).unwrap();
    assert_eq!(load.interval_ms, 15_000);
    let labels: Vec<String> = load.series.iter().map(|s| s.labels.to_string()).collect();
    assert_eq!(labels, ["a{x=\"y\"}", "b"]);
    let times: Vec<_> = load.series[0].samples.iter().map(|s| (s.timestamp, s.start_timestamp)).collect();
    assert_eq!(times, [(0, -1000), (30_000, 35_000)]);
    assert_eq!(
        load.series[1].samples,
        [LoadedSample { timestamp: 0, start_timestamp: 0, value: SampleValue::Float(7.0) }]
    );
}

#[test]
fn bad_blocks_are_named() {
    let cases = [
        ("", "line 1: expected `load <interval>` and one series a line below it"),
        ("\nlode 5m", "line 2: expected `load <interval>` and one series a line below it"),
        ("load 5q", "line 1: invalid interval \"5q\": unknown unit \"q\" in duration \"5q\""),
        ("load_with_nhcb 5m\nm_bucket 1", "line 1: expected bucket label in metric m_bucket"),
        ("load 5m\nm 1 $", "line 2: 1:5: parse error: unexpected '$' in series values, expected number or \"stale\""),
        ("load 5m\nm@st 1m", "line 2: @st line has no following sample line"),
        ("load 5m\nm@st 1m\nn 1", "line 2: @st metric does not match the following sample line metric"),
        ("load 5m\nm@st 1m\nm 1 2", "line 2: @st line has 1 values but sample line has 2"),
    ];
    for (text, error) in cases {
        assert_eq!(parse_load(text).map_err(|e| e.to_string()), Err(error.to_owned()), "{text}");
    }
}

proptest! {
    #[test]
    fn never_panics(line in r#"(m|m\{a="b"\}) ([0-9x+\-_ .e{}\[\]:,]|stale|schema|buckets|\{\{|\}\}|inf|count){0,40}"#) {
        let _ = parse_series(&line);
        let _ = parse_load(&format!("load 1s\n{line}"));
    }

    #[test]
    fn sequences_have_one_more_than_the_count(value in -1000i32..1000, step in 0i32..100, count in 0usize..100) {
        let all = numbers(&format!("m {value}+{step}x{count}"));
        prop_assert_eq!(all.len(), count + 1);
        prop_assert_eq!(all[count], Some(f64::from(value) + f64::from(step) * count as f64));
    }

    #[test]
    fn labels_read_back(pairs in proptest::collection::vec(("[a-z_]{1,5}", ".{1,5}"), 0..5)) {
        let mut builder = LabelsBuilder::default();
        for (name, value) in &pairs {
            builder.set(name, value);
        }
        let labels = builder.build();
        let body: Vec<String> =
            labels.iter().map(|(n, v)| format!("{n}={}", crate::quote::Quoted(v))).collect();
        prop_assert_eq!(parse_series(&format!("{{{}}} 1", body.join(","))).unwrap().labels, labels);
    }
}
