//! Any bytes as the payload of a log frame: an error or records, never a panic; what decodes keeps its meaning when it
//! is encoded again.

#![no_main]

use chronolith_storage::{
    Exemplar, Histogram, MetricMetadata, Result,
    wal::record::{FloatSample, RecordEncoder, RecordVisitor, TableRecord, decode},
};
use libfuzzer_sys::fuzz_target;

/// Encodes what it is shown.
struct Again<'a>(RecordEncoder<'a>);

impl RecordVisitor for Again<'_> {
    fn pair(&mut self, id: u32, name: &str, value: &str) -> Result<()> {
        self.0.pair(id, name, value);
        Ok(())
    }
    fn series(&mut self, id: u32, pairs: &[u32]) -> Result<()> {
        self.0.series(id, pairs);
        Ok(())
    }
    fn float(&mut self, sample: FloatSample) -> Result<()> {
        self.0.floats_with_start([sample]);
        Ok(())
    }
    fn histogram(&mut self, series: u32, timestamp: i64, start: i64, histogram: Histogram) -> Result<()> {
        self.0.histogram(series, timestamp, start, &histogram);
        Ok(())
    }
    fn exemplar(&mut self, series: u32, exemplar: Exemplar) -> Result<()> {
        self.0.exemplar(series, &exemplar);
        Ok(())
    }
    fn metadata(&mut self, metric: &str, metadata: MetricMetadata) -> Result<()> {
        self.0.metadata(metric, &metadata);
        Ok(())
    }
    fn table(&mut self, record: TableRecord<'_>) -> Result<()> {
        self.0.table(&record);
        Ok(())
    }
}

fn again(payload: &[u8]) -> (Vec<u8>, Result<()>) {
    let mut out = Vec::new();
    let result = decode(payload, &mut Again(RecordEncoder::new(&mut out)));
    (out, result)
}

fuzz_target!(|payload: &[u8]| {
    let (once, result) = again(payload);
    if result.is_ok() {
        let (twice, result) = again(&once);
        assert!(result.is_ok(), "what was encoded does not decode");
        assert_eq!(once, twice);
    }
});
