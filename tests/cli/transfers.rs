//! Samples on their way: served, asked, imported, exported.

use std::{fs, process::Command};

use crate::harness::{Serving, run, succeed, text};

/// Half an hour of two series that ended a minute ago, as OpenMetrics.
fn openmetrics() -> String {
    let end = jiff::Timestamp::now().as_second() - 60;
    let mut all = "# TYPE temperature gauge\n# HELP temperature How warm it is.\n".to_owned();
    for room in ["kitchen", "hall\\\"s end"] {
        for i in 0..120i64 {
            let value = 20.0 + (i as f64 / 7.0).sin() / 3.0;
            all.push_str(&format!("temperature{{room=\"{room}\"}} {value} {}.25\n", end - (119 - i) * 15));
        }
    }
    all + "# EOF\n"
}

#[test]
fn what_is_exported_comes_back_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("first.om"), openmetrics()).unwrap();
    succeed(dir.path(), &["import", "--data-dir", "one", "first.om"]);
    succeed(dir.path(), &["export", "--data-dir", "one", "-o", "second.om"]);

    let server = Serving::serve(dir.path(), &["--data-dir", "two"]);
    succeed(dir.path(), &["import", "--url", &server.url, "second.om"]);
    succeed(dir.path(), &["export", "--url", &server.url, "--start", "-1h", "-o", "third.om"]);
    succeed(
        dir.path(),
        &["export", "--url", &server.url, "--start", "-1h", "--format", "prometheus", "-o", "prom.txt"],
    );
    succeed(dir.path(), &["import", "--data-dir", "three", "prom.txt"]);
    succeed(dir.path(), &["export", "--data-dir", "three", "temperature", "-o", "fourth.om"]);
    let second = fs::read_to_string(at("second.om")).unwrap();
    assert_eq!(second.lines().filter(|l| l.starts_with("temperature{")).count(), 240);
    for copy in ["third.om", "fourth.om"] {
        assert_eq!(fs::read_to_string(at(copy)).unwrap(), second, "{copy}");
    }

    // Both sources give the same answers, instants and ranges, also after a restart.
    let query = "rate(temperature[5m]) or max_over_time(temperature{room=\"kitchen\"}[10m]) + 1";
    let now = jiff::Timestamp::now().as_second().to_string();
    for times in [vec!["--time", &now], vec!["--start", "-20m", "--end", &now, "--step", "30"]] {
        let ask = |source: [&str; 2]| {
            let all = [&["query", "-o", "json", query], &source[..], &times[..]].concat();
            succeed(dir.path(), &all)
        };
        // A relative start is another one at each call, so only the fixed instant is compared whole.
        let (served, read) = (ask(["--url", &server.url]), ask(["--data-dir", "three"]));
        if times.len() == 2 {
            assert_eq!(served, read);
        }
        assert!(served.contains("kitchen") && read.contains("kitchen"), "{served}{read}");
    }
    let (status, said) = server.terminate();
    assert_eq!(status.code(), Some(0), "{said}");
    let again = succeed(dir.path(), &["export", "--data-dir", "two"]);
    assert_eq!(again, second, "everything was flushed");
}

#[test]
fn an_import_goes_on_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("m.txt");
    let now = jiff::Timestamp::now().as_millisecond();
    fs::write(&file, format!("m 1 {}\n", now - 2_000)).unwrap();
    succeed(dir.path(), &["import", "--data-dir", "d", "m.txt"]);
    fs::write(&file, format!("m 1 {}\nm 2 {}\n", now - 2_000, now - 1_000)).unwrap();
    let again = run(dir.path(), &["import", "--data-dir", "d", "m.txt"]);
    let said = text(&again.stderr);
    assert!(said.contains("were imported before") && said.contains("imported: 1 samples"), "{said}");
    // A line that cannot be read is named by file and line; what stands before it stays.
    fs::write(&file, format!("m 1 {}\nm 2 {}\nm{{ 3\n", now - 2_000, now - 1_000)).unwrap();
    let bad = run(dir.path(), &["import", "--data-dir", "d", "m.txt"]);
    assert_eq!(bad.status.code(), Some(1));
    assert!(text(&bad.stderr).contains("m.txt: ") && text(&bad.stderr).contains('3'), "{}", text(&bad.stderr));
    // Who deletes the data deletes what was noted about them.
    fs::remove_dir_all(dir.path().join("d")).unwrap();
    fs::write(&file, format!("m 1 {}\nm 2 {}\n", now - 2_000, now - 1_000)).unwrap();
    succeed(dir.path(), &["import", "--data-dir", "d", "m.txt"]);
    let count = succeed(dir.path(), &["query", "--data-dir", "d", "count_over_time(m[1m])"]);
    assert!(count.trim_end().ends_with('2'), "{count}");
}

