//! Runs the files of `cases/`: each is a session of its own, in a database of its own.
//!
//! A file has blocks between empty lines: `ok` and a statement, with its tag behind `=>` if it is to be checked; `error`,
//! a code, and a statement; `query` and a statement, then `----`, and the rows, columns between ` | `; `sorted` is a query
//! whose rows have no order. `names` is a query of which the names of the columns are checked. `#` begins a remark.

use std::{fs, path::Path};

use crate::harness::{Answer, database, run};

#[test]
fn every_file_answers_as_it_says() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sql/cases");
    let mut files: Vec<_> =
        fs::read_dir(dir).expect("the cases are there").map(|f| f.expect("readable").path()).collect();
    files.sort();
    let mut failures = Vec::new();
    let mut blocks = 0;
    for file in &files {
        let text = fs::read_to_string(file).expect("a file of cases can be read");
        let name = file.file_name().expect("a file has a name").to_string_lossy().into_owned();
        blocks += run_file(&name, &text, &mut failures);
    }
    assert!(blocks > 0, "no case was run");
    assert!(failures.is_empty(), "{} of {blocks} cases failed:\n\n{}", failures.len(), failures.join("\n\n"));
}

fn run_file(name: &str, text: &str, failures: &mut Vec<String>) -> usize {
    let (_engine, sql) = database();
    let mut session = sql.session("tester", "chronolith");
    let mut blocks = 0;
    let mut line = 1;
    for block in text.split("\n\n") {
        let at = line;
        line += block.matches('\n').count() + 2;
        let lines: Vec<&str> = block.lines().filter(|l| !l.starts_with('#') && !l.trim().is_empty()).collect();
        let Some((head, body)) = lines.split_first() else { continue };
        blocks += 1;
        let (statement, expected) = match body.iter().position(|l| *l == "----") {
            Some(at) => (body[..at].join("\n"), Some(body[at + 1..].join("\n"))),
            None => (body.join("\n"), None),
        };
        let answer = run(&mut session, &statement);
        if let Err(problem) = check(head, &answer, expected.as_deref()) {
            failures.push(format!("{name}:{at}: {statement}\n{problem}"));
        }
    }
    blocks
}

fn check(head: &str, answer: &chronolith_sql::Result<Answer>, expected: Option<&str>) -> Result<(), String> {
    let (kind, rest) = head.split_once(' ').unwrap_or((head, ""));
    match (kind, answer) {
        ("error", Ok(answer)) => Err(format!("it did not fail: {answer:?}")),
        ("error", Err(error)) if error.state.as_str() == rest => Ok(()),
        ("error", Err(error)) => Err(format!("it failed with {} ({error}), not with {rest}", error.state.as_str())),
        (_, Err(error)) => Err(format!("it failed with {}: {error} {:?}", error.state.as_str(), error.detail)),
        ("ok", Ok(answer)) => {
            let tag = rest.strip_prefix("=> ").unwrap_or(&answer.tag);
            if tag == answer.tag { Ok(()) } else { Err(format!("its tag is {:?}", answer.tag)) }
        }
        ("query" | "sorted", Ok(answer)) => {
            let mut rows: Vec<String> = answer.rows.iter().map(|row| row.join(" | ")).collect();
            if kind == "sorted" {
                rows.sort();
            }
            same(&rows.join("\n"), expected.unwrap_or_default())
        }
        ("names", Ok(answer)) => same(&answer.names.join(" | "), expected.unwrap_or_default()),
        (other, _) => Err(format!("there is no block of kind {other}")),
    }
}

fn same(is: &str, wanted: &str) -> Result<(), String> {
    if is == wanted { Ok(()) } else { Err(format!("it gave\n{is}\ninstead of\n{wanted}")) }
}
