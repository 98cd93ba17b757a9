//! What the engine promises beside values: limits, refusals, the words of failures, names, threads, statistics.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use chronolith_promql::{
    engine::{
        self, Deadline, ErrorKind, Level, QueryError, QueryOptions, QueryOutput, QueryValue, RangeSeries, SampleValue,
    },
    parse,
};
use chronolith_storage::{
    Buckets, Histogram, Labels, Matcher, ResetHint, Result, SampleBuffer, SeriesSet, SeriesSource, TimeRange,
    clock::VirtualClock, read::HistogramSample,
};

const INF: f64 = f64::INFINITY;

/// Series with their samples.
#[derive(Default)]
struct Source {
    series: Vec<(Labels, SampleBuffer)>,
    /// Set when a series is read.
    cancel_on_read: Option<Arc<AtomicBool>>,
    /// Moved by a second when a series is read.
    clock: Option<Arc<VirtualClock>>,
}

impl Source {
    fn add(&mut self, pairs: &[(&str, &str)], samples: impl IntoIterator<Item = (i64, f64)>) -> &mut Self {
        let mut buffer = SampleBuffer::default();
        samples.into_iter().for_each(|(t, v)| buffer.push_float(t, v, 0));
        self.series.push((Labels::from_pairs(pairs.iter().copied()), buffer));
        self.series.sort_by(|a, b| a.0.cmp(&b.0));
        self
    }

    fn add_histogram(&mut self, name: &str, timestamp: i64) -> &mut Self {
        let buckets = Buckets::Float { count: 2.0, zero_count: 2.0, positive: Vec::new(), negative: Vec::new() };
        let histogram = Histogram {
            schema: 0,
            zero_threshold: 0.001,
            sum: 3.0,
            reset_hint: ResetHint::Unknown,
            positive_spans: Vec::new(),
            negative_spans: Vec::new(),
            custom_values: Vec::new(),
            buckets,
        };
        let sample = HistogramSample { timestamp, start_timestamp: 0, histogram: Arc::new(histogram) };
        let buffer = SampleBuffer { histograms: vec![sample], ..SampleBuffer::default() };
        self.series.push((Labels::from_pairs([("__name__", name)]), buffer));
        self
    }
}

impl SeriesSource for Source {
    fn select(&self, matchers: &[Matcher], _: TimeRange) -> Result<Box<dyn SeriesSet + '_>> {
        let fits = |l: &Labels| matchers.iter().all(|m| m.matches(l.get(m.name()).unwrap_or_default()));
        Ok(Box::new(Chosen { source: self, chosen: self.series.iter().filter(|(l, _)| fits(l)).collect() }))
    }
}

struct Chosen<'a> {
    source: &'a Source,
    chosen: Vec<&'a (Labels, SampleBuffer)>,
}

impl SeriesSet for Chosen<'_> {
    fn len(&self) -> usize {
        self.chosen.len()
    }

    fn labels(&self, index: usize) -> &Labels {
        &self.chosen[index].0
    }

    fn read(&self, index: usize, range: TimeRange, out: &mut SampleBuffer) -> Result<()> {
        if let Some(cancel) = &self.source.cancel_on_read {
            cancel.store(true, Ordering::Relaxed);
        }
        if let Some(clock) = &self.source.clock {
            clock.advance(Duration::from_secs(1));
        }
        let from = &self.chosen[index].1;
        for (t, v) in from.timestamps.iter().zip(&from.values).filter(|(t, _)| range.contains(**t)) {
            out.push_float(*t, *v, 0);
        }
        out.histograms.extend(from.histograms.iter().filter(|h| range.contains(h.timestamp)).cloned());
        Ok(())
    }
}

fn instant_with(source: &Source, query: &str, at: i64, options: &QueryOptions) -> Result<QueryOutput, QueryError> {
    engine::instant(source, &parse(query).expect("a valid query"), at, options)
}

fn instant(source: &Source, query: &str, at: i64) -> Result<QueryOutput, QueryError> {
    instant_with(source, query, at, &QueryOptions::default())
}

fn range(source: &Source, query: &str, times: (i64, i64, i64), options: &QueryOptions) -> Vec<RangeSeries> {
    let expr = parse(query).expect("a valid query");
    let output = engine::range(source, &expr, times.0, times.1, times.2, options).expect("an answer");
    let QueryValue::Matrix(series) = output.value else { panic!("not a matrix") };
    series
}

/// The error that a query at time 0 gives.
fn failure(source: &Source, query: &str) -> QueryError {
    instant(source, query, 0).expect_err(query)
}

/// Labels and floats of a vector.
fn floats(output: QueryOutput) -> Vec<(String, f64)> {
    let QueryValue::Vector { samples, .. } = output.value else { panic!("not a vector") };
    samples
        .into_iter()
        .map(|s| match s.value {
            SampleValue::Float(v) => (s.labels.to_string(), v),
            SampleValue::Histogram(_) => panic!("a histogram"),
        })
        .collect()
}

