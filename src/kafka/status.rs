//! What consumers count: messages, rejected ones, lost ones, failures, how far behind they are.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use super::config::KafkaConfig;
use crate::server::exposition::Exposition;

/// One consumer's counts.
#[derive(Debug)]
pub(super) struct ConsumerStatus {
    name: String,
    topic: String,
    failures: AtomicU64,
    partitions: Mutex<BTreeMap<i32, PartitionStatus>>,
}

/// One partition's counts since the start.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct PartitionStatus {
    /// Messages that became rows or rejected ones.
    pub(super) messages: u64,
    pub(super) bytes: u64,
    pub(super) rejected: u64,
    /// Messages that the broker had dropped before they were read.
    pub(super) lost: u64,
    pub(super) next: i64,
    /// The offset behind the newest message at the broker.
    pub(super) end: i64,
}

impl ConsumerStatus {
    pub(super) fn new(config: &KafkaConfig) -> Self {
        Self {
            name: config.name.clone(),
            topic: config.topic.clone(),
            failures: AtomicU64::new(0),
            partitions: Mutex::default(),
        }
    }

    pub(super) fn failed(&self) {
        self.failures.fetch_add(1, Relaxed);
    }

    pub(super) fn update(&self, partition: i32, change: impl FnOnce(&mut PartitionStatus)) {
        change(self.lock().entry(partition).or_default());
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<i32, PartitionStatus>> {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a partition's number is in the metrics.
type Read = fn(&PartitionStatus) -> f64;

const FAMILIES: [(&str, &str, &str, Read); 6] = [
    ("chronolith_kafka_messages_total", "counter", "Messages that were read and are durable.", |p| p.messages as f64),
    ("chronolith_kafka_message_bytes_total", "counter", "Bytes of the messages' values.", |p| p.bytes as f64),
    ("chronolith_kafka_rejected_total", "counter", "Messages that became no rows.", |p| p.rejected as f64),
    ("chronolith_kafka_lost_total", "counter", "Messages that the broker dropped before they were read.", |p| {
        p.lost as f64
    }),
    ("chronolith_kafka_next_offset", "gauge", "The offset to be read next.", |p| p.next as f64),
    ("chronolith_kafka_lag", "gauge", "Offsets between the next one and the end of the partition.", |p| {
        p.end.saturating_sub(p.next).max(0) as f64
    }),
];

/// Writes the metrics of all consumers.
pub(super) fn expose<'a>(consumers: impl Iterator<Item = &'a ConsumerStatus> + Clone, text: &mut Exposition) {
    for (family, kind, help, read) in FAMILIES {
        text.family(family, kind, help);
        for consumer in consumers.clone() {
            for (partition, status) in consumer.lock().iter() {
                let partition = partition.to_string();
                let labels =
                    [("name", consumer.name.as_str()), ("topic", consumer.topic.as_str()), ("partition", &partition)];
                text.sample(family, labels, read(status), None);
            }
        }
    }
    let failures = "chronolith_kafka_failures_total";
    text.family(failures, "counter", "Tries that failed: connections, requests, writes.");
    for consumer in consumers {
        let labels = [("name", consumer.name.as_str()), ("topic", consumer.topic.as_str())];
        text.sample(failures, labels, consumer.failures.load(Relaxed) as f64, None);
    }
}
