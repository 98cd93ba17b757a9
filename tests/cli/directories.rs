//! Data directories, configuration files, and what is said about mistakes.

use std::fs;

use crate::harness::{Serving, run, succeed, text};

fn fill(dir: &std::path::Path) {
    let now = jiff::Timestamp::now().as_millisecond();
    let lines: String = (0..500).map(|i| format!("m{{i=\"{}\"}} {i} {}\n", i % 7, now - i * 1_000)).collect();
    fs::write(dir.join("m.txt"), lines).unwrap();
    succeed(dir, &["import", "--data-dir", "data", "m.txt"]);
}

#[test]
fn damage_is_found_named_and_counts_as_failure() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    let whole = succeed(dir.path(), &["tsdb", "verify", "data"]);
    assert!(whole.contains("ok ") && !whole.contains("DAMAGED"), "{whole}");
    let listed = succeed(dir.path(), &["tsdb", "ls", "data"]);
    assert!(listed.contains("1 segments, 500 samples"), "{listed}");

    let segment = fs::read_dir(dir.path().join("data/segments")).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(&segment, bytes).unwrap();
    let damaged = run(dir.path(), &["tsdb", "verify", "data"]);
    assert_eq!(damaged.status.code(), Some(1));
    let report = text(&damaged.stdout) + &text(&damaged.stderr);
    assert!(report.contains(segment.file_name().unwrap().to_str().unwrap()), "{report}");
    assert!(report.contains("DAMAGED") || report.contains("SET ASIDE"), "{report}");
    assert!(segment.exists(), "verify changes nothing");
}

#[test]
fn a_snapshot_is_a_data_directory() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    let copy = succeed(dir.path(), &["tsdb", "snapshot", "data"]);
    let exported = |data: &str| succeed(dir.path(), &["export", "--data-dir", data]);
    assert_eq!(exported(copy.trim_end()), exported("data"));
    let analysis = succeed(dir.path(), &["tsdb", "analyze", "data"]);
    assert!(analysis.contains("series        7\n") && analysis.contains("label pairs   8\n"), "{analysis}");

    let server = Serving::serve(dir.path(), &["--data-dir", "data", "--enable-admin-api"]);
    let locked = run(dir.path(), &["tsdb", "snapshot", "data"]);
    assert_eq!(locked.status.code(), Some(1));
    assert!(text(&locked.stderr).contains("in use by another process"), "{}", text(&locked.stderr));
    let made = succeed(dir.path(), &["tsdb", "snapshot", "--url", &server.url]);
    assert!(dir.path().join("data").join(made.split_whitespace().next().unwrap()).is_dir(), "{made}");
}

#[test]
fn serve_takes_a_file_and_refuses_what_it_does_not_know() {
    let dir = tempfile::tempdir().unwrap();
    let write = |body: &str| fs::write(dir.path().join("c.toml"), body).unwrap();
    write("data-dir = \"here\"\nretention-time = \"30d\"\nlog-level = \"info\"\n");
    let server = Serving::serve(dir.path(), &["--config", "c.toml"]);
    assert!(dir.path().join("here/wal").is_dir());
    let (status, said) = server.terminate();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(said.contains("stopped"), "{said}");

    write("data_dir = \"here\"\nretentoin-time = \"30d\"\n");
    let refused = run(dir.path(), &["serve", "--config", "c.toml"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("data_dir, retentoin-time"), "{}", text(&refused.stderr));
    let exposed = run(dir.path(), &["serve", "--listen", "0.0.0.0:0"]);
    assert_eq!(exposed.status.code(), Some(1));
    assert!(text(&exposed.stderr).contains("--insecure-no-auth"), "{}", text(&exposed.stderr));
}

#[test]
fn mistakes_are_told_with_their_place_and_code() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    let server = Serving::serve(dir.path(), &["--data-dir", "served"]);
    for source in [["--data-dir", "data"], ["--url", &server.url]] {
        let wrong = run(dir.path(), &["query", source[0], source[1], "sum(m) by job"]);
        assert_eq!(wrong.status.code(), Some(1));
        let said = text(&wrong.stderr);
        assert!(said.contains("  | sum(m) by job\n  |           ^"), "{said}");
    }
    for (args, code, word) in [
        (["query", "--data-dir", "nowhere", "up"], 1, "no such directory"),
        (["query", "--time", "soon", "up"], 2, "is no time"),
        (["query", "--step", "0", "up"], 2, "--start"),
        (["query", "--url", "ftp://x", "up"], 1, "http://"),
        (["import", "--format", "auto", "m.txt"], 2, "--data-dir"),
        (["export", "--data-dir", "data", "rate("], 2, "^"),
    ] {
        let failed = run(dir.path(), &args);
        let said = text(&failed.stderr);
        assert_eq!(failed.status.code(), Some(code), "{args:?}: {said}");
        assert!(said.contains(word), "{args:?}: {said}");
    }
}
