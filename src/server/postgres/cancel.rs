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
    connections: Mutex<Connections>,
}

#[derive(Default)]
struct Connections {
    last: i32,
    by_process: HashMap<i32, ([u8; 4], Canceller)>,
}

impl CancelKeys {
    fn lock(&self) -> std::sync::MutexGuard<'_, Connections> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number and a secret for a connection. Without random numbers nobody could be kept from guessing, so the key is
    /// then one that no request fits.
    pub(crate) fn register(&self, canceller: Canceller) -> (i32, [u8; 4]) {
        let secret = random::<4>().ok();
        let mut connections = self.lock();
        loop {
            connections.last = connections.last.checked_add(1).unwrap_or(1);
            let process = connections.last;
            if connections.by_process.contains_key(&process) {
                continue;
            }
            if let Some(secret) = secret {
                connections.by_process.insert(process, (secret, canceller));
            }
            return (process, secret.unwrap_or_default());
        }
    }

    /// Forgets a connection's key.
    pub(crate) fn forget(&self, process: i32) {
        self.lock().by_process.remove(&process);
    }

    /// Cancels what the connection runs if the secret is the right one.
    pub(crate) fn cancel(&self, process: i32, secret: &[u8]) {
        let found = match self.lock().by_process.get(&process) {
            Some((right, canceller)) if right == secret => Some(canceller.clone()),
            _ => None,
        };
        if let Some(canceller) = found {
            canceller.cancel();
        }
    }
}
