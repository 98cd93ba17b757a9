//! Taking documents apart and putting them together: events as products send them, and log lines.

use std::{fmt::Write as _, hint::black_box};

use arrow_array::ArrayRef;
use chronolith_storage::{
    document::{DocumentBuilder, DocumentOptions, Rebuilder},
    rng::Rng,
    table::Rows,
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const COUNT: usize = 5_000;

/// Events of a chat product: nested, of several types, most with the same fields.
fn events() -> String {
    let mut rng = Rng::new(1);
    let mut out = String::new();
    for n in 0..COUNT {
        let kind = ["message_sent", "session_start", "login", "reaction_added"][rng.below(4) as usize];
        let _ = writeln!(
            out,
            "{{\"event_id\":\"{:016x}{:016x}\",\"event_type\":\"{kind}\",\"user_id\":\"user_{}\",\
             \"timestamp\":\"2025-03-{:02}T{:02}:{:02}:{:02}.{:06}Z\",\"session_id\":\"s-{:012x}\",\
             \"properties\":{{\"length\":{},\"score\":{:.3},\"platform\":\"web\",\"is_mobile\":{},\"tags\":[\"a\",\"b\"]}},\
             \"context\":{{\"ip\":\"10.0.{}.{}\",\"user_agent\":\"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\",\
             \"locale\":\"en_US\"}},\"sequence\":{n}}}",
            rng.below(u64::MAX),
            rng.below(u64::MAX),
            rng.below(10_000),
            1 + rng.below(28),
            rng.below(24),
            rng.below(60),
            rng.below(60),
            rng.below(1_000_000),
            rng.below(1 << 48),
            rng.below(2_000),
            rng.below(1_000_000) as f64 / 1e6,
            rng.below(2) == 0,
            rng.below(256),
            rng.below(256),
        );
    }
    out
}

fn logs() -> String {
    let mut rng = Rng::new(2);
    let mut out = String::new();
    for _ in 0..COUNT {
        let _ = writeln!(
            out,
            "{{\"_time\":17000{:08}.{:03},\"level\":\"info\",\"message\":\"GET /api/v1/rooms/{}/messages?limit=50 \
             answered \\\"200 OK\\\" in {} ms, {} bytes to the client\",\"host\":\"web-{}\"}}",
            rng.below(100_000),
            rng.below(1000),
            rng.below(5_000),
            rng.below(900),
            rng.below(90_000),
            rng.below(20),
        );
    }
    out
}

fn shred(text: &str) -> Rows {
    let mut builder = DocumentBuilder::new(&DocumentOptions::default()).expect("no field is named");
    let mut at = 0;
    while at < text.len() {
        at = builder.push_from(text, at).expect("the documents are well-formed") + 1;
    }
    builder.take_rows(None).expect("the columns fit")
}

fn documents(c: &mut Criterion) {
    for (name, text) in [("events", events()), ("logs", logs())] {
        let mut group = c.benchmark_group(format!("documents/{name}"));
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function("shred", |b| b.iter(|| shred(black_box(&text))));
        let rows = shred(&text);
        let columns: Vec<ArrayRef> = rows.columns().iter().map(|(_, array)| ArrayRef::clone(array)).collect();
        let rebuilder = Rebuilder::new(rows.columns().iter().map(|(key, _)| key)).expect("the fields are paths");
        group.bench_function("rebuild", |b| {
            let mut out = String::new();
            b.iter(|| {
                out.clear();
                (0..rows.len()).for_each(|row| rebuilder.write(&columns, row, &mut out));
                black_box(out.len())
            });
        });
        group.finish();
    }
}

criterion_group!(benches, documents);
criterion_main!(benches);
