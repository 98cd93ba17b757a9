//! Tests of the runner itself: a case that is wrong in one way fails for that reason.

use super::*;

const LOAD: &str = r#"load 1m
  m{a="1"} 1 2 3
  m{a="2"} 1+10x2
  h {{schema:1 count:3 sum:5 buckets:[1 0 2]}}x2

"#;

fn report(script: &str) -> Report {
    run("t.test", &format!("{LOAD}{script}"), &mut MemoryStore::default(), &options()).unwrap_or_else(|e| panic!("{e}"))
}

/// Why the only case of a script fails; empty when it does not.
fn failure(script: &str) -> String {
    let report = report(script);
    assert_eq!(report.cases.len(), 1, "{script}");
    report.failures().next().map(|(_, f)| f.reason.clone()).unwrap_or_default()
}

fn error(script: &str) -> String {
    match run("t.test", script, &mut MemoryStore::default(), &options()) {
        Ok(report) => panic!("{script} gave {report:?}"),
        Err(e) => e.to_string(),
    }
}

#[test]
fn what_is_as_expected_passes_in_all_ways() {
    let report = report(
        r#"eval instant at 1m m
  m{a="2"} 11
  m{a="1"} 2

eval range from 0 to 2m step 1m sum(m)
  {} 2 13 24

eval instant at 1m h
  h {{schema:1 count:3 sum:5 buckets:[1]}}
"#,
    );
    let runs: Vec<(usize, usize, bool)> =
        report.cases.iter().map(|c| (c.line, c.evaluations, c.failure.is_none())).collect();
    // Once, in a range, and both again at -10, 0, 12, 60 and 600 s.
    assert_eq!(runs[..2], [(6, 12, true), (10, 1, true)]);
    assert!(!runs[2].2, "a bucket is missing");
    assert_eq!((report.passed(), report.evaluations()), (2, 14));
}

#[test]
fn values_of_other_kinds_and_orders() {
    let cases = [
        ("eval instant at 1m 1 + 1\n  2", ""),
        ("eval instant at 1m 1 + 1\n  3", "wrong scalar"),
        ("eval instant at 1m vector(1)\n  1", "another kind of value"),
        ("eval instant at 1m \"a\"\n  expect string \"a\"", ""),
        ("eval instant at 1m \"a\"\n  expect string `b`", "wrong string"),
        ("eval instant at 1m m{a=\"1\"}\n  m{a=\"1\"} 2.000001", ""),
        ("eval instant at 1m m{a=\"1\"}\n  m{a=\"1\"} 2.0001", "wrong value of m{a=\"1\"}"),
        ("eval instant at 1m m{a=\"1\"}\n  m{a=\"1\"} {{}}", "wrong value of m{a=\"1\"}"),
        ("eval instant at 1m m{a=\"1\"}\n  m 2", "unexpected series"),
        ("eval instant at 1m m{a=\"1\"}\n  m{a=\"1\"} 2\n  m 2", "missing series"),
        ("eval instant at 1m sort_desc(m)\n  expect ordered\n  m{a=\"2\"} 11\n  m{a=\"1\"} 2", ""),
        ("eval_ordered instant at 1m sort(m)\n  m{a=\"2\"} 11\n  m{a=\"1\"} 2", "wrong order of m{a=\"1\"}"),
        ("eval instant at 1m m{a=\"1\"}[2m]\n  expect range vector from 0 to 1m step 1m\n  m{a=\"1\"} 1 2", ""),
        ("eval range from 0 to 2m step 1m m{a=\"1\"}\n  m{a=\"1\"} 1 _ 3", "points of m{a=\"1\"} at other times"),
        ("eval range from 0 to 2m step 1m m{a=\"1\"}\n  m{a=\"1\"} 1 2 4", "wrong value of m{a=\"1\"} at 120000 ms"),
        (
            "eval range from 0 to 2m step 1m m{a=\"1\"}\n  m{a=\"1\"} 1 2 3 4",
            "the query's time range cannot give that many points of m{a=\"1\"}",
        ),
    ];
    for (script, reason) in cases {
        assert_eq!(failure(script), reason, "{script}");
    }
}

