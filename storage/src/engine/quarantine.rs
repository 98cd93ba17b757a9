//! Quarantine: what is damaged is set aside and reported with its range of time; the rest goes on.

use std::{
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{Inner, layout::Layout, state::LiveSegment};
use crate::{
    Result,
    catalog::{CatalogEdit, QuarantineRecord, SegmentRecord},
    memtable::{read_lock, write_lock},
    model::time::TimeRange,
    vfs::at_path,
};

/// Everything that was set aside, ever.
#[derive(Debug, Default)]
pub(super) struct Quarantine {
    items: Mutex<Vec<QuarantineRecord>>,
}

impl Quarantine {
    pub(super) fn new(items: Vec<QuarantineRecord>) -> Self {
        Self { items: Mutex::new(items) }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<QuarantineRecord>> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, item: QuarantineRecord) {
        self.lock().push(item);
    }

    pub(super) fn items(&self) -> Vec<QuarantineRecord> {
        self.lock().clone()
    }
}

impl Inner {
    /// What to tell about answers over this range.
    pub(super) fn quarantine_warnings(&self, range: TimeRange) -> Vec<String> {
        self.quarantine
            .lock()
            .iter()
            .filter(|item| item.table.is_none())
            .filter_map(|item| item.range.map(|lost| (item, lost)))
            .filter(|(_, lost)| lost.overlaps(&range))
            .map(|(item, lost)| {
                format!(
                    "data between {} and {} (ms) may be missing: {} was set aside as damaged ({})",
                    lost.start, lost.end, item.file, item.reason
                )
            })
            .collect()
    }

    /// Takes a live segment that turned out to be damaged out of service. Safe to call from any reader.
    pub(super) fn set_aside_segment(&self, live: &LiveSegment, reason: &str) {
        let _one_at_a_time = super::flush::exclusive(&self.setting_aside);
        if !read_lock(&self.state).segments.iter().any(|s| s.record.id == live.record.id) {
            return;
        }
        write_lock(&self.state).replace_segments(&[live.record.id], Vec::new());
        if let Err(error) = self.set_aside(&live.record, reason) {
            tracing::error!(%error, segment = live.record.id, "could not record that a damaged segment was set aside");
        }
    }

    /// Records that a segment of the catalog is damaged, and moves its file.
    pub(super) fn set_aside(&self, record: &SegmentRecord, reason: &str) -> Result<()> {
        let item = QuarantineRecord {
            file: Layout::segment_name(record.id),
            what: format!("metric segment, {} series, {} samples", record.series, record.samples),
            range: Some(record.range),
            reason: reason.to_owned(),
            at_ms: self.options.clock.now_ms(),
            table: None,
        };
        tracing::error!(file = %item.file, start = record.range.start, end = record.range.end, reason, "set aside");
        self.quarantine.lock().push(item.clone());
        if self.options.read_only {
            return Ok(());
        }
        self.edit_catalog(CatalogEdit {
            remove_segments: vec![record.id],
            quarantine: vec![item],
            ..CatalogEdit::default()
        })?;
        self.move_to_quarantine(&self.layout.segment(record.id))
    }

    /// Records that something else than a segment is damaged; its bytes were copied to the quarantine by the caller.
    pub(super) fn report_damage(&self, item: QuarantineRecord) -> Result<()> {
        tracing::error!(file = %item.file, reason = %item.reason, "set aside");
        self.quarantine.lock().push(item.clone());
        if self.options.read_only {
            return Ok(());
        }
        self.edit_catalog(CatalogEdit { quarantine: vec![item], ..CatalogEdit::default() })
    }

    /// Moves a file that the catalog does not name any more; a missing one is no error.
    pub(super) fn move_to_quarantine(&self, path: &Path) -> Result<()> {
        let vfs = &self.options.vfs;
        let Some(name) = path.file_name() else { return Ok(()) };
        if !vfs.exists(path).map_err(at_path(path))? {
            return Ok(());
        }
        let dir = self.layout.quarantine();
        vfs.create_dir_all(&dir).map_err(at_path(&dir))?;
        vfs.sync_dir(self.layout.root()).map_err(at_path(self.layout.root()))?;
        vfs.rename(path, &dir.join(name)).map_err(at_path(path))?;
        vfs.sync_dir(&dir).map_err(at_path(&dir))?;
        let from = self.layout.segments();
        vfs.sync_dir(&from).map_err(at_path(&from))
    }
}
