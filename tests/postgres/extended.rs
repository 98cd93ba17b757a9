//! The extended protocol: prepared statements, values in text and binary, portals in portions, errors up to the Sync.

use crate::{
    client::{bind, describe, errors, execute, kinds, message, parse, rows, sync, tags},
    harness::TestServer,
};

#[test]
fn a_statement_is_prepared_described_bound_and_run() {
    let server = TestServer::start();
    let mut client = server.connect();
    client.query("CREATE TABLE t (id INT PRIMARY KEY, name VARCHAR(20), at TIMESTAMPTZ, score DOUBLE PRECISION)");
    let messages = client.ask(&[parse("i", "INSERT INTO t VALUES ($1, $2, $3, $4)", &[]), describe('S', "i"), sync()]);
    assert_eq!(kinds(&messages), "1tnZ");
    let oids: Vec<u32> =
        messages[1].body[2..].chunks_exact(4).map(|c| u32::from_be_bytes(c.try_into().unwrap())).collect();
    assert_eq!((oids[0], oids[2], oids[3]), (23, 1184, 701), "{oids:?}");
    assert!(matches!(oids[1], 25 | 1043), "{oids:?}");
    let at = 1_000_000_i64.to_be_bytes();
    let score = 2.5_f64.to_be_bytes();
    let binary = [Some(&[0, 0, 0, 7][..]), Some(b"seven"), Some(&at), Some(&score)];
    let messages = client.ask(&[bind("", "i", &[1], &binary, &[]), execute("", 0), sync()]);
    assert_eq!((kinds(&messages).as_str(), tags(&messages)), ("2CZ", vec!["INSERT 0 1".to_owned()]));
    let text = [Some(&b"8"[..]), None, Some(b"2026-01-02 03:04:05+01"), Some(b"-1e3")];
    client.ask(&[bind("", "i", &[], &text, &[]), execute("", 0), sync()]);
    let select = parse("", "SELECT id, name, at, score FROM t WHERE id >= $1 ORDER BY id", &[23]);
    let run = [bind("", "", &[], &[Some(b"1")], &[]), describe('P', ""), execute("", 0), sync()];
    let messages = client.ask(&[vec![select], run.to_vec()].concat());
    assert_eq!(kinds(&messages), "12TDDCZ");
    let found = rows(&messages);
    assert_eq!(found, ["7|seven|2000-01-01 00:00:01+00|2.5", "8|NULL|2026-01-02 02:04:05+00|-1000"]);
    // The same in binary.
    let messages = client.ask(&[bind("", "", &[0], &[Some(b"7")], &[1]), describe('P', ""), execute("", 0), sync()]);
    assert!(messages[1].columns().iter().all(|(_, _, format)| *format == 1));
    let values = messages[2].values();
    assert_eq!(values, [Some(vec![0, 0, 0, 7]), Some(b"seven".to_vec()), Some(at.to_vec()), Some(score.to_vec())]);
}

#[test]
fn a_portal_gives_its_rows_in_portions() {
    let server = TestServer::start();
    let mut client = server.connect();
    let numbers = "SELECT * FROM (VALUES (1), (2), (3), (4), (5)) AS v(n) ORDER BY n";
    client.query("BEGIN");
    let messages = client.ask(&[parse("", numbers, &[]), bind("c", "", &[], &[], &[]), execute("c", 2), sync()]);
    assert_eq!((kinds(&messages).as_str(), rows(&messages)), ("12DDsZ", vec!["1".to_owned(), "2".to_owned()]));
    assert_eq!(kinds(&client.ask(&[execute("c", 3), sync()])), "DDDsZ");
    let messages = client.ask(&[execute("c", 3), sync()]);
    assert_eq!((kinds(&messages).as_str(), tags(&messages)), ("CZ", vec!["SELECT 0".to_owned()]));
    assert_eq!(kinds(&client.ask(&[message('C', b"Pc\0"), sync()])), "3Z");
    assert_eq!(errors(&client.ask(&[execute("c", 0), sync()])), ["34000"]);
    client.query("ROLLBACK");
    // Without a transaction a portal lives to the Sync.
    client.ask(&[bind("c", "", &[], &[], &[]), execute("c", 2), sync()]);
    assert_eq!(errors(&client.ask(&[parse("", numbers, &[]), execute("c", 2), sync()])), ["34000"]);
}

#[test]
fn what_comes_before_a_sync_is_one_transaction() {
    let server = TestServer::start();
    let mut client = server.connect();
    client.query("CREATE TABLE t (id INT PRIMARY KEY)");
    client.ask(&[parse("i", "INSERT INTO t VALUES ($1)", &[23]), sync()]);
    let insert = |id: &'static [u8]| [bind("", "i", &[], &[Some(id)], &[]), execute("", 0)].concat();
    let messages = client.ask(&[insert(b"1"), insert(b"2"), insert(b"1"), insert(b"3"), sync()]);
    assert_eq!(errors(&messages), ["23505"]);
    assert_eq!(messages.last().unwrap().body, b"I");
    assert_eq!(rows(&client.query("SELECT count(*) FROM t")), ["0"]);
    let messages = client.ask(&[insert(b"1"), insert(b"2"), sync()]);
    assert_eq!(kinds(&messages), "2C2CZ");
    // A BEGIN in the series makes it the client's own transaction.
    let begin = [parse("", "BEGIN", &[]), bind("", "", &[], &[], &[]), execute("", 0)].concat();
    let messages = client.ask(&[begin, insert(b"3"), sync()]);
    assert_eq!(messages.last().unwrap().body, b"T");
    client.query("ROLLBACK");
    assert_eq!(rows(&client.query("SELECT count(*) FROM t")), ["2"]);
}

