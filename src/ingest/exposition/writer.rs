//! Writes samples as text that Prometheus scrapes.

use std::fmt::Write as _;

use chronolith_storage::{
    Exemplar, Labels, MetricKind,
    model::labels::{METRIC_NAME, is_legacy_label_name, is_legacy_metric_name},
};

use super::Format;

/// An exposition that is being written. Names that are not plain are quoted.
#[derive(Debug)]
pub struct ExpositionWriter {
    out: String,
    format: Format,
}

impl ExpositionWriter {
    /// An empty exposition.
    #[must_use]
    pub const fn new(format: Format) -> Self {
        Self { out: String::new(), format }
    }

    /// The help text of a metric family.
    pub fn help(&mut self, family: &str, text: &str) {
        self.out.push_str("# HELP ");
        self.name(family, is_legacy_metric_name(family));
        self.out.push(' ');
        self.escaped(text, self.format == Format::OpenMetrics);
        self.out.push('\n');
    }

    /// The type of a metric family.
    pub fn kind(&mut self, family: &str, kind: MetricKind) {
        self.out.push_str("# TYPE ");
        self.name(family, is_legacy_metric_name(family));
        let word = match (self.format, kind) {
            // The older format has fewer types.
            (Format::Prometheus, MetricKind::Unknown | MetricKind::GaugeHistogram) => "untyped",
            (Format::Prometheus, MetricKind::Info | MetricKind::StateSet) => "gauge",
            (_, kind) => kind.as_str(),
        };
        self.out.push(' ');
        self.out.push_str(word);
        self.out.push('\n');
    }

    /// The unit of a metric family; the older format has no place for it.
    pub fn unit(&mut self, family: &str, unit: &str) {
        if self.format == Format::OpenMetrics && !unit.is_empty() {
            self.out.push_str("# UNIT ");
            self.name(family, is_legacy_metric_name(family));
            self.out.push(' ');
            self.out.push_str(unit);
            self.out.push('\n');
        }
    }

    /// A sample; the timestamp is in milliseconds.
    pub fn sample(&mut self, labels: &Labels, value: f64, timestamp: Option<i64>) {
        self.series(labels);
        self.value_and_time(value, timestamp);
        self.out.push('\n');
    }

    /// A sample with an exemplar; the older format leaves the exemplar out.
    pub fn sample_with_exemplar(&mut self, labels: &Labels, value: f64, timestamp: Option<i64>, exemplar: &Exemplar) {
        self.series(labels);
        self.value_and_time(value, timestamp);
        if self.format == Format::OpenMetrics {
            self.out.push_str(" # {");
            self.pairs(&exemplar.labels, true);
            self.out.push('}');
            self.value_and_time(exemplar.value, Some(exemplar.timestamp));
        }
        self.out.push('\n');
    }

    /// The text so far.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.out
    }

    /// Hands out the text so far and keeps the memory, to write in pieces.
    pub fn drain(&mut self, mut to: impl FnMut(&str)) {
        to(&self.out);
        self.out.clear();
    }

    /// The whole text; OpenMetrics gets its `# EOF`.
    #[must_use]
    pub fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.out.push_str("# EOF\n");
        }
        self.out
    }

    fn series(&mut self, labels: &Labels) {
        let name = labels.metric_name();
        let plain = is_legacy_metric_name(name);
        if plain {
            self.out.push_str(name);
        }
        let quoted = !plain && !name.is_empty();
        if !quoted && labels.len() == usize::from(plain) {
            return;
        }
        self.out.push('{');
        if quoted {
            self.name(name, false);
        }
        self.pairs(labels, !quoted);
        self.out.push('}');
    }

    fn pairs(&mut self, labels: &Labels, mut first: bool) {
        for (name, value) in labels.iter().filter(|(n, _)| *n != METRIC_NAME) {
            if !first {
                self.out.push(',');
            }
            first = false;
            self.name(name, is_legacy_label_name(name));
            self.out.push_str("=\"");
            self.escaped(value, true);
            self.out.push('"');
        }
    }

    fn name(&mut self, name: &str, plain: bool) {
        if plain {
            self.out.push_str(name);
        } else {
            self.out.push('"');
            self.escaped(name, true);
            self.out.push('"');
        }
    }

    fn escaped(&mut self, text: &str, quotes: bool) {
        for c in text.chars() {
            match c {
                '\\' => self.out.push_str("\\\\"),
                '\n' => self.out.push_str("\\n"),
                '"' if quotes => self.out.push_str("\\\""),
                c => self.out.push(c),
            }
        }
    }

    fn value_and_time(&mut self, value: f64, timestamp: Option<i64>) {
        self.out.push(' ');
        // Writing to a String cannot fail.
        let _ = if value.is_nan() {
            self.out.write_str("NaN")
        } else if value.is_infinite() {
            self.out.write_str(if value > 0.0 { "+Inf" } else { "-Inf" })
        } else if value != 0.0 && !(1e-6..1e21).contains(&value.abs()) {
            write!(self.out, "{value:e}")
        } else {
            write!(self.out, "{value}")
        };
        let Some(timestamp) = timestamp else { return };
        let _ = match self.format {
            Format::Prometheus => write!(self.out, " {timestamp}"),
            Format::OpenMetrics => {
                let sign = if timestamp < 0 { "-" } else { "" };
                let ms = timestamp.unsigned_abs();
                match ms % 1_000 {
                    0 => write!(self.out, " {sign}{}", ms / 1_000),
                    part => write!(self.out, " {sign}{}.{part:03}", ms / 1_000),
                }
            }
        };
    }
}
