//! What came of running a file.

use std::fmt;

/// All cases of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The name that the file was given.
    pub file: String,
    /// The cases, in the order of the file.
    pub cases: Vec<CaseReport>,
}

impl Report {
    /// How many cases were as expected in every way they were evaluated.
    #[must_use]
    pub fn passed(&self) -> usize {
        self.cases.iter().filter(|c| c.failure.is_none()).count()
    }

    /// How many evaluations there were, reruns included.
    #[must_use]
    pub fn evaluations(&self) -> usize {
        self.cases.iter().map(|c| c.evaluations).sum()
    }

    /// The cases that were not as expected.
    pub fn failures(&self) -> impl Iterator<Item = (&CaseReport, &Failure)> {
        self.cases.iter().filter_map(|c| Some((c, c.failure.as_ref()?)))
    }
}

/// One `eval` of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct CaseReport {
    /// Its line, counted from 1.
    pub line: usize,
    /// The expression.
    pub expr: String,
    /// How many times it was evaluated; a failing case is not evaluated further.
    pub evaluations: usize,
    /// Why it failed.
    pub failure: Option<Failure>,
}

/// How a case is not as expected.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// The evaluation that showed it; not always the one that the file names.
    pub evaluation: Evaluation,
    /// What differs.
    pub reason: String,
    /// What the file wants.
    pub wanted: String,
    /// What came.
    pub got: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n  wanted: {}\n  got:    {}", self.reason, self.wanted, self.got)?;
        if self.evaluation.is_rerun {
            write!(f, "\n  as:     {}", self.evaluation)?;
        }
        Ok(())
    }
}

/// One evaluation of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evaluation {
    /// The expression; reruns may have `@` in it.
    pub query: String,
    /// When.
    pub when: When,
    /// Whether this is a rerun in another way than the file says.
    pub is_rerun: bool,
}

impl fmt::Display for Evaluation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |ms: i64| ms as f64 / 1000.0;
        match self.when {
            When::Instant(at) => write!(f, "instant query at {} s: {}", seconds(at), self.query),
            When::Range { start, end, step } => write!(
                f,
                "range query from {} s to {} s step {} s: {}",
                seconds(start),
                seconds(end),
                seconds(step),
                self.query
            ),
        }
    }
}

/// When an expression is evaluated, in milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Once.
    Instant(i64),
    /// Many times.
    Range {
        /// First time.
        start: i64,
        /// No time is later.
        end: i64,
        /// Distance of the times.
        step: i64,
    },
}
