//! `chronolith demo`.

use std::net::TcpListener;

use crate::harness::{Serving, chronolith, succeed};

#[test]
fn it_plots_answers_and_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = chronolith();
    command.args(["demo", "--listen", "127.0.0.1:0", "--interval", "200ms"]).env("TMPDIR", dir.path());
    let demo = Serving::start(&mut command);
    let shown = demo.printed_up_to("Stop with Ctrl-C");
    assert!(shown.contains("95th percentile") && shown.contains("{job=\"checkout\"}"), "{shown}");
    assert!(shown.contains(&format!("curl '{}/api/v1/labels'", demo.url)), "{shown}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "its temporary directory");

    let ask = |query: &str| succeed(dir.path(), &["query", "--url", &demo.url, "-o", "csv", query]);
    assert_eq!(ask("count(up)").lines().last().unwrap().rsplit(',').next(), Some("10"));
    let hour = "count_over_time(up{instance=\"api-1:8080\"}[1h])";
    let samples = |csv: String| csv.lines().last().unwrap().rsplit(',').next().unwrap().parse::<f64>().unwrap();
    let before = samples(ask(hour));
    assert!(before >= 235.0, "{before}");
    // Live samples come in: the loop ends when one more was seen than before.
    while samples(ask(hour)) <= before {}

    let (status, said) = demo.terminate();
    assert_eq!(status.code(), Some(0), "{said}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left");
}

#[test]
fn a_taken_default_port_is_no_obstacle() {
    // Whoever has the port, this test or somebody else: the demo finds it taken.
    let _held = TcpListener::bind("127.0.0.1:9090");
    let demo = Serving::start(chronolith().arg("demo"));
    assert!(demo.preface.contains("127.0.0.1:9090 is taken"), "{}", demo.preface);
    assert!(!demo.url.ends_with(":9090"), "{}", demo.url);
    // Told to stop in the middle of its work, it stops as well.
    let (status, said) = demo.terminate();
    assert_eq!(status.code(), Some(0), "{said}");
}
