//! The parts of a Prometheus block: table of contents, symbols, series, tombstones.
#![no_main]

use chronolith::ingest::prometheus_tsdb::{
    index::{self, Symbols, Version},
    tombstones::Tombstones,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = index::parse_header(data);
    let _ = index::parse_toc(data, 1 << 20);
    let _ = index::parse_series(data);
    let _ = Tombstones::parse(data);
    for version in [Version::V1, Version::V2] {
        if let Ok(symbols) = Symbols::parse(data.to_vec(), version, 9) {
            for reference in 0..64 {
                let _ = symbols.get(reference);
            }
        }
    }
});
