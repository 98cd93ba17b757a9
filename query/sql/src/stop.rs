//! Stopping statements: by another thread, or by the clock.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::Instant};

use crate::error::SqlError;

/// Stops a session's statement.
#[derive(Debug, Clone)]
pub struct Canceller {
    cancelled: Arc<watch::Sender<u64>>,
}

impl Canceller {
    pub(crate) fn new() -> Self {
        Self { cancelled: Arc::new(watch::Sender::new(0)) }
    }

    /// Stops what runs now; nothing when nothing runs.
    pub fn cancel(&self) {
        self.cancelled.send_modify(|times| *times += 1);
    }
}

/// When a statement is to stop.
#[derive(Debug, Clone)]
pub(crate) struct Stop {
    cancelled: watch::Receiver<u64>,
    deadline: Option<Instant>,
}

impl Stop {
    /// For a statement that begins now.
    pub(crate) fn new(canceller: &Canceller, timeout: Option<Duration>) -> Self {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        Self { cancelled: canceller.cancelled.subscribe(), deadline }
    }

    /// Waits until the statement is to stop, and tells why.
    pub(crate) async fn stopped(&mut self) -> SqlError {
        let too_late = async {
            match self.deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            cancelled = self.cancelled.changed() => match cancelled {
                Ok(()) => SqlError::new(b"57014", "canceling statement due to user request"),
                Err(_) => std::future::pending().await,
            },
            () = too_late => SqlError::new(b"57014", "canceling statement due to statement timeout"),
        }
    }
}
