//! How long to wait before the next try: longer each time, and never the same for all.

use std::time::Duration;

use chronolith_storage::rng::Rng;

/// The shortest wait.
const FIRST: Duration = Duration::from_millis(200);
/// The longest wait.
const LONGEST: Duration = Duration::from_secs(30);

/// Waits that double, each cut by a random part of up to its half.
#[derive(Debug)]
pub(super) struct Backoff {
    rng: Rng,
    failures: u32,
}

impl Backoff {
    pub(super) const fn new(rng: Rng) -> Self {
        Self { rng, failures: 0 }
    }

    /// Something failed: how long to wait.
    pub(super) fn next(&mut self) -> Duration {
        let whole = FIRST.saturating_mul(1 << self.failures.min(16)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        let half = whole / 2;
        half + Duration::from_micros(self.rng.below(half.as_micros() as u64 + 1))
    }

    /// Something went well.
    pub(super) const fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_limit_and_differ() {
        let (mut one, mut other) = (Backoff::new(Rng::new(1)), Backoff::new(Rng::new(2)));
        let waits: Vec<Duration> = (0..40).map(|_| one.next()).collect();
        let others: Vec<Duration> = (0..40).map(|_| other.next()).collect();
        assert_ne!(waits, others);
        for (i, wait) in waits.iter().chain(&others).enumerate() {
            let whole = FIRST.saturating_mul(1 << (i % 40).min(16)).min(LONGEST);
            assert!(*wait >= whole / 2 && *wait <= whole, "wait {i} is {wait:?}");
        }
        one.reset();
        assert!(one.next() <= FIRST);
    }
}
