//! Every statement that clients send to look at the database runs.

use std::{fs, path::PathBuf};

use crate::database::Database;

/// Runs all statements of a text over a database; gives their number and tells the failures.
fn run_all(mut database: Database, name: &str, text: &str, failures: &mut Vec<String>) -> usize {
    let text = database.numbered(text);
    let statements = database.split(&text);
    for statement in &statements {
        if let Err(error) = database.run(statement) {
            failures.push(format!("{name}: {error}\n  {}", statement.trim()));
        }
    }
    statements.len()
}

fn all_run(name: &str, text: &str) {
    let mut failures = Vec::new();
    let ran = run_all(Database::new(), name, text, &mut failures);
    assert!(failures.is_empty(), "{} of {ran} failed:\n{}", failures.len(), failures.join("\n\n"));
    assert!(ran > 10, "only {ran} statements were found");
}

#[test]
fn psql() {
    all_run("psql", include_str!("queries/psql.sql"));
}

#[test]
fn sqlalchemy() {
    all_run("sqlalchemy", include_str!("queries/sqlalchemy.sql"));
}

#[test]
fn jdbc() {
    all_run("jdbc", include_str!("queries/jdbc.sql"));
}

#[test]
fn others() {
    all_run("others", include_str!("queries/others.sql"));
}

/// The suite's files, where the environment says they are.
#[test]
fn suite() {
    let Some(suites) = std::env::var_os("CHRONOLITH_SUITES") else {
        eprintln!("CHRONOLITH_SUITES is not set: the suite's files were not run");
        return;
    };
    let (mut ran, mut failures) = (0, Vec::new());
    for entry in fs::read_dir(PathBuf::from(suites).join("pg-client-queries")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "sql") {
            let text = fs::read_to_string(&path).unwrap();
            let mut database = Database::new();
            // A table that the suite takes to be there.
            database.rows("CREATE TABLE clubs (id INT PRIMARY KEY, name TEXT)");
            ran += run_all(database, &path.display().to_string(), &text, &mut failures);
        }
    }
    assert!(failures.is_empty(), "{} of {ran} failed:\n{}", failures.len(), failures.join("\n\n"));
    assert!(ran > 40, "only {ran} statements were found");
}
