//! Histogram columns: any bytes decode or are refused; what decodes can be encoded and decodes to the same again.
#![no_main]

use chronolith_storage::encoding::{Reader, decode_histograms, encode_histograms};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((count, bytes)) = data.split_first() else { return };
    let mut histograms = Vec::new();
    if decode_histograms(&mut Reader::new(bytes), usize::from(*count), &mut histograms).is_err() {
        return;
    }
    let (mut encoded, mut back) = (Vec::new(), Vec::new());
    encode_histograms(&histograms.iter().collect::<Vec<_>>(), &mut encoded).expect("what decodes is valid");
    decode_histograms(&mut Reader::new(&encoded), histograms.len(), &mut back).expect("what was encoded decodes");
    // NaN is not equal to itself, so compare what is printed.
    assert_eq!(format!("{histograms:?}"), format!("{back:?}"));
});
