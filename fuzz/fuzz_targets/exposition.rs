//! The text formats: Prometheus text and OpenMetrics.
#![no_main]

use chronolith::ingest::{
    exposition::{Entry, Format, Parser},
    label_rules::LabelLimits,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    for format in [Format::Prometheus, Format::OpenMetrics] {
        for entry in Parser::new(data, format).flatten() {
            if let Entry::Sample(sample) = entry {
                // A checked line gives at least its name.
                assert!(sample.labels().count() > 0);
                let _ = sample.to_labels(&LabelLimits::default());
                let _ = sample.exemplar.map(|exemplar| exemplar.to_labels());
            }
        }
    }
});
