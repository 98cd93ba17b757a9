//! Remarks on a query's answer: warnings and infos with the place in the query that they are about.

use std::{collections::HashMap, fmt::Write as _};

use crate::{ast::PosRange, format::float_general};

/// How grave a remark is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// The answer may be wrong.
    Warning,
    /// Something worth knowing.
    Info,
}

/// The facts of forced monotonicity, which several steps and series add to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ForcedMonotonicity {
    /// First and last step, in milliseconds.
    pub time: (i64, i64),
    /// Lowest and highest bucket that was raised.
    pub buckets: (f64, f64),
    /// The largest raise.
    pub max_diff: f64,
    /// How many histograms were raised.
    pub count: u64,
}

/// One remark.
#[derive(Debug, Clone, PartialEq)]
pub struct Annotation {
    /// How grave it is.
    pub level: Level,
    /// The text without `PromQL warning: ` and without the place.
    pub message: String,
    /// Where in the query.
    pub pos: PosRange,
    /// Facts that are written after the message.
    pub forced_monotonicity: Option<ForcedMonotonicity>,
    /// How often it came up, for remarks that tell it.
    pub occurrences: Option<u64>,
}

impl Annotation {
    /// The whole text as Prometheus' API gives it, the place counted in lines and columns of `query`.
    #[must_use]
    pub fn text(&self, query: &str) -> String {
        let level = match self.level {
            Level::Warning => "warning",
            Level::Info => "info",
        };
        let mut text = format!("PromQL {level}: {}", self.message);
        if let Some(f) = &self.forced_monotonicity {
            // Writing to a String cannot fail.
            let _ = write!(
                text,
                ", from buckets {} to {}, with a max diff of {}, over {} samples from {} to {}",
                float_general(f.buckets.0),
                float_general(f.buckets.1),
                super::labels::two_digits(f.max_diff),
                f.count,
                super::functions::date::rfc3339(f.time.0),
                super::functions::date::rfc3339(f.time.1),
            );
        }
        if let Some(n) = self.occurrences.filter(|n| *n > 1) {
            let _ = write!(text, " ({n} occurrences)");
        }
        let (line, column) = line_and_column(query, self.pos.start as usize);
        let _ = write!(text, " ({line}:{column})");
        text
    }
}

/// Line and column of a byte, both counted from 1; columns are bytes, as in Prometheus.
fn line_and_column(query: &str, at: usize) -> (usize, usize) {
    let before = query.as_bytes().get(..at).unwrap_or(query.as_bytes());
    let line = before.iter().filter(|b| **b == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|b| **b != b'\n').count() + 1;
    (line, column)
}

/// The remarks on one answer. The same remark stands once.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Annotations {
    list: Vec<Annotation>,
    /// Where in the list the remark of a level and a text stands.
    places: HashMap<(Level, String), usize>,
}

/// More distinct remarks than this are not kept: the API shows 10 of each level, and a query over a million broken
/// series must not hold a million texts.
const MAX_KEPT: usize = 1000;

impl Annotations {
    /// Adds a warning.
    pub(super) fn warn(&mut self, message: String, pos: PosRange) {
        self.add(Annotation { level: Level::Warning, message, pos, forced_monotonicity: None, occurrences: None });
    }

    /// Adds a warning that tells how often it came up.
    pub(super) fn warn_times(&mut self, message: String, occurrences: u64, pos: PosRange) {
        let occurrences = Some(occurrences);
        self.add(Annotation { level: Level::Warning, message, pos, forced_monotonicity: None, occurrences });
    }

    /// Adds an info.
    pub(super) fn info(&mut self, message: String, pos: PosRange) {
        self.add(Annotation { level: Level::Info, message, pos, forced_monotonicity: None, occurrences: None });
    }

    /// Adds a remark, or merges it into the same one.
    pub(super) fn add(&mut self, new: Annotation) {
        // As in Prometheus, equal texts are one remark, whatever their places. Remarks with facts keep the place where
        // they came up first, others have the last.
        let key = (new.level, new.message.clone());
        if let Some(old) = self.places.get(&key).and_then(|at| self.list.get_mut(*at)) {
            if let (Some(o), Some(n)) = (&mut old.forced_monotonicity, &new.forced_monotonicity) {
                o.time = (o.time.0.min(n.time.0), o.time.1.max(n.time.1));
                o.buckets = (o.buckets.0.min(n.buckets.0), o.buckets.1.max(n.buckets.1));
                o.max_diff = o.max_diff.max(n.max_diff);
                o.count += n.count;
            } else if let (Some(o), Some(n)) = (&mut old.occurrences, new.occurrences) {
                *o += n;
            } else {
                old.pos = new.pos;
            }
        } else if self.list.len() < MAX_KEPT {
            self.places.insert(key, self.list.len());
            self.list.push(new);
        }
    }

    /// All remarks, in the order in which they came up.
    pub fn iter(&self) -> impl Iterator<Item = &Annotation> {
        self.list.iter()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}
