//! Prometheus' chunks: what decodes is encoded and decoded again to the same samples.
#![no_main]

use chronolith::ingest::prometheus_chunk::{Encoding, decode, encode};
use chronolith_storage::SampleBuffer;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((number, data)) = data.split_first() else { return };
    let Ok(encoding) = Encoding::from_number(number % 4) else { return };
    let mut first = SampleBuffer::default();
    let whole = decode(encoding, data, &mut first).is_ok();
    let sorted = first.timestamps.is_sorted() && first.histograms.is_sorted_by_key(|h| h.timestamp);
    if !whole || !sorted {
        return;
    }
    let Ok(chunks) = encode(&first) else { return };
    let mut second = SampleBuffer::default();
    for chunk in chunks {
        decode(chunk.encoding, &chunk.data, &mut second).expect("our own chunks decode");
    }
    let bits = |b: &SampleBuffer| b.values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    assert_eq!((&first.timestamps, bits(&first)), (&second.timestamps, bits(&second)));
    assert_eq!(first.histograms.len(), second.histograms.len());
});
