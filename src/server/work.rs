//! The bounded pools of blocking work: queries, writes and administration each have their own, so that none starves another.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::config::ServerConfig;

/// Administrative requests that run at once: they are rare and heavy.
const ADMIN_CONCURRENCY: usize = 2;
/// Requests about the server itself that are worked on at once.
const MONITOR_CONCURRENCY: usize = 4;
/// How long an administrative request, or one about the server itself, waits for its turn.
const OTHER_QUEUE_TIMEOUT: Duration = Duration::from_secs(60);

/// Which pool a request's work belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Answered at once from memory; never blocks.
    Inline,
    /// Reads data.
    Query,
    /// Appends data.
    Write,
    /// Deletes, copies or rewrites data.
    Admin,
    /// Tells about the server itself; must be answered while everything else is busy.
    Monitor,
}

/// Why a request got no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoPlace {
    /// Too many wait already.
    Full,
    /// Its turn did not come in time.
    TimedOut,
}

/// Work of one kind: so many at once, so many waiting, for so long.
#[derive(Debug)]
pub(crate) struct Pool {
    places: Arc<Semaphore>,
    size: usize,
    waiting: AtomicUsize,
    max_waiting: usize,
    max_wait: Duration,
}

impl Pool {
    fn new(size: usize, max_waiting: usize, max_wait: Duration) -> Self {
        let size = size.max(1);
        Self { places: Arc::new(Semaphore::new(size)), size, waiting: AtomicUsize::new(0), max_waiting, max_wait }
    }

    /// Waits for a place; it is free again when the permit is dropped.
    pub(crate) async fn enter(&self) -> Result<OwnedSemaphorePermit, NoPlace> {
        struct Waiting<'a>(&'a AtomicUsize);
        impl Drop for Waiting<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::Relaxed);
            }
        }
        if let Ok(permit) = Arc::clone(&self.places).try_acquire_owned() {
            return Ok(permit);
        }
        let already = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        if already >= self.max_waiting {
            return Err(NoPlace::Full);
        }
        match tokio::time::timeout(self.max_wait, Arc::clone(&self.places).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            // The semaphore is never closed, so the inner error stands for no case of its own.
            Ok(Err(_)) | Err(_) => Err(NoPlace::TimedOut),
        }
    }

    /// How many places there are.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// How many places are taken.
    pub(crate) fn running(&self) -> usize {
        self.size.saturating_sub(self.places.available_permits())
    }

    /// How many requests wait for a place.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

/// The pools, and the memory that request bodies share.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) queries: Pool,
    pub(crate) writes: Pool,
    admin: Pool,
    monitor: Pool,
    pub(crate) bodies: Arc<Semaphore>,
}

impl Work {
    pub(crate) fn new(config: &ServerConfig) -> Self {
        let limits = &config.limits;
        Self {
            queries: Pool::new(
                config.query_concurrency,
                limits.max_connections.saturating_mul(2),
                config.query_timeout,
            ),
            writes: Pool::new(limits.write_concurrency, limits.write_queue, limits.write_queue_timeout),
            admin: Pool::new(ADMIN_CONCURRENCY, limits.max_connections, OTHER_QUEUE_TIMEOUT),
            monitor: Pool::new(MONITOR_CONCURRENCY, limits.max_connections, OTHER_QUEUE_TIMEOUT),
            bodies: Arc::new(Semaphore::new(limits.max_bodies_bytes.clamp(1, Semaphore::MAX_PERMITS))),
        }
    }

    /// The pool of a class; inline work has none.
    pub(crate) fn pool(&self, class: Class) -> Option<&Pool> {
        match class {
            Class::Inline => None,
            Class::Query => Some(&self.queries),
            Class::Write => Some(&self.writes),
            Class::Admin => Some(&self.admin),
            Class::Monitor => Some(&self.monitor),
        }
    }
}

/// Sets a request's cancel flag when the server stops to wait for it, that is when its client went away.
#[derive(Debug)]
pub(crate) struct CancelOnDrop(Option<Arc<AtomicBool>>);

impl CancelOnDrop {
    pub(crate) fn new(flag: Arc<AtomicBool>) -> Self {
        Self(Some(flag))
    }

    /// The work is done: nothing is left to cancel.
    pub(crate) fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let Some(flag) = &self.0 {
            flag.store(true, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_refuses_what_it_cannot_hold() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let pool = Pool::new(1, 0, Duration::from_millis(1));
            let place = pool.enter().await.unwrap();
            assert_eq!(pool.enter().await.unwrap_err(), NoPlace::Full);
            drop(place);
            let place = pool.enter().await.unwrap();
            assert_eq!((pool.running(), pool.waiting()), (1, 0));
            drop(place);

            let pool = Pool::new(1, 5, Duration::from_millis(1));
            let _place = pool.enter().await.unwrap();
            assert_eq!(pool.enter().await.unwrap_err(), NoPlace::TimedOut);
            assert_eq!(pool.waiting(), 0);
        });
    }

    #[test]
    fn a_dropped_guard_cancels_and_a_disarmed_one_does_not() {
        let flag = Arc::new(AtomicBool::new(false));
        CancelOnDrop::new(Arc::clone(&flag)).disarm();
        assert!(!flag.load(Ordering::Relaxed));
        drop(CancelOnDrop::new(Arc::clone(&flag)));
        assert!(flag.load(Ordering::Relaxed));
    }
}
