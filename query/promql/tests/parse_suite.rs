//! Every expression of Prometheus' own test suite parses, and prints as a text that parses to the same tree.
//! The suite is not part of this repository: it is taken from the directory that CHRONOLITH_SUITES names, or from
//! `../shared/suites` beside the workspace.

use std::path::PathBuf;

use chronolith_promql::{ast::Expr, parse, pretty, series_notation::parse_load};

/// The directory of the suite, when it is there.
fn suite() -> Option<PathBuf> {
    let beside = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/suites"));
    let root = std::env::var_os("CHRONOLITH_SUITES").map_or_else(beside, PathBuf::from);
    Some(root.join("promqltest")).filter(|suite| suite.is_dir())
}

const SKIPPED: &str = "skipped: no promqltest in CHRONOLITH_SUITES or ../shared/suites";

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
        let Some((inside, after)) = after.split_once(matchers_end) else { break };
        let mut matchers: Vec<&str> = inside.split_inclusive("\",").collect();
        matchers.sort_unstable();
        sorted = sorted + before + &matchers.concat();
        rest = after;
    }
    sorted + rest
}

#[test]
fn every_expression_of_the_suite_parses_and_prints() {
    let Some(suite) = suite() else { return println!("{SKIPPED}") };
    let table = std::fs::read_to_string(suite.join("exprs.tsv")).unwrap();
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

#[test]
fn every_load_block_of_the_suite_is_read() {
    let Some(suite) = suite() else { return println!("{SKIPPED}") };
    let (mut blocks, mut series, mut samples) = (0, 0, 0);
    for entry in std::fs::read_dir(suite).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "test") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let mut lines = text.lines().map(str::trim).peekable();
        while let Some(line) = lines.next() {
            // The points of a block for custom buckets are written in the same way.
            let Some(header) = line.strip_prefix("load_with_nhcb").or_else(|| line.strip_prefix("load")) else {
                continue;
            };
            let mut block = format!("load{header}\n");
            while let Some(line) = lines.next_if(|l| !l.is_empty() && !l.starts_with('#')) {
                block.push_str(line);
                block.push('\n');
            }
            let load = parse_load(&block).unwrap_or_else(|e| panic!("{}: {e}\n{block}", path.display()));
            blocks += 1;
            series += load.series.len();
            samples += load.series.iter().map(|s| s.samples.len()).sum::<usize>();
        }
    }
    println!("{blocks} blocks read: {series} series, {samples} samples");
    assert!(blocks >= 250, "only {blocks} blocks in the suite");
}
