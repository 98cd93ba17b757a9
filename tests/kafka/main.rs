//! A real Apache Kafka broker, and our server that reads from it and is killed again and again: each message lands once.
//!
//! The broker's jars come from Maven Central, once. Without Java and Maven the test says so and does nothing, unless
//! `CHRONOLITH_KAFKA=required`.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test that tells what it did")]

mod broker;
mod server;

use std::{collections::BTreeMap, fs, ops::Range, path::Path, thread};

use broker::{Broker, Driver, PASSWORD, USER};
use server::{Server, Tables};

/// Messages with numbers, over all partitions.
const NUMBERS: u64 = 100_000;
/// They are sent in steps of this, each with another compression.
const STEP: u64 = 2_500;
const CODECS: [&str; 5] = ["gzip", "snappy", "lz4", "zstd", "none"];
const PARTITIONS: u32 = 3;
/// Kills of the server while it reads them.
const KILLS: u64 = 8;
/// What is no document.
const BAD: [&str; 4] = ["no JSON", "[1,2]", "{\"n\":1", "{\"a\":\u{ff}}"];

#[test]
fn each_message_lands_once() {
    if let Some(missing) = broker::is_missing() {
        assert!(std::env::var("CHRONOLITH_KAFKA").as_deref() != Ok("required"), "{missing}");
        println!("skipped: {missing}");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut broker = Broker::start(dir.path());
    let mut driver = broker.driver();
    over_kills(dir.path(), &mut broker, &mut driver);
    what_the_broker_dropped_is_counted(dir.path(), &broker, &mut driver);
    every_way_to_log_in(dir.path(), &broker, &mut driver);
}

#[test]
fn a_mistake_is_refused_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let whole = "brokers=127.0.0.1:1,topic=t,table=e";
    for (options, word) in [
        (vec!["brokers=127.0.0.1:1,topic=t"], "table"),
        (vec!["brokers=127.0.0.1,topic=t,table=e"], "brokers: \"127.0.0.1\""),
        (vec![whole, whole], "give one of them another name"),
        (vec!["brokers=127.0.0.1:1,topic=t,table=e,tls-ca=/no/ca.pem"], "tls-ca: /no/ca.pem"),
    ] {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_chronolith"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(dir.path().join("data"));
        let ended = command.args(options.iter().flat_map(|o| ["--kafka", o])).output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.code() == Some(2) && said.contains(word), "{options:?}: {said}");
        assert!(!dir.path().join("data").exists(), "nothing was opened");
    }
}

fn own_dir(dir: &Path, name: &str) -> std::path::PathBuf {
    let own = dir.join(name);
    fs::create_dir(&own).unwrap();
    own
}

fn entry(port: u16, topic: &str, table: &str) -> String {
    format!("[[kafka]]\nbrokers = [\"127.0.0.1:{port}\"]\ntopic = {topic:?}\ntable = {table:?}\n")
}

fn once(numbers: Range<u64>) -> BTreeMap<i64, u32> {
    numbers.map(|n| (n as i64, 1)).collect()
}

/// Sends the numbers in compressed steps, with what is no document between them, and transactions at the end.
fn send_all(driver: &mut Driver, topic: &str, partitions: u32, numbers: Range<u64>) {
    for (i, from) in numbers.clone().step_by(STEP as usize).enumerate() {
        driver.numbers(topic, CODECS[i % CODECS.len()], partitions, from..(from + STEP).min(numbers.end));
        if i % 4 == 0 {
            driver.run(&["send", topic, "1", BAD[i / 4 % BAD.len()]]);
        }
    }
}

