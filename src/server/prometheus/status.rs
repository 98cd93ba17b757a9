//! `/api/v1/status/*`.

/// What is told about the build, under Prometheus' names. Clients choose what they ask for by the version, so it is
/// that of the Prometheus whose API this is.
pub(crate) const BUILD: [(&str, &str); 7] = [
    ("version", PROMETHEUS_VERSION),
    ("revision", ""),
    ("branch", ""),
    ("buildUser", ""),
    ("buildDate", ""),
    ("goVersion", ""),
    ("chronolithVersion", env!("CARGO_PKG_VERSION")),
];

/// The version of Prometheus whose API is served.
pub(crate) const PROMETHEUS_VERSION: &str = "3.14.0";
