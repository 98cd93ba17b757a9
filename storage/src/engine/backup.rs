//! Backups by hard links: a directory under `snapshots/` that is itself a data directory.

use std::{
    path::Path,
    sync::{Arc, atomic::Ordering},
};

use super::{Inner, flush::exclusive, layout::Layout};
use crate::{
    Result,
    catalog::{Catalog, CatalogEdit, SegmentKind, SegmentRecord},
    memtable::read_lock,
    model::time::civil_day,
    rng::Rng,
    vfs::at_path,
};

impl Inner {
    /// Writes all samples to segments and links them into a new directory; returns its name under `snapshots/`.
    /// A crash half-way leaves a directory whose name ends in `.tmp`, which is removed at the next start.
    pub(super) fn backup(self: &Arc<Self>) -> Result<String> {
        self.flush()?;
        // No segment is removed while it is being linked.
        let _not_while_merging = exclusive(&self.merging);
        let _not_while_saving = exclusive(&self.persisting);
        let now = self.options.clock.now_ms();
        let random = Rng::new(self.options.seed ^ self.next_segment().0).next_u64();
        let name = format!("{}-{random:016x}", timestamp_name(now));
        let temporary = self.layout.snapshots().join(format!("{name}.tmp"));
        let result = self.fill_backup(&temporary).and_then(|()| {
            let vfs = &self.options.vfs;
            let target = self.layout.snapshots().join(&name);
            vfs.rename(&temporary, &target).map_err(at_path(&temporary))?;
            vfs.sync_dir(&self.layout.snapshots()).map_err(at_path(&self.layout.snapshots()))
        });
        if result.is_err() {
            let _ = self.options.vfs.remove_dir_all(&temporary);
        }
        result.map(|()| name)
    }

    fn fill_backup(&self, dir: &Path) -> Result<()> {
        let vfs = &self.options.vfs;
        let target = Layout::new(dir);
        for made in [target.segments(), target.wal()] {
            vfs.create_dir_all(&made).map_err(at_path(&made))?;
        }
        let state = read_lock(&self.state).clone();
        for live in state.segments.iter() {
            let from = self.layout.segment(live.record.id);
            vfs.hard_link(&from, &target.segment(live.record.id)).map_err(at_path(&from))?;
        }
        // Of tables what the catalog has, which is their state at one moment.
        let saved = self.catalog.state()?;
        let events: Vec<SegmentRecord> =
            saved.segments.iter().filter(|s| s.kind != SegmentKind::Metrics).cloned().collect();
        for record in &events {
            let from = self.layout.segment(record.id);
            vfs.hard_link(&from, &target.segment(record.id)).map_err(at_path(&from))?;
        }
        let catalog = Catalog::open(Arc::clone(vfs), dir, false)?;
        catalog.commit(&CatalogEdit {
            add_segments: state.segments.iter().map(|s| s.record.clone()).chain(events).collect(),
            tables: saved.tables,
            deleted: saved.deleted,
            entries: saved.entries.into_iter().map(|(key, body)| (key, Some(body))).collect(),
            last_table: Some(saved.last_table),
            add_tombstones: state.tombstones.iter().map(|t| t.record.clone()).collect(),
            metadata: read_lock(&self.metadata).all(),
            next_segment_id: Some(self.next_segment_id.load(Ordering::SeqCst)),
            next_sequence: Some(self.next_sequence.load(Ordering::SeqCst)),
            ..CatalogEdit::default()
        })?;
        drop(catalog);
        for synced in [target.segments(), target.wal(), dir.to_owned(), self.layout.snapshots()] {
            vfs.sync_dir(&synced).map_err(at_path(&synced))?;
        }
        Ok(())
    }
}

/// `20260131T235959Z` from milliseconds since the Unix epoch.
fn timestamp_name(ms: i64) -> String {
    let seconds = ms.div_euclid(1_000);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil_day(days);
    format!("{year:04}{month:02}{day:02}T{:02}{:02}{:02}Z", second / 3_600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_carry_the_utc_time() {
        assert_eq!(timestamp_name(0), "19700101T000000Z");
        assert_eq!(timestamp_name(951_782_399_999), "20000228T235959Z");
        assert_eq!(timestamp_name(1_709_164_800_000), "20240229T000000Z");
        assert_eq!(timestamp_name(1_795_451_797_000), "20261123T163637Z");
    }
}
