//! What goes wrong between a consumer and its brokers.

use std::{io, path::PathBuf, time::Duration};

use chronolith_storage::StorageError;
use kafka_protocol::error::ResponseError;

use crate::ingest::kafka_records::Damaged;

/// Why a consumer cannot go on for now. It tries again.
#[derive(Debug, thiserror::Error)]
pub(super) enum KafkaError {
    #[error("cannot connect to the broker {address}: {source}")]
    Connect { address: String, source: io::Error },
    #[error("the connection to the broker {address} broke: {source}")]
    Io { address: String, source: io::Error },
    #[error("the broker {address} did not answer within {limit:?}")]
    Timeout { address: String, limit: Duration },
    #[error("what answers at {address} does not speak Kafka's protocol: {reason}")]
    NotKafka { address: String, reason: String },
    #[error("the broker {address} is too old: it does not speak the versions of {api} that are needed, {min} to {max}")]
    TooOld { address: String, api: &'static str, min: i16, max: i16 },
    #[error("the broker {address} refuses the login: {reason}")]
    Login { address: String, reason: String },
    #[error("{}: {reason}", path.display())]
    File { path: PathBuf, reason: String },
    #[error("the broker says of {of}: {error}")]
    Refused { of: String, error: ResponseError },
    #[error("{of}: {source}")]
    Damaged { of: String, source: Damaged },
    #[error("a batch of {of} cannot be read, it is fetched again: {reason}")]
    Unreadable { of: String, reason: String },
    #[error("the first batch of {of} is not whole although the broker must send it so")]
    NotWhole { of: String },
    #[error(transparent)]
    Storage(#[from] StorageError),
}
