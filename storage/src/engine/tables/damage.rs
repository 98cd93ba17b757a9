//! Damaged segments of tables: set aside, and what is known of them set right.

use std::{collections::BTreeSet, sync::Arc};

use super::{Table, events::LiveEvents, held::held};
use crate::{
    Result, StorageError,
    catalog::{CatalogEdit, QuarantineRecord, SegmentRecord},
    engine::{Inner, flush::exclusive, layout::Layout, open::is_damage},
    memtable::{read_lock, write_lock},
    table::TableId,
};

impl Inner {
    /// What to tell about answers over a table.
    pub(in crate::engine) fn table_warnings(&self, table: &str) -> Vec<String> {
        let items = self.quarantine.items();
        let of_table = items.iter().filter(|item| item.table.as_deref() == Some(table));
        let told = of_table.map(|item| {
            let range = match item.range {
                Some(lost) if !lost.is_empty() => format!(" between {} and {} (ms)", lost.start, lost.end),
                _ => String::new(),
            };
            format!(
                "rows of table {table:?}{range} may be missing: {} was set aside as damaged ({})",
                item.file, item.reason
            )
        });
        told.collect()
    }

    /// Opens a segment that the catalog names; a damaged one is set aside.
    pub(in crate::engine) fn open_table_segment(self: &Arc<Self>, id: TableId, record: &SegmentRecord) -> Result<()> {
        let definition = read_lock(&self.tables).table(id).map(|table| Arc::clone(&table.definition));
        let Some(definition) = definition else {
            // The log drops the table, and the catalog does not know yet.
            write_lock(&self.tables).dropped.entry(id).or_default().push(record.clone());
            return Ok(());
        };
        let live = match self.open_events(record, &definition).and_then(|live| Ok((live.segment_columns()?, live))) {
            Ok((columns, live)) => (columns, live),
            Err(error) if is_damage(&error) => {
                return self.note_set_aside(record, &definition.name, &error.to_string());
            }
            Err(error) => return Err(error),
        };
        let mut tables = write_lock(&self.tables);
        if let Some(table) = tables.all.get_mut(&id) {
            let (columns, live) = live;
            table.fields.add(columns.iter());
            table.next_row = table.next_row.max(live.segment.summary().row_ids.end().saturating_add(1));
            table.replace_segments(&[], vec![live]);
        }
        Ok(())
    }

    /// Takes a live segment of a table that turned out to be damaged out of service. Safe to call from any reader that
    /// holds no lock of the engine.
    pub(in crate::engine) fn set_aside_events(&self, live: &LiveEvents, reason: &str) {
        let removed = {
            let _one_at_a_time = exclusive(&self.setting_aside);
            let _not_while_saving = exclusive(&self.persisting);
            let removed = self.remove_events(live);
            if let Some(name) = &removed
                && let Err(error) = self.note_set_aside(&live.record, name, reason)
            {
                tracing::error!(%error, segment = live.record.id, "could not record that a damaged segment was set aside");
            }
            removed
        };
        if removed.is_some()
            && let Err(error) = self.settle(live.table)
        {
            tracing::error!(%error, table = live.table.0, "could not tell which deleted rows are gone with a segment");
        }
    }

    /// Takes a segment out of its table; returns the table's name, unless the segment was not there any more.
    fn remove_events(&self, live: &LiveEvents) -> Option<String> {
        let _nobody_commits = exclusive(&self.reshaping);
        let mut tables = write_lock(&self.tables);
        tables.clock += 1;
        let clock = tables.clock;
        let table = tables.all.get_mut(&live.table)?;
        if !table.segments.iter().any(|known| known.record.id == live.record.id) {
            return None;
        }
        table.replace_segments(&[live.record.id], Vec::new());
        table.reshaped_at = clock;
        Some(table.definition.name.clone())
    }

    /// Records that a segment of the catalog is damaged, and moves its file.
    fn note_set_aside(&self, record: &SegmentRecord, table: &str, reason: &str) -> Result<()> {
        let item = QuarantineRecord {
            file: Layout::segment_name(record.id),
            what: format!("event segment of table {table:?}, {} rows", record.samples),
            range: Some(record.range),
            reason: reason.to_owned(),
            at_ms: self.options.clock.now_ms(),
            table: Some(table.to_owned()),
        };
        tracing::error!(file = %item.file, table, start = record.range.start, end = record.range.end, reason, "set aside");
        self.quarantine.add(item.clone());
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

    /// Sees to it, after an open, that every deleted row of these tables is in some part, and of those that lost rows.
    pub(in crate::engine) fn settle_opened(&self, mut unsettled: BTreeSet<TableId>) -> Result<()> {
        for item in self.quarantine.items() {
            let tables = read_lock(&self.tables);
            unsettled.extend(item.table.and_then(|name| Some(tables.named(&name)?.definition.id)));
        }
        unsettled.into_iter().try_for_each(|table| self.settle(table))
    }

    /// Forgets the deletions of rows that are in no part.
    pub(in crate::engine) fn settle(&self, id: TableId) -> Result<()> {
        loop {
            let Some((deleted, parts)) = read_lock(&self.tables).table(id).map(Table::deletions) else { return Ok(()) };
            match held(&deleted, &parts) {
                Ok(held) => {
                    if let Some(table) = write_lock(&self.tables).all.get_mut(&id) {
                        table.forget(&(&*deleted - &held));
                    }
                    return Ok(());
                }
                // Reading it set the damaged segment aside: it is not among the parts next time.
                Err(StorageError::Corrupt { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }
}
