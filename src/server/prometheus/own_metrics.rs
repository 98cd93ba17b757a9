//! `/metrics`: what the server tells about itself. A name of Prometheus' is used where the meaning is the same.

use std::{fs, sync::atomic::Ordering::Relaxed};

use hyper::StatusCode;

use super::status::PROMETHEUS_VERSION;
use crate::server::{
    app::App,
    exposition::Exposition,
    request::Request,
    respond::{ApiError, Reply},
    routes::ROUTES,
};

/// How many clock ticks Linux counts in a second for programs, on every architecture that Rust's standard library has.
const TICKS_PER_SECOND: f64 = 100.0;

/// Answers a scrape.
pub(crate) fn metrics(request: &Request<'_>) -> Result<Reply, ApiError> {
    let mut text = Exposition::default();
    let app = request.app;
    build(&mut text);
    storage(&mut text, app);
    server(&mut text, app);
    app.counters.expose_requests(&mut text, |i| ROUTES.get(i).map_or("none", |route| route.path));
    #[cfg(feature = "kafka")]
    if let Some(kafka) = app.kafka.get() {
        kafka.expose(&mut text);
    }
    #[cfg(feature = "sql")]
    app.postgres.expose(&mut text);
    process(&mut text, app);
    Ok(Reply::new(StatusCode::OK, Exposition::CONTENT_TYPE, text.finish()))
}

fn build(text: &mut Exposition) {
    let info = "prometheus_build_info";
    text.family(info, "gauge", "The version of Prometheus whose API is served; always 1.");
    text.sample(info, [("version", PROMETHEUS_VERSION)], 1.0, None);
    let info = "chronolith_build_info";
    text.family(info, "gauge", "The version of this program; always 1.");
    text.sample(info, [("version", env!("CARGO_PKG_VERSION"))], 1.0, None);
}

fn storage(text: &mut Exposition, app: &App) {
    let stats = app.engine.stats();
    let ms = |n: i64| n as f64;
    text.gauge("prometheus_tsdb_head_series", "Series with samples in memory.", stats.active_series as f64);
    if !stats.memtable_range.is_empty() {
        text.gauge("prometheus_tsdb_head_min_time", "Oldest time in memory, in ms.", ms(stats.memtable_range.start));
        text.gauge("prometheus_tsdb_head_max_time", "Newest time in memory, in ms.", ms(stats.memtable_range.end));
    }
    if !stats.segment_range.is_empty() {
        let oldest = ms(stats.segment_range.start);
        text.gauge("prometheus_tsdb_lowest_timestamp", "Oldest time in segments, in ms.", oldest);
    }
    text.counter("prometheus_tsdb_head_samples_appended_total", "Samples written.", stats.samples_appended as f64);
    text.counter(
        "prometheus_tsdb_exemplar_exemplars_appended_total",
        "Exemplars written.",
        stats.exemplars_appended as f64,
    );
    text.gauge("prometheus_tsdb_blocks_loaded", "Live segments.", stats.segments as f64);
    text.gauge("prometheus_tsdb_storage_blocks_bytes", "Bytes of live segments.", stats.segment_bytes as f64);
    text.gauge("prometheus_tsdb_wal_storage_size_bytes", "Bytes of the log.", stats.wal_bytes as f64);
    text.counter("prometheus_tsdb_compactions_total", "Merges of segments.", stats.merges as f64);
    text.counter("chronolith_flushes_total", "Flushes of memory to segments.", stats.flushes as f64);
    text.counter("chronolith_segments_dropped_total", "Segments dropped by retention.", stats.segments_dropped as f64);
    let failures = stats.background_failures as f64;
    text.counter("chronolith_background_failures_total", "Rounds of background work that failed.", failures);
    text.gauge("chronolith_segment_samples", "Samples in live segments.", stats.segment_samples as f64);
    text.gauge("chronolith_memtable_samples", "Samples in memory.", stats.memtable_samples as f64);
    text.gauge("chronolith_memtable_bytes", "Bytes of samples in memory.", stats.memtable_bytes as f64);
    text.gauge("chronolith_index_bytes", "Bytes of the index in memory.", stats.index_bytes as f64);
    text.gauge("chronolith_block_cache_bytes", "Bytes of cached blocks.", stats.cache_bytes as f64);
    text.gauge("chronolith_tombstones", "Deletions that merges have not carried out.", stats.tombstones as f64);
    text.gauge("chronolith_quarantined", "Damaged files that were set aside.", stats.quarantined as f64);
    let writable = f64::from(u8::from(app.engine.check_writable().is_ok()));
    text.gauge("chronolith_writable", "Whether writes are taken now.", writable);
}

