//! The simple protocol: results in text, several statements in one message, transactions, settings, cancelling.

use std::{thread, time::Instant};

use crate::{
    client::{Client, PATIENCE, errors, kinds, message, rows, tags},
    harness::TestServer,
};

#[test]
fn a_query_is_described_sent_and_completed() {
    let server = TestServer::start();
    let mut client = server.connect();
    let messages = client.query("SELECT 1 AS one, 'two' AS two, NULL AS nothing, 1.5::float8 AS real, true AS yes");
    assert_eq!(kinds(&messages), "TDCZ");
    let columns = messages[0].columns();
    let names: Vec<_> = columns.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(names, ["one", "two", "nothing", "real", "yes"]);
    assert!(columns.iter().all(|(_, _, format)| *format == 0));
    assert_eq!((columns[1].1, columns[3].1, columns[4].1), (25, 701, 16));
    assert_eq!(rows(&messages), ["1|two|NULL|1.5|t"]);
    assert_eq!(tags(&messages), ["SELECT 1"]);
    assert_eq!(messages[3].body, b"I");
}

#[test]
fn empty_texts_are_empty_queries() {
    let server = TestServer::start();
    let mut client = server.connect();
    for text in ["", ";", "  ;; ", "-- ping", "/* a /* b */ */"] {
        assert_eq!(kinds(&client.query(text)), "IZ", "{text}");
    }
}

#[test]
fn several_statements_are_one_transaction() {
    let server = TestServer::start();
    let mut client = server.connect();
    client.query("CREATE TABLE t (id INT PRIMARY KEY)");
    let messages = client.query("INSERT INTO t VALUES (1); INSERT INTO t VALUES (2); SELECT id FROM t ORDER BY id");
    assert_eq!(tags(&messages), ["INSERT 0 1", "INSERT 0 1", "SELECT 2"]);
    // The first insert goes with the second.
    let messages = client.query("INSERT INTO t VALUES (3); INSERT INTO t VALUES (1); SELECT 1");
    assert_eq!((kinds(&messages).as_str(), errors(&messages)), ("CEZ", vec!["23505".to_owned()]));
    assert_eq!(messages[2].body, b"I");
    assert_eq!(rows(&client.query("SELECT count(*) FROM t")), ["2"]);
    // A transaction of the client's own stays open, with what was done before it in the same message.
    let messages = client.query("INSERT INTO t VALUES (4); BEGIN; INSERT INTO t VALUES (5)");
    assert_eq!(messages.last().unwrap().body, b"T");
    assert_eq!(rows(&server.connect().query("SELECT count(*) FROM t")), ["2"]);
    assert_eq!(client.query("COMMIT").last().unwrap().body, b"I");
    assert_eq!(rows(&client.query("SELECT count(*) FROM t")), ["4"]);
    // COMMIT in the middle keeps what came before it.
    client.query("INSERT INTO t VALUES (6); COMMIT; INSERT INTO t VALUES (7); INSERT INTO t VALUES (1)");
    assert_eq!(rows(&client.query("SELECT count(*) FROM t")), ["5"]);
}

#[test]
fn a_failed_transaction_takes_only_its_end() {
    let server = TestServer::start();
    let mut client = server.connect();
    assert_eq!(client.query("BEGIN").last().unwrap().body, b"T");
    let messages = client.query("SELECT no_such_column");
    assert_eq!((kinds(&messages).as_str(), messages[1].body.as_slice()), ("EZ", b"E".as_slice()));
    assert_eq!(errors(&client.query("SELECT 1")), ["25P02"]);
    let messages = client.query("ROLLBACK");
    assert_eq!((tags(&messages), messages[1].body.as_slice()), (vec!["ROLLBACK".to_owned()], b"I".as_slice()));
    // An error of the protocol's fails the transaction as well.
    client.query("BEGIN");
    let messages = client.ask(&[message('F', b"")]);
    assert_eq!((errors(&messages), messages[1].body.as_slice()), (vec!["0A000".to_owned()], b"E".as_slice()));
    client.query("ROLLBACK");
}

