//! How long a kernel works on one series before it asks whether the query was given up.

use std::cell::Cell;

use crate::engine::budget::Budget;

/// Samples that are looked at between two questions: some milliseconds of work.
const WORK: usize = 1 << 20;

/// What a kernel has done since it asked.
pub(in crate::engine) struct Patience<'a> {
    budget: Option<&'a Budget<'a>>,
    done: Cell<usize>,
}

impl<'a> Patience<'a> {
    /// With a budget that tells when to stop, if there is one.
    pub(in crate::engine) const fn new(budget: Option<&'a Budget<'a>>) -> Self {
        Self { budget, done: Cell::new(0) }
    }

    /// Counts the work of one more window; true when the query was given up.
    #[inline]
    pub(super) fn is_over(&self, samples: usize) -> bool {
        let done = self.done.get() + samples + 1;
        if done < WORK {
            self.done.set(done);
            return false;
        }
        self.done.set(0);
        self.budget.is_some_and(|budget| budget.check().is_err())
    }
}
