//! The text formats that Prometheus scrapes: Prometheus text 0.0.4 and OpenMetrics 1.0, read and written.

mod line;
mod parser;
mod text;
mod writer;

#[cfg(test)]
mod tests;

pub use line::{ExemplarLine, LabelPairs, SampleLine};
pub use parser::{Entry, ParseError, ParseProblem, Parser};
pub use writer::ExpositionWriter;

/// Which of the two formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text 0.0.4: timestamps in milliseconds, no exemplars.
    Prometheus,
    /// OpenMetrics 1.0: timestamps in seconds, exemplars, `# EOF` at the end.
    OpenMetrics,
}

impl Format {
    /// The Content-Type under which the format is served.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}
