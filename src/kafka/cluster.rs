//! What brokers tell of a topic: its partitions, who leads them, where they begin and end.

use std::collections::BTreeMap;

use kafka_protocol::{
    error::ResponseError,
    messages::{
        ApiKey, BrokerId, ListOffsetsRequest, ListOffsetsResponse, MetadataRequest, MetadataResponse, TopicName,
        list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic},
        metadata_request::MetadataRequestTopic,
    },
    protocol::StrBytes,
};

use super::{
    config::{KafkaConfig, Start},
    connection::{Api, Connection},
    error::KafkaError,
};

const METADATA: Api = Api { key: ApiKey::Metadata, name: "Metadata", min: 4, max: 12 };
const LIST_OFFSETS: Api = Api { key: ApiKey::ListOffsets, name: "ListOffsets", min: 1, max: 7 };

/// Asks for the oldest offset.
const EARLIEST: i64 = -2;
/// Asks for the offset behind the newest message.
const LATEST: i64 = -1;
/// No broker: a consumer.
pub(super) const CONSUMER: BrokerId = BrokerId(-1);
/// Messages of transactions that did not commit do not count.
pub(super) const READ_COMMITTED: i8 = 1;

/// A topic as its brokers know it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Topic {
    /// What tells it from another topic that had its name before; brokers before version 2.8 do not say.
    pub(super) id: Option<String>,
    /// Where the leader of each partition is; a partition without a leader is not there.
    pub(super) leaders: BTreeMap<i32, String>,
    /// Partitions that nobody leads now.
    pub(super) leaderless: Vec<i32>,
}

/// Asks the configured brokers, one after another, until one answers.
pub(super) async fn find_topic(config: &KafkaConfig, known: &[String]) -> Result<Topic, KafkaError> {
    let mut failure = None;
    for address in config.brokers.iter().chain(known.iter().filter(|k| !config.brokers.contains(k))) {
        match ask_topic(config, address).await {
            Ok(topic) => return Ok(topic),
            // The first broker's word counts: what follows mostly says the same.
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    Err(failure.unwrap_or_else(|| refused(&config.topic, ResponseError::BrokerNotAvailable)))
}

async fn ask_topic(config: &KafkaConfig, address: &str) -> Result<Topic, KafkaError> {
    let mut connection = Connection::open(address, config).await?;
    let asked = MetadataRequestTopic::default().with_name(Some(topic_name(config)));
    let request = MetadataRequest::default().with_topics(Some(vec![asked])).with_allow_auto_topic_creation(false);
    let (answer, _): (MetadataResponse, _) = connection.call(METADATA, &request).await?;
    let found = answer.topics.iter().find(|t| t.name.as_ref().is_some_and(|n| *n.0 == *config.topic));
    let Some(found) = found else { return Err(refused(&config.topic, ResponseError::UnknownTopicOrPartition)) };
    if let Some(error) = ResponseError::try_from_code(found.error_code) {
        return Err(refused(&config.topic, error));
    }
    let addresses: BTreeMap<BrokerId, String> =
        answer.brokers.iter().map(|b| (b.node_id, address_of(&b.host, b.port))).collect();
    let mut topic =
        Topic { id: (!found.topic_id.is_nil()).then(|| found.topic_id.hyphenated().to_string()), ..Topic::default() };
    for partition in &found.partitions {
        match addresses.get(&partition.leader_id) {
            Some(leader) => drop(topic.leaders.insert(partition.partition_index, leader.clone())),
            None => topic.leaderless.push(partition.partition_index),
        }
    }
    Ok(topic)
}

fn address_of(host: &str, port: i32) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// The offsets at which the partitions begin or end, as their leader says.
pub(super) async fn ask_offsets(
    connection: &mut Connection,
    config: &KafkaConfig,
    partitions: &[i32],
    at: Start,
) -> Result<BTreeMap<i32, i64>, KafkaError> {
    let timestamp = match at {
        Start::Earliest => EARLIEST,
        Start::Latest => LATEST,
    };
    let asked = |p: &i32| ListOffsetsPartition::default().with_partition_index(*p).with_timestamp(timestamp);
    let topic = ListOffsetsTopic::default()
        .with_name(topic_name(config))
        .with_partitions(partitions.iter().map(asked).collect());
    let request = ListOffsetsRequest::default()
        .with_replica_id(CONSUMER)
        .with_isolation_level(READ_COMMITTED)
        .with_topics(vec![topic]);
    let (answer, _): (ListOffsetsResponse, _) = connection.call(LIST_OFFSETS, &request).await?;
    let mut offsets = BTreeMap::new();
    for partition in answer.topics.iter().filter(|t| *t.name.0 == *config.topic).flat_map(|t| &t.partitions) {
        if let Some(error) = ResponseError::try_from_code(partition.error_code) {
            return Err(refused(&partition_name(config, partition.partition_index), error));
        }
        offsets.insert(partition.partition_index, partition.offset.max(0));
    }
    match partitions.iter().find(|p| !offsets.contains_key(p)) {
        Some(missing) => Err(refused(&partition_name(config, *missing), ResponseError::UnknownTopicOrPartition)),
        None => Ok(offsets),
    }
}

pub(super) fn topic_name(config: &KafkaConfig) -> TopicName {
    TopicName(StrBytes::from_string(config.topic.clone()))
}

/// How messages name a partition.
pub(super) fn partition_name(config: &KafkaConfig, partition: i32) -> String {
    format!("partition {partition} of topic {:?}", config.topic)
}

pub(super) fn refused(of: &str, error: ResponseError) -> KafkaError {
    KafkaError::Refused { of: of.to_owned(), error }
}
