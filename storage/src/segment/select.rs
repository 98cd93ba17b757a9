//! Which series fulfil matchers.

use roaring::RoaringBitmap;

use super::open::{Name, Segment};
use crate::{MatchOp, Matcher, Result, TimeRange};

impl Segment {
    /// The ordinals of the series that fulfil every matcher; an absent label counts as the empty text. None when no sample
    /// of the segment is in `range`; whether a single series has samples there is not looked at.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`](crate::StorageError::Corrupt) when a block is damaged,
    /// [`StorageError::Io`](crate::StorageError::Io) when it cannot be read.
    pub fn select(&self, matchers: &[Matcher], range: TimeRange) -> Result<RoaringBitmap> {
        let inside = range.overlaps(&self.summary.range) || range.overlaps(&self.summary.exemplar_range);
        if !inside {
            return Ok(RoaringBitmap::new());
        }
        // Matchers that need the label narrow the result; the others take away from it. Cheap ones come first.
        let (excluding, mut needing): (Vec<&Matcher>, Vec<&Matcher>) = matchers.iter().partition(|m| m.matches_empty());
        needing.sort_by_key(|m| self.effort(m));
        let mut selected: Option<RoaringBitmap> = None;
        for matcher in needing {
            let mut matching = RoaringBitmap::new();
            if let Some(name) = self.name(matcher.name()) {
                self.add_matching(name, matcher, true, &mut matching)?;
            }
            match &mut selected {
                Some(selected) => *selected &= matching,
                None => selected = Some(matching),
            }
            if selected.as_ref().is_some_and(RoaringBitmap::is_empty) {
                return Ok(RoaringBitmap::new());
            }
        }
        let mut selected = match selected {
            Some(selected) => selected,
            None => {
                let mut all = RoaringBitmap::new();
                all.insert_range(0..self.summary.series);
                all
            }
        };
        for matcher in excluding {
            let Some(name) = self.name(matcher.name()) else { continue };
            let mut failing = RoaringBitmap::new();
            self.add_matching(name, matcher, false, &mut failing)?;
            selected -= failing;
        }
        Ok(selected)
    }

    /// Roughly how many values have to be looked at.
    fn effort(&self, matcher: &Matcher) -> usize {
        let all = self.name(matcher.name()).map_or(0, |n| (n.end - n.first) as usize);
        match matcher.op() {
            MatchOp::Equal => 1,
            MatchOp::NotEqual => all,
            MatchOp::Regex | MatchOp::NotRegex => matcher.set_alternatives().map_or(all, <[String]>::len),
        }
    }

    /// Adds the series whose value of the label fulfils the matcher (`wanted`), or does not.
    fn add_matching(&self, name: &Name, matcher: &Matcher, wanted: bool, to: &mut RoaringBitmap) -> Result<()> {
        let single = [matcher.value().to_owned()];
        // The values that the matcher names, and whether it is they that are asked for, or all others.
        let (named, asked) = match matcher.op() {
            MatchOp::Equal => (Some(&single[..]), wanted),
            MatchOp::NotEqual => (Some(&single[..]), !wanted),
            MatchOp::Regex => (matcher.set_alternatives(), wanted),
            MatchOp::NotRegex => (matcher.set_alternatives(), !wanted),
        };
        match named {
            Some(texts) if asked => texts.iter().try_for_each(|text| self.add_value(name, text, to)),
            Some(texts) if texts.iter().all(String::is_empty) => self.add_postings(&name.postings, to),
            _ => self.add_scanned(name, matcher, wanted, to),
        }
    }

    fn add_value(&self, name: &Name, text: &str, to: &mut RoaringBitmap) -> Result<()> {
        self.each_value(name, text, |found, postings| {
            if found == text {
                self.add_postings(postings, to)?;
            }
            Ok(false)
        })
    }

    /// Looks at every value, or at those with the prefix that each match has.
    fn add_scanned(&self, name: &Name, matcher: &Matcher, wanted: bool, to: &mut RoaringBitmap) -> Result<()> {
        let every = match matcher.op() {
            MatchOp::Regex => wanted && matcher.value() == ".+",
            MatchOp::NotRegex => !wanted && matcher.value() == ".+",
            MatchOp::Equal | MatchOp::NotEqual => false,
        };
        if every {
            return self.add_postings(&name.postings, to);
        }
        // The prefix bounds what the pattern matches, which is what is asked for only in these cases.
        let positive = (matcher.op() == MatchOp::Regex) == wanted;
        let prefix = if positive { matcher.literal_prefix() } else { "" };
        self.each_value(name, prefix, |text, postings| {
            if !text.starts_with(prefix) {
                return Ok(false);
            }
            if matcher.matches(text) == wanted {
                self.add_postings(postings, to)?;
            }
            Ok(true)
        })
    }
}
