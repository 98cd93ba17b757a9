//! Kafka's record batches.
#![no_main]

use chronolith::ingest::kafka_records::{Aborted, Found, read};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // Most inputs would fail at the checksum: the first batch gets the right one.
    let mut bytes = data.to_vec();
    if let Some(length) = bytes.get(8..12).and_then(|b| b.try_into().ok()).map(u32::from_be_bytes) {
        let end = (length as usize).saturating_add(12);
        if let Some(checksum) = bytes.get(21..end).map(crc32c::crc32c) {
            bytes[17..21].copy_from_slice(&checksum.to_be_bytes());
        }
    }
    let aborted = [Aborted { producer_id: 1, first_offset: 3 }];
    let mut last = -1;
    let from = 2;
    let next = read(&bytes, from, &aborted, &mut |found| match found {
        Found::Message(message) => {
            assert!(message.offset >= from);
            last = last.max(message.offset);
        }
        Found::Unreadable { first, last: end, reason } => {
            assert!(first >= from && end >= first && !reason.is_empty());
            last = last.max(end);
        }
    });
    if let Ok(next) = next {
        assert!(next >= from && (last < 0 || next > last || next == i64::MAX));
    }
});