#[test]
fn an_errors_position_counts_in_the_whole_message() {
    let server = TestServer::start();
    let mut client = server.connect();
    let one = client.query("SELEC 1");
    let position = |messages: &[crate::client::Message]| {
        messages.iter().find(|m| m.kind == 'E').unwrap().field('P').map(|p| p.parse::<usize>().unwrap())
    };
    let alone = position(&one);
    let text = "SELECT '\u{e4}'; ";
    let second = client.query(&format!("{text}SELEC 1"));
    assert_eq!(errors(&one), ["42601"]);
    if let (Some(alone), Some(second)) = (alone, position(&second)) {
        assert_eq!(second, alone + text.chars().count());
    }
}

#[test]
fn settings_that_change_are_told() {
    let server = TestServer::start();
    let mut client = server.connect();
    let messages = client.query("SET application_name TO 'a test'");
    assert_eq!(kinds(&messages), "CSZ");
    assert_eq!(messages[1].texts()[..2], ["application_name", "a test"]);
    assert_eq!(kinds(&client.query("SET application_name TO 'a test'")), "CZ");
    let shown = |client: &mut Client| rows(&client.query("SELECT '2026-07-01T12:00:00Z'::timestamptz"))[0].clone();
    assert_eq!(shown(&mut client), "2026-07-01 12:00:00+00");
    assert_eq!(kinds(&client.query("SET TIME ZONE 'Europe/Berlin'")), "CSZ");
    assert_eq!(shown(&mut client), "2026-07-01 14:00:00+02");
    let parameters = [("user", "a"), ("application_name", "it's"), ("options", "-c TimeZone=America/New_York")];
    let mut other = Client::connect_with(server.address, &parameters);
    assert_eq!(rows(&other.query("SHOW application_name")), ["it's"]);
    assert_eq!(shown(&mut other), "2026-07-01 08:00:00-04");
}

#[test]
fn set_local_is_of_a_transaction() {
    let server = TestServer::start();
    let mut client = server.connect();
    let messages = client.query("SET LOCAL TIME ZONE 'Europe/Berlin'");
    assert_eq!(kinds(&messages), "NCZ");
    assert_eq!(rows(&client.query("SHOW TIME ZONE")), ["UTC"]);
    assert_eq!(kinds(&client.query("BEGIN")), "CZ");
    assert_eq!(kinds(&client.query("SET LOCAL TIME ZONE 'Europe/Berlin'")), "CSZ");
    assert_eq!(rows(&client.query("SELECT '2026-07-01 12:00'::timestamptz")), ["2026-07-01 12:00:00+02"]);
    // Its end is told as well.
    assert_eq!(kinds(&client.query("COMMIT")), "CSZ");
    assert_eq!(rows(&client.query("SHOW TIME ZONE")), ["UTC"]);
}

/// A query that runs for longer than any test waits.
const ENDLESS: &str = "SELECT count(*) FROM generate_series(1, 1000000) AS a(x), generate_series(1, 1000000) AS b(y) \
                       WHERE a.x % 7 = b.y % 5 + 100";

#[test]
fn a_statement_is_cancelled_by_its_key_alone() {
    let server = TestServer::start();
    let mut client = server.connect();
    let (process, secret) = client.key.clone().unwrap();
    let address = server.address;
    let running = thread::spawn(move || client.query(ENDLESS));
    // A wrong secret does nothing; the right one is sent until it finds the statement running.
    let wrong: Vec<u8> = secret.iter().map(|b| b ^ 1).collect();
    Client::cancel(address, &(process, wrong));
    Client::cancel(address, &(process, secret[..3].to_vec()));
    let began = Instant::now();
    while !running.is_finished() {
        assert!(began.elapsed() < PATIENCE);
        Client::cancel(address, &(process, secret.clone()));
        thread::yield_now();
    }
    assert_eq!(errors(&running.join().unwrap()), ["57014"]);
}

#[test]
fn a_client_that_goes_away_takes_its_statement_along() {
    let server = TestServer::start();
    let mut client = server.connect();
    client.send(&message('Q', format!("{ENDLESS}\0").as_bytes()));
    server.wait_for("chronolith_postgres_statements_total", 1.0);
    drop(client);
    server.wait_for("chronolith_postgres_connections", 0.0);
}
