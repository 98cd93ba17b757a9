//! Fetching: one request for all partitions that a broker leads.

use std::collections::BTreeMap;

use bytes::Bytes;
use kafka_protocol::{
    error::ResponseError,
    messages::{
        ApiKey, FetchRequest, FetchResponse,
        fetch_request::{FetchPartition, FetchTopic},
    },
};

use super::{
    cluster::{CONSUMER, READ_COMMITTED, partition_name, refused, topic_name},
    config::KafkaConfig,
    connection::{Api, Connection},
    error::KafkaError,
};
use crate::ingest::kafka_records::Aborted;

/// Up to the version that names topics by their names.
const FETCH: Api = Api { key: ApiKey::Fetch, name: "Fetch", min: 4, max: 12 };

/// So much is worth a transaction of its own; less may wait for more.
const MIN_BYTES: i32 = 16 << 10;
/// How long a broker may keep a fetch until there is enough to send.
const MAX_WAIT_MS: i32 = 250;
/// The most bytes of an answer and of a partition in it; one batch more than this is sent when it is the first.
const MAX_BYTES: i32 = 8 << 20;

/// What a fetch brought of one partition.
#[derive(Debug, Clone)]
pub(super) struct Fetched {
    pub(super) partition: i32,
    /// Batches as [`kafka_records::read`](crate::ingest::kafka_records::read) takes them.
    pub(super) records: Bytes,
    pub(super) aborted: Vec<Aborted>,
    /// The offset behind the newest message.
    pub(super) end: i64,
}

/// What a fetch brought.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) fetched: Vec<Fetched>,
    /// Partitions that have no message with the offset that was asked for.
    pub(super) out_of_range: Vec<i32>,
    /// What was refused, of the first partition that was.
    pub(super) failure: Option<KafkaError>,
}

/// Fetches from these offsets on.
pub(super) async fn fetch(
    connection: &mut Connection,
    config: &KafkaConfig,
    positions: &BTreeMap<i32, i64>,
    first: usize,
) -> Result<Answer, KafkaError> {
    // Brokers fill their answer in the order of the request: each partition comes first in turn.
    let order = positions.iter().cycle().skip(first % positions.len().max(1)).take(positions.len());
    let partition = |(partition, offset): (&i32, &i64)| {
        FetchPartition::default()
            .with_partition(*partition)
            .with_fetch_offset(*offset)
            .with_partition_max_bytes(MAX_BYTES)
    };
    let topic = FetchTopic::default().with_topic(topic_name(config)).with_partitions(order.map(partition).collect());
    let request = FetchRequest::default()
        .with_replica_id(CONSUMER)
        .with_max_wait_ms(MAX_WAIT_MS)
        .with_min_bytes(MIN_BYTES)
        .with_max_bytes(MAX_BYTES)
        .with_isolation_level(READ_COMMITTED)
        .with_topics(vec![topic]);
    let (response, _): (FetchResponse, _) = connection.call(FETCH, &request).await?;
    if let Some(error) = ResponseError::try_from_code(response.error_code) {
        return Err(refused(&format!("topic {:?}", config.topic), error));
    }
    let mut answer = Answer::default();
    for data in response.responses.into_iter().filter(|t| *t.topic.0 == *config.topic).flat_map(|t| t.partitions) {
        let partition = data.partition_index;
        if !positions.contains_key(&partition) {
            return Err(connection.not_kafka(format!("it answers for {} unasked", partition_name(config, partition))));
        }
        match ResponseError::try_from_code(data.error_code) {
            None => answer.fetched.push(Fetched {
                partition,
                records: data.records.unwrap_or_default(),
                aborted: data.aborted_transactions.unwrap_or_default().iter().map(aborted).collect(),
                end: data.high_watermark,
            }),
            Some(ResponseError::OffsetOutOfRange) => answer.out_of_range.push(partition),
            Some(error) => {
                answer.failure.get_or_insert_with(|| refused(&partition_name(config, partition), error));
            }
        }
    }
    Ok(answer)
}

fn aborted(of: &kafka_protocol::messages::fetch_response::AbortedTransaction) -> Aborted {
    Aborted { producer_id: of.producer_id.0, first_offset: of.first_offset }
}