#[test]
fn errors_name_what_is_wrong_and_nothing_counts_until_the_sync() {
    let server = TestServer::start();
    let mut client = server.connect();
    client.ask(&[parse("s", "SELECT $1::int4 + 1 AS n", &[]), sync()]);
    for (bytes, state) in [
        (parse("s", "SELECT 2", &[]), "42P05"),
        (parse("", "SELEC 2", &[]), "42601"),
        (bind("", "nothing", &[], &[], &[]), "26000"),
        (bind("", "s", &[], &[], &[]), "08P01"),
        (bind("", "s", &[0, 0], &[Some(b"1")], &[]), "08P01"),
        (bind("", "s", &[], &[Some(b"1")], &[0, 0]), "08P01"),
        (bind("", "s", &[], &[Some(b"x")], &[]), "22P02"),
        (bind("", "s", &[1], &[Some(b"x")], &[]), "22P03"),
        (describe('S', "nothing"), "26000"),
        (describe('P', "nothing"), "34000"),
    ] {
        let messages = client.ask(&[bytes, parse("never", "SELECT 1", &[]), sync()]);
        assert_eq!((kinds(&messages).as_str(), errors(&messages)), ("EZ", vec![state.to_owned()]));
    }
    assert_eq!(errors(&client.ask(&[describe('S', "never"), sync()])), ["26000"]);
    let messages = client.ask(&[bind("", "s", &[], &[Some(b"41")], &[]), execute("", 0), sync()]);
    assert_eq!(rows(&messages), ["42"]);
    // Closing what does not exist is no error.
    let messages = client.ask(&[message('C', b"Ss\0"), message('C', b"Snothing\0"), sync()]);
    assert_eq!(kinds(&messages), "33Z");
    // An empty statement.
    let empty = [parse("", " -- nothing", &[]), describe('S', ""), bind("", "", &[], &[], &[]), execute("", 0), sync()];
    assert_eq!(kinds(&client.ask(&empty)), "1tn2IZ");
}

#[test]
fn answers_come_on_flush() {
    let server = TestServer::start();
    let mut client = server.connect();
    client.send(&[parse("", "SELECT 1", &[]), describe('S', ""), message('H', b"")].concat());
    assert_eq!([client.next(), client.next(), client.next()].map(|m| m.unwrap().kind), ['1', 't', 'T']);
    client.send(&[bind("", "", &[], &[], &[]), execute("", 0), message('H', b"")].concat());
    assert_eq!([client.next(), client.next(), client.next()].map(|m| m.unwrap().kind), ['2', 'D', 'C']);
    assert_eq!(kinds(&client.ask(&[sync()])), "Z");
}

#[test]
fn a_declared_cursor_is_described_as_a_portal() {
    let server = TestServer::start();
    let mut client = server.connect();
    client.query("BEGIN");
    client.query("DECLARE \"C\" CURSOR FOR SELECT 1::int AS one, 'x'::text AS two");
    let messages = client.ask(&[describe('P', "C"), sync()]);
    let columns: Vec<(String, u32)> = messages[0].columns().into_iter().map(|(name, oid, _)| (name, oid)).collect();
    assert_eq!(columns, [("one".to_owned(), 23), ("two".to_owned(), 25)]);
    assert_eq!(errors(&client.ask(&[describe('P', "c"), sync()])), ["34000"]);
}

#[test]
fn arrays_of_the_catalog_are_told_as_clients_know_them() {
    let server = TestServer::start();
    let mut client = server.connect();
    client.query("CREATE TABLE t (a INT, b INT, PRIMARY KEY (a, b))");
    let messages = client.query("SELECT indkey, indclass FROM pg_index");
    let oids: Vec<u32> = messages[0].columns().into_iter().map(|(_, oid, _)| oid).collect();
    assert_eq!((oids, rows(&messages)), (vec![22, 30], vec!["1 2|0 0".to_owned()]));
    // An asyncpg that meets an array asks for its type by a list of OIDs.
    let ask = "SELECT array_agg(oid ORDER BY oid) FROM pg_type WHERE oid = ANY($1::oid[])";
    let messages = client.ask(&[parse("o", ask, &[]), describe('S', "o"), sync()]);
    assert_eq!(messages[1].body, [0, 1, 0, 0, 4, 4]);
    assert_eq!(messages[2].columns()[0].1, 1028);
}

#[test]
fn errors_tell_what_they_are_about() {
    let server = TestServer::start();
    let mut client = server.connect();
    client.query("CREATE TABLE t (id INT PRIMARY KEY, name TEXT NOT NULL)");
    client.query("INSERT INTO t VALUES (1, 'a')");
    let about = |messages: &[crate::client::Message]| {
        ['C', 's', 't', 'c', 'n', 'D'].map(|code| messages[0].field(code).unwrap_or_default())
    };
    let messages = client.query("INSERT INTO t VALUES (1, 'b')");
    assert_eq!(about(&messages), ["23505", "public", "t", "", "t_pkey", "Key (id)=(1) already exists."]);
    let messages = client.query("INSERT INTO t VALUES (2, NULL)");
    assert_eq!(about(&messages), ["23502", "public", "t", "name", "", ""]);
}
