//! Binds the addresses that the configuration names.

use std::{
    io,
    net::{SocketAddr, TcpListener, ToSocketAddrs as _},
};

use super::{
    ServerError,
    config::{Listen, check_exposure},
};

/// Binds every address, of which one at least must be had.
pub(crate) fn bind(listen: &[Listen], insecure_no_auth: bool) -> Result<Vec<TcpListener>, ServerError> {
    let listeners = bind_free(listen, insecure_no_auth)?;
    if listeners.is_empty() {
        let addresses = listen.iter().map(|l| l.address.as_str()).collect::<Vec<_>>().join(", ");
        return Err(ServerError::NoAddress { addresses });
    }
    Ok(listeners)
}

/// Binds every address. A default that is taken is skipped with a warning, one that was asked for is an error. Addresses
/// that others can reach are refused unless `is_guarded` says that strangers are kept out.
pub(crate) fn bind_free(listen: &[Listen], is_guarded: bool) -> Result<Vec<TcpListener>, ServerError> {
    let mut listeners = Vec::new();
    for wanted in listen {
        // A name may stand for several addresses: every one is checked, the first that can be had is bound.
        let addresses = resolve(&wanted.address)?;
        for &address in &addresses {
            check_exposure(address, is_guarded)?;
        }
        match TcpListener::bind(addresses.as_slice()).and_then(|l| l.set_nonblocking(true).map(|()| l)) {
            Ok(listener) => listeners.push(listener),
            Err(source) if !wanted.asked && source.kind() == io::ErrorKind::AddrInUse => {
                tracing::warn!(address = wanted.address, "the default address is taken by another program; skipped");
            }
            Err(source) => return Err(ServerError::Bind { address: wanted.address.clone(), source }),
        }
    }
    Ok(listeners)
}

fn resolve(address: &str) -> Result<Vec<SocketAddr>, ServerError> {
    let unknown = |source| ServerError::Bind { address: address.to_owned(), source };
    let full = if address.starts_with(':') { format!("0.0.0.0{address}") } else { address.to_owned() };
    let addresses: Vec<_> = full.to_socket_addrs().map_err(unknown)?.collect();
    if addresses.is_empty() {
        return Err(unknown(io::Error::new(io::ErrorKind::NotFound, "the name has no address")));
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_default_is_skipped_and_a_taken_wish_is_an_error() {
        let first = bind(&[Listen::asked("127.0.0.1:0")], false).unwrap();
        let taken = first[0].local_addr().unwrap().to_string();
        let both = [Listen::default_port(&taken), Listen::asked("127.0.0.1:0")];
        assert_eq!(bind(&both, false).unwrap().len(), 1);
        let error = bind(&[Listen::default_port(&taken)], false).unwrap_err().to_string();
        assert!(error.contains(&taken), "{error}");
        let error = bind(&[Listen::asked(&taken)], false).unwrap_err().to_string();
        assert!(error.contains(&taken), "{error}");
    }

    #[test]
    fn an_open_address_is_refused_before_it_is_bound() {
        for open in [":0", "0.0.0.0:0", "[::]:0"] {
            assert!(matches!(bind(&[Listen::asked(open)], false), Err(ServerError::Exposed { .. })), "{open}");
        }
        assert!(matches!(bind(&[Listen::asked("no port")], false), Err(ServerError::Bind { .. })));
    }
}
