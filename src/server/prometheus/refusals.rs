//! What a write request was not taken of, and why: counted in full, named up to a bound.

use std::fmt::{self, Display, Write as _};

/// Refusals that are named; the others are only counted.
const MAX_NAMED: usize = 10;

/// The refusals of one request.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    named: Vec<String>,
    entries: u64,
    samples: u64,
    invalid_labels: u64,
    want_of_memory: bool,
}

impl Refusals {
    /// Notes that samples of a series are refused.
    pub(crate) fn series(&mut self, series: impl FnOnce() -> String, samples: usize, reason: impl Display) {
        self.entries += 1;
        self.samples += samples as u64;
        if self.named.len() < MAX_NAMED {
            self.named.push(format!("{}: {reason}", series()));
        }
    }

    /// Notes that a series is refused because of its labels.
    pub(crate) fn labels(&mut self, series: impl FnOnce() -> String, samples: usize, reason: impl Display) {
        self.invalid_labels += samples as u64;
        self.series(series, samples, reason);
    }

    /// Notes that a new series is refused because the memory budget is used up.
    pub(crate) fn want_of_memory(&mut self, series: impl FnOnce() -> String, samples: usize, reason: impl Display) {
        self.want_of_memory = true;
        self.series(series, samples, reason);
    }

    /// Whether nothing was refused.
    pub(crate) const fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// Whether something was refused that may be taken later.
    pub(crate) const fn for_want_of_memory(&self) -> bool {
        self.want_of_memory
    }

    /// How many samples were refused.
    pub(crate) const fn samples(&self) -> u64 {
        self.samples
    }

    /// How many of them because of their labels.
    pub(crate) const fn samples_with_invalid_labels(&self) -> u64 {
        self.invalid_labels
    }

    /// What the sender is told.
    pub(crate) fn text(&self, written: u64) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _: fmt::Result = writeln!(text, "{} samples refused, {written} written:", self.samples);
        for refusal in &self.named {
            text.push_str(refusal);
            text.push('\n');
        }
        let more = self.entries - self.named.len() as u64;
        if more > 0 {
            let _: fmt::Result = writeln!(text, "and {more} more");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_counted_and_some_named() {
        let mut refusals = Refusals::default();
        assert!(refusals.is_empty());
        for i in 0..12 {
            refusals.labels(|| format!("up{{i=\"{i}\"}}"), 2, "bad");
        }
        let text = refusals.text(5);
        assert!(text.starts_with("24 samples refused, 5 written:\nup{i=\"0\"}: bad\n"), "{text}");
        assert!(text.ends_with("up{i=\"9\"}: bad\nand 2 more\n"), "{text}");
        assert_eq!(refusals.samples_with_invalid_labels(), 24);
        assert!(!refusals.for_want_of_memory());
    }
}