#[test]
fn histograms_are_compared_part_by_part() {
    let case = |text: &str| failure(&format!("eval instant at 0 h\n  h {text}"));
    assert_eq!(case("{{schema:1 count:3 sum:5 buckets:[1 0 2]}}"), "");
    assert_eq!(case("{{schema:1 count:3.0000001 sum:5 buckets:[0 1 0 2 0] offset:-1}}"), "");
    for other in [
        "{{schema:2 count:3 sum:5 buckets:[1 0 2]}}",
        "{{schema:1 count:4 sum:5 buckets:[1 0 2]}}",
        "{{schema:1 count:3 sum:6 buckets:[1 0 2]}}",
        "{{schema:1 count:3 sum:5 z_bucket:1 buckets:[1 0 2]}}",
        "{{schema:1 count:3 sum:5 z_bucket_w:1 buckets:[1 0 2]}}",
        "{{schema:1 count:3 sum:5 buckets:[1 2]}}",
        "{{schema:1 count:3 sum:5 buckets:[1 0 2] n_buckets:[1]}}",
        "{{schema:1 count:3 sum:5 buckets:[1 0 2] counter_reset_hint:gauge}}",
    ] {
        assert_eq!(case(other), "wrong value of h", "{other}");
    }
}

#[test]
fn annotations_and_errors() {
    let warning = "PromQL warning: quantile value should be between 0 and 1, got 2 (1:10)";
    let quantile = |expect: &str| failure(&format!("eval instant at 1m quantile(2, m)\n  {expect}\n  {{}} Inf"));
    assert_eq!(quantile("expect warn"), "");
    assert_eq!(quantile("expect no_info"), "");
    assert_eq!(quantile(&format!("expect warn msg: {warning}")), "");
    assert_eq!(quantile("expect warn msg: quantile"), "expected warn annotation not found");
    assert_eq!(quantile("expect warn regex: value .* got 2"), "");
    assert_eq!(quantile("expect no_warn"), "unexpected warn annotation");
    assert_eq!(quantile("expect info"), "expected info annotation not found");
    assert_eq!(quantile("expect fail"), "evaluation did not fail");
    let fail = |expect: &str| failure(&format!("eval instant at 1m m + on() m\n  {expect}"));
    assert_eq!(fail("expect fail"), "");
    assert_eq!(fail("expect fail regex: many-to-one"), "evaluation failed with another error");
    assert_eq!(fail("m 1"), "evaluation failed");
    let legacy = "eval_fail instant at 1m m + on() m\n  expected_fail_regexp ^duplicate series";
    assert_eq!(failure(&format!("{legacy}\n")), "evaluation failed with another error");
}

#[test]
fn what_cannot_be_read_is_an_error_with_its_line() {
    let cases = [
        ("clear\n\nlode 5m", "t.test:3: invalid command \"lode 5m\""),
        ("load 5m\n  m 1 $", "t.test:2:7: parse error: unexpected '$' in series values, expected number or \"stale\""),
        ("load\n  m 1", "t.test:1: invalid load command. (load[_with_nhcb] <step:duration>)"),
        ("# a\nload 5q", "t.test:2: invalid step definition \"5q\": unknown unit \"q\" in duration \"5q\""),
        ("load 5m\n  m 1\n  m@st 1m", "t.test:3: @st line has no following sample line"),
        ("load_with_nhcb 5m\n  m_count -1", "t.test:1: m: count must be non-negative: count=-1"),
        ("eval instant at 5m sum(", "t.test:1:24: parse error: unclosed left parenthesis"),
        (
            "eval range from 5m to 0 step 1m x",
            "t.test:1: invalid test definition, end timestamp (0) is before start timestamp (5m)",
        ),
        (
            "eval instant at 0 m\n  m 1 2",
            "t.test:2: expecting multiple values in instant evaluation not allowed. consider using 'expect range \
             vector' directive to enable a range vector result for an instant query",
        ),
        (
            "eval instant at 0 m\n  expect warn\n  expect no_warn",
            "t.test:3: invalid expect lines, warn and no_warn cannot be used together",
        ),
        (
            "eval instant at 0 m\n  expect fail\n  expect fail",
            "t.test:3: invalid expect lines, multiple expect fail lines are not allowed",
        ),
        ("eval instant at 0 m\n  expect warn regex: (", "t.test:2: invalid regex ( for warn"),
        (
            "eval instant at 0 m\n  expect nothing",
            "t.test:2: invalid expect statement, must match `expect <type> <match_type>: <string>` format",
        ),
        (
            "eval instant at 0 m\n  expect string a",
            "t.test:2: expected string literal not valid - check that the string is correctly quoted",
        ),
    ];
    for (script, message) in cases {
        assert_eq!(error(script), message, "{script}");
    }
    assert!(error("eval at 0 m").starts_with("t.test:1: invalid evaluation command. Must be either"));
}

#[test]
fn clear_drops_and_loads_add_up() {
    let script = "load 1m\n  m{a=\"3\"} 5\n\neval instant at 0 count(m)\n  {} 3\n\nclear\neval instant at 0 m\n";
    let report = report(script);
    assert_eq!(report.passed(), 2, "{report:?}");
}
