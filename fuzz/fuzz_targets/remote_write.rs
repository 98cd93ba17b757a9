//! Remote write 1.0 and 2.0, from the compressed body to the last exemplar.
#![no_main]

use chronolith::ingest::{
    label_rules::LabelLimits,
    remote_write::{v1, v2},
    snappy,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut buffer = Vec::new();
    if let Ok(body) = snappy::decode(data, 1 << 20, &mut buffer) {
        walk(body);
    }
    walk(data);
});

fn walk(body: &[u8]) {
    let limits = LabelLimits::default();
    let request = v1::WriteRequest::new(body);
    for series in request.series().flatten() {
        let _ = series.label_bytes();
        let _ = series.to_labels(&limits);
        series.samples().for_each(drop);
        series.histograms().flatten().for_each(|h| drop(h.histogram.validate()));
        series.exemplars().for_each(drop);
    }
    request.metadata().for_each(drop);
    let Ok(request) = v2::Request::new(body) else { return };
    for series in request.series().flatten() {
        series.write_label_bytes(&mut Vec::new());
        let _ = series.to_labels(&limits);
        series.samples().for_each(drop);
        series.histograms().flatten().for_each(|h| drop(h.histogram.validate()));
        series.exemplars().for_each(drop);
        let _ = series.metadata();
    }
}
