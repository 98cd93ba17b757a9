//! Events as JSON, lines of JSON, CSV and Arrow's stream: read to their end, or refused.
#![no_main]

use chronolith::ingest::events::{EventFormat, EventReader, ReadOptions};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    for format in [EventFormat::Json, EventFormat::Ndjson, EventFormat::Csv, EventFormat::ArrowStream] {
        let Ok(mut reader) = EventReader::new(format, data, &ReadOptions::default()) else { continue };
        while let Ok(Some(rows)) = reader.next_batch() {
            assert!(!rows.is_empty());
        }
    }
});
