//! Clients that stall, lie about lengths, send garbage, come in crowds, or stay when the server stops.

use std::{
    io::{Read as _, Write as _},
    time::{Duration, Instant},
};

use crate::{
    client::{Client, PATIENCE, SSL_REQUEST, bind, errors, execute, kinds, message, packet, parse, startup, sync},
    harness::TestServer,
};

/// A statement runs: the server did not suffer.
fn still_works(server: &TestServer) {
    let messages = server.connect().query("SELECT 1");
    assert_eq!(kinds(&messages), "TDCZ");
}

/// Reads until the server closes the connection.
fn closed_by_server(client: &mut Client) -> Vec<u8> {
    let began = Instant::now();
    let mut bytes = Vec::new();
    // A reset is as good as an end.
    let _ = client.stream.read_to_end(&mut bytes);
    assert!(began.elapsed() < PATIENCE);
    bytes
}

#[test]
fn slow_starts_are_cut_off() {
    let server = TestServer::configured(|config| config.limits.head_timeout = Duration::from_millis(100));
    let mut silent = Client::silent(server.address);
    let mut half = Client::silent(server.address);
    half.send(&startup(3 << 16, &[("user", "ana")])[..10]);
    let mut wishing = Client::silent(server.address);
    wishing.send(&packet(&SSL_REQUEST.to_be_bytes()));
    assert_eq!(closed_by_server(&mut silent), b"");
    assert_eq!(closed_by_server(&mut half), b"");
    assert_eq!(closed_by_server(&mut wishing), b"N");
    still_works(&server);
}

#[test]
fn half_messages_and_idle_sessions_end() {
    let server = TestServer::configured(|config| {
        config.limits.body_timeout = Duration::from_millis(100);
        config.postgres.idle_timeout = Duration::from_millis(300);
    });
    let mut half = server.connect();
    half.send(&message('Q', b"SELECT 1\0")[..7]);
    assert_eq!(closed_by_server(&mut half), b"");
    let mut idle = server.connect();
    assert_eq!(errors(&idle.until_closed()), ["57P05"]);
}

#[test]
fn garbage_is_refused_by_name() {
    let server = TestServer::configured(|config| config.postgres.max_message_bytes = 1000);
    for (bytes, state) in [
        (b"GET / HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(), "08P01"),
        (b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03".to_vec(), "08P01"),
        (vec![0xff; 100], "08P01"),
        (vec![0; 8], "08P01"),
        (packet(&[0, 3, 0, 0, b'u']), "08P01"),
        (packet(&[0, 3, 0, 0, 0, 0, 0]), "08P01"),
        (packet(&[0, 3, 0, 0, 0xff, 0, 0xff, 0, 0]), "22021"),
        (packet(&[0, 1, 0, 0]), "0A000"),
    ] {
        let mut client = Client::silent(server.address);
        client.send(&bytes);
        assert_eq!(errors(&client.until_closed()), [state], "{bytes:?}");
    }
    for (bytes, state) in [
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), "08P01"),
        (b"Q\0\0\0\0".to_vec(), "08P01"),
        (b"Q\xff\xff\xff\xff".to_vec(), "08P01"),
        (message('Q', &[b'x'; 1001]), "54000"),
        (message('p', b"secret\0"), "08P01"),
    ] {
        let mut client = server.connect();
        client.send(&bytes);
        assert_eq!(errors(&client.until_closed()), [state], "{bytes:?}");
    }
    still_works(&server);
}

#[test]
fn malformed_bodies_fail_alone() {
    let server = TestServer::start();
    let mut client = server.connect();
    for (bytes, state) in [
        (message('Q', b"SELECT 1"), "08P01"),
        (message('Q', b"SELECT 1\0\0"), "08P01"),
        (message('Q', b"SELECT '\xff'\0"), "22021"),
        (message('F', b"\0\0\0\x01"), "0A000"),
    ] {
        client.send(&bytes);
        let messages = client.until_ready();
        assert_eq!((kinds(&messages).as_str(), errors(&messages)), ("EZ", vec![state.to_owned()]), "{bytes:?}");
    }
    for (bytes, state) in [
        (message('P', b"\0SELECT 1\0\xff\xff"), "08P01"),
        (message('P', b""), "08P01"),
        (message('B', b"\0\0\0\x01\0\x02\0\0\0\0"), "22023"),
        (message('B', b"\0\0\0\0\x7f\xff"), "08P01"),
        (message('D', b"X\0"), "08P01"),
        (message('C', b""), "08P01"),
        (message('E', b"\0\0"), "08P01"),
        (bind("", "", &[], &[], &[]), "26000"),
        (execute("", 0), "34000"),
        (parse("", "SELECT 1; SELECT 2", &[]), "42601"),
        (parse("", "SELECT $1", &[4_000_000_000]), "0A000"),
    ] {
        // What follows does not count until the Sync.
        client.send(&[bytes.clone(), execute("nothing", 0), sync()].concat());
        let messages = client.until_ready();
        assert_eq!((kinds(&messages).as_str(), errors(&messages)), ("EZ", vec![state.to_owned()]), "{bytes:?}");
    }
    // What belongs to a COPY is ignored outside of one.
    client.send(&[message('d', b"1\n"), message('c', b""), message('f', b"why\0")].concat());
    assert_eq!(kinds(&client.query("SELECT 1")), "TDCZ");
}

#[test]
fn crowds_are_told_and_may_cancel() {
    let server = TestServer::configured(|config| config.limits.max_connections = 2);
    let first = server.connect();
    let _second = server.connect();
    let mut third = Client::silent(server.address);
    third.send(&startup(3 << 16, &[("user", "ana")]));
    let messages = third.until_closed();
    assert_eq!(errors(&messages), ["53300"]);
    Client::cancel(server.address, first.key.as_ref().unwrap());
    assert_eq!(server.metric("chronolith_postgres_cancel_requests_total"), 1.0);
    drop(first);
    server.wait_for("chronolith_postgres_connections", 1.0);
    still_works(&server);
}

#[test]
fn idle_sessions_are_told_that_the_server_stops() {
    let mut server = TestServer::start();
    let mut client = server.connect();
    server.tell_to_stop();
    let messages = client.until_closed();
    assert_eq!(errors(&messages), ["57P01"]);
    assert_eq!(messages[0].field('S').unwrap(), "FATAL");
}

#[test]
fn long_messages_share_the_memory_for_bodies() {
    let server = TestServer::configured(|config| config.limits.max_bodies_bytes = 3 << 20);
    let text = format!("SELECT 1 -- {}\0", "x".repeat(2 << 20));
    let long = message('Q', text.as_bytes());
    let mut first = server.connect();
    // Half of it is there, so its memory is taken.
    first.send(&long[..1 << 20]);
    let mut second = server.connect();
    let began = Instant::now();
    loop {
        assert!(began.elapsed() < PATIENCE);
        // Whether the first one's head was read by now is the server's to say.
        second.stream.write_all(&long).unwrap();
        let answer = second.next().unwrap();
        if answer.kind == 'E' {
            assert_eq!(answer.field('C').unwrap(), "53200");
            break;
        }
        second.until_ready();
    }
    first.send(&long[1 << 20..]);
    assert_eq!(kinds(&first.until_ready()), "TDCZ");
}
