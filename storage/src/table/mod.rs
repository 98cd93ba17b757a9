//! Event tables: rows of typed columns beside the samples, in the same log, catalog and segments.
//!
//! A table has declared columns, and, when it is dynamic, any number of fields that came with its rows. Rows travel as
//! [`Rows`]: a column for each pair of field and kind that occurs, as Arrow arrays. What queries read is a
//! [`TableSnapshot`](snapshot::TableSnapshot) of [`Part`](part::Part)s: batches in memory and immutable segments.

pub(crate) mod batch;
pub(crate) mod check;
pub mod definition;
pub(crate) mod gather;
pub mod hold;
pub(crate) mod key;
pub(crate) mod key_index;
pub mod kind;
pub mod part;
pub mod place;
pub mod rows;
pub mod segment;
pub mod snapshot;
pub(crate) mod time;
pub mod wire;

pub use check::{FIELDS_MAX, NAME_MAX};
pub use definition::{ColumnDefinition, ColumnId, ColumnType, TableDefinition, TableId};
pub use hold::{HOLDS, REPLACED, hold_body, hold_name, read_hold, replaced_name};
pub use key::key_hashes;
pub use kind::{ColumnKey, Kind, ListKind};
pub use part::{BLOCK_ROWS, ColumnZones, Needle, Part};
pub use place::RowPlace;
pub use rows::Rows;
pub use snapshot::{Entries, TableSnapshot, TablesView};