#[test]
fn limits_are_kept_and_named() {
    let mut source = Source::default();
    source.add(&[("__name__", "a")], (0..100).map(|i| (i * 1000, 1.0)));
    let few = QueryOptions { max_samples: 50, ..QueryOptions::default() };
    let error = instant_with(&source, "sum_over_time(a[100s])", 99_000, &few).expect_err("too many");
    assert_eq!(error.to_string(), "query processing would load too many samples into memory in query execution");
    assert_eq!(error.kind(), ErrorKind::Execution);
    assert!(instant_with(&source, "sum_over_time(a[40s])", 99_000, &few).is_ok());
    assert!(instant_with(&source, "a[100s]", 99_000, &few).is_err());
    assert!(instant_with(&source, "count_over_time(vector(1)[100y:1ms])", 0, &QueryOptions::default()).is_err());
    let small = QueryOptions { max_memory_bytes: Some(100), ..QueryOptions::default() };
    let error = engine::range(&source, &parse("a").expect("valid"), 0, 99_000, 1000, &small).expect_err("too much");
    assert!(error.to_string().starts_with("query needs more than its memory budget of 100 bytes"), "{error}");
}

#[test]
fn a_query_ends_when_it_is_cancelled_or_too_late() {
    let cancel = Arc::new(AtomicBool::new(false));
    let clock = Arc::new(VirtualClock::at(0));
    let mut source = Source { cancel_on_read: Some(Arc::clone(&cancel)), ..Source::default() };
    for i in 0..100 {
        source.add(&[("__name__", "a"), ("i", &i.to_string())], [(0, 1.0)]);
    }
    let options = QueryOptions { cancel: Some(cancel), ..QueryOptions::default() };
    let error = instant_with(&source, "sum(a)", 0, &options).expect_err("cancelled");
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (ErrorKind::Canceled, "query was canceled in expression evaluation")
    );
    source.cancel_on_read = None;
    source.clock = Some(Arc::clone(&clock));
    let deadline = Deadline::after(clock, Duration::from_secs(10));
    let options = QueryOptions { deadline: Some(deadline), ..QueryOptions::default() };
    let error = instant_with(&source, "sum(a)", 0, &options).expect_err("too late");
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (ErrorKind::Timeout, "query timed out in expression evaluation")
    );
}

#[test]
fn failures_have_the_words_of_prometheus() {
    let mut source = Source::default();
    source
        .add(&[("__name__", "a"), ("i", "1"), ("j", "x")], [(0, 1.0)])
        .add(&[("__name__", "a"), ("i", "2"), ("j", "x")], [(0, 2.0)])
        .add(&[("__name__", "b"), ("i", "1"), ("j", "x")], [(0, 3.0)]);
    for (query, want) in [
        (
            "b * on (j) a",
            r#"found duplicate series for the match group {j="x"} on the right hand-side of the operation: [{__name__="a", i="1", j="x"}, {__name__="a", i="2", j="x"}];many-to-many matching not allowed: matching labels must be unique on one side"#,
        ),
        ("a * on (j) b", "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"),
        ("a * on (j) group_left (i) b", "multiple matches for labels: grouping labels must ensure unique matches"),
        ("abs({i=\"1\"})", "vector cannot contain metrics with the same labelset"),
        ("count_over_time({i=\"1\"}[5m])", "vector cannot contain metrics with the same labelset"),
        ("label_replace(a, \"i\", \"\", \"i\", \".*\")", "vector cannot contain metrics with the same labelset"),
        ("label_replace(a, \"i\", \"\", \"i\", \"(\")", "invalid regular expression in label_replace(): ("),
        ("topk(NaN, a)", "Parameter value is NaN"),
        ("topk(1e30, a)", "Scalar value 1e+30 overflows int64"),
    ] {
        assert_eq!(failure(&source, query).to_string(), want, "{query}");
    }
    assert_eq!(
        failure(&source, "max_over_time(a[5m] smoothed)").to_string(),
        "smoothed modifier can only be used with: delta, increase, rate - not with max_over_time"
    );
    let range = engine::range(&source, &parse("a[5m]").expect("valid"), 0, 1, 1, &QueryOptions::default());
    assert_eq!(
        range.expect_err("a range vector").to_string(),
        "invalid expression type \"range vector\" for range query, must be Scalar or instant Vector"
    );
    assert!(instant(&source, "a", i64::MAX).is_err());
}

