//! What the PostgreSQL side is told at start: addresses, users, TLS, limits.

use std::{path::Path, sync::Arc, time::Duration};

use tokio_rustls::rustls::{
    ServerConfig as TlsConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};

use super::users::Users;
use crate::server::config::Listen;

/// The address that is listened on when none was asked for: PostgreSQL's port, on loopback.
pub const DEFAULT_POSTGRES_LISTEN: &str = "127.0.0.1:5432";

/// How PostgreSQL's protocol is served.
#[derive(Debug, Clone)]
pub struct PostgresConfig {
    /// The addresses to listen on; none: the protocol is not served.
    pub listen: Vec<Listen>,
    /// Who may log in; `None`: everybody who can reach the address, without a password.
    pub users: Option<Users>,
    /// For clients that ask for TLS; `None`: they are told that there is none.
    pub tls: Option<Tls>,
    /// Bytes of one message.
    pub max_message_bytes: usize,
    /// How long a connection may do nothing. Long, because clients keep connections in pools and take it for granted
    /// that they stay open.
    pub idle_timeout: Duration,
}

impl Default for PostgresConfig {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            users: None,
            tls: None,
            max_message_bytes: 64 << 20,
            idle_timeout: Duration::from_secs(24 * 3600),
        }
    }
}

/// A certificate with its key.
#[derive(Debug, Clone)]
pub struct Tls(pub(crate) Arc<TlsConfig>);

impl Tls {
    /// Reads a chain of certificates and the key of the first, both in PEM.
    ///
    /// # Errors
    /// Says which file is wrong, and why.
    pub fn read(certificates: &Path, key: &Path) -> Result<Self, String> {
        let chain = CertificateDer::pem_file_iter(certificates)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|e| format!("{}: {e}", certificates.display()))?;
        if chain.is_empty() {
            return Err(format!("{}: there is no certificate in it", certificates.display()));
        }
        let private = PrivateKeyDer::from_pem_file(key).map_err(|e| format!("{}: {e}", key.display()))?;
        let config = TlsConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private))
            .map_err(|e| format!("{} with {}: {e}", certificates.display(), key.display()))?;
        Ok(Self(Arc::new(config)))
    }
}
