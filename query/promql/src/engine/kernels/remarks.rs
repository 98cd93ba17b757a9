//! What functions of windows have to remark on a series: collected window by window, told once for the series.

use crate::{
    ast::PosRange,
    engine::{annotations::Annotations, labels::go_quoted},
};

/// One remark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(in crate::engine) enum Remark {
    /// Floats and histograms where only one kind can be.
    MixedKinds,
    /// Exponential and custom buckets.
    MixedSchemas,
    /// A gauge where a counter is expected.
    NotCounter,
    /// A counter where a gauge is expected.
    NotGauge,
    /// Floats were taken and histograms left out.
    HistogramsIgnored,
    /// Custom bounds differed in an addition,
    AdditionReconciled,
    /// in a subtraction,
    SubtractionReconciled,
    /// in a sum over many.
    AggregationReconciled,
    /// One histogram says that there was a reset, another that there was none.
    ConflictingResets,
    /// A sample's start timestamp lies before the sample before it.
    StartOverlap,
}

/// A set of remarks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::engine) struct Remarks(u16);

impl Remarks {
    pub(in crate::engine) const fn of(remark: Remark) -> Self {
        Self(1 << remark as u16)
    }

    pub(in crate::engine) const fn add(&mut self, remark: Remark) {
        self.0 |= 1 << remark as u16;
    }

    pub(in crate::engine) const fn has(self, remark: Remark) -> bool {
        self.0 & 1 << remark as u16 != 0
    }
}

/// The remarks on all windows of one series.
#[derive(Debug, Default)]
pub(in crate::engine) struct SeriesRemarks {
    all: Remarks,
    /// In how many windows start timestamps overlapped, which is told.
    overlaps: u64,
}

impl SeriesRemarks {
    /// Adds those on one window.
    pub(in crate::engine) fn take(&mut self, window: Remarks) {
        self.all.0 |= window.0;
        self.overlaps += u64::from(window.has(Remark::StartOverlap));
    }

    pub(in crate::engine) const fn is_empty(&self) -> bool {
        self.all.0 == 0
    }

    /// Tells them, in the words of Prometheus, about the metric of that name.
    pub(in crate::engine) fn tell(&self, name: &str, pos: PosRange, annotations: &mut Annotations) {
        let name = go_quoted(name);
        for (remark, text) in [
            (Remark::MixedKinds, format!("encountered a mix of histograms and floats for metric name {name}")),
            (
                Remark::MixedSchemas,
                format!(
                    "vector contains a mix of histograms with exponential and custom buckets schemas for metric name {name}"
                ),
            ),
            (Remark::NotCounter, format!("this native histogram metric is not a counter: {name}")),
            (Remark::NotGauge, format!("this native histogram metric is not a gauge: {name}")),
            (Remark::ConflictingResets, "conflicting counter resets during histogram aggregation".to_owned()),
        ] {
            if self.all.has(remark) {
                annotations.warn(text, pos);
            }
        }
        for (remark, operation) in [
            (Remark::AdditionReconciled, "addition"),
            (Remark::SubtractionReconciled, "subtraction"),
            (Remark::AggregationReconciled, "aggregation"),
        ] {
            if self.all.has(remark) {
                annotations.info(format!("mismatched custom buckets were reconciled during {operation}"), pos);
            }
        }
        if self.all.has(Remark::HistogramsIgnored) {
            let text =
                format!("ignored histograms in a range containing both floats and histograms for metric name {name}");
            annotations.info(text, pos);
        }
        if self.overlaps > 0 {
            let text = format!("sample has start time that overlaps with previous sample timestamp for metric {name}");
            annotations.warn_times(text, self.overlaps, pos);
        }
    }
}
