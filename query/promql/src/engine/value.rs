//! What a query gives back: values in columns, remarks, statistics.

use std::sync::Arc;

use chronolith_storage::{FloatHistogram, Labels};

use super::annotations::Annotations;

/// The answer to a query.
#[derive(Debug, Clone, PartialEq)]
pub struct QueryOutput {
    /// The value of the expression.
    pub value: QueryValue,
    /// Warnings and remarks.
    pub annotations: Annotations,
    /// What the query took.
    pub statistics: QueryStatistics,
}

/// The value of an expression.
#[derive(Debug, Clone, PartialEq)]
pub enum QueryValue {
    /// One number.
    Scalar {
        /// The time of the evaluation in milliseconds.
        timestamp: i64,
        /// The number.
        value: f64,
    },
    /// A text.
    String {
        /// The time of the evaluation in milliseconds.
        timestamp: i64,
        /// The text.
        value: String,
    },
    /// One sample a series, all at the time of the evaluation. The order is that of the expression: `sort` and `topk`
    /// order it, other expressions leave it as it comes.
    Vector {
        /// The time of the evaluation in milliseconds.
        timestamp: i64,
        /// The samples.
        samples: Vec<InstantSample>,
    },
    /// Many samples a series, sorted by labels.
    Matrix(Vec<RangeSeries>),
}

/// A sample's value.
#[derive(Debug, Clone, PartialEq)]
pub enum SampleValue {
    /// A number.
    Float(f64),
    /// A native histogram.
    Histogram(Arc<FloatHistogram>),
}

/// One sample of a vector.
#[derive(Debug, Clone, PartialEq)]
pub struct InstantSample {
    /// The labels of its series.
    pub labels: Labels,
    /// Its value.
    pub value: SampleValue,
}

/// The samples of one series in columns. No timestamp is among both the floats and the histograms.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RangeSeries {
    /// The labels of the series.
    pub labels: Labels,
    /// Timestamps of the float samples in milliseconds, rising.
    pub timestamps: Vec<i64>,
    /// Their values.
    pub values: Vec<f64>,
    /// The histogram samples, by rising timestamp.
    pub histograms: Vec<(i64, Arc<FloatHistogram>)>,
}

/// What a query took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueryStatistics {
    /// Samples that were read from the source, each once a selector.
    pub samples_read: u64,
    /// The most samples that were held at once.
    pub peak_samples: usize,
    /// The most bytes that the columns took at once.
    pub peak_bytes: usize,
    /// Series that selectors found, each once a selector.
    pub series_selected: u64,
}
