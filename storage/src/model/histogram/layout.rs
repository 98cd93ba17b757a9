//! Spans as indices of buckets: walking them, building them, and laying two layouts over each other.
//!
//! Indices are 64 bits wide here, so that adding up the offsets of any number of spans stays in range.

use super::Span;

/// The index of each bucket that the spans cover.
pub(super) fn indices(spans: &[Span]) -> impl Iterator<Item = i64> {
    let mut end = 0i64;
    spans.iter().flat_map(move |span| {
        let first = end + i64::from(span.offset);
        end = first + i64::from(span.length);
        first..end
    })
}

/// An index as buckets tell it.
pub(super) const fn narrow(index: i64) -> i32 {
    if index > i32::MAX as i64 {
        i32::MAX
    } else if index < i32::MIN as i64 {
        i32::MIN
    } else {
        index as i32
    }
}

/// Whether both lay out the same buckets, apart from empty spans.
pub(super) fn same_layout(a: &[Span], b: &[Span]) -> bool {
    a == b || runs(a, usize::MAX).eq(runs(b, usize::MAX))
}

/// A span that is not empty: its first index, how many buckets it has, and where its counts begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) first: i64,
    pub(super) length: usize,
    pub(super) at: usize,
}

impl Run {
    /// Takes this many buckets off its front.
    const fn take(&mut self, length: usize) -> Self {
        let taken = Self { first: self.first, length, at: self.at };
        self.first += length as i64;
        self.at += length;
        self.length -= length;
        taken
    }
}

/// The spans that are not empty, as far as there are counts for them.
pub(super) fn runs(spans: &[Span], counts: usize) -> impl Iterator<Item = Run> {
    let (mut end, mut at) = (0i64, 0usize);
    spans.iter().filter_map(move |span| {
        let first = end + i64::from(span.offset);
        end = first + i64::from(span.length);
        let length = (span.length as usize).min(counts - at);
        let run = Run { first, length, at };
        at += length;
        (length > 0).then_some(run)
    })
}

/// Builds spans from indices.
#[derive(Debug, Default)]
pub(super) struct SpanBuilder {
    spans: Vec<Span>,
    end: i64,
}

impl SpanBuilder {
    /// Appends buckets; they go on in the last span where they are adjacent to it.
    pub(super) fn push(&mut self, first: i64, length: usize) {
        match self.spans.last_mut() {
            Some(last) if first == self.end => {
                last.length = last.length.saturating_add(clamp(length));
                self.end = first + length as i64;
            }
            _ => self.begin(first, length),
        }
    }

    /// Appends buckets in a span of their own.
    pub(super) fn begin(&mut self, first: i64, length: usize) {
        self.spans.push(Span { offset: narrow(first - self.end), length: clamp(length) });
        self.end = first + length as i64;
    }

    /// Whether buckets from this index on are adjacent to the last span.
    pub(super) const fn is_adjacent(&self, first: i64) -> bool {
        !self.spans.is_empty() && first == self.end
    }

    pub(super) fn finish(self) -> Vec<Span> {
        self.spans
    }
}

fn clamp(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// Consecutive buckets that are in one of two layouts, or in both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) first: i64,
    pub(super) length: usize,
    /// Where the counts of the first layout begin, when it has these buckets.
    pub(super) ours: Option<usize>,
    /// The same of the second layout.
    pub(super) theirs: Option<usize>,
    /// Whether a span of the first layout begins here.
    pub(super) begins: bool,
}

/// The pieces of two layouts by rising index; `skip` buckets at the beginning of the second one are left out.
pub(super) fn pieces<'s>(
    (ours, our_counts): (&'s [Span], usize),
    (theirs, their_counts): (&'s [Span], usize),
    skip: usize,
) -> impl Iterator<Item = Piece> + 's {
    let (mut ours, mut theirs) = (runs(ours, our_counts), runs(theirs, their_counts));
    let (mut a, mut b) = (ours.next(), theirs.next());
    let mut skip = skip;
    while let Some(run) = b.as_mut().filter(|_| skip > 0) {
        let taken = run.take(skip.min(run.length));
        skip -= taken.length;
        if run.length == 0 {
            b = theirs.next();
        }
    }
    let mut begins = true;
    std::iter::from_fn(move || {
        // How many buckets there are up to where the other layout has one.
        let until = |run: &Run, other: Option<Run>| match other {
            Some(other) if other.first > run.first => {
                run.length.min(usize::try_from(other.first - run.first).unwrap_or(usize::MAX))
            }
            _ => run.length,
        };
        let piece = match (a.as_mut(), b.as_mut()) {
            (Some(x), Some(y)) if x.first == y.first => {
                let length = x.length.min(y.length);
                let theirs = Some(y.take(length).at);
                Piece { first: x.first, length, ours: Some(x.take(length).at), theirs, begins }
            }
            (Some(x), y) if y.as_ref().is_none_or(|y| x.first < y.first) => {
                let taken = x.take(until(x, y.copied()));
                Piece { first: taken.first, length: taken.length, ours: Some(taken.at), theirs: None, begins }
            }
            (x, Some(y)) => {
                let taken = y.take(until(y, x.copied()));
                Piece { first: taken.first, length: taken.length, ours: None, theirs: Some(taken.at), begins: false }
            }
            _ => return None,
        };
        if piece.ours.is_some() {
            begins = a.is_some_and(|run| run.length == 0);
            if begins {
                a = ours.next();
            }
        }
        if b.is_some_and(|run| run.length == 0) {
            b = theirs.next();
        }
        Some(piece)
    })
}
