//! Keeps the house in order: arrows between crates, lengths of files and functions, first lines, banned words, and
//! every constant of the disk's formats named in the format page.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// No file is longer.
const FILE_LINES_MAX: usize = 900;
/// Files longer than [`FILE_LINES_LONG`] that are there; the number may only fall.
const FILES_LONG: usize = 4;
const FILE_LINES_LONG: usize = 500;
/// No function is longer.
const FUNCTION_LINES_MAX: usize = 100;
/// Functions longer than [`FUNCTION_LINES_LONG`] that are there; the number may only fall.
const FUNCTIONS_LONG: usize = 0;
const FUNCTION_LINES_LONG: usize = 70;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file of ours, with its text.
fn sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for dir in ["src", "storage", "query", "tests", "benches", "fuzz"] {
        collect(&root().join(dir), &mut found);
    }
    assert!(found.len() > 50, "only {} source files were found", found.len());
    found
}

fn collect(dir: &Path, found: &mut Vec<(PathBuf, String)>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") && !path.ends_with("corpus") {
            collect(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            found.push((path.strip_prefix(root()).unwrap().to_owned(), text));
        }
    }
}

#[test]
fn arrows_point_down() {
    let out = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(root())
        .output()
        .unwrap();
    let metadata: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    let banned_below = ["tokio", "hyper", "hyper-util", "serde_json", "axum", "datafusion", "clap", "snap", "prost"];
    let mut seen = 0;
    for package in metadata["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        let mut banned: Vec<&str> = Vec::new();
        match name {
            "chronolith-storage" => {
                banned.extend(["chronolith", "chronolith-promql", "chronolith-sql"].iter().chain(&banned_below))
            }
            "chronolith-promql" => banned.extend(["chronolith", "chronolith-sql"].iter().chain(&banned_below)),
            "chronolith-sql" => {
                banned.extend(["chronolith", "hyper", "hyper-util", "axum", "clap", "snap", "prost", "pgwire"])
            }
            _ => continue,
        }
        seen += 1;
        for dependency in package["dependencies"].as_array().unwrap() {
            let dependency = dependency["name"].as_str().unwrap();
            assert!(!banned.contains(&dependency), "{name} must not depend on {dependency}");
        }
    }
    assert_eq!(seen, 3, "a crate is missing");
}

#[test]
fn the_library_without_features_is_small() {
    let out = Command::new(env!("CARGO"))
        .args(["tree", "--package", "chronolith", "--no-default-features", "--edges", "normal", "--prefix", "none"])
        .current_dir(root())
        .output()
        .unwrap();
    let tree = String::from_utf8(out.stdout).unwrap();
    assert!(tree.contains("chronolith-storage"), "{tree}");
    for crate_name in ["datafusion", "tokio", "hyper", "pgwire", "clap", "chronolith-sql", "sqlparser", "parquet"] {
        assert!(!tree.lines().any(|l| l.starts_with(&format!("{crate_name} "))), "{crate_name} is in it:\n{tree}");
    }
}

#[test]
fn files_have_one_subject_and_are_short() {
    let mut long = Vec::new();
    for (path, text) in sources() {
        let shown = path.display();
        assert!(text.starts_with("//! ") || text.starts_with("#!"), "{shown}: the first line must tell the subject");
        let lines = text.lines().count();
        assert!(lines <= FILE_LINES_MAX, "{shown} has {lines} lines, {FILE_LINES_MAX} are the most");
        if lines > FILE_LINES_LONG {
            long.push(format!("{shown} ({lines})"));
        }
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(!["util", "utils", "common", "helpers", "misc"].contains(&name), "{shown}: a name that says nothing");
    }
    assert!(long.len() <= FILES_LONG, "{} long files, {FILES_LONG} were there: {}", long.len(), long.join(", "));
}

#[test]
fn functions_are_short() {
    let mut long = Vec::new();
    for (path, text) in sources() {
        for (name, lines) in functions(&text) {
            assert!(lines <= FUNCTION_LINES_MAX, "{}: fn {name} has {lines} lines", path.display());
            if lines > FUNCTION_LINES_LONG {
                long.push(format!("{}: {name} ({lines})", path.display()));
            }
        }
    }
    assert_eq!(long.len(), FUNCTIONS_LONG, "{} long functions:\n{}", long.len(), long.join("\n"));
}

/// Names and lengths of a file's functions, found by rustfmt's indentation: a function ends at the first line that is a
/// closing brace indented as its first line.
fn functions(text: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let Some(name) = code
            .split_once("fn ")
            .filter(|(before, _)| before.split(' ').all(|w| w.is_empty() || is_qualifier(w)))
            .map(|(_, after)| after)
        else {
            continue;
        };
        let indent = &line[..line.len() - code.len()];
        let end = lines[at..].iter().position(|l| {
            *l == format!("{indent}}}") || l.trim_end().ends_with(';') && l.starts_with(indent) && *l == *line
        });
        if let Some(length) = end {
            let name = name.split(['(', '<']).next().unwrap_or_default();
            found.push((name.to_owned(), length + 1));
        }
    }
    found
}

fn is_qualifier(word: &str) -> bool {
    ["pub", "pub(crate)", "pub(super)", "const", "async", "unsafe"].contains(&word)
}

#[test]
fn no_words_that_put_things_off() {
    // Spelled in halves so that this file passes its own test.
    let banned = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("to", "do!("),
        concat!("unimpl", "emented!("),
        concat!("#[ig", "nore"),
        concat!("#[al", "low("),
    ];
    for (path, text) in sources() {
        for (number, line) in text.lines().enumerate() {
            for word in banned {
                assert!(!line.contains(word), "{}:{}: {word}", path.display(), number + 1);
            }
        }
    }
}

#[test]
fn constants_of_the_disk_are_in_the_format_page() {
    let page = fs::read_to_string(root().join("storage/FORMAT.md")).unwrap();
    let marks = ["MAGIC", "VERSION", "MARKER", "TAG_", "KIND_", "CODEC_", "_TABLE", "FRAME_HEADER", "LOG_HEADER"];
    let mut seen = 0;
    for (path, text) in sources() {
        if !path.starts_with("storage/src") {
            continue;
        }
        for line in text.lines() {
            let code = line.trim_start().trim_start_matches("pub(crate) ").trim_start_matches("pub(super) ");
            let Some(rest) = code.trim_start_matches("pub ").strip_prefix("const ") else { continue };
            let Some((name, _)) = rest.split_once(':') else { continue };
            if marks.iter().any(|m| name.contains(m)) {
                seen += 1;
                assert!(page.contains(name), "{}: {name} is not in storage/FORMAT.md", path.display());
            }
        }
    }
    assert!(seen > 5, "only {seen} constants were found");
}

#[test]
fn the_map_names_every_room() {
    let map = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    for room in ["src", "src/server", "storage/src", "query/promql/src", "query/sql/src", "tests"] {
        for entry in fs::read_dir(root().join(room)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                let shown = path.strip_prefix(root()).unwrap().display().to_string();
                assert!(map.contains(&format!("`{shown}/")), "ARCHITECTURE.md does not name {shown}/");
            }
        }
    }
}
