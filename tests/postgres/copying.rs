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
