//! `chronolith test`: what is told about tests that pass, that fail, and that cannot be run.

use std::fs;

use crate::harness::{run, succeed, text};

const QUERIES: &str = "load 1m
  errors_total{job=\"api\"} 0+6x10

eval instant at 10m rate(errors_total[5m])
  {job=\"api\"} 0.1

eval instant at 10m errors_total
  errors_total{job=\"api\"} 61
";

#[test]
fn promql_files_are_run_and_failures_shown_with_their_place() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    write("good.test", QUERIES.split_inclusive("\n\n").take(2).collect::<String>().as_str());
    write("bad.test", QUERIES);
    write("broken.test", "load 1m\n  up 1\n\neval instant at 0 sum(\n");

    assert_eq!(succeed(dir.path(), &["test", "promql", "good.test"]), "good.test: 1/1 passed (12 evaluations)\n");
    assert_eq!(succeed(dir.path(), &["test", "promql", "-q", "good.test"]), "");
    let listed = succeed(dir.path(), &["test", "promql", "-v", "good.test"]);
    assert!(listed.ends_with("  ok     good.test:4: rate(errors_total[5m])\n"), "{listed}");

    let failed = run(dir.path(), &["test", "promql", "bad.test", "broken.test", "missing.test", "good.test"]);
    assert_eq!(failed.status.code(), Some(1));
    let (shown, said) = (text(&failed.stdout), text(&failed.stderr));
    let case = "  FAILED bad.test:7: errors_total\n    wrong value of errors_total{job=\"api\"}\n      wanted: 61\n      got:    60\n";
    assert!(shown.contains(case), "{shown}");
    assert!(shown.contains("bad.test: 1/2 passed") && shown.contains("good.test: 1/1 passed"), "{shown}");
    assert!(said.contains("error: broken.test:4:23: parse error: unclosed left parenthesis"), "{said}");
    assert!(said.contains("error: missing.test: "), "{said}");
    assert!(said.contains("error: 1 of 3 cases are not as expected, 2 of 4 files cannot be run"), "{said}");
}

const RULES: &str = "evaluation_interval: 1m
tests:
  - name: errors
    input_series:
      - series: 'errors_total{job=\"api\"}'
        values: 0+6x10
    promql_expr_test:
      - expr: rate(errors_total[5m])
        eval_time: 10m
        exp_samples: [{labels: '{job=\"api\"}', value: 0.1}]
";

#[test]
fn rule_tests_are_run_as_far_as_they_ask_for_expressions() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    write("good.yml", RULES);
    write("bad.yml", &RULES.replace("value: 0.1", "value: 0.2"));
    write(
        "rules.yml",
        &format!("rule_files: [alerts.yml]\n{RULES}    alert_rule_test: [{{eval_time: 1m, alertname: A}}]\n"),
    );
    write("typo.yml", &RULES.replace("eval_time", "evaltime"));

    assert_eq!(succeed(dir.path(), &["test", "rules", "good.yml"]), "good.yml: 1/1 passed\n");
    let failed = run(dir.path(), &["test", "rules", "--quiet", "good.yml", "bad.yml", "rules.yml", "typo.yml"]);
    assert_eq!(failed.status.code(), Some(1));
    let (shown, said) = (text(&failed.stdout), text(&failed.stderr));
    let wrong = "  FAILED bad.yml:8: errors: rate(errors_total[5m]) at 10m\n    wanted: {job=\"api\"} 0.2\n    got:    {job=\"api\"} 0.1\n";
    assert!(shown.starts_with(wrong), "{shown}");
    assert!(shown.contains("FAILED rules.yml:1: rule_files: alerts.yml\n    rules are not evaluated"), "{shown}");
    assert!(
        shown.contains("FAILED rules.yml:12: errors: alert A at 1m\n    alert_rule_test: rules are not"),
        "{shown}"
    );
    assert!(said.contains("error: typo.yml: ") && said.contains("evaltime"), "{said}");
    assert!(said.contains("error: 3 of 5 tests are not as expected, 1 of 4 files cannot be run"), "{said}");
}
