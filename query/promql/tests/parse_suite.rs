//! Every expression of Prometheus' own test suite parses, and prints as a text that parses to the same tree.
//! The suite is not part of this repository: it is taken from the directory that CHRONOLITH_SUITES names, or from
//! `../shared/suites` beside the workspace.

use std::path::PathBuf;

use chronolith_promql::{ast::Expr, parse, pretty};

fn expressions() -> Option<String> {
    let root = std::env::var_os("CHRONOLITH_SUITES")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/suites")), PathBuf::from);
    std::fs::read_to_string(root.join("promqltest/exprs.tsv")).ok()
}

/// A tree without the places of its nodes, and without the order of matchers, which printing sorts.
fn shape(expr: &Expr) -> String {
    let mut shape = String::new();
    for line in format!("{expr:#?}").lines() {
        if !line.trim_start().starts_with("start: ") && !line.trim_start().starts_with("end: ") {
            shape.push_str(line.trim_start());
        }
    }
    let (matchers_start, matchers_end) = ("matchers: [", "],");
    let mut sorted = String::new();
    let mut rest = shape.as_str();
    while let Some((before, after)) = rest.split_once(matchers_start) {
        let (inside, after) = after.split_once(matchers_end).unwrap();
        let mut matchers: Vec<&str> = inside.split_inclusive("\",").collect();
        matchers.sort_unstable();
        sorted = sorted + before + &matchers.concat();
        rest = after;
    }
    sorted + rest
}

#[test]
fn every_expression_of_the_suite_parses_and_prints() {
    let Some(table) = expressions() else {
        println!("skipped: no promqltest/exprs.tsv in CHRONOLITH_SUITES or ../shared/suites");
        return;
    };
    let mut cases = 0;
    for line in table.lines() {
        let Some((file, query)) = line.split_once('\t') else { panic!("no tab in {line:?}") };
        let first = parse(query).unwrap_or_else(|e| panic!("{file}: {query}: {e}"));
        for printed in [first.to_string(), pretty(&first)] {
            let second = parse(&printed).unwrap_or_else(|e| panic!("{file}: {query} printed as {printed}: {e}"));
            assert_eq!(shape(&second), shape(&first), "{file}: {query}");
        }
        cases += 1;
    }
    println!("{cases} expressions parsed and printed");
    assert!(cases >= 1_861, "only {cases} expressions in the table");
}
