//! The database gives what series in memory give: every promqltest file comes to the same report on both. Prometheus' own
//! files are read from the directory that `CHRONOLITH_SUITES` names, else from `../shared/suites`, and skipped when missing.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use chronolith::{
    Db,
    promqltest::{self, MemoryStore},
};

fn files() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let suites = env::var_os("CHRONOLITH_SUITES").map_or_else(|| root.join("../shared/suites"), PathBuf::from);
    let suite = Some(suites.join("promqltest")).filter(|d| d.is_dir());
    let mut files: Vec<PathBuf> = [Some(root.join("tests/promql")), suite]
        .into_iter()
        .flatten()
        .flat_map(|d| fs::read_dir(d).unwrap().map(|e| e.unwrap().path()))
        .filter(|p| p.extension().is_some_and(|e| e == "test"))
        .collect();
    files.sort();
    files
}

#[test]
fn a_database_answers_as_series_in_memory_do() {
    let (mut same, mut cases) = (0, 0);
    for path in files() {
        let name = path.file_name().unwrap().to_string_lossy();
        let text = fs::read_to_string(&path).unwrap();
        let plain = promqltest::run(&name, &text, &mut MemoryStore::default(), &promqltest::options()).unwrap();
        let db = promqltest::run_file(&Db::builder(), &name, &text).unwrap_or_else(|e| panic!("{e}"));
        for (one, other) in plain.cases.iter().zip(&db.cases) {
            assert_eq!(one, other, "{name}:{}", one.line);
        }
        assert_eq!(plain.cases.len(), db.cases.len());
        same += 1;
        cases += db.cases.len();
    }
    println!("{same} files, {cases} cases");
    assert!(same > 0);
}
