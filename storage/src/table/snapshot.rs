//! What queries read of tables: all definitions and entries at one moment, and the rows of each table.

use std::{collections::BTreeMap, sync::Arc};

use roaring::RoaringTreemap;

use super::{definition::TableDefinition, kind::ColumnKey, part::Part};

/// What is kept by space and name: bytes that the engine does not read.
pub type Entries = BTreeMap<(String, String), Arc<[u8]>>;

/// All tables at one moment: what is committed, and in a transaction its own writes on top.
#[derive(Debug, Clone, Default)]
pub struct TablesView {
    tables: BTreeMap<String, TableSnapshot>,
    entries: Arc<Entries>,
}

impl TablesView {
    /// The tables of these definitions and rows, and the entries of every space by space and name.
    #[must_use]
    pub fn new(tables: impl IntoIterator<Item = TableSnapshot>, entries: Arc<Entries>) -> Self {
        let tables = tables.into_iter().map(|t| (t.definition.name.clone(), t)).collect();
        Self { tables, entries }
    }

    /// The table of this name.
    #[must_use]
    pub fn table(&self, name: &str) -> Option<&TableSnapshot> {
        self.tables.get(name)
    }

    /// All tables, sorted by name.
    pub fn tables(&self) -> impl Iterator<Item = &TableSnapshot> {
        self.tables.values()
    }

    /// All entries.
    pub(crate) const fn all_entries(&self) -> &Arc<Entries> {
        &self.entries
    }

    /// What is kept under this name in a space: bytes that the engine does not read, such as a view's text.
    #[must_use]
    pub fn entry(&self, space: &str, name: &str) -> Option<&Arc<[u8]>> {
        self.entries.get(&(space.to_owned(), name.to_owned()))
    }

    /// All entries of a space, sorted by name.
    pub fn entries(&self, space: &str) -> impl Iterator<Item = (&str, &Arc<[u8]>)> {
        self.entries.iter().filter(move |((s, _), _)| s == space).map(|((_, name), body)| (name.as_str(), body))
    }
}

/// The rows of one table at one moment. Cheap to clone.
#[derive(Debug, Clone)]
pub struct TableSnapshot {
    /// What the table is declared to be.
    pub definition: Arc<TableDefinition>,
    /// The columns of fields that are not declared, sorted: every one that some row ever had.
    pub fields: Arc<[ColumnKey]>,
    /// Where the rows are, the older parts first. A row is in one part only.
    pub parts: Arc<[Arc<dyn Part>]>,
    /// Row ids that count no longer, though a part may still hold them.
    pub deleted: Arc<RoaringTreemap>,
}

impl TableSnapshot {
    /// How many rows count.
    #[must_use]
    pub fn len(&self) -> u64 {
        let held: u64 = self.parts.iter().map(|p| p.len() as u64).sum();
        held.saturating_sub(self.deleted.len())
    }

    /// Whether no row counts.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
