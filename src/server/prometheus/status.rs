//! `/api/v1/status/*`.

use crate::server::{
    json,
    request::Request,
    respond::{ApiError, Reply, Success},
};

/// The version of Prometheus whose API is served. Clients choose what they ask for by it.
pub(crate) const PROMETHEUS_VERSION: &str = "3.14.0";

/// What is told about the build, under Prometheus' names.
pub(crate) const BUILD: [(&str, &str); 7] = [
    ("version", PROMETHEUS_VERSION),
    ("revision", ""),
    ("branch", ""),
    ("buildUser", ""),
    ("buildDate", ""),
    ("goVersion", ""),
    ("chronolithVersion", env!("CARGO_PKG_VERSION")),
];

const DEFAULT_TSDB_LIMIT: usize = 10;
const MAX_TSDB_LIMIT: i64 = 10_000;

/// What was built.
pub(crate) fn buildinfo(_: &Request<'_>) -> Result<Reply, ApiError> {
    Ok(Success::of(|out| json::object(out, BUILD, json::string)))
}

/// The flags of the command line.
pub(crate) fn flags(request: &Request<'_>) -> Result<Reply, ApiError> {
    Ok(Success::of(|out| json::object(out, &request.app.config.flags, |out, value| json::string(out, value))))
}

/// The configuration file.
pub(crate) fn config(request: &Request<'_>) -> Result<Reply, ApiError> {
    let text = request.app.config.config_text.as_str();
    Ok(Success::of(|out| json::object(out, [("yaml", text)], json::string)))
}

/// The state of the process.
pub(crate) fn runtimeinfo(request: &Request<'_>) -> Result<Reply, ApiError> {
    enum Field {
        Text(String),
        Number(i64),
        Yes,
    }
    let app = request.app;
    let start = app.started.to_string();
    let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned();
    let directory = std::env::current_dir().map(|d| d.display().to_string()).unwrap_or_default();
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let quarantined = app.engine.stats().quarantined;
    let fields = [
        ("startTime", Field::Text(start.clone())),
        ("CWD", Field::Text(directory)),
        ("hostname", Field::Text(hostname)),
        ("serverTime", Field::Text(jiff::Timestamp::now().to_string())),
        ("reloadConfigSuccess", Field::Yes),
        ("lastConfigTime", Field::Text(start)),
        ("corruptionCount", Field::Number(i64::try_from(quarantined).unwrap_or(i64::MAX))),
        // Names of Go's runtime, which this process has not.
        ("goroutineCount", Field::Number(0)),
        ("GOMAXPROCS", Field::Number(i64::try_from(threads).unwrap_or(i64::MAX))),
        ("GOMEMLIMIT", Field::Number(i64::try_from(app.engine.options().memory_budget).unwrap_or(i64::MAX))),
        ("GOGC", Field::Text(String::new())),
        ("GODEBUG", Field::Text(String::new())),
        ("storageRetention", Field::Text(app.config.retention_text.clone())),
    ];
    Ok(Success::of(|out| {
        json::object(out, fields, |out, field| match field {
            Field::Text(text) => json::string(out, &text),
            Field::Number(n) => json::signed(out, n),
            Field::Yes => json::boolean(out, true),
        });
    }))
}

/// The sizes of the database and which labels have most series.
pub(crate) fn tsdb(request: &Request<'_>) -> Result<Reply, ApiError> {
    let positive = || ApiError::bad_data("limit must be a positive number");
    let limit = match request.params.integer("limit").map_err(|_| positive())? {
        None => DEFAULT_TSDB_LIMIT,
        Some(n) if n > MAX_TSDB_LIMIT => {
            return Err(ApiError::bad_data(format!("limit must not exceed {MAX_TSDB_LIMIT}")));
        }
        Some(n) => usize::try_from(n).ok().filter(|n| *n > 0).ok_or_else(positive)?,
    };
    let stats = request.app.engine.stats();
    let top = request.app.engine.cardinality(limit);
    // Prometheus shows the head's range; an empty one as its extremes.
    let range = stats.memtable_range;
    let (min, max) = if range.is_empty() { (i64::MAX, i64::MIN) } else { (range.start, range.end) };
    let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    let head = [
        ("numSeries", count(stats.active_series)),
        ("numLabelPairs", count(stats.label_pairs)),
        // Samples in memory are not cut into chunks that could be counted.
        ("chunkCount", 0),
        ("minTime", min),
        ("maxTime", max),
    ];
    Ok(Success::of(|out| {
        out.push(b'{');
        json::key(out, "headStats");
        json::object(out, head, json::signed);
        for (name, list) in [
            ("seriesCountByMetricName", &top.series_by_metric),
            ("labelValueCountByLabelName", &top.values_by_label),
            ("memoryInBytesByLabelName", &top.bytes_by_label),
            ("seriesCountByLabelValuePair", &top.series_by_pair),
        ] {
            out.push(b',');
            json::key(out, name);
            json::array(out, list, |out, (what, n)| {
                out.extend_from_slice(br#"{"name":"#);
                json::string(out, what);
                out.extend_from_slice(br#","value":"#);
                json::unsigned(out, *n);
                out.push(b'}');
            });
        }
        out.push(b'}');
    }))
}
