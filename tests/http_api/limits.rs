//! Queries that ask for too much end inside their limits, and a query ends soon after its client has gone.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use chronolith::{
    Error,
    promql::engine::{ErrorKind, QueryOptions},
};
use chronolith_storage::{Buckets, Histogram, ResetHint, Span};

use crate::{
    connections::{metric, wait_for},
    harness::{NOW, TestServer, target},
};

const YEAR_MS: i64 = 365 * 86_400_000;

#[test]
fn a_step_of_a_millisecond_over_a_year() {
    let server = TestServer::start();
    server.load(&[("up{}", &[(0, 1.0)])]);
    let (start, end) = (NOW / 1000 - YEAR_MS / 1000, NOW / 1000);
    let times = [("start", start.to_string()), ("end", end.to_string()), ("step", "0.001".to_owned())];
    for query in ["up", "1", "sum(rate(up[5m]))", "up + up"] {
        let mut fields = vec![("query", query)];
        fields.extend(times.iter().map(|(name, value)| (*name, value.as_str())));
        let (status, kind, error) = server.post_form("/api/v1/query_range", &fields).error();
        assert_eq!((status, kind.as_str()), (400, "bad_data"), "{error}");
    }
    // The same many steps hidden in a subquery.
    for query in ["sum_over_time(up[1y:1ms])", "up[1y:1ms]", "max_over_time(vector(1)[1y:1ms])"] {
        let (status, kind, error) = server.post_form("/api/v1/query", &[("query", query)]).error();
        assert_eq!((status, kind.as_str()), (422, "execution"), "{query}: {error}");
    }
    server.still_works();
}

#[test]
fn the_library_has_the_same_limit_of_steps() {
    let db = chronolith::Db::in_memory().unwrap();
    db.append(&[("__name__", "up")], NOW, 1.0).unwrap();
    let millisecond = Duration::from_millis(1);
    for query in ["up", "1", "sum(rate(up[5m]))", "rate(up[5m]) / up"] {
        let error = db.query_range(query, NOW - YEAR_MS, NOW, millisecond).unwrap_err();
        let Error::Query(error) = error else { panic!("{error}") };
        assert_eq!(error.kind(), ErrorKind::Execution, "{error}");
    }
}

#[test]
fn everything_at_once_stays_inside_the_budget() {
    let small = QueryOptions { max_memory_bytes: Some(1 << 20), ..QueryOptions::default() };
    let db = chronolith::Db::builder().query_options(small).in_memory().unwrap();
    let mut load = String::from("load 15s\n");
    for i in 0..500 {
        load.push_str(&format!("  m{}{{i=\"{i}\"}} 0+{i}x100\n", i % 50));
    }
    db.load_series(&load).unwrap();
    let everything = |query: &str| db.query_range(query, 0, 1_500_000, Duration::from_secs(1));
    assert!(everything("count({__name__=~\".+\"})").is_ok());
    for query in ["{__name__=~\".+\"}", "{__name__=~\".+\"} * 2", "sort({__name__=~\".+\"})"] {
        let error = everything(query).unwrap_err().to_string();
        assert!(error.contains("memory budget of 1048576 bytes"), "{query}: {error}");
    }
    let found = db.query("{__name__=~\".+\"}", 1_500_000).unwrap();
    assert_eq!(found.values().len(), 500);
}

/// Queries that would run for long, each in another part of the engine.
const LONG: &[&str] = &[
    "quantile_over_time(0.5, vector(time())[100000s:1s])",
    "sum_over_time(vector(time())[100000s:1s])",
    "mad_over_time(vector(time())[100000s:1s])",
    "count(count_over_time({__name__=~\".+\"}[1d:1s]))",
    "sum by (i) (rate(h[1h:1s]))",
    "histogram_quantile(0.9, sum(rate(h[1h:1s])))",
    "max_over_time((a * on (i) group_left () a)[1d:1s])",
    "sum_over_time((a or h and a unless h)[1d:1s])",
    "max_over_time(topk(3, a + 1)[1d:1s])",
    "sum_over_time(label_replace(a, \"x\", \"$1\", \"i\", \"(.*)\")[1d:1s])",
];

/// The beginning of what the server has sent on a connection.
fn answer(mut stream: TcpStream) -> String {
    let mut bytes = [0; 400];
    let n = stream.read(&mut bytes).unwrap_or(0);
    String::from_utf8_lossy(&bytes[..n]).into_owned()
}

#[test]
fn a_query_ends_within_100_milliseconds_after_its_client_went() {
    let server = TestServer::configured(|config| config.max_samples = 1 << 40);
    let histogram = |count: u64| Histogram {
        schema: 3,
        zero_threshold: 0.0,
        sum: count as f64,
        reset_hint: ResetHint::Unknown,
        positive_spans: vec![Span { offset: 0, length: 2 }],
        negative_spans: Vec::new(),
        custom_values: Vec::new(),
        buckets: Buckets::Integer { count, zero_count: 0, positive: vec![count as i64 / 2, 0], negative: Vec::new() },
    };
    let loaded = server.engine.append(|appender| {
        appender.accept_any_time();
        for i in (0..200).map(|i| i.to_string()) {
            let float = appender.series(&[("__name__", "a"), ("i", &i)], None)?;
            let native = appender.series(&[("__name__", "h"), ("i", &i)], None)?;
            for k in 0..200u32 {
                let at = i64::from(k) * 15_000;
                appender.float(float, at, f64::from(k), 0).unwrap();
                appender.histogram(native, at, histogram(u64::from(k) * 2), 0).unwrap();
            }
        }
        Ok(())
    });
    loaded.unwrap();
    for query in LONG {
        let long = [("query", *query), ("start", "3000"), ("end", "13000"), ("step", "1")];
        let request = format!("GET {} HTTP/1.1\r\nhost: test\r\n\r\n", target("/api/v1/query_range", &long));
        // The best of some tries: other work on the machine is not the query's.
        let best = (0..5)
            .map(|_| {
                let mut stream = server.connect();
                stream.write_all(request.as_bytes()).unwrap();
                stream.set_nonblocking(true).unwrap();
                while metric(&server, "prometheus_engine_queries") != 1.0 {
                    let answered = stream.peek(&mut [0]).is_ok();
                    assert!(!answered, "{query} ended before anybody could hang up: {}", answer(stream));
                }
                let gone = Instant::now();
                drop(stream);
                wait_for(&server, "prometheus_engine_queries", 0.0);
                gone.elapsed()
            })
            .min();
        assert!(best.is_some_and(|t| t < Duration::from_millis(100)), "{query}: {best:?}");
    }
    server.still_works();
}
