//! What a sender tells about a metric family: its type, help text and unit.

use std::fmt;

/// The type of a metric family, as OpenMetrics and remote write name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum MetricKind {
    /// Not told.
    #[default]
    Unknown = 0,
    /// Only goes up, but for resets.
    Counter = 1,
    /// Goes up and down.
    Gauge = 2,
    /// Bucketed observations, classic or native.
    Histogram = 3,
    /// A histogram of current values, which can go down.
    GaugeHistogram = 4,
    /// Quantiles computed by the sender.
    Summary = 5,
    /// Constant labels about something.
    Info = 6,
    /// One of several states, as 0 and 1.
    StateSet = 7,
}

impl MetricKind {
    /// Every kind, in the order of its number.
    pub const ALL: [Self; 8] = [
        Self::Unknown,
        Self::Counter,
        Self::Gauge,
        Self::Histogram,
        Self::GaugeHistogram,
        Self::Summary,
        Self::Info,
        Self::StateSet,
    ];

    /// The kind with this number, as remote write numbers them.
    #[must_use]
    pub fn from_number(n: u64) -> Option<Self> {
        usize::try_from(n).ok().and_then(|i| Self::ALL.get(i).copied())
    }

    /// The lower-case name that Prometheus' API shows.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::GaugeHistogram => "gaugehistogram",
            Self::Summary => "summary",
            Self::Info => "info",
            Self::StateSet => "stateset",
        }
    }
}

impl fmt::Display for MetricKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The metadata of one metric family.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct MetricMetadata {
    /// Its type.
    pub kind: MetricKind,
    /// Its help text; may be empty.
    pub help: String,
    /// Its unit; may be empty.
    pub unit: String,
}
