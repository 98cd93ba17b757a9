//! Samples as columns: labels as texts, then the time and the value.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Float64Builder, RecordBatch, StringViewBuilder, TimestampMillisecondBuilder},
    datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit},
};
use chronolith_storage::Labels;

use crate::types::UTC;

/// The column of times.
pub(super) const TIMESTAMP: &str = "timestamp";
/// The column of values.
pub(super) const VALUE: &str = "value";

/// The column of a label. One that is called as another column gets a prefix.
pub(super) fn label_column(label: &str) -> String {
    if matches!(label, TIMESTAMP | VALUE) { format!("label_{label}") } else { label.to_owned() }
}

/// The columns of series with these labels.
pub(super) fn schema(labels: &[String]) -> SchemaRef {
    let mut fields: Vec<Field> =
        labels.iter().map(|label| Field::new(label_column(label), DataType::Utf8View, true)).collect();
    let time = DataType::Timestamp(TimeUnit::Millisecond, Some(UTC.into()));
    fields.push(Field::new(TIMESTAMP, time, false));
    fields.push(Field::new(VALUE, DataType::Float64, true));
    Arc::new(Schema::new(fields))
}

/// Rows that are being made of samples.
pub(super) struct SampleRows {
    schema: SchemaRef,
    /// The places in the schema of the columns that come out.
    projection: Vec<usize>,
    labels: Vec<String>,
    texts: Vec<StringViewBuilder>,
    times: TimestampMillisecondBuilder,
    values: Float64Builder,
    rows: usize,
}

impl SampleRows {
    /// Rows with these labels as columns, of which only the projected columns are made. `schema` is the projected one.
    pub(super) fn new(labels: &[String], schema: SchemaRef, projection: Vec<usize>) -> Self {
        Self {
            schema,
            texts: projection.iter().map(|_| StringViewBuilder::new().with_deduplicate_strings()).collect(),
            projection,
            labels: labels.to_vec(),
            times: TimestampMillisecondBuilder::new(),
            values: Float64Builder::new(),
            rows: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.rows
    }

    /// Adds samples of one series.
    pub(super) fn push(&mut self, labels: &Labels, times: &[i64], values: &[f64]) {
        for (&column, texts) in self.projection.iter().zip(&mut self.texts) {
            let Some(label) = self.labels.get(column) else { continue };
            let text = labels.get(label);
            for _ in times {
                texts.append_option(text);
            }
        }
        if self.projection.contains(&self.labels.len()) {
            self.times.append_slice(times);
        }
        if self.projection.contains(&(self.labels.len() + 1)) {
            self.values.append_slice(values);
        }
        self.rows += times.len();
    }

    /// The rows so far.
    pub(super) fn finish(&mut self) -> Result<RecordBatch, arrow::error::ArrowError> {
        let time = self.labels.len();
        let times: ArrayRef = Arc::new(self.times.finish().with_timezone(UTC));
        let values: ArrayRef = Arc::new(self.values.finish());
        let arrays = self.projection.iter().zip(&mut self.texts).map(|(&column, texts)| -> ArrayRef {
            if column == time {
                Arc::clone(&times)
            } else if column > time {
                Arc::clone(&values)
            } else {
                Arc::new(texts.finish())
            }
        });
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(std::mem::take(&mut self.rows)));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays.collect(), &options)
    }
}
