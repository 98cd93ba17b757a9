//! What a running query may take: samples, bytes, time. Checked between series and inside long loops.

use std::sync::{
    Mutex,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use super::{
    QueryOptions,
    annotations::Annotations,
    error::{QueryError, Result},
    value::QueryStatistics,
};

/// Counters of one query, shared by its threads.
pub(super) struct Budget<'q> {
    options: &'q QueryOptions,
    samples: AtomicUsize,
    bytes: AtomicUsize,
    peak_samples: AtomicUsize,
    peak_bytes: AtomicUsize,
    samples_read: AtomicU64,
    series_selected: AtomicU64,
    annotations: Mutex<Annotations>,
}

/// What was held at one moment, to go back to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    samples: usize,
    bytes: usize,
}

impl<'q> Budget<'q> {
    pub(super) fn new(options: &'q QueryOptions) -> Self {
        Self {
            options,
            samples: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            peak_samples: AtomicUsize::new(0),
            peak_bytes: AtomicUsize::new(0),
            samples_read: AtomicU64::new(0),
            series_selected: AtomicU64::new(0),
            annotations: Mutex::default(),
        }
    }

    /// Fails when the query was cancelled or is too late.
    pub(super) fn check(&self) -> Result<()> {
        if self.options.cancel.as_ref().is_some_and(|c| c.load(Ordering::Relaxed)) {
            return Err(QueryError::Canceled);
        }
        if self.options.deadline.as_ref().is_some_and(|d| d.clock.monotonic() >= d.at) {
            return Err(QueryError::Timeout);
        }
        Ok(())
    }

    /// Counts samples and bytes that are held from now on.
    pub(super) fn hold(&self, samples: usize, bytes: usize) -> Result<()> {
        let samples = self.samples.fetch_add(samples, Ordering::Relaxed).saturating_add(samples);
        let bytes = self.bytes.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        self.peak_samples.fetch_max(samples, Ordering::Relaxed);
        self.peak_bytes.fetch_max(bytes, Ordering::Relaxed);
        self.within_limits(samples, bytes)
    }

    /// Checks that so many samples more fit for a moment, and counts them into the peak.
    pub(super) fn pass(&self, samples: usize) -> Result<()> {
        let samples = self.samples.load(Ordering::Relaxed).saturating_add(samples);
        self.peak_samples.fetch_max(samples, Ordering::Relaxed);
        self.within_limits(samples, 0)
    }

    fn within_limits(&self, samples: usize, bytes: usize) -> Result<()> {
        if samples > self.options.max_samples {
            return Err(QueryError::TooManySamples);
        }
        match self.options.max_memory_bytes {
            Some(budget) if bytes > budget => Err(QueryError::OverMemory { budget }),
            _ => Ok(()),
        }
    }

    /// What is held now.
    pub(super) fn mark(&self) -> Mark {
        Mark { samples: self.samples.load(Ordering::Relaxed), bytes: self.bytes.load(Ordering::Relaxed) }
    }

    /// Gives back all that was held since `mark`, and holds the result of the work instead. Only between parallel
    /// sections: one thread evaluates the nodes of the tree.
    pub(super) fn settle(&self, mark: Mark, samples: usize, bytes: usize) -> Result<()> {
        self.samples.store(mark.samples, Ordering::Relaxed);
        self.bytes.store(mark.bytes, Ordering::Relaxed);
        self.hold(samples, bytes)
    }

    pub(super) fn count_read(&self, samples: usize) {
        self.samples_read.fetch_add(samples as u64, Ordering::Relaxed);
    }

    pub(super) fn samples_read(&self) -> u64 {
        self.samples_read.load(Ordering::Relaxed)
    }

    pub(super) fn count_selected(&self, series: usize) {
        self.series_selected.fetch_add(series as u64, Ordering::Relaxed);
    }

    /// Lets `f` add remarks.
    pub(super) fn annotate(&self, f: impl FnOnce(&mut Annotations)) {
        // A poisoned lock means that another thread panicked; its remarks are still whole.
        f(&mut self.annotations.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    }

    /// Whether the labels of series tell types and units.
    pub(super) const fn types_are_labels(&self) -> bool {
        self.options.type_and_unit_labels
    }

    pub(super) fn threads(&self) -> usize {
        match self.options.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            n => n,
        }
    }

    pub(super) fn finish(self) -> (Annotations, QueryStatistics) {
        let statistics = QueryStatistics {
            samples_read: self.samples_read.into_inner(),
            peak_samples: self.peak_samples.into_inner(),
            peak_bytes: self.peak_bytes.into_inner(),
            series_selected: self.series_selected.into_inner(),
        };
        (self.annotations.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner), statistics)
    }
}