fn server(text: &mut Exposition, app: &App) {
    let ready = f64::from(u8::from(!app.is_stopping()));
    text.gauge("prometheus_ready", "Whether requests are answered.", ready);
    let (queries, writes) = (&app.work.queries, &app.work.writes);
    text.gauge("prometheus_engine_queries", "Queries that run now.", queries.running() as f64);
    text.gauge("prometheus_engine_queries_concurrent_max", "Queries that may run at once.", queries.size() as f64);
    text.gauge("chronolith_queries_waiting", "Queries that wait for their turn.", queries.waiting() as f64);
    text.gauge("chronolith_writes_running", "Writes that run now.", writes.running() as f64);
    text.gauge("chronolith_writes_waiting", "Writes that wait for their turn.", writes.waiting() as f64);
    let counters = &app.counters;
    for (name, help, counter) in [
        ("chronolith_http_connections_total", "Connections that were accepted.", &counters.connections),
        (
            "chronolith_http_connections_stalled_total",
            "Connections that were closed because the client stalled.",
            &counters.connections_closed_by_server,
        ),
        ("chronolith_remote_write_samples_total", "Float samples taken by remote write.", &counters.samples_appended),
        (
            "chronolith_remote_write_histograms_total",
            "Histogram samples taken by remote write.",
            &counters.histograms_appended,
        ),
        ("chronolith_remote_write_exemplars_total", "Exemplars taken by remote write.", &counters.exemplars_appended),
        (
            "chronolith_remote_write_refused_samples_total",
            "Samples refused by remote write.",
            &counters.samples_refused,
        ),
        (
            "prometheus_api_remote_write_invalid_labels_samples_total",
            "Samples refused by remote write because of their labels.",
            &counters.samples_with_invalid_labels,
        ),
    ] {
        text.counter(name, help, counter.load(Relaxed) as f64);
    }
}

/// What Linux tells about the process; other systems tell only its start.
fn process(text: &mut Exposition, app: &App) {
    let start = app.started.as_millisecond() as f64 / 1e3;
    text.gauge("process_start_time_seconds", "Start time of the process since unix epoch in seconds.", start);
    if let Some(ticks) = fs::read_to_string("/proc/self/stat").ok().and_then(|stat| cpu_ticks(&stat)) {
        let seconds = ticks as f64 / TICKS_PER_SECOND;
        text.counter("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.", seconds);
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    for (name, help, field) in [
        ("process_resident_memory_bytes", "Resident memory size in bytes.", "VmRSS:"),
        ("process_virtual_memory_bytes", "Virtual memory size in bytes.", "VmSize:"),
    ] {
        if let Some(kib) = status_field(&status, field) {
            text.gauge(name, help, kib as f64 * 1024.0);
        }
    }
    if let Some(threads) = status_field(&status, "Threads:") {
        text.gauge("process_threads", "Threads of the process.", threads as f64);
    }
    if let Ok(files) = fs::read_dir("/proc/self/fd") {
        text.gauge("process_open_fds", "Number of open file descriptors.", files.count() as f64);
    }
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let open_files = limits.lines().find_map(|line| line.strip_prefix("Max open files")?.split_whitespace().next());
    if let Some(max) = open_files.and_then(|soft| soft.parse::<f64>().ok()) {
        text.gauge("process_max_fds", "Maximum number of open file descriptors.", max);
    }
}

/// User and system time. The command's name, which may hold spaces and brackets, ends with the last bracket.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

fn status_field(status: &str, field: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix(field)?.split_whitespace().next()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_linux_writes() {
        assert_eq!(cpu_ticks("7 (a) b) S 1 2 3 4 5 6 7 8 9 10 40 2 0 0"), Some(42));
        assert_eq!(cpu_ticks("nonsense"), None);
        assert_eq!(status_field("Name:\tx\nVmRSS:\t  12 kB\n", "VmRSS:"), Some(12));
        assert_eq!(status_field("", "VmRSS:"), None);
    }
}
