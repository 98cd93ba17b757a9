//! Every statement that clients send to look at the database runs.

use std::{fs, path::PathBuf};

use datafusion::sql::sqlparser::ast::Statement;

use crate::database::{DAILY, EVENTS, parse, rows, run};

/// The queries among a file's statements; what sets, shows, begins is the session's own.
async fn run_all(name: &str, text: &str, failures: &mut Vec<String>) -> usize {
    let mut ran = 0;
    for statement in parse(text).into_iter().filter(|s| matches!(s, Statement::Query(_))) {
        ran += 1;
        if let Err(error) = run(statement).await {
            failures.push(format!("{name}: {error}"));
        }
    }
    ran
}

fn report(ran: usize, failures: &[String]) {
    assert!(failures.is_empty(), "{} of {ran} failed:\n{}", failures.len(), failures.join("\n\n"));
}

/// The statements of the files beside this one, with the numbers of relations filled in.
async fn own(name: &str, text: &str) {
    let mut text = text.replace("{events}", EVENTS).replace("{daily}", DAILY);
    for row in rows("SELECT relname, oid FROM pg_class WHERE relnamespace = 2200").await {
        text = text.replace(&format!("{{{}}}", row[0]), &row[1]);
    }
    let mut failures = Vec::new();
    let ran = run_all(name, &text, &mut failures).await;
    report(ran, &failures);
    assert!(ran > 0);
}

#[tokio::test]
async fn psql() {
    own("psql", include_str!("queries/psql.sql")).await;
}

#[tokio::test]
async fn sqlalchemy() {
    own("sqlalchemy", include_str!("queries/sqlalchemy.sql")).await;
}

#[tokio::test]
async fn jdbc() {
    own("jdbc", include_str!("queries/jdbc.sql")).await;
}

#[tokio::test]
async fn others() {
    own("others", include_str!("queries/others.sql")).await;
}

/// The suite's files, where the environment says they are.
#[tokio::test]
async fn suite() {
    let Some(suites) = std::env::var_os("CHRONOLITH_SUITES") else {
        eprintln!("CHRONOLITH_SUITES is not set: the suite's files were not run");
        return;
    };
    let (mut ran, mut failures) = (0, Vec::new());
    for entry in fs::read_dir(PathBuf::from(suites).join("pg-client-queries")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "sql") {
            let text = fs::read_to_string(&path).unwrap();
            ran += run_all(&path.display().to_string(), &text, &mut failures).await;
        }
    }
    report(ran, &failures);
    assert!(ran > 40, "only {ran} statements were found");
}
