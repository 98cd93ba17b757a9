//! Deletion by matchers and time range: recorded at once, carried out by merges.

use std::sync::{Arc, atomic::Ordering};

use super::{Inner, flush::exclusive, state::LiveTombstone};
use crate::{
    Result, StorageError,
    catalog::{CatalogEdit, TombstoneMatcher, TombstoneRecord},
    memtable::write_lock,
    model::{matcher::Matcher, time::TimeRange},
};

impl Inner {
    /// Deletes the samples of all series that fulfil every matcher, inside the range. Samples written later are not
    /// concerned, whatever their timestamps.
    pub(super) fn delete_series(self: &Arc<Self>, matchers: &[Matcher], range: TimeRange) -> Result<()> {
        self.check_writable()?;
        if matchers.iter().all(Matcher::matches_empty) {
            return Err(StorageError::Invalid(
                "a deletion needs at least one matcher that does not match the empty string".to_owned(),
            ));
        }
        if range.is_empty() {
            return Err(StorageError::Invalid(format!(
                "the deletion's end ({}) is before its start ({})",
                range.end, range.start
            )));
        }
        // A tombstone counts for segments only: what is in memory becomes one first.
        self.flush()?;
        let _not_while_merging = exclusive(&self.merging);
        let record = TombstoneRecord {
            id: self.next_tombstone.fetch_add(1, Ordering::SeqCst),
            matchers: matchers
                .iter()
                .map(|m| TombstoneMatcher { name: m.name().to_owned(), op: m.op(), value: m.value().to_owned() })
                .collect(),
            range,
            sequence_bound: self.next_sequence.load(Ordering::SeqCst),
        };
        self.edit_catalog(CatalogEdit { add_tombstones: vec![record.clone()], ..CatalogEdit::default() })?;
        let mut state = write_lock(&self.state);
        let mut tombstones = state.tombstones.to_vec();
        tombstones.push(Arc::new(LiveTombstone { record, matchers: matchers.to_vec() }));
        state.tombstones = Arc::new(tombstones);
        Ok(())
    }
}
