//! Keys by which a client cancels, over another connection, what its own connection runs.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use chronolith_sql::Canceller;

use super::scram::random;

/// The keys of all connections.
#[derive(Default)]
pub(crate) struct CancelKeys {
    connections: Mutex<HashMap<i32, ([u8; 4], Canceller)>>,
}

impl CancelKeys {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<i32, ([u8; 4], Canceller)>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A secret for a session, by its number. Without random numbers nobody could be kept from guessing, so the secret is
    /// then one that no request fits.
    pub(crate) fn register(&self, process: i32, canceller: Canceller) -> [u8; 4] {
        let Ok(secret) = random::<4>() else { return [0; 4] };
        self.lock().insert(process, (secret, canceller));
        secret
    }

    /// Forgets a connection's key.
    pub(crate) fn forget(&self, process: i32) {
        self.lock().remove(&process);
    }

    /// Cancels what the connection runs if the secret is the right one.
    pub(crate) fn cancel(&self, process: i32, secret: &[u8]) {
        let found = match self.lock().get(&process) {
            Some((right, canceller)) if right == secret => Some(canceller.clone()),
            _ => None,
        };
        if let Some(canceller) = found {
            canceller.cancel();
        }
    }
}
