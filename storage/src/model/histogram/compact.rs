//! Taking out empty buckets, and joining spans.

use super::{
    FloatHistogram, Span,
    layout::{SpanBuilder, indices, runs},
};

impl FloatHistogram {
    /// Removes the empty buckets, except between two others that are at most `max_empty_buckets` apart: these come into
    /// one span, with the empty buckets between them.
    ///
    /// The memory that this takes grows with the spans and `max_empty_buckets`; with 0 it only shrinks.
    pub fn compact(&mut self, max_empty_buckets: usize) {
        for (spans, counts) in [
            (&mut self.positive_spans, &mut self.positive_buckets),
            (&mut self.negative_spans, &mut self.negative_buckets),
        ] {
            if is_compact(spans, counts, max_empty_buckets) {
                continue;
            }
            remove_empty(spans, counts, None);
            if max_empty_buckets > 0 {
                join(spans, counts, max_empty_buckets);
            }
        }
    }
}

/// Removes the empty buckets of one side. With a compensation of the counts, buckets are empty where both are zero, and
/// both are kept in step.
pub(super) fn remove_empty(spans: &mut Vec<Span>, counts: &mut Vec<f64>, mut compensation: Option<&mut Vec<f64>>) {
    if is_compact(spans, counts, 0) {
        return;
    }
    if let Some(compensation) = &mut compensation {
        compensation.resize(counts.len(), 0.0);
    }
    let mut builder = SpanBuilder::default();
    let mut kept = 0;
    for (at, index) in indices(spans).take(counts.len()).enumerate() {
        if counts[at] == 0.0 && compensation.as_ref().is_none_or(|c| c[at] == 0.0) {
            continue;
        }
        builder.push(index, 1);
        counts[kept] = counts[at];
        if let Some(compensation) = &mut compensation {
            compensation[kept] = compensation[at];
        }
        kept += 1;
    }
    *spans = builder.finish();
    counts.truncate(kept);
    if let Some(compensation) = compensation {
        compensation.truncate(kept);
    }
}

/// Joins spans with small gaps between them, filling in empty buckets.
fn join(spans: &mut Vec<Span>, counts: &mut Vec<f64>, max_empty: usize) {
    let mut builder = SpanBuilder::default();
    let mut filled = Vec::with_capacity(counts.len());
    let mut end = None;
    for run in runs(spans, counts.len()) {
        let gap = end.and_then(|end| usize::try_from(run.first - end).ok()).filter(|gap| *gap <= max_empty);
        match gap {
            Some(gap) => {
                filled.resize(filled.len() + gap, 0.0);
                builder.push(run.first - gap as i64, gap + run.length);
            }
            None => builder.push(run.first, run.length),
        }
        filled.extend_from_slice(&counts[run.at..run.at + run.length]);
        end = Some(run.first + run.length as i64);
    }
    *spans = builder.finish();
    *counts = filled;
}

/// Whether there is nothing to do, which is the usual case.
fn is_compact(spans: &[Span], counts: &[f64], max_empty: usize) -> bool {
    let covered: u64 = spans.iter().map(|s| u64::from(s.length)).sum();
    covered == counts.len() as u64
        && counts.iter().all(|c| *c != 0.0)
        && spans.iter().all(|s| s.length > 0)
        && spans.iter().skip(1).all(|s| usize::try_from(s.offset).is_ok_and(|gap| gap > max_empty))
}