#[test]
fn samples_out_of_bounds_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let now = jiff::Timestamp::now().as_millisecond();
    let lines = format!("m 1 {}\nm 2 {}\nm 3 {}\n", now - 90_000_000, now - 1_000, now + 3_600_000);
    fs::write(dir.path().join("m.txt"), lines).unwrap();
    let done = run(dir.path(), &["import", "--data-dir", "d", "--retention-time", "1d", "m.txt"]);
    let said = text(&done.stderr);
    assert_eq!(done.status.code(), Some(1), "{said}");
    assert!(said.contains("1 samples are older than the retention"), "{said}");
    assert!(said.contains("1 samples were refused") && said.contains("ahead of the clock"), "{said}");
    // Also when the import fails for another reason later on; what was refused does not count as imported.
    let done = run(dir.path(), &["import", "--data-dir", "e", "m.txt", "missing.txt"]);
    let said = text(&done.stderr);
    assert_eq!(done.status.code(), Some(1), "{said}");
    assert!(said.contains("1 samples were refused") && said.contains("missing.txt"), "{said}");
    assert!(said.contains("imported: 2 samples"), "{said}");
    let server = Serving::serve(dir.path(), &["--data-dir", "s"]);
    let done = run(dir.path(), &["import", "--url", &server.url, "m.txt"]);
    let said = text(&done.stderr);
    assert!(said.contains("1 samples were refused") && said.contains("ahead of the clock"), "{said}");
}

#[test]
fn samples_that_serve_would_drop_are_told_of() {
    let dir = tempfile::tempdir().unwrap();
    let now = jiff::Timestamp::now().as_millisecond();
    fs::write(dir.path().join("m.txt"), format!("m 1 {}\n", now - 20 * 86_400_000)).unwrap();
    let old = run(dir.path(), &["import", "--data-dir", "d", "m.txt"]);
    assert!(old.status.success() && text(&old.stderr).contains("--retention-time"), "{}", text(&old.stderr));
    fs::write(dir.path().join("n.txt"), format!("m 1 {now}\n")).unwrap();
    let new = run(dir.path(), &["import", "--data-dir", "d", "n.txt"]);
    assert!(new.status.success() && !text(&new.stderr).contains("--retention-time"), "{}", text(&new.stderr));
}

#[test]
fn the_blocks_of_a_prometheus_are_imported() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("m.om"), openmetrics()).unwrap();
    let mut promtool = Command::new("promtool");
    promtool.args(["tsdb", "create-blocks-from", "openmetrics", "m.om", "prometheus"]).current_dir(dir.path());
    let Ok(made) = promtool.output() else {
        println!("0 cases: promtool is not installed");
        return;
    };
    assert!(made.status.success(), "{}", text(&made.stderr));
    let first = run(dir.path(), &["import", "--data-dir", "d", "prometheus"]);
    assert!(first.status.success(), "{}", text(&first.stderr));
    assert!(text(&first.stderr).contains("imported: 240 samples"), "{}", text(&first.stderr));
    let again = run(dir.path(), &["import", "--data-dir", "d", "prometheus"]);
    assert!(text(&again.stderr).contains("imported before, skipped"), "{}", text(&again.stderr));
    succeed(dir.path(), &["import", "--data-dir", "t", "m.om"]);
    let samples = |data: &str| {
        let all = succeed(dir.path(), &["export", "--data-dir", data]);
        all.lines().filter(|l| !l.starts_with('#')).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(samples("d"), samples("t"));
    println!("1 case");
}

