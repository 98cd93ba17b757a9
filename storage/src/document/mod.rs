//! Documents: JSON objects taken apart into the columns of a dynamic table, and put together again.
//!
//! [`DocumentBuilder`] reads documents one by one and gives [`Rows`](crate::table::Rows). An object's fields become fields
//! of the table, named by their path; a value becomes a cell of the column of its field and kind. A [`Rebuilder`] writes a
//! row as the document it was, equal up to the order of keys, whitespace and escapes: the texts of numbers are kept.
//!
//! An array of scalars of one kind is a list; numbers of both kinds are a list of floats. Every other array is kept as JSON
//! text. Of a key that an object has twice the last value counts, as most readers of JSON have it.

mod builder;
mod canonical;
mod columns;
mod error;
mod fields;
mod list;
mod number;
mod path;
mod rebuild;
mod scanner;
mod shred;
mod text;
pub mod time;
mod value;

#[cfg(test)]
mod tests;

pub use builder::{DocumentBuilder, DocumentOptions, Scalar, TIME_FIELDS};
pub use canonical::canonical;
pub use error::{DocumentError, Refusal};
pub use fields::FieldId;
pub use path::{decode as decode_path, encode as encode_path};
pub use rebuild::Rebuilder;
pub use text::write_string;
pub use value::compact;

/// The longest document, in bytes.
pub const MAX_DOCUMENT_BYTES: usize = 16 << 20;
/// How deep objects and arrays may be inside each other; the document itself counts.
pub const MAX_DEPTH: usize = 128;
/// Most fields of a table's documents; objects count as fields.
pub const MAX_FIELDS: usize = crate::table::FIELDS_MAX;
/// The longest path of a field, in bytes.
pub const MAX_FIELD_BYTES: usize = crate::table::NAME_MAX;
/// The longest text, or array that is no list, in bytes.
pub const MAX_TEXT_BYTES: usize = 8 << 20;
