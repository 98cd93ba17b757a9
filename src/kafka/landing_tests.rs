//! Landing: what becomes rows, what is rejected, what is kept of positions.

use std::sync::Arc;

use arrow_array::{cast::AsArray as _, types::TimestampNanosecondType};
use chronolith_storage::{
    clock::VirtualClock,
    engine::{Engine, EngineOptions},
    table::{ColumnDefinition, ColumnId, ColumnKey, ColumnType, Kind, TableDefinition, TableId},
};

use super::{
    chunk::{Chunk, Message},
    config::KafkaConfig,
    landing::Landing,
    tables::{OFFSETS, Position, REJECTED, read_positions},
};

const NOW_MS: i64 = 1_700_000_000_000;

fn landing(engine: &Engine, keys: &str) -> Landing {
    let config: KafkaConfig = format!("brokers=a:1,topic=t,table=events{keys}").parse().unwrap();
    Landing::new(
        &config,
        Some("6ba7b810-9dad-11d1-80b4-00c04fd430c8".to_owned()),
        engine.clone(),
        Arc::new(VirtualClock::at(NOW_MS)),
    )
}

fn engine() -> Engine {
    Engine::open(EngineOptions { background: false, ..EngineOptions::in_memory() }).unwrap()
}

/// A chunk of one partition's messages from offset 0 on.
fn chunk(messages: &[&str]) -> Chunk {
    let mut chunk = Chunk { positions: [(2, messages.len() as i64)].into(), ..Chunk::default() };
    for (offset, message) in (0..).zip(messages) {
        let start = chunk.bytes.len();
        chunk.bytes.extend_from_slice(message.as_bytes());
        let value = Some(start..chunk.bytes.len());
        chunk.messages.push(Message { partition: 2, offset, time_ms: Some(1_000 + offset), value });
    }
    chunk
}

/// The rejected messages' offsets and reasons.
fn land(landing: &Landing, chunk: &Chunk) -> Vec<(i64, String)> {
    let mut rejected = Vec::new();
    landing.land(chunk, &mut |l| rejected.extend(l.rejected.iter().map(|r| (r.offset, r.reason.clone())))).unwrap();
    rejected
}

fn rows(engine: &Engine, table: &str) -> u64 {
    engine.tables().table(table).map_or(0, |t| t.len())
}

#[test]
fn documents_become_rows_and_the_rest_is_kept() {
    let engine = engine();
    let landing = landing(&engine, "");
    let rejected = land(&landing, &chunk(&["{\"a\":1}", "x", "{\"a\":2,\"timestamp\":\"soon\"}", "{\"timestamp\":5}"]));
    assert_eq!(rejected.iter().map(|r| r.0).collect::<Vec<_>>(), [1, 2]);
    assert!(rejected[0].1.contains("must be an object") && rejected[1].1.contains("soon"), "{rejected:?}");
    assert_eq!((rows(&engine, "events"), rows(&engine, REJECTED), rows(&engine, OFFSETS)), (2, 2, 1));
    let view = engine.tables();
    let time = view.table("events").unwrap().definition.time_key().unwrap();
    let times = view.table("events").unwrap().parts[0].read(&time, 0).unwrap();
    let times = times.as_primitive::<TimestampNanosecondType>().values().to_vec();
    assert_eq!(times, [1_000_000_000, 5_000_000_000], "Kafka's time where the message has none");
}

#[test]
fn positions_are_read_back_and_replaced() {
    let engine = engine();
    let landing = landing(&engine, "");
    for last in [3, 9] {
        land(&landing, &Chunk { positions: [(0, 7), (2, last)].into(), ..Chunk::default() });
    }
    let topic_id = landing.topic_id.clone();
    let at = |next| Position { next, topic_id: topic_id.clone() };
    assert_eq!(read_positions(&engine.tables(), &landing.owner).unwrap(), [(0, at(7)), (2, at(9))].into());
    assert_eq!(rows(&engine, OFFSETS), 2);
    let other = self::landing(&engine, ",name=other");
    assert!(read_positions(&engine.tables(), &other.owner).unwrap().is_empty());
    assert_eq!(rows(&engine, "events"), 0);
}

/// A table with an INTEGER key and a TEXT that must be there.
fn declared(engine: &Engine) {
    let column = |id, name: &str, column_type, not_null| ColumnDefinition {
        id: ColumnId(id),
        name: name.to_owned(),
        column_type,
        not_null,
        default: None,
        serial: false,
    };
    let mut transaction = engine.begin();
    let definition = TableDefinition {
        id: TableId(0),
        name: "events".to_owned(),
        columns: vec![column(0, "id", ColumnType::Int4, true), column(1, "name", ColumnType::Text, true)],
        next_column: ColumnId(2),
        primary_key: vec![ColumnId(0)],
        time: None,
        dynamic: false,
        retention_ms: None,
    };
    transaction.create_table(definition).unwrap();
    transaction.commit().unwrap();
}

#[test]
fn a_declared_table_refuses_messages_one_by_one() {
    let engine = engine();
    declared(&engine);
    let messages = [
        "{\"id\":1,\"name\":\"a\"}",
        "{\"id\":2}",
        "{\"id\":3,\"name\":\"c\",\"other\":true}",
        "{\"id\":1,\"name\":\"again\"}",
        "{\"id\":\"four\",\"name\":\"d\"}",
        "{\"id\":5,\"name\":\"e\"}",
    ];
    let rejected = land(&landing(&engine, ""), &chunk(&messages));
    let reasons: Vec<&str> = rejected.iter().map(|r| r.1.as_str()).collect();
    assert_eq!(rejected.iter().map(|r| r.0).collect::<Vec<_>>(), [1, 2, 3, 4], "{reasons:?}");
    for (reason, word) in reasons.iter().zip(["name", "other", "primary key", "four"]) {
        assert!(reason.contains(word), "{word}: {reason}");
    }
    assert_eq!((rows(&engine, "events"), rows(&engine, REJECTED)), (2, 4));
    let view = engine.tables();
    let part = &view.table("events").unwrap().parts;
    assert!(part.iter().all(|p| p.columns().unwrap().contains(&ColumnKey::new("#1", Kind::Text))));
}

#[test]
fn what_hinders_all_messages_rejects_none() {
    let engine = engine();
    declared(&engine);
    // A declared table's rows have no other time than its columns.
    let landing = landing(&engine, ",time-field=at");
    let mut calls = 0;
    let error = landing.land(&chunk(&["{}", "{}"]), &mut |_| calls += 1).unwrap_err().to_string();
    assert!(error.contains("\"at\"") && calls == 0, "{error}");
    assert_eq!((rows(&engine, REJECTED), rows(&engine, OFFSETS)), (0, 0));
}

#[test]
fn what_is_too_large_for_one_transaction_lands_in_parts() {
    let engine = engine();
    let landing = landing(&engine, "");
    // Texts that take more in the log together than one transaction may.
    let text = "x".repeat(7 << 20);
    let message = format!("{{\"text\":\"{text}\"}}");
    let messages: Vec<&str> = std::iter::repeat_n(message.as_str(), 12).collect();
    let mut positions = Vec::new();
    landing.land(&chunk(&messages), &mut |l| positions.extend(l.positions.values().map(|p| p.next))).unwrap();
    assert_eq!(positions, [6, 12]);
    assert_eq!((rows(&engine, "events"), rows(&engine, REJECTED)), (12, 0));
}
