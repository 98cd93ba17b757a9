//! The engine's own threads: one flushes, one merges and enforces retention, one syncs the log at intervals.
//!
//! They hold the engine weakly, so that dropping the last handle ends them; a failed round is logged, counted, and tried
//! again at the next.

use std::{
    sync::{Arc, Mutex, PoisonError, Weak, atomic::Ordering},
    thread::JoinHandle,
    time::Duration,
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};

use super::{Inner, merge::MergeGoal, options::Durability};
use crate::Result;

/// How often merges and retention look at the segments when nobody wakes them.
const ROUND: Duration = Duration::from_secs(60);
/// How often a flush that failed is tried again.
const FLUSH_RETRY: Duration = Duration::from_secs(5);

/// Ways to wake the threads. Dropping it ends them.
#[derive(Debug, Default)]
pub(super) struct Background {
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    flush: Sender<()>,
    merge: Sender<()>,
    sync: Sender<()>,
    threads: Vec<JoinHandle<()>>,
}

impl Background {
    /// Starts the threads.
    pub(super) fn start(&self, engine: &Arc<Inner>) -> std::io::Result<()> {
        let (flush, flush_bell) = bounded(1);
        let (merge, merge_bell) = bounded(1);
        let (sync, sync_bell) = bounded(1);
        let mut threads = vec![
            spawn("flush", engine, flush_bell, FLUSH_RETRY, Inner::flush_what_is_due)?,
            spawn("merge", engine, merge_bell, ROUND, |engine| {
                engine.merge(MergeGoal::Tidy)?;
                engine.merge_tables(MergeGoal::Tidy)?;
                engine.enforce_retention()
            })?,
        ];
        if let Durability::Interval(every) = engine.options.durability {
            threads.push(spawn("sync", engine, sync_bell, every, |engine| engine.committer.log().sync())?);
        }
        *self.lock() = Some(Running { flush, merge, sync, threads });
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn wake_flush(&self) {
        ring(self.lock().as_ref().map(|r| &r.flush));
    }

    pub(super) fn wake_merge(&self) {
        ring(self.lock().as_ref().map(|r| &r.merge));
    }

    /// Ends the threads and waits for them.
    pub(super) fn stop(&self) {
        let Some(Running { flush, merge, sync, threads }) = self.lock().take() else { return };
        drop((flush, merge, sync));
        let me = std::thread::current().id();
        for thread in threads {
            // The last handle may be dropped by one of the threads itself.
            if thread.thread().id() != me && thread.join().is_err() {
                tracing::error!("a background thread panicked");
            }
        }
    }
}

/// Wakes a thread; one that is awake already will see the cause.
fn ring(bell: Option<&Sender<()>>) {
    if let Some(bell) = bell {
        match bell.try_send(()) {
            Ok(()) | Err(TrySendError::Full(()) | TrySendError::Disconnected(())) => {}
        }
    }
}

fn spawn(
    name: &'static str,
    engine: &Arc<Inner>,
    bell: Receiver<()>,
    every: Duration,
    round: impl Fn(&Arc<Inner>) -> Result<()> + Send + 'static,
) -> std::io::Result<JoinHandle<()>> {
    let engine: Weak<Inner> = Arc::downgrade(engine);
    std::thread::Builder::new().name(format!("chronolith-{name}")).spawn(move || {
        loop {
            // A bell says when to look, not what is there: one that rang during a round may have been answered by it.
            if bell.recv_timeout(every) == Err(RecvTimeoutError::Disconnected) {
                return;
            }
            let Some(engine) = engine.upgrade() else { return };
            if let Err(error) = round(&engine) {
                engine.counters.background_failures.fetch_add(1, Ordering::Relaxed);
                tracing::error!(%error, thread = name, "will be tried again");
            }
        }
    })
}
