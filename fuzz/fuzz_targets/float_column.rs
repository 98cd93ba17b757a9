//! Float columns: any bytes decode or are refused, and what decodes comes back from its own encoding bit by bit.
#![no_main]

use chronolith_storage::encoding::{Reader, decode_floats, encode_floats};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((count, bytes)) = data.split_first_chunk::<2>() else { return };
    let count = usize::from(u16::from_le_bytes(*count)) % 5000;
    let mut values = Vec::new();
    if decode_floats(&mut Reader::new(bytes), count, &mut values).is_ok() {
        assert_eq!(values.len(), count);
    }
    // The input as values.
    let values: Vec<f64> = bytes.as_chunks().0.iter().map(|b| f64::from_bits(u64::from_le_bytes(*b))).collect();
    let (mut encoded, mut back) = (Vec::new(), Vec::new());
    encode_floats(&values, &mut encoded);
    decode_floats(&mut Reader::new(&encoded), values.len(), &mut back).expect("what was encoded decodes");
    assert!(values.iter().map(|v| v.to_bits()).eq(back.iter().map(|v| v.to_bits())));
});