#[test]
fn series_that_lose_their_names_merge_where_they_never_meet() {
    let mut source = Source::default();
    source
        .add(&[("__name__", "a")], [(0, 1.0), (60_000, f64::from_bits(0x7ff0_0000_0000_0002))])
        .add(&[("__name__", "b")], [(60_000, -2.0)]);
    let options = QueryOptions::default();
    let got = range(&source, "abs({__name__=~\"a|b\"})", (0, 120_000, 60_000), &options);
    assert_eq!(got.len(), 1);
    assert_eq!(
        (got[0].timestamps.as_slice(), got[0].values.as_slice()),
        (&[0, 60_000, 120_000][..], &[1.0, 2.0, 2.0][..])
    );
    let got = range(&source, "{__name__=~\"a|b\"} * 2", (0, 120_000, 60_000), &options);
    assert_eq!(got[0].values, [2.0, -4.0, -4.0]);
    // With delayed removal it happens once, at the end.
    let delayed = QueryOptions { delayed_name_removal: true, ..options };
    assert_eq!(range(&source, "abs({__name__=~\"a|b\"})", (0, 120_000, 60_000), &delayed), {
        let mut want = got;
        want[0].values = vec![1.0, 2.0, 2.0];
        want
    });
}

#[test]
fn the_number_of_threads_does_not_show_in_a_single_bit() {
    let mut source = Source::default();
    for i in 0..300u64 {
        let samples = (0..1000u64).map(|k| {
            let v = (k * 7919 + i * 104_729).wrapping_mul(2_654_435_761) % 1_000_003;
            (k as i64 * 15_000, v as f64 / 7.0)
        });
        source.add(&[("__name__", "a_total"), ("i", &i.to_string()), ("g", &(i % 7).to_string())], samples);
    }
    for query in [
        "sum by (g) (rate(a_total[5m]))",
        "avg(a_total)",
        "stddev by (g) (increase(a_total[5m]))",
        "topk by (g) (3, a_total)",
        "quantile by (g) (0.3, a_total)",
        "rate(a_total[5m])",
        "absent_over_time(a_total[1m])",
        "count_values(\"v\", floor(a_total / 20000))",
    ] {
        let with = |threads| {
            let options = QueryOptions { threads, ..QueryOptions::default() };
            range(&source, query, (0, 15_000_000, 60_000), &options)
        };
        let one = with(1);
        assert!(!one.is_empty() || query.starts_with("absent"), "{query}");
        for threads in [2, 5] {
            assert_eq!(with(threads), one, "{query}");
        }
    }
}

#[test]
fn histograms_pass_where_floats_pass() {
    let mut source = Source::default();
    source.add_histogram("h", 0).add(&[("__name__", "f")], [(0, 5.0)]);
    for query in ["h", "last_over_time(h[1m])", "h or f", "topk(1, f) or on (__name__) h"] {
        let output = instant(&source, query, 0).expect(query);
        let QueryValue::Vector { samples, .. } = output.value else { panic!("not a vector") };
        assert!(samples.iter().any(|s| matches!(s.value, SampleValue::Histogram(_))), "{query}");
    }
    assert_eq!(floats(instant(&source, "count(h)", 0).expect("a count")), [("{}".to_owned(), 1.0)]);
    assert_eq!(floats(instant(&source, "count_over_time(h[1m])", 0).expect("a count")), [("{}".to_owned(), 1.0)]);
    assert_eq!(floats(instant(&source, "abs({__name__=~\"h|f\"})", 0).expect("floats")), [("{}".to_owned(), 5.0)]);
    let output = instant(&source, "max({__name__=~\"h|f\"})", 0).expect("a maximum");
    let texts: Vec<String> = output.annotations.iter().map(|a| a.text("max(h)")).collect();
    assert_eq!(texts, ["PromQL info: ignored histogram in max aggregation (1:5)"]);
    let QueryValue::Matrix(m) = instant(&source, "h[1m]", 0).expect("a range").value else { panic!("not a matrix") };
    assert_eq!((m.len(), m[0].histograms.len()), (1, 1));
}

