//! TLS: the same session, encrypted, and nothing that was smuggled in before it.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    sync::Arc,
};

use chronolith::server::postgres::Tls;
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};

use crate::{
    client::{Client, SSL_REQUEST, message, packet, startup},
    harness::TestServer,
};

/// A self-signed certificate for `localhost`, and its key: good for nothing but this test.
fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/postgres/certificate").join(name)
}

fn encrypted_server() -> TestServer {
    let tls = Tls::read(&file("certificate.pem"), &file("key.pem")).unwrap();
    TestServer::configured(|config| config.postgres.tls = Some(tls))
}

fn encrypt(stream: TcpStream) -> StreamOwned<ClientConnection, TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(file("certificate.pem")).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), stream)
}

#[test]
fn a_session_is_encrypted_when_the_client_asks() {
    let server = encrypted_server();
    let mut plain = Client::silent(server.address);
    plain.send(&packet(&SSL_REQUEST.to_be_bytes()));
    let mut answer = [0];
    plain.stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"S");
    let mut stream = encrypt(plain.stream);
    stream.write_all(&startup(3 << 16, &[("user", "ana")])).unwrap();
    stream.write_all(&message('Q', b"SELECT 'over TLS'\0")).unwrap();
    stream.write_all(&message('X', b"")).unwrap();
    let mut answers = Vec::new();
    stream.read_to_end(&mut answers).unwrap();
    let text = String::from_utf8_lossy(&answers);
    assert!(text.contains("server_version") && text.contains("over TLS"), "{text}");
    // Who does not ask is served in plain.
    server.connect().query("SELECT 1");
}

#[test]
fn plain_bytes_before_the_encryption_end_the_connection() {
    let server = encrypted_server();
    let mut client = Client::silent(server.address);
    client.send(&[packet(&SSL_REQUEST.to_be_bytes()), startup(3 << 16, &[("user", "ana")])].concat());
    let mut answers = Vec::new();
    client.stream.read_to_end(&mut answers).unwrap();
    // Whether both came at once is the network's to say; if not, the second is no TLS.
    let text = String::from_utf8_lossy(&answers);
    assert!(text.contains("unencrypted data") || !text.contains("server_version"), "{text}");
}

#[test]
fn files_that_are_no_certificate_are_named() {
    for (certificate, key) in [("key.pem", "key.pem"), ("certificate.pem", "certificate.pem"), ("none.pem", "key.pem")]
    {
        let error = Tls::read(&file(certificate), &file(key)).unwrap_err();
        assert!(error.contains(".pem"), "{error}");
    }
}
