//! Any bytes as rows of the log: an error or rows, never a panic; what decodes keeps its meaning when it is encoded again.
#![no_main]

use chronolith_storage::table::wire::{decode_rows, encode_rows};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(rows) = decode_rows(data) else { return };
    let mut once = Vec::new();
    encode_rows(&rows, &mut once).expect("rows that were decoded can be encoded");
    let again = decode_rows(&once).expect("what was encoded decodes");
    let mut twice = Vec::new();
    encode_rows(&again, &mut twice).expect("rows that were decoded can be encoded");
    assert_eq!(once, twice);
});
