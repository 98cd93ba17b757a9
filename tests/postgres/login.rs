//! From the first byte to the session: versions, settings, passwords, TLS.

use std::io::Read as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chronolith::server::postgres::Users;
use ring::{digest, hmac, pbkdf2};

use crate::{
    client::{Client, Message, SSL_REQUEST, errors, kinds, message, packet, startup},
    harness::TestServer,
};

const VERSION: u32 = 3 << 16;

#[test]
fn a_session_begins_with_the_settings_that_drivers_look_for() {
    let server = TestServer::start();
    let client = Client::connect_with(server.address, &[("user", "ana"), ("client_encoding", "'utf-8'")]);
    let get = |name: &str| client.settings.iter().find(|(n, _)| n == name).unwrap().1.clone();
    assert!(get("server_version").starts_with("16.6 (Chronolith "));
    for (name, value) in [
        ("server_encoding", "UTF8"),
        ("client_encoding", "UTF8"),
        ("DateStyle", "ISO, MDY"),
        ("TimeZone", "UTC"),
        ("integer_datetimes", "on"),
        ("standard_conforming_strings", "on"),
        ("IntervalStyle", "postgres"),
        ("is_superuser", "on"),
        ("session_authorization", "ana"),
        ("application_name", ""),
    ] {
        assert_eq!(get(name), value, "{name}");
    }
    assert!(client.key.is_some());
    server.wait_for("chronolith_postgres_connections", 1.0);
    drop(client);
    server.wait_for("chronolith_postgres_connections", 0.0);
    assert_eq!(server.metric("chronolith_postgres_connections_total"), 1.0);
}

#[test]
fn newer_versions_and_unknown_options_are_negotiated_down() {
    let server = TestServer::start();
    let mut client = Client::silent(server.address);
    client.send(&startup(VERSION + 2, &[("user", "ana"), ("_pq_.new", "1")]));
    let messages = client.begin();
    assert_eq!(messages[0].kind, 'v');
    assert_eq!(messages[0].body, [&VERSION.to_be_bytes()[..], &1_u32.to_be_bytes(), b"_pq_.new\0"].concat());
    assert!(kinds(&messages[1..]).starts_with("RS"));
    let mut old = Client::silent(server.address);
    old.send(&startup(2 << 16, &[("user", "ana")]));
    assert_eq!(errors(&old.until_closed()), ["0A000"]);
}

#[test]
fn encryption_that_is_not_there_is_declined_and_the_session_goes_on() {
    let server = TestServer::start();
    let mut client = Client::silent(server.address);
    for code in [SSL_REQUEST + 1, SSL_REQUEST] {
        client.send(&packet(&code.to_be_bytes()));
        let mut answer = [0];
        client.stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"N");
    }
    client.send(&startup(VERSION, &[("user", "ana")]));
    client.begin();
    // Asking again and again is not a session.
    let mut stubborn = Client::silent(server.address);
    for _ in 0..3 {
        stubborn.send(&packet(&SSL_REQUEST.to_be_bytes()));
    }
    let mut answers = Vec::new();
    stubborn.stream.read_to_end(&mut answers).unwrap();
    assert!(answers.starts_with(b"NNE"), "{answers:?}");
}

#[test]
fn a_startup_packet_that_makes_no_sense_is_refused() {
    let server = TestServer::start();
    for (parameters, state) in [
        (vec![], "28000"),
        (vec![("user", "a"), ("replication", "database")], "0A000"),
        (vec![("user", "a"), ("options", "-z")], "42601"),
        (vec![("user", "a"), ("bad name;", "1")], "42704"),
    ] {
        let mut client = Client::silent(server.address);
        client.send(&startup(VERSION, &parameters));
        let messages = client.until_closed();
        assert_eq!(errors(&messages), [state], "{parameters:?}");
        assert_eq!(messages.last().unwrap().field('S').unwrap(), "FATAL");
    }
}

fn mac(key: &[u8], text: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text).as_ref().to_vec()
}

/// Logs in by SCRAM and returns what the server said last.
fn scram(client: &mut Client, user: &str, password: &str) -> Vec<Message> {
    client.send(&startup(VERSION, &[("user", user)]));
    let offered = client.next().unwrap();
    assert_eq!(offered.body, b"\0\0\0\x0aSCRAM-SHA-256\0\0");
    let bare = "n=,r=abcdef";
    let first = format!("n,,{bare}");
    let mut body = b"SCRAM-SHA-256\0".to_vec();
    body.extend(u32::try_from(first.len()).unwrap().to_be_bytes());
    body.extend_from_slice(first.as_bytes());
    client.send(&message('p', &body));
    let challenge = client.next().unwrap();
    assert_eq!(challenge.body[..4], [0, 0, 0, 11]);
    let server_first = String::from_utf8(challenge.body[4..].to_vec()).unwrap();
    let parts: Vec<&str> = server_first.split(',').map(|part| &part[2..]).collect();
    let mut salted = [0; 32];
    let rounds = parts[2].parse().unwrap();
    pbkdf2::derive(
        pbkdf2::PBKDF2_HMAC_SHA256,
        rounds,
        &STANDARD.decode(parts[1]).unwrap(),
        password.as_bytes(),
        &mut salted,
    );
    let client_key = mac(&salted, b"Client Key");
    let stored = digest::digest(&digest::SHA256, &client_key);
    let without_proof = format!("c=biws,r={}", parts[0]);
    let signature = mac(stored.as_ref(), format!("{bare},{server_first},{without_proof}").as_bytes());
    let proof: Vec<u8> = client_key.iter().zip(signature).map(|(k, s)| k ^ s).collect();
    client.send(&message('p', format!("{without_proof},p={}", STANDARD.encode(proof)).as_bytes()));
    let mut messages = Vec::new();
    while let Some(message) = client.next() {
        let is_last = message.kind == 'Z';
        messages.push(message);
        if is_last {
            break;
        }
    }
    messages
}

#[test]
fn passwords_are_checked_without_being_sent() {
    let users = Users::parse("ana:secret\nbob:other").unwrap();
    let server = TestServer::configured(|config| config.postgres.users = Some(users));
    let messages = scram(&mut Client::silent(server.address), "ana", "secret");
    assert_eq!(messages[0].body[..4], [0, 0, 0, 12], "the server proves that it knows the password too");
    assert_eq!(messages[1].body, [0, 0, 0, 0]);
    assert_eq!(messages.last().unwrap().kind, 'Z');
    for (user, password) in [("ana", "other"), ("bob", ""), ("eve", "secret")] {
        let messages = scram(&mut Client::silent(server.address), user, password);
        assert_eq!(errors(&messages), ["28P01"], "{user}");
        assert_eq!(kinds(&messages), "E");
    }
    assert_eq!(server.metric("chronolith_postgres_logins_failed_total"), 3.0);
    // Nothing but the login is taken before it.
    for wrong in [message('Q', b"SELECT 1\0"), message('p', b"PLAIN\0\0\0\0\0"), message('p', b"x")] {
        let mut client = Client::silent(server.address);
        client.send(&startup(VERSION, &[("user", "ana")]));
        client.next().unwrap();
        client.send(&wrong);
        assert_eq!(errors(&client.until_closed()), ["08P01"], "{wrong:?}");
    }
}
