//! Encodings of integer, float, timestamp, histogram and string columns.
//!
//! A column does not say how many values it holds: the caller stores the count once for all columns of a chunk and
//! passes it to the decoder. Every decoder takes bytes from outside: it checks what it reads, allocates no more than
//! the count allows, and returns [`StorageError::Malformed`] instead of panicking. Byte by byte they are described in
//! `storage/FORMAT.md`.

mod bitpack;
mod float;
mod frame;
mod histogram;
mod integer;
mod reader;
mod strings;
mod timestamp;
mod varint;

pub use float::{decode_floats, encode_floats};
#[cfg(test)]
pub(crate) use histogram::tests::any_histogram;
pub use histogram::{MAX_HISTOGRAM_BUCKETS, bucket_count, decode_histograms, encode_histograms};
pub(crate) use integer::{decode_blocks, decode_picked, encode_unordered};
pub use integer::{decode_integers, encode_integers};
pub use reader::Reader;
pub(crate) use strings::{FrontDecoder, encode_front};
pub use timestamp::{ColumnHead, decode_timestamps, encode_timestamps};
pub use varint::{put_ivarint, put_uvarint};

use crate::StorageError;

/// Most values that one column holds; decoders refuse a larger count before they allocate.
pub const MAX_COLUMN_VALUES: usize = 1 << 21;

/// The error of a decoder.
pub(crate) fn malformed(what: &'static str, reason: impl Into<String>) -> StorageError {
    StorageError::Malformed { what, reason: reason.into() }
}
