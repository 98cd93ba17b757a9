//! Label pair -> series, for the memtable: built lazily, in batches, when a query first needs them.

use roaring::RoaringBitmap;

use super::{
    index::{Index, SeriesId},
    pairs::PairId,
};
use crate::model::matcher::Matcher;

/// The series of every pair, up to the series that were there at the last catching up.
#[derive(Debug, Default)]
pub(super) struct Postings {
    by_pair: Vec<Posting>,
    /// Series below this number are in `by_pair`.
    built: SeriesId,
}

/// Most pairs of a churning label have a single series: those need no bitmap.
#[derive(Debug, Default)]
enum Posting {
    #[default]
    None,
    One(SeriesId),
    Many(Box<RoaringBitmap>),
}

impl Posting {
    /// Adds a series whose number is higher than all before.
    fn push(&mut self, series: SeriesId) {
        match self {
            Self::None => *self = Self::One(series),
            Self::One(first) => *self = Self::Many(Box::new(RoaringBitmap::from_iter([*first, series]))),
            Self::Many(bitmap) => {
                bitmap.insert(series);
            }
        }
    }

    fn union_into(&self, all: &mut RoaringBitmap) {
        match self {
            Self::None => {}
            Self::One(series) => {
                all.insert(*series);
            }
            Self::Many(bitmap) => *all |= &**bitmap,
        }
    }
}

impl Postings {
    /// Memory held, in bytes, without the bitmaps' slack.
    pub(super) fn heap_size(&self) -> usize {
        self.by_pair.capacity() * size_of::<Posting>()
            + self
                .by_pair
                .iter()
                .map(|p| match p {
                    Posting::Many(b) => b.serialized_size() + 64,
                    _ => 0,
                })
                .sum::<usize>()
    }

    /// Takes in the series that were registered since the last call.
    pub(super) fn catch_up(&mut self, index: &Index) {
        self.by_pair.resize_with(index.pairs().len(), Posting::default);
        for series in self.built..index.len() as SeriesId {
            for pair in index.series_pairs(series) {
                self.by_pair[*pair as usize].push(series);
            }
        }
        self.built = index.len() as SeriesId;
    }

    pub(super) fn of_pair(&self, pair: PairId) -> RoaringBitmap {
        let mut all = RoaringBitmap::new();
        if let Some(posting) = self.by_pair.get(pair as usize) {
            posting.union_into(&mut all);
        }
        all
    }

    /// Series that fulfil every matcher. Matchers that an absent label cannot fulfil narrow first, by union of the
    /// pairs they take; the others then take away the pairs that they refuse.
    pub(super) fn select(&self, index: &Index, matchers: &[Matcher]) -> RoaringBitmap {
        let mut found: Option<RoaringBitmap> = None;
        for matcher in matchers.iter().filter(|m| !m.matches_empty()) {
            let taken = self.union_where(index, matcher, true);
            found = Some(match found {
                None => taken,
                Some(before) => before & taken,
            });
            if found.as_ref().is_some_and(RoaringBitmap::is_empty) {
                return RoaringBitmap::new();
            }
        }
        let mut found = found.unwrap_or_else(|| {
            let mut all = RoaringBitmap::new();
            all.insert_range(0..self.built);
            all
        });
        for matcher in matchers.iter().filter(|m| m.matches_empty()) {
            found -= self.union_where(index, matcher, false);
        }
        found
    }

    /// The series of those pairs of the matcher's label that it takes (or refuses).
    fn union_where(&self, index: &Index, matcher: &Matcher, taken: bool) -> RoaringBitmap {
        let mut all = RoaringBitmap::new();
        let pairs = index.pairs();
        let exact = match matcher.op() {
            crate::MatchOp::Equal => {
                Some(std::slice::from_ref(&matcher.value()).iter().map(|v| (*v).to_owned()).collect())
            }
            crate::MatchOp::Regex => matcher.set_alternatives().map(<[String]>::to_vec),
            _ => None,
        };
        if let (Some(values), true) = (exact, taken) {
            let values: Vec<String> = values;
            for id in values.iter().filter_map(|v| pairs.find(matcher.name(), v)) {
                self.by_pair[id as usize].union_into(&mut all);
            }
            return all;
        }
        if let Some(name) = pairs.find_name(matcher.name()) {
            for id in pairs.pairs_of(name) {
                if matcher.matches(pairs.value(*id)) == taken {
                    self.by_pair[*id as usize].union_into(&mut all);
                }
            }
        }
        all
    }
}
