//! The queries: what dashboards and alerts ask of a node_exporter and of a Prometheus, and one of every construct.
//!
//! Windows and offsets reach back 20 s at most. `$phase` is an offset for range selectors inside subqueries.
//! No query depends on how ties are ordered.

/// Evaluated at the end.
pub(crate) const INSTANT: [&str; 25] = [
    "up",
    r#"node_cpu_seconds_total{cpu="0",mode!="idle"}"#,
    r#"{__name__=~"node_memory_(Mem|Swap).*",job="node"}"#,
    r#"node_network_receive_bytes_total{device!~"lo|none"} offset 5s"#,
    "rate(node_cpu_seconds_total[10s])",
    "sum by (mode) (rate(node_cpu_seconds_total[10s]))",
    "avg without (cpu) (irate(node_cpu_seconds_total[10s])) > 0.01",
    "topk(3, node_memory_MemTotal_bytes or node_memory_MemFree_bytes or node_memory_Buffers_bytes)",
    r#"quantile(0.7, node_scrape_collector_duration_seconds{collector=~"[a-m].*"})"#,
    r#"count by (__name__) ({job="node"})"#,
    r#"count_values("value", node_scrape_collector_success)"#,
    "1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes",
    "node_filesystem_avail_bytes * on (instance) group_left (nodename, release) node_uname_info",
    r#"label_replace(node_uname_info, "kernel", "$1.$2", "release", "([0-9]+)\\.([0-9]+).*")"#,
    r#"label_join(up, "target", "/", "job", "instance")"#,
    r#"histogram_quantile(0.9, sum by (le) (rate(prometheus_http_request_duration_seconds_bucket{handler="/api/v1/write"}[15s])))"#,
    "max_over_time(rate(node_context_switches_total[5s] offset $phase)[10s:1s])",
    "predict_linear(node_memory_MemFree_bytes[15s], 3600)",
    "quantile_over_time(0.5, node_memory_MemFree_bytes[20s])",
    "stddev(node_scrape_collector_duration_seconds) / avg(node_scrape_collector_duration_seconds)",
    "absent(node_no_such_metric{job=\"node\"})",
    "up unless on (job) node_load1",
    "scalar(node_time_seconds) - scalar(node_boot_time_seconds)",
    "round(clamp(node_load1 * -3.7, -100, 5), 0.25) ^ 2 % 7",
    "timestamp(node_load1) - time() + scalar(minute(vector(86399)))",
];

/// Evaluated over the span, with the step in seconds.
pub(crate) const RANGE: [(&str, i64); 25] = [
    ("up == bool 1", 1),
    ("node_load1", 1),
    ("rate(node_cpu_seconds_total[5s])", 1),
    ("sum by (instance, mode) (increase(node_cpu_seconds_total{mode=~\"user|system\"}[10s]))", 2),
    (r#"100 * (1 - avg by (instance) (rate(node_cpu_seconds_total{mode="idle"}[10s])))"#, 1),
    ("node_memory_MemAvailable_bytes / 1024 ^ 2", 3),
    ("irate(node_context_switches_total[5s]) / irate(node_intr_total[5s])", 1),
    ("avg_over_time(node_memory_MemFree_bytes[10s]) - min_over_time(node_memory_MemFree_bytes[10s])", 2),
    ("sum_over_time(node_procs_running[10s]) / count_over_time(node_procs_running[10s])", 1),
    ("stddev_over_time(node_procs_running[15s])", 2),
    ("changes(node_memory_MemFree_bytes[10s]) + resets(node_context_switches_total[10s])", 1),
    ("delta(node_memory_Active_bytes[10s])", 5),
    ("deriv(node_time_seconds[10s])", 2),
    ("last_over_time(node_procs_running[5s]) - idelta(node_procs_running[5s])", 1),
    ("histogram_quantile(0.5, sum by (handler, le) (rate(prometheus_http_request_duration_seconds_bucket[10s])))", 2),
    (
        "sum by (code) (rate(prometheus_http_requests_total[10s])) / ignoring (code) group_left sum(rate(prometheus_http_requests_total[10s]))",
        1,
    ),
    ("rate(process_cpu_seconds_total[10s]) * on (job, instance) group_left (version) go_info", 2),
    ("topk(1, process_resident_memory_bytes)", 3),
    ("bottomk by (job) (1, process_resident_memory_bytes)", 3),
    ("quantile by (job) (0.3, go_gc_duration_seconds)", 1),
    ("avg_over_time(sum by (mode) (rate(node_cpu_seconds_total[5s] offset $phase))[10s:2s])", 2),
    ("node_context_switches_total @ end() - node_context_switches_total", 1),
    ("prometheus_tsdb_head_samples_appended_total offset 3s and on (job) up", 1),
    ("ln(node_memory_MemTotal_bytes) + sqrt(node_load1) or vector(time())", 4),
    ("group by (job) (up) + count by (job) ({__name__=~\"go_.*\"})", 1),
];
