//! Evaluates one case in all ways and compares what comes.

use std::cell::Cell;

use chronolith_storage::SeriesSource;

use super::{
    annotations,
    report::{CaseReport, Evaluation, Failure, When},
    rerun,
    script::Eval,
    values,
};
use crate::{
    ast::Expr,
    engine::{self, QueryError, QueryOptions, QueryOutput},
};

/// What differs from what is expected.
#[derive(Debug)]
pub(super) struct Mismatch {
    pub(super) reason: String,
    pub(super) wanted: String,
    pub(super) got: String,
}

/// Runs a case.
pub(super) fn case(eval: &Eval, source: &dyn SeriesSource, options: &QueryOptions) -> CaseReport {
    let runner = Runner { eval, source, options, evaluations: Cell::new(0) };
    let failure = runner.case().err().map(|f| *f);
    CaseReport { line: eval.line, expr: eval.text.clone(), evaluations: runner.evaluations.get(), failure }
}

/// A case with what it runs on.
pub(super) struct Runner<'a> {
    pub(super) eval: &'a Eval,
    source: &'a dyn SeriesSource,
    options: &'a QueryOptions,
    evaluations: Cell<usize>,
}

/// An expression with its text, from which positions are counted.
pub(super) struct Query<'a> {
    pub(super) text: &'a str,
    pub(super) expr: &'a Expr,
    pub(super) is_rerun: bool,
}

impl Runner<'_> {
    fn case(&self) -> Result<(), Box<Failure>> {
        let query = Query { text: &self.eval.text, expr: &self.eval.expr, is_rerun: false };
        match self.eval.when {
            When::Instant(at) => {
                self.instant(&query, at)?;
                rerun::at_other_times(self, at)
            }
            When::Range { .. } => self.as_expected(&query, self.eval.when).map(|_| ()),
        }
    }

    /// Evaluates at one time, and again as the middle of a range.
    pub(super) fn instant(&self, query: &Query<'_>, at: i64) -> Result<(), Box<Failure>> {
        match self.as_expected(query, When::Instant(at))? {
            Some(output) => rerun::in_range(self, query, at, &output),
            None => Ok(()),
        }
    }

    /// Evaluates and compares; there is no output when the query has to fail and does.
    fn as_expected(&self, query: &Query<'_>, when: When) -> Result<Option<QueryOutput>, Box<Failure>> {
        let expected = &self.eval.expected;
        let compared = match self.evaluate(query.expr, when) {
            Err(e) => annotations::check_error(expected, &e.to_string()).map(|()| None),
            Ok(output) if !expected.fail.is_empty() => Err(Mismatch {
                reason: "evaluation did not fail".to_owned(),
                wanted: expected.fail.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
                got: values::text(&output.value),
            }),
            Ok(output) => annotations::check(expected, query.text, &output.annotations)
                .and_then(|()| values::check(self.eval, &output.value))
                .map(|()| Some(output)),
        };
        compared.map_err(|m| failure(query, when, query.is_rerun, m))
    }

    pub(super) fn evaluate(&self, expr: &Expr, when: When) -> Result<QueryOutput, QueryError> {
        self.evaluations.set(self.evaluations.get() + 1);
        match when {
            When::Instant(at) => engine::instant(self.source, expr, at, self.options),
            When::Range { start, end, step } => engine::range(self.source, expr, start, end, step, self.options),
        }
    }
}

/// The mismatch with the evaluation that showed it.
pub(super) fn failure(query: &Query<'_>, when: When, is_rerun: bool, mismatch: Mismatch) -> Box<Failure> {
    let Mismatch { reason, wanted, got } = mismatch;
    let evaluation = Evaluation { query: query.text.to_owned(), when, is_rerun };
    Box::new(Failure { evaluation, reason, wanted, got })
}
