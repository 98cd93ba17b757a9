//! What the catalog keeps of tables comes back, is replaced and goes.

use std::{path::Path, sync::Arc};

use roaring::RoaringBitmap;

use super::*;
use crate::table::{TableDefinition, TableId, wire::TableState};

fn state(id: u32, name: &str, next_row: u64) -> TableState {
    let definition = TableDefinition { id: TableId(id), ..TableDefinition::dynamic(name) };
    TableState { definition, next_row, serials: Vec::new() }
}

fn chunk(table: u32, chunk: u64, ids: &[u32]) -> DeletedChunk {
    DeletedChunk { table: TableId(table), chunk, ids: RoaringBitmap::from_iter(ids) }
}

fn entry(space: &str, name: &str, body: Option<&[u8]>) -> EntryEdit {
    ((space.to_owned(), name.to_owned()), body.map(<[u8]>::to_vec))
}

fn catalog(vfs: &Arc<dyn Vfs>) -> Catalog {
    Catalog::open(Arc::clone(vfs), Path::new("/"), false).unwrap()
}

#[test]
fn tables_deletions_and_entries_are_kept_replaced_and_taken_out() {
    let vfs: Arc<dyn Vfs> = Arc::new(MemFs::new());
    let lost = QuarantineRecord {
        file: "1.seg".to_owned(),
        what: "event segment".to_owned(),
        range: None,
        reason: "rot".to_owned(),
        at_ms: 5,
        table: Some("events".to_owned()),
    };
    let edit = CatalogEdit {
        tables: vec![state(1, "events", 7), state(2, "users", 1)],
        deleted: vec![chunk(1, 0, &[1, 2]), chunk(1, 9, &[3]), chunk(2, 0, &[4])],
        entries: vec![entry("view", "a", Some(b"1")), entry("vie", "wa", Some(b"2"))],
        last_table: Some(2),
        quarantine: vec![lost.clone()],
        ..CatalogEdit::default()
    };
    catalog(&vfs).commit(&edit).unwrap();
    let saved = catalog(&vfs).state().unwrap();
    assert_eq!(saved.tables, edit.tables);
    assert_eq!(saved.deleted, edit.deleted);
    assert_eq!(saved.entries.len(), 2);
    assert_eq!((saved.last_table, saved.quarantined), (2, vec![lost]));
    let edit = CatalogEdit {
        tables: vec![state(1, "renamed", 9)],
        remove_tables: vec![TableId(2), TableId(77)],
        deleted: vec![chunk(1, 0, &[]), chunk(1, 9, &[3, 5])],
        entries: vec![entry("view", "a", None), entry("vie", "wa", Some(b"3"))],
        release: vec!["1.seg".to_owned()],
        ..CatalogEdit::default()
    };
    catalog(&vfs).commit(&edit).unwrap();
    let saved = catalog(&vfs).state().unwrap();
    assert_eq!(saved.tables, edit.tables);
    assert_eq!(saved.deleted, [chunk(1, 9, &[3, 5])]);
    assert_eq!(saved.entries.into_iter().collect::<Vec<_>>(), [(("vie".to_owned(), "wa".to_owned()), b"3".to_vec())]);
    assert_eq!(saved.last_table, 2, "numbers of tables are never given again");
    assert!(saved.quarantined.is_empty());
}
