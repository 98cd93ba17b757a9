//! Both text formats, read and written.

use chronolith_storage::{Exemplar, Labels, MetricKind};
use proptest::prelude::*;

use super::{Entry, ExpositionWriter, Format, ParseProblem, Parser, SampleLine};
use crate::ingest::label_rules::{LabelError, LabelLimits};

fn parse(text: &str, format: Format) -> Vec<Entry<'_>> {
    Parser::new(text.as_bytes(), format).collect::<Result<_, _>>().unwrap()
}

fn sample(line: &str) -> SampleLine<'_> {
    match parse(line, Format::Prometheus).as_slice() {
        [Entry::Sample(sample)] => *sample,
        other => panic!("{other:?}"),
    }
}

fn labels(line: &str) -> String {
    sample(line).to_labels(&LabelLimits::default()).unwrap().to_string()
}

#[test]
fn prometheus_text_is_read_as_prometheus_reads_it() {
    let text = "# HELP http_requests_total The \\\\ total\\nnumber \\\"of\\\" requests.\n\
                # TYPE http_requests_total counter\n\
                http_requests_total{method=\"post\",code=\"200\"} 1027 1395066363000\n\
                \n\
                # a comment\n\
                \t with_blanks { a = \"b\" , } \t 3 \t-4 \n\
                no_labels 12.47\r\n\
                inf -Inf\n";
    let entries = parse(text, Format::Prometheus);
    assert_eq!(entries.len(), 7);
    let Entry::Help { family, text } = &entries[0] else { panic!() };
    assert_eq!((family.as_ref(), text.as_ref()), ("http_requests_total", "The \\ total\nnumber \"of\" requests."));
    assert_eq!(entries[1], Entry::Type { family: "http_requests_total".into(), kind: MetricKind::Counter });
    let Entry::Sample(first) = entries[2] else { panic!() };
    assert_eq!((first.value, first.timestamp), (1_027.0, Some(1_395_066_363_000)));
    assert_eq!(first.series(), "http_requests_total{method=\"post\",code=\"200\"}");
    assert_eq!(entries[3], Entry::Comment(" a comment"));
    let Entry::Sample(blanks) = entries[4] else { panic!() };
    assert_eq!((blanks.value, blanks.timestamp, blanks.series()), (3.0, Some(-4), "with_blanks { a = \"b\" , }"));
    assert_eq!(blanks.to_labels(&LabelLimits::default()).unwrap().to_string(), r#"with_blanks{a="b"}"#);
    let Entry::Sample(inf) = entries[6] else { panic!() };
    assert_eq!(inf.value, f64::NEG_INFINITY);
    assert_eq!(sample("a NaN").value.to_bits(), 0x7ff8_0000_0000_0001);
    assert_eq!(sample("a 1e-3").value, 0.001);
}

#[test]
fn labels_are_sorted_unescaped_and_checked() {
    assert_eq!(labels("m{b=\"1\",a=\"x\\\\y\\\"z\\n\\q\"} 1"), r#"m{a="x\\y\"z\n\\q", b="1"}"#);
    assert_eq!(labels("m{a=\"\"} 1"), "m");
    assert_eq!(labels("m{} 1"), "m");
    assert_eq!(labels(r#"{"my.metric",a="b","c d"="e"} 1"#), r#"{"my.metric", a="b", "c d"="e"}"#);
    assert_eq!(labels(r#"{a="b","my.metric"} 1"#), r#"{"my.metric", a="b"}"#);
    assert_eq!(labels("a:b{l=\"}\"} 1"), r#"a:b{l="}"}"#);
    let twice = sample("m{a=\"1\",a=\"2\"} 1").to_labels(&LabelLimits::default());
    assert_eq!(twice, Err(LabelError::Duplicate("a".to_owned())));
}

#[test]
fn openmetrics_has_seconds_exemplars_and_an_end() {
    let text = "# TYPE foo histogram\n# UNIT foo seconds\n# HELP foo Some \\\"help\\\"\n\
                foo_bucket{le=\"1.0\"} 3 1520879607.789 # {trace_id=\"abc\",x=\"y\"} 0.67 1520879606.5\n\
                foo_count 3 # {} 1\n\
                foo_created 1520430000.123\n# EOF\n";
    let entries = parse(text, Format::OpenMetrics);
    assert_eq!(entries[1], Entry::Unit { family: "foo".into(), unit: "seconds" });
    assert_eq!(entries[2], Entry::Help { family: "foo".into(), text: "Some \"help\"".into() });
    let Entry::Sample(bucket) = entries[3] else { panic!() };
    assert_eq!(bucket.timestamp, Some(1_520_879_607_789));
    let exemplar = bucket.exemplar.unwrap();
    assert_eq!((exemplar.value, exemplar.timestamp), (0.67, Some(1_520_879_606_500)));
    assert_eq!(exemplar.to_labels().unwrap().to_string(), r#"{trace_id="abc", x="y"}"#);
    let Entry::Sample(count) = entries[4] else { panic!() };
    assert_eq!((count.timestamp, count.exemplar.map(|e| e.value)), (None, Some(1.0)));
    let Entry::Sample(created) = entries[5] else { panic!() };
    assert_eq!(created.series(), "foo_created");
}

#[test]
fn a_bad_line_is_named_and_the_next_is_read() {
    let text = b"good 1\nm{a=\"b} 1\n{a=\"b\"} 1\nm 1x\nm\nm 1 1.5\nm 1 2 3\n1m 1\nm{a} 1\nm{a=\"b\" c=\"d\"} 1\n\
        # TYPE m wrong\n# HELP\n\xff 1\nm 1e999\nm{\"x\"} 1\ngood 2\n";
    let results: Vec<_> = Parser::new(text, Format::Prometheus).collect();
    let errors: Vec<_> = results.iter().filter_map(|r| r.as_ref().err()).map(ToString::to_string).collect();
    assert_eq!(
        errors,
        [
            "line 2: a quoted text is not closed",
            r#"line 3: expected a metric name, found "{a=\"b\"} 1""#,
            r#"line 4: the value "1x" is no number"#,
            "line 5: the value is missing",
            "line 6: the timestamp \"1.5\" is none: Prometheus text has whole milliseconds, OpenMetrics seconds",
            r#"line 7: "3" stands behind the end of the sample"#,
            r#"line 8: expected a metric name, found "1m 1""#,
            r#"line 9: expected '=' and the label's value, found "} 1""#,
            r#"line 10: expected ',' or '}', found "c=\"d\"} 1""#,
            "line 11: the metric type \"wrong\" does not exist",
            "line 12: expected a metric name, found the end of the line",
            "line 13: the line is not valid UTF-8",
            r#"line 14: the value "1e999" is no number"#,
            r#"line 15: expected '=' and the label's value, found "} 1""#,
        ]
    );
    assert_eq!(results.iter().filter(|r| r.is_ok()).count(), 2);
}

#[test]
fn the_end_of_openmetrics_is_watched() {
    let problems = |text: &'static str| {
        Parser::new(text.as_bytes(), Format::OpenMetrics).filter_map(|r| r.err()).map(|e| e.problem).collect::<Vec<_>>()
    };
    assert_eq!(problems("a 1\n# EOF\n"), []);
    assert_eq!(problems("a 1\n# EOF"), []);
    assert_eq!(problems("a 1\n"), [ParseProblem::NoEof]);
    assert_eq!(problems("a 1\n# EOF\na 2\na 3\n"), [ParseProblem::BehindEof]);
    let mut piece = Parser::continued(b"a 1\nb\n", Format::OpenMetrics, 10);
    assert!(piece.next().unwrap().is_ok());
    assert_eq!(piece.next().unwrap().unwrap_err().line, 12);
    assert!(piece.next().is_none() && !piece.saw_eof());
}

#[test]
fn what_is_written_is_read_back() {
    let exemplar = Exemplar { labels: Labels::from_pairs([("id", "a\"b")]), value: 0.5, timestamp: -1_500 };
    let series = [
        Labels::from_pairs([("__name__", "up")]),
        Labels::from_pairs([("__name__", "up"), ("job", "a\\b\n\"c\"")]),
        Labels::from_pairs([("__name__", "my.metric"), ("a b", "c")]),
        Labels::from_pairs([("__name__", "my.metric")]),
    ];
    for format in [Format::Prometheus, Format::OpenMetrics] {
        let mut writer = ExpositionWriter::new(format);
        writer.help("my.metric", "two\nlines \\ \"quoted\"");
        writer.kind("my.metric", MetricKind::Info);
        writer.unit("up", "bool");
        for labels in &series {
            writer.sample(labels, 1e300, Some(1_700_000_000_001));
        }
        writer.sample_with_exemplar(&series[0], -0.25, None, &exemplar);
        let text = writer.finish();
        let entries = parse(&text, format);
        let Entry::Help { family, text: help } = &entries[0] else { panic!() };
        assert_eq!((family.as_ref(), help.as_ref()), ("my.metric", "two\nlines \\ \"quoted\""));
        let samples: Vec<_> =
            entries.iter().filter_map(|e| if let Entry::Sample(s) = e { Some(*s) } else { None }).collect();
        for (sample, labels) in samples.iter().zip(&series) {
            assert_eq!(&sample.to_labels(&LabelLimits::default()).unwrap(), labels);
            assert_eq!((sample.value, sample.timestamp), (1e300, Some(1_700_000_000_001)));
        }
        let last = samples[4].exemplar;
        assert_eq!(last.is_some(), format == Format::OpenMetrics);
        if let Some(last) = last {
            assert_eq!((last.to_labels().unwrap(), last.timestamp), (exemplar.labels.clone(), Some(-1_500)));
        }
    }
    let mut writer = ExpositionWriter::new(Format::Prometheus);
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, 1e21, 1e-7, 123.5, 1e20] {
        writer.sample(&Labels::from_pairs([("__name__", "m")]), value, None);
    }
    assert_eq!(writer.finish(), "m NaN\nm +Inf\nm -Inf\nm 0\nm -0\nm 1e21\nm 1e-7\nm 123.5\nm 100000000000000000000\n");
}

#[test]
fn a_million_labels_are_refused_quickly() {
    let mut line = "m{".to_owned();
    for i in 0..1_000_000 {
        line.push_str(&format!("l{i}=\"v\","));
    }
    line.push_str("} 1");
    let error = sample(&line).to_labels(&LabelLimits::default()).unwrap_err();
    assert!(matches!(error, LabelError::TooManyLabels { limit: 256, .. }));
}

proptest! {
    #[test]
    fn any_text_is_parsed_without_panic(text in "[a-z{}\"=,# \\\\\n0-9._\u{e9}]{0,120}") {
        for format in [Format::Prometheus, Format::OpenMetrics] {
            for entry in Parser::new(text.as_bytes(), format).flatten() {
                if let Entry::Sample(sample) = entry {
                    let _ = sample.to_labels(&LabelLimits::default());
                    let _ = sample.exemplar.map(|e| e.to_labels());
                }
            }
        }
    }

    #[test]
    fn any_labels_and_values_go_round(
        name in "\\PC{1,20}",
        pairs in prop::collection::btree_map("\\PC{1,10}", "[\\PC\n\"\\\\]{1,20}", 0..5),
        value in any::<f64>(),
        timestamp in -1_000_000_000_000_000i64..1_000_000_000_000_000,
    ) {
        let mut all: Vec<_> = pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        all.push(("__name__", &name));
        let labels = Labels::from_pairs(all);
        for format in [Format::Prometheus, Format::OpenMetrics] {
            let mut writer = ExpositionWriter::new(format);
            writer.sample(&labels, value, Some(timestamp));
            let text = writer.finish();
            let entries = parse(&text, format);
            let Entry::Sample(sample) = entries[0] else { panic!("{text}") };
            prop_assert_eq!(sample.to_labels(&LabelLimits::default()).unwrap(), labels.clone());
            prop_assert!(sample.value == value || value.is_nan());
            prop_assert_eq!(sample.timestamp, Some(timestamp));
        }
    }
}