#[test]
fn events_that_are_exported_come_back_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let first = "{\"a\":{\"b\":1.50,\"c\":[1,2]},\"timestamp\":\"2023-11-14T22:13:20Z\"}\n\
                 {\"a\":\"x,y\",\"n\":null,\"timestamp\":1700000001}\n";
    fs::write(at("first.ndjson"), first).unwrap();
    succeed(dir.path(), &["import", "--data-dir", "one", "--table", "e", "first.ndjson"]);
    succeed(dir.path(), &["export", "--data-dir", "one", "--table", "e", "-o", "second.ndjson"]);
    assert_eq!(fs::read_to_string(at("second.ndjson")).unwrap(), first);

    let server = Serving::serve(dir.path(), &["--data-dir", "two"]);
    let done = run(dir.path(), &["import", "--url", &server.url, "--table", "e", "second.ndjson"]);
    assert!(text(&done.stderr).contains("imported: 2 events"), "{}", text(&done.stderr));
    succeed(dir.path(), &["export", "--url", &server.url, "--table", "e", "-o", "third.ndjson"]);
    assert_eq!(fs::read_to_string(at("third.ndjson")).unwrap(), first);
    let later = ["export", "--url", &server.url, "--table", "e", "--format", "csv", "--start", "1700000001"];
    assert_eq!(succeed(dir.path(), &later), "_time,a,a.b,a.c,n,timestamp\n,\"x,y\",,,,1700000001\n");
}

#[test]
fn csv_is_imported_in_pieces_with_its_names() {
    let dir = tempfile::tempdir().unwrap();
    let mut all = "when,text\n".to_owned();
    for n in 0..40_000 {
        all.push_str(&format!("{},\"line one {n}\nline two, {}\"\n", 1_700_000_000 + n, "x".repeat(200)));
    }
    fs::write(dir.path().join("e.csv"), &all).unwrap();
    succeed(dir.path(), &["import", "--data-dir", "d", "--table", "e", "--time-field", "when", "e.csv"]);
    let back = succeed(dir.path(), &["export", "--data-dir", "d", "--table", "e", "--end", "1700000000"]);
    assert_eq!(back.lines().count(), 1, "{back}");
    assert!(back.contains("line one 0\\nline two"), "{back}");
    let back = succeed(dir.path(), &["export", "--data-dir", "d", "--table", "e"]);
    assert_eq!(back.lines().count(), 40_000);

    all.push_str("1,2,3\n");
    fs::write(dir.path().join("bad.csv"), &all).unwrap();
    let bad = run(dir.path(), &["import", "--data-dir", "d2", "--table", "e", "bad.csv"]);
    let said = text(&bad.stderr);
    assert_eq!(bad.status.code(), Some(1), "{said}");
    assert!(said.contains("bad.csv:80002: there are 3 values") && said.contains("lines were imported"), "{said}");
    for args in [
        &["import", "--data-dir", "d", "--format", "csv", "e.csv"][..],
        &["import", "--data-dir", "d", "--table", "e", "--format", "tsdb", "e.csv"],
        &["export", "--data-dir", "d", "--format", "ndjson"],
        &["export", "--data-dir", "d", "--table", "e", "--format", "prometheus"],
    ] {
        let done = run(dir.path(), args);
        assert_eq!(done.status.code(), Some(2), "{args:?}: {}", text(&done.stderr));
    }
}

#[test]
fn an_import_that_fails_at_once_does_not_say_that_it_imported() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("no.parquet"), "this is no Parquet file").unwrap();
    fs::write(dir.path().join("no.ndjson"), "nor is this JSON\n").unwrap();
    let files: &[&str] = if cfg!(feature = "sql") { &["no.parquet", "no.ndjson"] } else { &["no.ndjson"] };
    for file in files {
        let done = run(dir.path(), &["import", "--data-dir", "d", "--table", "e", file]);
        let said = text(&done.stderr);
        assert_eq!(done.status.code(), Some(1), "{said}");
        assert!(said.contains(file) && !said.contains("imported: 0"), "{said}");
    }
}
