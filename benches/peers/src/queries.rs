//! The queries: every kind that dashboards, alerts and people ask.

use crate::http::escape;

/// One query and how it is asked.
pub(crate) struct Query {
    /// Short name for the report.
    pub(crate) name: &'static str,
    /// What is asked.
    pub(crate) ask: Ask,
}

/// How a query is asked. `$h` in an expression stands for the loaded hours.
pub(crate) enum Ask {
    /// `/api/v1/query` at the end of the data.
    Instant(&'static str),
    /// `/api/v1/query_range` over the last `span` seconds (never more than there are), every `step` seconds.
    Range(&'static str, i64, i64),
    /// Another endpoint that takes start and end.
    Endpoint(&'static str),
}

use Ask::{Endpoint, Instant, Range};

const HOUR: i64 = 3600;
/// The whole of the data.
const ALL: i64 = i64::MAX;
/// Range queries begin so long after the data, so that windows are full: where a counter begins inside a window,
/// Prometheus 2 and 3 extrapolate differently.
const WARM_UP: i64 = 900;

/// All queries, in the order they are asked.
pub(crate) const QUERIES: &[Query] = &[
    Query { name: "one series", ask: Instant(r#"node_load1{instance="host-0:9100"}"#) },
    Query { name: "selector by name", ask: Instant("node_cpu_seconds_total") },
    Query { name: "regex matchers", ask: Instant(r#"{__name__=~"node_memory_(Mem|Swap).*",instance=~"host-[12].*"}"#) },
    Query {
        name: "negative matchers",
        ask: Instant(r#"node_network_receive_bytes_total{device!="lo",device!~"e.*"}"#),
    },
    Query { name: "sum by rate", ask: Instant("sum by (mode) (rate(node_cpu_seconds_total[5m]))") },
    Query {
        name: "topk of rate",
        ask: Instant("topk(5, sum by (instance) (rate(node_network_receive_bytes_total[5m])))"),
    },
    Query { name: "avg_over_time, all hours", ask: Instant("avg_over_time(node_memory_MemAvailable_bytes[$hh])") },
    Query { name: "quantile_over_time, all hours", ask: Instant("quantile_over_time(0.95, node_load1[$hh])") },
    Query { name: "predict_linear", ask: Instant("predict_linear(node_filesystem_avail_bytes[1h], 14400)") },
    Query {
        name: "subquery",
        ask: Instant("max_over_time(sum by (instance) (rate(node_cpu_seconds_total[5m]))[1h:1m])"),
    },
    Query { name: "count by name, everything", ask: Instant(r#"count by (__name__) ({__name__=~".+"})"#) },
    Query {
        name: "comparison filter",
        ask: Instant(
            "node_filesystem_avail_bytes / node_filesystem_size_bytes < 0.99 and node_filesystem_readonly == 0",
        ),
    },
    Query {
        name: "label_replace and unless",
        ask: Instant(
            r#"label_replace(node_network_up, "host", "$1", "instance", "(.+):.*") unless on (instance) node_load1 > 3"#,
        ),
    },
    Query {
        name: "rate, one host, 1 h at 15 s",
        ask: Range(r#"rate(node_cpu_seconds_total{instance="host-0:9100"}[5m])"#, HOUR, 15),
    },
    Query {
        name: "rate, all hosts, 1 h at 15 s",
        ask: Range(r#"rate(node_cpu_seconds_total{mode!="idle"}[5m])"#, HOUR, 15),
    },
    Query {
        name: "sum by rate, all hours at 60 s",
        ask: Range("sum by (instance) (rate(node_cpu_seconds_total[5m]))", ALL, 60),
    },
    Query {
        name: "CPU busy, all hours at 60 s",
        ask: Range(r#"1 - avg by (instance) (rate(node_cpu_seconds_total{mode="idle"}[5m]))"#, ALL, 60),
    },
    Query { name: "plain selector, all hours at 60 s", ask: Range("node_memory_MemAvailable_bytes", ALL, 60) },
    Query {
        name: "quantile of rate, all hours at 60 s",
        ask: Range("quantile(0.9, rate(node_context_switches_total[5m]))", ALL, 60),
    },
    Query {
        name: "histogram_quantile, all hours at 60 s",
        ask: Range(
            r#"histogram_quantile(0.9, sum by (instance, le) (label_replace(label_replace(rate(go_gc_duration_seconds[15m]), "le", "$1", "quantile", "(.+)"), "le", "+Inf", "quantile", "1")))"#,
            ALL,
            60,
        ),
    },
    Query {
        name: "join with group_left, 1 h at 60 s",
        ask: Range(
            "rate(node_network_receive_bytes_total[5m]) * on (instance) group_left (nodename) node_uname_info",
            HOUR,
            60,
        ),
    },
    Query {
        name: "ratio of two names, all hours at 60 s",
        ask: Range("node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes", ALL, 60),
    },
    Query { name: "increase over 1 h, all hours at 5 m", ask: Range("increase(node_intr_total[1h])", ALL, 300) },
    Query {
        name: "against an hour ago, 1 h at 60 s",
        ask: Range("rate(node_intr_total[5m]) / rate(node_intr_total[5m] offset 30m)", HOUR / 2, 60),
    },
    Query {
        name: "max and stddev over 30 m, 1 h at 60 s",
        ask: Range("max_over_time(node_load1[30m]) - stddev_over_time(node_load1[30m])", HOUR, 60),
    },
    Query { name: "deriv, 1 h at 60 s", ask: Range("deriv(node_memory_MemFree_bytes[15m])", HOUR, 60) },
    Query {
        name: "irate and topk, 1 h at 60 s",
        ask: Range("topk(3, irate(node_context_switches_total[2m]))", HOUR, 60),
    },
    Query {
        name: "everything counted, all hours at 10 m",
        ask: Range(r#"count by (instance) ({__name__=~".+"})"#, ALL, 600),
    },
    Query {
        name: "changes and resets, all hours at 5 m",
        ask: Range("sum by (instance) (changes(node_procs_running[15m]) + resets(node_forks_total[15m]))", ALL, 300),
    },
    Query { name: "values of a label", ask: Endpoint("/api/v1/label/instance/values?") },
    Query {
        name: "names of matching series",
        ask: Endpoint(r#"/api/v1/label/__name__/values?match[]={instance="host-1:9100"}&"#),
    },
    Query { name: "label names", ask: Endpoint("/api/v1/labels?") },
    Query { name: "series", ask: Endpoint(r#"/api/v1/series?match[]={__name__=~"node_cpu.*"}&"#) },
];

impl Query {
    /// The request's path for data of `start_ms..end_ms`.
    pub(crate) fn path(&self, start_ms: i64, end_ms: i64) -> String {
        let (start, end) = (start_ms / 1000, end_ms / 1000);
        let hours = ((end - start) / HOUR).max(1);
        let expand = |expression: &str| escape(&expression.replace("$h", &hours.to_string()));
        match self.ask {
            Instant(expression) => format!("/api/v1/query?query={}&time={end}&nocache=1", expand(expression)),
            Range(expression, span, step) => {
                let from = end - span.min(end - start - WARM_UP);
                let query = expand(expression);
                format!("/api/v1/query_range?query={query}&start={from}&end={end}&step={step}&nocache=1")
            }
            Endpoint(path) => {
                let path = path.replace('{', "%7B").replace('}', "%7D").replace('"', "%22").replace('+', "%2B");
                format!("{path}start={start}&end={end}&nocache=1")
            }
        }
    }
}
