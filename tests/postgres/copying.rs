//! COPY in both directions, and what happens when it fails.

use crate::{
    client::{Message, errors, kinds, message, rows, tags},
    harness::TestServer,
};

fn lines(messages: &[Message]) -> String {
    let data = messages.iter().filter(|m| m.kind == 'd').flat_map(|m| m.body.clone());
    String::from_utf8(data.collect()).unwrap()
}

#[test]
fn rows_go_in_and_out_as_text_and_csv() {
    let server = TestServer::start();
    let mut client = server.connect();
    client.query("CREATE TABLE t (id INT PRIMARY KEY, name TEXT)");
    client.send(&message('Q', b"COPY t FROM STDIN\0"));
    let begun = client.next().unwrap();
    assert_eq!((begun.kind, begun.body), ('G', vec![0, 0, 2, 0, 0, 0, 0]));
    // Cut in the middle of a line, and of a character.
    for part in [&b"1\ta\\tb\n2\t"[..], b"\\N\n3\t\xc3", b"\xa4\n"] {
        client.send(&message('d', part));
    }
    let messages = client.ask(&[message('c', b"")]);
    assert_eq!((kinds(&messages).as_str(), tags(&messages)), ("CZ", vec!["COPY 3".to_owned()]));
    let messages = client.query("COPY (SELECT * FROM t ORDER BY id) TO STDOUT");
    assert_eq!(kinds(&messages), "HdddcCZ");
    assert_eq!(lines(&messages), "1\ta\\tb\n2\t\\N\n3\t\u{e4}\n");
    assert_eq!(tags(&messages), ["COPY 3"]);
    let messages = client.query("COPY (SELECT * FROM t ORDER BY id) TO STDOUT WITH (FORMAT csv, HEADER true)");
    assert_eq!(lines(&messages), "id,name\n1,a\tb\n2,\n3,\u{e4}\n");
}

#[test]
fn a_copy_that_fails_leaves_nothing() {
    let server = TestServer::start();
    let mut client = server.connect();
    client.query("CREATE TABLE t (id INT PRIMARY KEY, name TEXT)");
    // The client gives up.
    client.send(&message('Q', b"COPY t FROM STDIN\0"));
    assert_eq!(client.next().unwrap().kind, 'G');
    let messages = client.ask(&[message('d', b"1\ta\n"), message('f', b"no more\0")]);
    assert_eq!(errors(&messages), ["57014"]);
    assert!(messages[0].field('M').unwrap().contains("no more"));
    // A line does not fit; what the client sends on is ignored.
    client.send(&message('Q', b"COPY t FROM STDIN\0"));
    assert_eq!(client.next().unwrap().kind, 'G');
    let messages = client.ask(&[message('d', b"1\ta\nx\tb\n"), message('c', b"")]);
    assert_eq!(errors(&messages), ["22P02"]);
    // Something else than data comes.
    client.send(&message('Q', b"COPY t FROM STDIN\0"));
    assert_eq!(client.next().unwrap().kind, 'G');
    assert_eq!(errors(&client.ask(&[message('Q', b"SELECT 1\0")])), ["08P01"]);
    assert_eq!(rows(&client.query("SELECT count(*) FROM t")), ["0"]);
    // A file of the server's is out of reach.
    assert_eq!(kinds(&client.query("COPY t TO '/etc/x'")), "EZ");
}

/// The binary format: a head, tuples of an integer and a text, an end.
fn tuples(of: &[(i32, Option<&[u8]>)]) -> Vec<u8> {
    let mut bytes = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec();
    for (id, name) in of {
        bytes.extend_from_slice(&[0, 2, 0, 0, 0, 4]);
        bytes.extend_from_slice(&id.to_be_bytes());
        bytes.extend_from_slice(&name.map_or(-1, |name| i32::try_from(name.len()).unwrap()).to_be_bytes());
        bytes.extend_from_slice(name.unwrap_or_default());
    }
    bytes.extend_from_slice(&(-1_i16).to_be_bytes());
    bytes
}

#[test]
fn rows_go_in_and_out_in_binary() {
    let server = TestServer::start();
    let mut client = server.connect();
    client.query("CREATE TABLE t (id INT PRIMARY KEY, name VARCHAR(3))");
    let all = tuples(&[(1, Some(b"a\tb")), (2, None), (-3, Some(b""))]);
    client.send(&message('Q', b"COPY t FROM STDIN WITH (FORMAT binary)\0"));
    let begun = client.next().unwrap();
    assert_eq!((begun.kind, begun.body), ('G', vec![1, 0, 2, 0, 1, 0, 1]));
    for part in all.chunks(7) {
        client.send(&message('d', part));
    }
    assert_eq!(tags(&client.ask(&[message('c', b"")])), ["COPY 3"]);
    assert_eq!(rows(&client.query("SELECT * FROM t ORDER BY id")), ["-3|", "1|a\tb", "2|NULL"]);
    let messages = client.query("COPY (SELECT * FROM t ORDER BY abs(id)) TO STDOUT (FORMAT binary)");
    assert_eq!((kinds(&messages).as_str(), &messages[0].body[..]), ("HddddcCZ", &[1, 0, 2, 0, 1, 0, 1][..]));
    let data: Vec<u8> = messages.iter().filter(|m| m.kind == 'd').flat_map(|m| m.body.clone()).collect();
    assert_eq!(data, all);
    // The head comes with the first tuple, or else with the end.
    assert_eq!(messages[1].body.len(), 19 + 2 + 4 + 4 + 4 + 3);
    let nothing = client.query("COPY (SELECT * FROM t WHERE false) TO STDOUT (FORMAT binary)");
    assert_eq!((kinds(&nothing).as_str(), &nothing[1].body), ("HdcCZ", &tuples(&[])));
    for (data, state) in [
        (tuples(&[(9, Some(b"long"))]), "22001"),
        (tuples(&[(1, None)]), "23505"),
        (b"9\tx\n".to_vec(), "22P04"),
        (tuples(&[(9, Some(b"\xff"))]), "22021"),
        (all[..all.len() - 3].to_vec(), "22P04"),
    ] {
        client.send(&message('Q', b"COPY t FROM STDIN WITH (FORMAT binary)\0"));
        assert_eq!(client.next().unwrap().kind, 'G');
        assert_eq!(errors(&client.ask(&[message('d', &data), message('c', b"")])), [state]);
    }
    assert_eq!(rows(&client.query("SELECT count(*) FROM t")), ["3"]);
}
