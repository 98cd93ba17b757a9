//! Holds: entries by which whoever derives something from a table keeps retention from rows that are still needed.
//!
//! A hold is an entry of the space [`HOLDS`], so it changes in the transaction of what it is about. Its name is the
//! table's number, a NUL and the holder's own words; its body begins with the highest row id that may be dropped, and
//! the rest is the holder's.
//!
//! A holder is told of rows that SQL deletes by SQL alone. Rows that are replaced below it ([`REPLACED`]) would leave it
//! with what is no longer true: a table has either, never both.

use std::sync::Arc;

use super::{definition::TableId, snapshot::Entries};

/// The space of holds.
pub const HOLDS: &str = "hold";

/// The space of marks, named by the tables' numbers: rows of these tables are replaced with nobody told, so nothing may
/// be derived from them. The engine puts a mark with the first insert that may replace.
pub const REPLACED: &str = "replaced";

/// The name of a hold.
#[must_use]
pub fn hold_name(table: TableId, holder: &str) -> String {
    format!("{table}\0{holder}")
}

/// The body of a hold: rows with ids above `upto` are kept.
#[must_use]
pub fn hold_body(upto: u64, rest: &[u8]) -> Vec<u8> {
    let mut body = upto.to_le_bytes().to_vec();
    body.extend_from_slice(rest);
    body
}

/// The highest row id that may be dropped, and the holder's bytes. `None` when the body is too short.
#[must_use]
pub fn read_hold(body: &[u8]) -> Option<(u64, &[u8])> {
    let (upto, rest) = body.split_first_chunk()?;
    Some((u64::from_le_bytes(*upto), rest))
}

/// The name of the entry that marks a table whose rows are replaced.
#[must_use]
pub fn replaced_name(table: TableId) -> String {
    table.to_string()
}

/// Whether anything holds rows of a table.
pub(crate) fn is_held(entries: &Entries, table: TableId) -> bool {
    of_table(entries, &hold_name(table, "")).next().is_some()
}

fn of_table<'a>(entries: &'a Entries, prefix: &'a str) -> impl Iterator<Item = &'a Arc<[u8]>> + 'a {
    let from = (HOLDS.to_owned(), prefix.to_owned());
    let of_table =
        entries.range(from..).take_while(move |((space, name), _)| space == HOLDS && name.starts_with(prefix));
    of_table.map(|(_, body)| body)
}

/// The highest row id of a table that may be dropped. A hold that cannot be read holds all.
pub(crate) fn held_above(entries: &Entries, table: TableId) -> u64 {
    let prefix = hold_name(table, "");
    of_table(entries, &prefix).map(|body| read_hold(body).map_or(0, |(upto, _)| upto)).min().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{HOLDS, held_above, hold_body, hold_name, is_held, read_hold};
    use crate::table::{Entries, TableId};

    #[test]
    fn the_lowest_hold_of_a_table_counts() {
        let mut entries = Entries::new();
        let mut put = |table: u32, holder: &str, body: Vec<u8>| {
            entries.insert((HOLDS.to_owned(), hold_name(TableId(table), holder)), Arc::from(body));
        };
        put(1, "a", hold_body(7, b"more"));
        put(1, "b", hold_body(5, b""));
        put(12, "a", hold_body(3, b""));
        put(2, "a", vec![1]);
        assert_eq!(held_above(&entries, TableId(1)), 5);
        assert_eq!(held_above(&entries, TableId(12)), 3);
        assert_eq!(held_above(&entries, TableId(2)), 0);
        assert_eq!(held_above(&entries, TableId(3)), u64::MAX);
        assert!(is_held(&entries, TableId(2)) && !is_held(&entries, TableId(3)));
        assert_eq!(read_hold(&hold_body(7, b"more")), Some((7, &b"more"[..])));
    }
}
