//! Timestamp and integer columns: any bytes decode or are refused, and any rising timestamps come back.
#![no_main]

use chronolith_storage::encoding::{Reader, decode_integers, decode_timestamps, encode_integers, encode_timestamps};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut times = Vec::new();
    if decode_timestamps(&mut Reader::new(data), &mut times).is_ok() {
        assert!(times.is_sorted_by(|a, b| a < b));
    }
    let mut values: Vec<i64> = data.as_chunks().0.iter().map(|b| i64::from_le_bytes(*b)).collect();
    let (mut encoded, mut back) = (Vec::new(), Vec::new());
    encode_integers(&values, &mut encoded);
    decode_integers(&mut Reader::new(&encoded), values.len(), &mut back).expect("what was encoded decodes");
    assert_eq!(values, back);
    values.sort_unstable();
    values.dedup();
    values.truncate(4096);
    if !values.is_empty() {
        (encoded, back) = (Vec::new(), Vec::new());
        encode_timestamps(&values, &mut encoded);
        decode_timestamps(&mut Reader::new(&encoded), &mut back).expect("what was encoded decodes");
        assert_eq!(values, back);
    }
});
