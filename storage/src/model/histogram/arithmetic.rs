//! Sums and differences of histograms.

use super::{
    FloatHistogram, HistogramError, ResetHint, Span,
    bounds::exponential_bound,
    compensated::compensated_add,
    custom_bounds::{common_bounds, map_to_common},
    layout::{Piece, SpanBuilder, indices, narrow, pieces},
    resolution::{merge_buckets, shift},
};

/// Why histograms cannot be computed with.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum HistogramMathError {
    /// One has exponential buckets, the other custom ones.
    #[error("cannot apply this operation on histograms with a mix of exponential and custom bucket schemas")]
    IncompatibleSchemas,
    /// Custom buckets have one resolution only.
    #[error("cannot reduce resolution when there are custom buckets")]
    ReduceCustom,
    /// Exponential buckets do not become custom ones.
    #[error("cannot reduce resolution to custom buckets schema")]
    ReduceToCustom,
    /// Buckets are merged, never split.
    #[error("cannot reduce resolution from schema {from} to {to}")]
    NotCoarser {
        /// The schema it has.
        from: i32,
        /// The schema that was asked for.
        to: i32,
    },
    /// Spans and buckets do not fit each other.
    #[error(transparent)]
    Invalid(#[from] HistogramError),
}

/// What two histograms had to be reconciled in before they were added or subtracted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reconciled {
    /// One says that there was a counter reset, the other that there was none.
    pub counter_reset_collision: bool,
    /// Their custom bounds differ; what came out has the bounds that both have.
    pub custom_bounds_reconciled: bool,
}

impl FloatHistogram {
    /// Adds a histogram. Zero bucket, schema and custom bounds become what both can be told in; the result may have
    /// empty buckets and adjacent spans ([`FloatHistogram::compact`] removes them).
    ///
    /// # Errors
    /// One has exponential buckets, the other custom ones.
    pub fn add(&mut self, other: &Self) -> Result<Reconciled, HistogramMathError> {
        self.accumulate(other, 1.0)
    }

    /// Subtracts a histogram, otherwise as [`FloatHistogram::add`]. The difference is not marked as a gauge.
    ///
    /// # Errors
    /// One has exponential buckets, the other custom ones.
    pub fn sub(&mut self, other: &Self) -> Result<Reconciled, HistogramMathError> {
        self.accumulate(other, -1.0)
    }

    fn accumulate(&mut self, other: &Self, sign: f64) -> Result<Reconciled, HistogramMathError> {
        self.check_compatible(other)?;
        let mut reconciled =
            Reconciled { counter_reset_collision: self.adjust_reset_hint(other), ..Reconciled::default() };
        if !self.uses_custom_buckets() {
            let (zero_count, _) = self.reconcile_zero_buckets(other, None);
            self.zero_count += zero_count * sign;
        }
        self.count += other.count * sign;
        self.sum += other.sum * sign;

        let positive =
            Addend { spans: &other.positive_spans, counts: &other.positive_buckets, compensation: None, sign };
        if self.uses_custom_buckets() {
            if self.custom_values == other.custom_values {
                merge(&mut self.positive_spans, &mut self.positive_buckets, None, &positive, 0);
            } else {
                reconciled.custom_bounds_reconciled = true;
                let common = common_bounds(&self.custom_values, &other.custom_values);
                map_to_common(self, other, None, sign, &common);
                self.custom_values = common;
            }
            return Ok(reconciled);
        }
        let negative =
            Addend { spans: &other.negative_spans, counts: &other.negative_buckets, compensation: None, sign };

        if other.schema < self.schema {
            let shift = shift(self.schema, other.schema);
            merge_buckets(&mut self.positive_spans, &mut self.positive_buckets, None, shift);
            merge_buckets(&mut self.negative_spans, &mut self.negative_buckets, None, shift);
            self.schema = other.schema;
        }
        let shift = shift(other.schema, self.schema);
        for (spans, counts, addend) in [
            (&mut self.positive_spans, &mut self.positive_buckets, positive),
            (&mut self.negative_spans, &mut self.negative_buckets, negative),
        ] {
            if shift == 0 {
                let skip = covered_by_zero_bucket(addend.spans, addend.counts, self.schema, self.zero_threshold);
                merge(spans, counts, None, &addend, skip);
            } else {
                let (mut their_spans, mut their_counts) = (addend.spans.to_vec(), addend.counts.to_vec());
                merge_buckets(&mut their_spans, &mut their_counts, None, shift);
                let skip = covered_by_zero_bucket(&their_spans, &their_counts, self.schema, self.zero_threshold);
                let addend = Addend { spans: &their_spans, counts: &their_counts, compensation: None, sign };
                merge(spans, counts, None, &addend, skip);
            }
        }
        Ok(reconciled)
    }

    /// Only exponential buckets go with exponential ones, and custom with custom ones.
    pub(super) const fn check_compatible(&self, other: &Self) -> Result<(), HistogramMathError> {
        if self.uses_custom_buckets() == other.uses_custom_buckets() {
            Ok(())
        } else {
            Err(HistogramMathError::IncompatibleSchemas)
        }
    }

    /// The hint of a sum or difference: a gauge makes a gauge, something unknown makes it unknown, and so does a
    /// collision of reset and no reset. Returns whether that was the case.
    pub(super) fn adjust_reset_hint(&mut self, other: &Self) -> bool {
        use ResetHint::{Gauge, NotReset, Reset, Unknown};
        let (hint, collision) = match (self.reset_hint, other.reset_hint) {
            (Gauge, _) | (_, Gauge) => (Gauge, false),
            (Unknown, _) | (_, Unknown) => (Unknown, false),
            (Reset, Reset) => (Reset, false),
            (NotReset, NotReset) => (NotReset, false),
            (Reset, NotReset) | (NotReset, Reset) => (Unknown, true),
        };
        self.reset_hint = hint;
        collision
    }
}

