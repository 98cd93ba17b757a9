//! Evaluates PromQL that is put together from tokens, over series of every kind: nothing panics, nothing runs on past
//! its deadline, and no answer took more memory than its budget.

#![no_main]

use std::{
    fs,
    sync::{Arc, LazyLock},
    time::Duration,
};

use chronolith::{
    Db,
    promql::{
        engine::{self, Deadline, QueryError, QueryOptions, QueryOutput},
        functions::FUNCTIONS,
        parse,
    },
    storage::clock::SystemClock,
};
use libfuzzer_sys::fuzz_target;

/// Floats with gaps, stale markers, resets, NaN and infinities; classic and native histograms of every flavour.
const DATA: &str = r#"load 15s
  c_total{job="a",i="1"} 0+7x40 3 0+11x20
  c_total{job="a",i="2"} 5 _ 9 stale _x5 2+1x50
  c_total{job="b",i="1"} 1e300x5 NaN Inf -Inf 0x3
  g{job="a",i="1"} -3+0.5x60
  g{job="b",i="2"} 1 -1 1 -1 _x20 4x10
  g{job="b",i="3",__type__="gauge",__unit__="s"} 0.1x60
  b_bucket{job="a",le="0.1"} 0+1x60
  b_bucket{job="a",le="1"} 0+3x60
  b_bucket{job="a",le="+Inf"} 0+4x60
  b_bucket{job="b",le="x"} 1x60
  h{job="a",i="1"} {{schema:0 sum:5 count:4 z_bucket:1 z_bucket_w:0.01 buckets:[1 2] n_buckets:[1]}}+{{schema:0 sum:2 count:2 buckets:[1 1]}}x50
  h{job="a",i="2"} {{schema:3 sum:9 count:7 buckets:[2 0 5] offset:-4}}x20 {{schema:1 sum:1 count:1 buckets:[1]}}x20
  h{job="b",i="1"} {{schema:-53 sum:4 count:6 custom_values:[1 5 10] buckets:[1 2 3]}}x30
  h{job="b",i="2"} {{schema:-53 sum:4 count:6 custom_values:[2 5] buckets:[1 5]}}x10 stale _x3 {{counter_reset_hint:gauge count:2 buckets:[2]}}x20
  mixed{job="a"} 1x10 {{schema:0 sum:1 count:1 buckets:[1]}}x10 _ 2x20
  target_info{job="a",instance="x",version="1"} 1x60
"#;

const TOKENS: &[&str] = &[
    "(",
    ")",
    ",",
    "{",
    "}",
    "[5m]",
    "[1m:15s]",
    "[30s]",
    "[",
    "]",
    ":",
    "c_total",
    "g",
    "b_bucket",
    "h",
    "mixed",
    "target_info",
    "nothing",
    "job",
    "i",
    "le",
    "=",
    "!=",
    "=~",
    "!~",
    "\"a\"",
    "\"b\"",
    "\".+\"",
    "\".*\"",
    "\"\"",
    "\"le\"",
    "\"$1\"",
    "{__name__=~\".+\"}",
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "bool",
    "fill",
    "fill_left",
    "fill_right",
    "offset",
    "@",
    "start()",
    "end()",
    "step()",
    "range()",
    "anchored",
    "smoothed",
    "+",
    "-",
    "*",
    "/",
    "%",
    "^",
    "atan2",
    "==",
    ">",
    "<",
    ">=",
    "<=",
    "</",
    ">/",
    "and",
    "or",
    "unless",
    "0",
    "1",
    "2",
    "0.5",
    "-1",
    "1e9",
    "300",
    "NaN",
    "Inf",
    "1m",
    "5m",
    "1h",
    "1y",
    "1ms",
    "sum",
    "avg",
    "min",
    "max",
    "count",
    "group",
    "stddev",
    "stdvar",
    "topk",
    "bottomk",
    "quantile",
    "count_values",
    "limitk",
    "limit_ratio",
];

static DB: LazyLock<Db> = LazyLock::new(|| {
    let db = Db::in_memory().expect("a database in memory opens");
    db.load_series(DATA).expect("the data is well-formed");
    db
});

const MEMORY: usize = 64 << 20;
const DEADLINE: Duration = Duration::from_millis(250);

/// Odd first bytes stand before plain text; even ones before numbers of tokens.
fn query(data: &[u8]) -> Option<String> {
    let (mode, rest) = data.split_first()?;
    if mode % 2 == 1 {
        return String::from_utf8(rest.to_vec()).ok();
    }
    let words = rest.iter().map(|b| {
        let at = usize::from(*b);
        TOKENS.get(at).copied().unwrap_or_else(|| FUNCTIONS[(at - TOKENS.len()) % FUNCTIONS.len()].name)
    });
    Some(words.collect::<Vec<_>>().join(" "))
}

/// How long this thread has run: what else the machine does is not the query's.
fn running() -> Duration {
    let times = fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells what a thread has run");
    let first = times.split(' ').next().and_then(|t| t.parse().ok());
    Duration::from_nanos(first.expect("a number of nanoseconds"))
}

fn check(began: Duration, result: &Result<QueryOutput, QueryError>) {
    let took = running() - began;
    assert!(took < Duration::from_secs(1), "a deadline of {DEADLINE:?} was missed: {took:?}");
    if let Ok(output) = result {
        assert!(output.statistics.peak_bytes <= MEMORY);
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((when, rest)) = data.split_first() else { return };
    let Some(Ok(expr)) = query(rest).map(|text| parse(&text)) else { return };
    let clock = Arc::new(SystemClock::default());
    let options = || QueryOptions {
        max_samples: 1_000_000,
        max_memory_bytes: Some(MEMORY),
        deadline: Some(Deadline::after(clock.clone(), DEADLINE)),
        threads: 1,
        delayed_name_removal: when & 1 == 1,
        use_start_timestamps: when & 2 == 2,
        ..QueryOptions::default()
    };
    let source = DB.engine().snapshot();
    let at = i64::from(*when) * 4_000;
    let began = running();
    check(began, &engine::instant(&source, &expr, at, &options()));
    let step = [1, 7_000, 15_000, 60_000][usize::from(when / 4 % 4)];
    let began = running();
    check(began, &engine::range(&source, &expr, at - 300_000, at + 300_000, step, &options()));
});
