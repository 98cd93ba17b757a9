//! The schema in a Parquet file's footer.
#![no_main]

use chronolith::ingest::parquet_schema::{SchemaError, check_depth};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // What is not too deep for a few levels is not for many.
    if check_depth(data, 3).is_ok() {
        assert_eq!(check_depth(data, 300), Ok(()));
    }
    if let Err(SchemaError::Deep(most)) = check_depth(data, 300) {
        assert!(most == 300 && data.len() > 300);
    }
});