/// How many buckets at the beginning of a side end inside of the zero bucket: their counts are part of it already.
pub(super) fn covered_by_zero_bucket(spans: &[Span], counts: &[f64], schema: i32, zero_threshold: f64) -> usize {
    indices(spans)
        .take(counts.len())
        .take_while(|index| exponential_bound(narrow(*index), schema) <= zero_threshold)
        .count()
}

/// One side of what is added.
pub(super) struct Addend<'o> {
    pub(super) spans: &'o [Span],
    pub(super) counts: &'o [f64],
    /// What is missing from the counts, when that is known.
    pub(super) compensation: Option<&'o [f64]>,
    /// 1 to add, -1 to subtract.
    pub(super) sign: f64,
}

/// Adds one side of a histogram, without its first `skip` buckets, to another. Buckets that are missing there are made.
/// With a compensation of the counts (as long as they are), the addition is compensated.
pub(super) fn merge(
    spans: &mut Vec<Span>,
    counts: &mut Vec<f64>,
    mut compensation: Option<&mut Vec<f64>>,
    addend: &Addend<'_>,
    skip: usize,
) {
    if spans.as_slice() == addend.spans && counts.len() == addend.counts.len() {
        let place =
            Piece { first: 0, length: counts.len() - skip.min(counts.len()), ours: None, theirs: None, begins: false };
        return add_piece(counts, compensation.as_deref_mut(), addend, &place, (skip, skip));
    }
    let theirs = (addend.spans, addend.counts.len());
    if pieces((spans, counts.len()), theirs, skip).all(|piece| piece.ours.is_some()) {
        for piece in pieces((spans, counts.len()), theirs, skip) {
            if let (Some(to), Some(from)) = (piece.ours, piece.theirs) {
                add_piece(counts, compensation.as_deref_mut(), addend, &piece, (to, from));
            }
        }
        return;
    }
    rebuild(spans, counts, compensation, addend, skip);
}

/// [`merge`] where buckets are missing: all is laid out anew.
fn rebuild(
    spans: &mut Vec<Span>,
    counts: &mut Vec<f64>,
    mut compensation: Option<&mut Vec<f64>>,
    addend: &Addend<'_>,
    skip: usize,
) {
    let mut layout = NewLayout::default();
    let mut united: Vec<f64> = Vec::with_capacity(counts.len() + addend.counts.len());
    let mut united_compensation: Option<Vec<f64>> =
        compensation.as_ref().map(|_| Vec::with_capacity(united.capacity()));
    for piece in pieces((spans, counts.len()), (addend.spans, addend.counts.len()), skip) {
        layout.push(&piece);
        let to = united.len();
        match (piece.ours, piece.theirs) {
            (Some(at), theirs) => {
                united.extend_from_slice(&counts[at..at + piece.length]);
                if let (Some(united), Some(compensation)) = (&mut united_compensation, &compensation) {
                    united.extend_from_slice(&compensation[at..at + piece.length]);
                }
                if let Some(from) = theirs {
                    add_piece(&mut united, united_compensation.as_mut(), addend, &piece, (to, from));
                }
            }
            (None, Some(at)) => {
                united.extend(addend.counts[at..at + piece.length].iter().map(|c| c * addend.sign));
                match (&mut united_compensation, addend.compensation) {
                    (Some(united), Some(theirs)) => {
                        united.extend(theirs[at..at + piece.length].iter().map(|c| c * addend.sign));
                    }
                    (Some(united), None) => united.resize(to + piece.length, 0.0),
                    (None, _) => {}
                }
            }
            (None, None) => {}
        }
    }
    *spans = layout.builder.finish();
    *counts = united;
    if let (Some(compensation), Some(united)) = (&mut compensation, united_compensation) {
        **compensation = united;
    }
}

/// Adds consecutive counts, from a place in the addend to a place in the counts.
fn add_piece(
    counts: &mut [f64],
    compensation: Option<&mut Vec<f64>>,
    addend: &Addend<'_>,
    piece: &Piece,
    (to, from): (usize, usize),
) {
    let ours = counts.iter_mut().skip(to).take(piece.length);
    let theirs = addend.counts.iter().skip(from);
    let Some(compensation) = compensation else {
        ours.zip(theirs).for_each(|(a, b)| *a += b * addend.sign);
        return;
    };
    for (i, ((a, c), b)) in ours.zip(compensation.iter_mut().skip(to)).zip(theirs).enumerate() {
        (*a, *c) = compensated_add(b * addend.sign, *a, *c);
        let rest = addend.compensation.and_then(|c| c.get(from + i)).map_or(0.0, |rest| rest * addend.sign);
        if rest != 0.0 {
            (*a, *c) = compensated_add(rest, *a, *c);
        }
    }
}

/// The spans of a sum. They are those of the histogram that is added to, with new buckets joined to them as Prometheus
/// joins them one by one: first to a span that ends before them, else a single bucket to the span that begins behind it.
#[derive(Default)]
struct NewLayout {
    builder: SpanBuilder,
    /// A single new bucket that the next span takes in, if it begins right behind it.
    single: bool,
}

impl NewLayout {
    fn push(&mut self, piece: &Piece) {
        let adjacent = self.builder.is_adjacent(piece.first);
        if piece.ours.is_none() {
            self.single = !adjacent && piece.length == 1;
            self.builder.push(piece.first, piece.length);
            return;
        }
        if piece.begins && !(adjacent && self.single) {
            self.builder.begin(piece.first, piece.length);
        } else {
            self.builder.push(piece.first, piece.length);
        }
        self.single = false;
    }
}
