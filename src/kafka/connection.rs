//! One connection to a broker: frames, versions, one request at a time.

use std::{collections::BTreeMap, io, time::Duration};

use bytes::{Bytes, BytesMut};
use kafka_protocol::{
    messages::{ApiKey, ApiVersionsRequest, ApiVersionsResponse, RequestHeader, ResponseHeader},
    protocol::{Decodable, Encodable, HeaderVersion, StrBytes, encode_request_header_into_buffer},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};

use super::{config::KafkaConfig, error::KafkaError, sasl, tls};

/// How long connecting may take, encryption and login included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an answer may take; a fetch that waits for messages is answered before.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// The largest answer. A broker exceeds what a fetch asks for only by one batch.
const MAX_ANSWER_BYTES: usize = 128 << 20;
/// An answer's bytes are taken in steps of this, so that memory follows what really comes.
const READ_STEP: usize = 1 << 20;

/// A kind of request, and the versions of it that are spoken.
#[derive(Debug, Clone, Copy)]
pub(super) struct Api {
    pub(super) key: ApiKey,
    pub(super) name: &'static str,
    pub(super) min: i16,
    pub(super) max: i16,
}

const API_VERSIONS: Api = Api { key: ApiKey::ApiVersions, name: "ApiVersions", min: 0, max: 0 };

/// What bytes travel through.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection that is ready for requests.
pub(super) struct Connection {
    stream: Box<dyn Stream>,
    address: String,
    versions: BTreeMap<i16, (i16, i16)>,
    next_correlation: i32,
}

impl Connection {
    /// Connects, encrypts and logs in as the configuration says.
    pub(super) async fn open(address: &str, config: &KafkaConfig) -> Result<Self, KafkaError> {
        let opened = tokio::time::timeout(CONNECT_TIMEOUT, Box::pin(Self::establish(address, config)));
        let too_late = |_| KafkaError::Timeout { address: address.to_owned(), limit: CONNECT_TIMEOUT };
        opened.await.map_err(too_late)?
    }

    async fn establish(address: &str, config: &KafkaConfig) -> Result<Self, KafkaError> {
        let failed = |source| KafkaError::Connect { address: address.to_owned(), source };
        let tcp = TcpStream::connect(address).await.map_err(failed)?;
        tcp.set_nodelay(true).map_err(failed)?;
        let stream: Box<dyn Stream> = match &config.tls_ca {
            Some(ca) => Box::new(tls::encrypt(tcp, address, ca).await?),
            None => Box::new(tcp),
        };
        let mut connection =
            Self { stream, address: address.to_owned(), versions: BTreeMap::new(), next_correlation: 0 };
        let known: ApiVersionsResponse = connection.exchange(API_VERSIONS, 0, &ApiVersionsRequest::default()).await?;
        if known.error_code != 0 {
            return Err(connection.not_kafka(format!("it answers the first request with error {}", known.error_code)));
        }
        connection.versions = known.api_keys.iter().map(|a| (a.api_key, (a.min_version, a.max_version))).collect();
        if let Some(login) = &config.login {
            sasl::log_in(&mut connection, login).await?;
        }
        Ok(connection)
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Asks in the newest version that both sides speak. Returns that version with the answer.
    pub(super) async fn call<Q, R>(&mut self, api: Api, request: &Q) -> Result<(R, i16), KafkaError>
    where
        Q: Encodable,
        R: Decodable + HeaderVersion,
    {
        let version = self.version(api)?;
        Ok((self.exchange(api, version, request).await?, version))
    }

    fn version(&self, api: Api) -> Result<i16, KafkaError> {
        let theirs = self.versions.get(&(api.key as i16));
        theirs
            .map(|(min, max)| (api.max.min(*max), api.min.max(*min)))
            .filter(|(version, min)| version >= min)
            .map_or_else(
                || Err(KafkaError::TooOld { address: self.address.clone(), api: api.name, min: api.min, max: api.max }),
                |(version, _)| Ok(version),
            )
    }

    async fn exchange<Q, R>(&mut self, api: Api, version: i16, request: &Q) -> Result<R, KafkaError>
    where
        Q: Encodable,
        R: Decodable + HeaderVersion,
    {
        let correlation = self.next_correlation;
        self.next_correlation = correlation.wrapping_add(1);
        let mut frame = BytesMut::new();
        frame.extend_from_slice(&[0; 4]);
        let header = RequestHeader::default()
            .with_request_api_key(api.key as i16)
            .with_request_api_version(version)
            .with_correlation_id(correlation)
            .with_client_id(Some(StrBytes::from_static_str("chronolith")));
        encode_request_header_into_buffer(&mut frame, &header)
            .and_then(|()| request.encode(&mut frame, version))
            .map_err(|e| self.not_kafka(format!("the request {} cannot be written: {e}", api.name)))?;
        let len = i32::try_from(frame.len() - 4).unwrap_or(i32::MAX);
        frame[..4].copy_from_slice(&len.to_be_bytes());
        let answered = tokio::time::timeout(ANSWER_TIMEOUT, self.send_and_receive(&frame)).await;
        let mut answer =
            answered.map_err(|_| KafkaError::Timeout { address: self.address.clone(), limit: ANSWER_TIMEOUT })??;
        let unreadable = |e| self.not_kafka(format!("the answer to {} cannot be read: {e}", api.name));
        let header = ResponseHeader::decode(&mut answer, R::header_version(version)).map_err(unreadable)?;
        if header.correlation_id != correlation {
            return Err(self.not_kafka("it answers another request than was asked".to_owned()));
        }
        R::decode(&mut answer, version).map_err(unreadable)
    }

    async fn send_and_receive(&mut self, frame: &[u8]) -> Result<Bytes, KafkaError> {
        let broke = |source| KafkaError::Io { address: self.address.clone(), source };
        self.stream.write_all(frame).await.map_err(broke)?;
        self.stream.flush().await.map_err(broke)?;
        let len = self.stream.read_i32().await.map_err(broke)?;
        let len = usize::try_from(len).ok().filter(|len| (4..=MAX_ANSWER_BYTES).contains(len)).ok_or_else(|| {
            self.not_kafka(format!("an answer of {len} bytes is announced, {MAX_ANSWER_BYTES} are the most"))
        })?;
        let mut answer = BytesMut::new();
        while answer.len() < len {
            let step = (len - answer.len()).min(READ_STEP);
            answer.reserve(step);
            let mut part = (&mut *self.stream).take(step as u64);
            if part.read_buf(&mut answer).await.map_err(broke)? == 0 {
                return Err(broke(io::ErrorKind::UnexpectedEof.into()));
            }
        }
        Ok(answer.freeze())
    }

    pub(super) fn not_kafka(&self, reason: String) -> KafkaError {
        KafkaError::NotKafka { address: self.address.clone(), reason }
    }
}