fn over_kills(dir: &Path, broker: &mut Broker, driver: &mut Driver) {
    let topic = "chatsphere-events";
    let dir = own_dir(dir, "kills");
    let config = entry(broker.plain, topic, "events");
    driver.run(&["create", topic, &PARTITIONS.to_string()]);
    let half = NUMBERS / 2;
    thread::scope(|scope| {
        let sender = scope.spawn(|| send_all(driver, topic, PARTITIONS, 0..half));
        let mut seen = 0;
        for kill in 0..KILLS {
            let server = Server::start(&dir, &config);
            // The kill comes some way into the messages, while others are written.
            seen += half / KILLS * (1 + kill % 3) / 3;
            server.reaches(topic, seen.min(half / 2));
            server.kill();
        }
        sender.join().unwrap();
    });
    // The broker goes away and comes back while the server waits, and the topic has one more partition then.
    let server = Server::start(&dir, &config);
    let end = driver.ends(topic, PARTITIONS);
    server.reaches(topic, end);
    driver.run(&["grow", topic, &(PARTITIONS + 1).to_string()]);
    broker.kill();
    server.waits_for("a failure", || server.metric("chronolith_kafka_failures_total", topic).unwrap() > 0);
    broker.start_again();
    send_all(driver, topic, PARTITIONS + 1, half..NUMBERS);
    driver.run(&["transaction", topic, "abort", "4", "500000", "501000"]);
    driver.run(&["transaction", topic, "commit", "4", &NUMBERS.to_string(), &(NUMBERS + 1_000).to_string()]);
    driver.run(&["transaction", topic, "abort", "4", "501000", "501010"]);
    driver.run(&["send", topic, "0"]);
    let end = driver.ends(topic, PARTITIONS + 1);
    server.reaches(topic, end);
    server.waits_for("no lag", || server.metric("chronolith_kafka_lag", topic) == Some(0));
    let said = server.terminate();
    let complaints = said.lines().filter(|l| l.contains("WARN") && l.contains("cannot connect")).count();
    assert!((1..10).contains(&complaints), "{complaints} complaints of a broker that was away once: {said}");
    let tables = Tables::of(&dir);
    assert!(tables.numbers("events") == once(0..NUMBERS + 1_000), "not each number once");
    let sent_bad = (0..half).step_by(STEP as usize).count().div_ceil(4) * 2;
    let reasons = tables.texts("kafka_rejected", "reason");
    assert_eq!(reasons.len(), sent_bad + 1, "{reasons:?}");
    assert!(reasons.iter().any(|r| r == "the message has no value"));
    let messages = tables.texts("kafka_rejected", "message");
    for bad in ["no JSON", "[1,2]", "{\"n\":1", "{\"a\":\u{fffd}}", "nothing"] {
        assert!(messages.iter().any(|m| m == bad), "{bad} is not among {messages:?}");
    }
    println!("{} messages, {KILLS} kills: each once; {} rejected", NUMBERS + 1_000, reasons.len());
}

fn what_the_broker_dropped_is_counted(dir: &Path, broker: &Broker, driver: &mut Driver) {
    let topic = "short-lived";
    let dir = own_dir(dir, "dropped");
    let config = entry(broker.plain, topic, "events");
    driver.run(&["create", topic, "1"]);
    driver.numbers(topic, "none", 1, 0..50);
    let server = Server::start(&dir, &config);
    server.reaches(topic, 50);
    server.terminate();
    driver.numbers(topic, "none", 1, 50..150);
    driver.run(&["trim", topic, "0", "120"]);
    let server = Server::start(&dir, &config);
    server.reaches(topic, 150);
    assert_eq!(server.metric("chronolith_kafka_lost_total", topic), Some(70));
    let said = server.terminate();
    assert!(said.contains("does not have the next offset any more"), "{said}");
    // Another topic of that name, with offsets that were read already.
    driver.run(&["delete", topic]);
    driver.run(&["create", topic, "1"]);
    driver.numbers(topic, "none", 1, 1_000..1_200);
    let server = Server::start(&dir, &config);
    server.waits_for("the new topic", || server.metric("chronolith_kafka_messages_total", topic) == Some(200));
    server.terminate();
    let mut expected = once(0..50);
    expected.extend(once(120..150));
    expected.extend(once(1_000..1_200));
    assert_eq!(Tables::of(&dir).numbers("events"), expected);
}

fn every_way_to_log_in(dir: &Path, broker: &Broker, driver: &mut Driver) {
    let topic = "guarded";
    driver.run(&["create", topic, "2"]);
    driver.numbers(topic, "zstd", 2, 0..100);
    let own = own_dir(dir, "login");
    fs::write(own.join("password"), format!("{PASSWORD}\n")).unwrap();
    fs::write(own.join("wrong"), "guess").unwrap();
    let login = |sasl: &str, file: &str| {
        format!("sasl = {sasl:?}\nuser = {USER:?}\npassword-file = {:?}\nname = {sasl:?}\n", own.join(file))
    };
    let ways = ["plain", "scram-sha-256", "scram-sha-512"];
    let mut config = String::new();
    for sasl in ways {
        config += &(entry(broker.login, topic, sasl) + &login(sasl, "password"));
    }
    let tls = format!("tls-ca = {:?}\n", dir.join("ca.pem"));
    config += &(entry(broker.tls, topic, "tls")
        + &tls
        + &login("plain", "password").replace("name = \"plain\"", "name = \"tls\""));
    config += &(entry(broker.login, topic, "wrong")
        + &login("plain", "wrong").replace("name = \"plain\"", "name = \"wrong\""));
    let server = Server::start(&own, &config);
    server.reaches(topic, 400);
    server.waits_for("a refusal", || server.metric("chronolith_kafka_failures_total", topic).unwrap() > 0);
    let said = server.terminate();
    assert!(said.contains("refuses the login"), "{said}");
    let tables = Tables::of(&own);
    for table in ways.into_iter().chain(["tls"]) {
        assert_eq!(tables.numbers(table), once(0..100), "{table}");
    }
    assert!(tables.numbers("wrong").is_empty());
}
