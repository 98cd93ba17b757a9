//! Remote read requests.
#![no_main]

use chronolith::ingest::remote_read::ReadRequest;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = ReadRequest::decode(data);
});
