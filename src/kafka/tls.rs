//! Encrypted connections to brokers.

use std::{io, path::Path, sync::Arc};

use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
    },
};

use super::error::KafkaError;

/// Encrypts a connection to a broker whose certificate one of those in the PEM file vouches for.
pub(super) async fn encrypt(tcp: TcpStream, address: &str, ca: &Path) -> Result<TlsStream<TcpStream>, KafkaError> {
    let connect = |source| KafkaError::Connect { address: address.to_owned(), source };
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let name = ServerName::try_from(host).map_err(|e| connect(io::Error::new(io::ErrorKind::InvalidInput, e)))?;
    let config = client_config(ca)?;
    TlsConnector::from(Arc::new(config)).connect(name, tcp).await.map_err(connect)
}

/// Reads the certificates to trust.
pub(super) fn client_config(ca: &Path) -> Result<ClientConfig, KafkaError> {
    let file = |reason: String| KafkaError::File { path: ca.to_owned(), reason };
    let certificates = CertificateDer::pem_file_iter(ca)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|e| file(format!("no PEM file of certificates: {e}")))?;
    let mut roots = RootCertStore::empty();
    if roots.add_parsable_certificates(certificates).0 == 0 {
        return Err(file("there is no certificate in it".to_owned()));
    }
    // One provider by name: the process may have more than one.
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|e| file(e.to_string()))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}
