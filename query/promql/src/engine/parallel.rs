//! Spreads series over threads. The series are cut into chunks of fixed size, and results are folded in order of the
//! chunks, so the bits of a sum depend neither on scheduling nor on the number of threads.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::{
    budget::Budget,
    error::{QueryError, Result},
};

/// Series in one chunk.
pub(super) const CHUNK: usize = 32;
/// Below so many samples left to read, threads cost more than they save.
const WORTH_THREADS: u64 = 100_000;

/// Results that wait for their turn.
struct InOrder<R, F> {
    next: usize,
    waiting: BTreeMap<usize, R>,
    fold: F,
    /// The failure of the first chunk that failed.
    failed: Option<(usize, QueryError)>,
}

impl<R, F: FnMut(R) -> Result<()>> InOrder<R, F> {
    fn take(&mut self, chunk: usize, result: Result<R>) {
        match result {
            Err(e) => self.fail(chunk, e),
            Ok(r) => {
                self.waiting.insert(chunk, r);
            }
        }
        while let Some(r) = self.waiting.remove(&self.next) {
            if let Err(e) = (self.fold)(r) {
                self.fail(self.next, e);
            }
            self.next += 1;
        }
    }

    fn fail(&mut self, chunk: usize, error: QueryError) {
        if self.failed.as_ref().is_none_or(|(c, _)| chunk < *c) {
            self.failed = Some((chunk, error));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A poisoned lock means that another worker panicked, and the scope passes that panic on.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Calls `work` on each chunk of `0..items` and `fold` on the results in order. Each thread has a scratch of its own.
/// The first chunk is done on the caller's thread and tells whether the rest is worth more threads.
pub(super) fn in_chunks<S, R: Send>(
    budget: &Budget<'_>,
    items: usize,
    scratch: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, Range<usize>) -> Result<R> + Sync,
    mut fold: impl FnMut(R) -> Result<()> + Send,
) -> Result<()> {
    let chunks = items.div_ceil(CHUNK);
    let range = |chunk: usize| chunk * CHUNK..items.min((chunk + 1) * CHUNK);
    let mut own = scratch();
    let threads = budget.threads();
    let mut done = 0;
    while done < chunks {
        let before = budget.samples_read();
        fold(work(&mut own, range(done))?)?;
        done += 1;
        let left = (budget.samples_read() - before).saturating_mul((chunks - done) as u64);
        if threads > 1 && left >= WORTH_THREADS {
            break;
        }
    }
    if done == chunks {
        return Ok(());
    }
    let next = AtomicUsize::new(done);
    let results = Mutex::new(InOrder { next: done, waiting: BTreeMap::new(), fold, failed: None });
    let worker = |scratch: &mut S| {
        loop {
            let chunk = next.fetch_add(1, Ordering::Relaxed);
            if chunk >= chunks || lock(&results).failed.is_some() {
                return;
            }
            let result = work(scratch, range(chunk));
            lock(&results).take(chunk, result);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.min(chunks - done) {
            scope.spawn(|| worker(&mut scratch()));
        }
        worker(&mut own);
    });
    let results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.failed.map_or(Ok(()), |(_, e)| Err(e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::QueryOptions;

    fn run(threads: usize, fail_at: Option<usize>) -> Result<Vec<usize>> {
        let options = QueryOptions { threads, ..QueryOptions::default() };
        let budget = Budget::new(&options);
        let mut seen = Vec::new();
        in_chunks(
            &budget,
            1000,
            || (),
            |(), range| {
                budget.count_read(10_000);
                match fail_at {
                    Some(at) if range.start >= at => Err(QueryError::Execution(range.start.to_string())),
                    _ => Ok(range),
                }
            },
            |range| {
                seen.extend(range);
                Ok(())
            },
        )?;
        Ok(seen)
    }

    #[test]
    fn results_are_folded_in_order_whatever_the_threads() {
        for threads in [1, 2, 7] {
            assert_eq!(run(threads, None).unwrap(), (0..1000).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_failure_ends_the_work() {
        for threads in [1, 4] {
            assert!(run(threads, Some(500)).is_err());
        }
        assert_eq!(run(1, Some(500)).unwrap_err().to_string(), "512");
    }
}
