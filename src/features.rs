//! Prometheus' feature flags: which of them choose something here, which are always on, which have no meaning here.

/// What is switched on by name because it changes the answer of a query, or the labels of a series, that is valid
/// without it. Everything else that Prometheus hides behind a flag is always on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Features {
    /// `promql-delayed-name-removal`: names are dropped at the end of a query, not by each operator.
    pub delayed_name_removal: bool,
    /// `use-start-timestamps`: rates and resets take the start timestamps of samples into account.
    pub use_start_timestamps: bool,
    /// `type-and-unit-labels`: series that come with metadata get the labels `__type__` and `__unit__`.
    pub type_and_unit_labels: bool,
}

/// What a feature's name means here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It was off, and is on now.
    SwitchedOn,
    /// It is on without its flag.
    AlwaysOn,
    /// What it changes in Prometheus does not exist here.
    NoMeaning,
    /// No release of Prometheus up to 3.14 has it.
    Unknown,
}

impl Features {
    /// Switches on the feature that Prometheus' `--enable-feature` calls so.
    pub fn enable(&mut self, name: &str) -> Standing {
        match name {
            "promql-delayed-name-removal" => self.delayed_name_removal = true,
            "use-start-timestamps" => self.use_start_timestamps = true,
            "type-and-unit-labels" => self.type_and_unit_labels = true,
            "promql-experimental-functions"
            | "promql-duration-expr"
            | "promql-extended-range-selectors"
            | "promql-binop-fill-modifiers"
            | "promql-at-modifier"
            | "promql-negative-offset"
            | "exemplar-storage"
            | "native-histograms"
            | "st-storage"
            | "remote-write-receiver" => return Standing::AlwaysOn,
            "memory-snapshot-on-shutdown"
            | "extra-scrape-metrics"
            | "promql-per-step-stats"
            | "created-timestamp-zero-ingestion"
            | "st-synthesis"
            | "concurrent-rule-eval"
            | "old-ui"
            | "metadata-wal-records"
            | "delayed-compaction"
            | "otlp-deltatocumulative"
            | "otlp-native-delta-ingestion"
            | "use-uncached-io"
            | "xor2-encoding"
            | "histograms-st-encoding"
            | "search-api"
            | "auto-gomemlimit"
            | "auto-gomaxprocs"
            | "auto-reload-config"
            | "no-default-scrape-port"
            | "new-service-discovery-manager"
            | "agent"
            | "expand-external-labels"
            | "utf8-names"
            | "otlp-write-receiver" => return Standing::NoMeaning,
            _ => return Standing::Unknown,
        }
        Standing::SwitchedOn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feature_is_switched_on_by_the_name_it_has_in_prometheus() {
        let mut features = Features::default();
        assert_eq!(features.enable("promql-delayed-name-removal"), Standing::SwitchedOn);
        assert_eq!(features, Features { delayed_name_removal: true, ..Features::default() });
        assert_eq!(features.enable("promql-experimental-functions"), Standing::AlwaysOn);
        assert_eq!(features.enable("old-ui"), Standing::NoMeaning);
        assert_eq!(features.enable("promql-delayed-name-removals"), Standing::Unknown);
        assert_eq!(features, Features { delayed_name_removal: true, ..Features::default() });
    }
}