#[test]
fn remarks_and_statistics_are_there() {
    let mut source = Source::default();
    source
        .add(&[("__name__", "gauge")], (0..10).map(|i| (i * 15_000, i as f64)))
        .add(&[("__name__", "b_bucket"), ("le", "1")], [(0, 10.0)])
        .add(&[("__name__", "b_bucket"), ("le", "2")], [(0, 7.0)])
        .add(&[("__name__", "b_bucket"), ("le", "+Inf")], [(0, 10.0)])
        .add(&[("__name__", "b_bucket"), ("le", "many")], [(0, 10.0)]);
    let texts = |query: &str, at| -> Vec<(Level, String)> {
        let output = instant(&source, query, at).expect(query);
        output.annotations.iter().map(|a| (a.level, a.text(query))).collect()
    };
    let output = instant(&source, "rate(gauge[1m])", 135_000).expect("a rate");
    assert_eq!((output.statistics.samples_read, output.statistics.series_selected), (4, 1));
    assert!(output.statistics.peak_samples >= 4);
    assert_eq!(texts("rate(gauge[1m])", 135_000), [(
        Level::Info,
        "PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: \"gauge\" (1:6)"
            .to_owned()
    )]);
    let typed = QueryOptions { type_and_unit_labels: true, ..QueryOptions::default() };
    let output = instant_with(&source, "rate(gauge[1m])", 135_000, &typed).expect("a rate");
    let found: Vec<String> = output.annotations.iter().map(|a| a.text("rate(gauge[1m])")).collect();
    assert_eq!(
        found,
        ["PromQL info: metric might not be a counter, __type__ label is not set to \"counter\" or \
                        \"histogram\", got \"\": \"gauge\" (1:6)"]
    );
    let found = texts("histogram_quantile(2,\n b_bucket)", 0);
    assert_eq!(found[0].1, "PromQL warning: quantile value should be between 0 and 1, got 2 (1:20)");
    assert_eq!(found[1].1, "PromQL warning: bucket label \"le\" is missing or has a malformed value of \"many\" (2:2)");
    let found = texts("histogram_quantile(0.5, b_bucket)", 0);
    assert_eq!(
        found[1].1,
        "PromQL info: input to histogram_quantile needed to be fixed for monotonicity (see \
         https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile), from buckets 2 to 2, \
         with a max diff of 3, over 1 samples from 1970-01-01T00:00:00Z to 1970-01-01T00:00:00Z (1:25)"
    );
}

#[test]
fn values_by_example() {
    let mut source = Source::default();
    source
        .add(&[("__name__", "a"), ("i", "1")], [(0, 1.0)])
        .add(&[("__name__", "a"), ("i", "2")], [(0, f64::NAN)])
        .add(&[("__name__", "a"), ("i", "3")], [(0, 3.0)]);
    let at = |query: &str| floats(instant(&source, query, 0).expect(query));
    let names = |query: &str| at(query).into_iter().map(|(l, _)| l).collect::<Vec<_>>();
    assert_eq!(names("sort(a)"), [r#"a{i="1"}"#, r#"a{i="3"}"#, r#"a{i="2"}"#]);
    assert_eq!(names("sort_desc(a)"), [r#"a{i="3"}"#, r#"a{i="1"}"#, r#"a{i="2"}"#]);
    assert_eq!(names("bottomk(2, a)"), [r#"a{i="1"}"#, r#"a{i="3"}"#]);
    assert_eq!(at("max(a)"), [("{}".to_owned(), 3.0)]);
    assert_eq!(at("absent(nothing{x=\"y\", z=~\"w\"})"), [(r#"{x="y"}"#.to_owned(), 1.0)]);
    assert_eq!(at("a{i=\"1\"} / 0"), [(r#"{i="1"}"#.to_owned(), INF)]);
    assert_eq!(at("1 < bool a{i=\"3\"}"), [(r#"{i="3"}"#.to_owned(), 1.0)]);
    assert_eq!(at("2 < a"), [(r#"a{i="3"}"#.to_owned(), 3.0)]);
    assert_eq!(at("day_of_week()"), [("{}".to_owned(), 4.0)]);
    assert_eq!(at("timestamp(a{i=\"1\"})"), [(r#"{i="1"}"#.to_owned(), 0.0)]);
    let QueryValue::Scalar { value, .. } = instant(&source, "scalar(a)", 0).expect("a scalar").value else {
        panic!("not a scalar")
    };
    assert!(value.is_nan());
    let QueryValue::String { value, .. } = instant(&source, "\"text\"", 0).expect("a text").value else {
        panic!("not a string")
    };
    assert_eq!(value, "text");
    // A subquery stands at multiples of its step and, like a range, is open on the left.
    let QueryValue::Matrix(m) = instant(&source, "a{i=\"1\"}[20s:10s]", 25_000).expect("a subquery").value else {
        panic!("not a matrix")
    };
    assert_eq!(m[0].timestamps, [10_000, 20_000]);
    let QueryValue::Matrix(m) = instant(&source, "a{i=\"1\"}[20s:10s]", 20_000).expect("a subquery").value else {
        panic!("not a matrix")
    };
    assert_eq!(m[0].timestamps, [10_000, 20_000]);
    let got = range(&source, "1 + time()", (0, 20_000, 10_000), &QueryOptions::default());
    assert_eq!((got[0].labels.is_empty(), got[0].values.as_slice()), (true, &[1.0, 11.0, 21.0][..]));
    let got = range(&source, "sum(a @ 0 unless a{i=\"2\"})", (0, 20_000, 10_000), &QueryOptions::default());
    assert_eq!(got[0].values, [4.0; 3]);
}
