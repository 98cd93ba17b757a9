//! Deleting rows, as DELETE, UPDATE and upserts do: the rollups of the table are told in the same transaction.

use chronolith_storage::table::TableSnapshot;
use roaring::RoaringTreemap;

use crate::{connection::Connection, error::Result, rollup::Marks};

/// Deletes rows of a table.
///
/// # Errors
/// When a row is not there.
pub(crate) fn delete(connection: &mut Connection, table: &TableSnapshot, ids: &RoaringTreemap) -> Result<()> {
    let marks = Marks::of(connection, table, ids)?;
    connection.transaction()?.delete(table.definition.id, ids)?;
    marks.put(connection, table)
}
