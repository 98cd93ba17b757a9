//! `prometheus.ReadRequest`. Requests are few and small, so they are decoded to owned values.

use chronolith_storage::{MatchOp, Matcher, MatcherError, TimeRange};

use crate::ingest::protobuf::{DecodeError, Message, PackedVarints, Problem, Reader, WireType};

/// How many queries one request may have, and how many matchers one query.
const MAX_QUERIES: usize = 1_000;
const MAX_MATCHERS: usize = 1_000;

/// Why a read request is refused.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    /// The bytes cannot be decoded.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A matcher cannot be made.
    #[error(transparent)]
    Matcher(#[from] MatcherError),
    /// None of the accepted response types is known here.
    #[error("none of the accepted response types {0:?} is known: SAMPLES (0) and STREAMED_XOR_CHUNKS (1) are")]
    NoResponseType(Vec<u64>),
}

/// How a response is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseType {
    /// One message with all samples.
    Samples,
    /// A stream of messages with encoded chunks.
    StreamedXorChunks,
}

/// A decoded read request.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadRequest {
    /// The queries; each has its own result.
    pub queries: Vec<Query>,
    /// How the response is to be written: the first accepted type that is known.
    pub response_type: ResponseType,
}

/// One query.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// The time range, both ends inside.
    pub range: TimeRange,
    /// What the labels have to fulfil.
    pub matchers: Vec<Matcher>,
    /// What the reader will do with the samples.
    pub hints: Option<ReadHints>,
}

/// What the reader will do with the samples; an answer may ignore it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReadHints {
    /// The query's step in milliseconds.
    pub step_ms: i64,
    /// The function or aggregation around the selector.
    pub func: String,
    /// First timestamp that is needed.
    pub start_ms: i64,
    /// Last timestamp that is needed.
    pub end_ms: i64,
    /// Labels of the aggregation's grouping.
    pub grouping: Vec<String>,
    /// Whether the grouping is `by` and not `without`.
    pub by: bool,
    /// The range of a range selector in milliseconds.
    pub range_ms: i64,
}

impl ReadRequest {
    /// Decodes the (uncompressed) body of a request.
    ///
    /// # Errors
    /// When the message is broken, a matcher is invalid or no accepted response type is known.
    pub fn decode(body: &[u8]) -> Result<Self, ReadError> {
        let mut reader = Reader::new(Message::ReadRequest, body, 0);
        let (mut queries, mut accepted) = (Vec::new(), Vec::new());
        while let Some((field, wire_type)) = reader.field()? {
            match field {
                1 if queries.len() == MAX_QUERIES => return Err(too_many(&reader, "queries", MAX_QUERIES)),
                1 => queries.push(Query::read(reader.message(field, wire_type, Message::Query)?)?),
                2 => read_types(reader.packed_varints(field, wire_type)?, &mut accepted)?,
                _ => reader.skip(field, wire_type)?,
            }
        }
        let response_type = match accepted.iter().find(|t| **t <= 1) {
            Some(0) => ResponseType::Samples,
            Some(_) => ResponseType::StreamedXorChunks,
            None if accepted.is_empty() => ResponseType::Samples,
            None => return Err(ReadError::NoResponseType(accepted)),
        };
        Ok(Self { queries, response_type })
    }
}

/// The first sixteen types are enough to find one that is known.
fn read_types(types: PackedVarints<'_>, accepted: &mut Vec<u64>) -> Result<(), DecodeError> {
    for number in types {
        let number = number?;
        if accepted.len() < 16 {
            accepted.push(number);
        }
    }
    Ok(())
}

fn too_many(reader: &Reader<'_>, what: &'static str, limit: usize) -> ReadError {
    ReadError::Decode(reader.error(Problem::TooMany { what, limit }))
}

impl Query {
    fn read(mut reader: Reader<'_>) -> Result<Self, ReadError> {
        let mut query = Self { range: TimeRange::new(0, 0), matchers: Vec::new(), hints: None };
        while let Some((field, wire_type)) = reader.field()? {
            match field {
                1 => query.range.start = reader.number(field, wire_type)? as i64,
                2 => query.range.end = reader.number(field, wire_type)? as i64,
                3 if query.matchers.len() == MAX_MATCHERS => {
                    return Err(too_many(&reader, "matchers in one query", MAX_MATCHERS));
                }
                3 => query.matchers.push(read_matcher(reader.message(field, wire_type, Message::LabelMatcher)?)?),
                4 => query.hints = Some(ReadHints::read(reader.message(field, wire_type, Message::ReadHints)?)?),
                _ => reader.skip(field, wire_type)?,
            }
        }
        Ok(query)
    }
}

fn read_matcher(mut reader: Reader<'_>) -> Result<Matcher, ReadError> {
    let (mut op, mut name, mut value) = (MatchOp::Equal, "", "");
    while let Some((field, wire_type)) = reader.field()? {
        match field {
            1 => {
                op = match reader.number(field, wire_type)? {
                    0 => MatchOp::Equal,
                    1 => MatchOp::NotEqual,
                    2 => MatchOp::Regex,
                    3 => MatchOp::NotRegex,
                    value => return Err(reader.error(Problem::UnknownValue { field, value }).into()),
                };
            }
            2 => name = reader.text(field, wire_type)?,
            3 => value = reader.text(field, wire_type)?,
            _ => reader.skip(field, wire_type)?,
        }
    }
    Ok(Matcher::new(name, op, value)?)
}

impl ReadHints {
    fn read(mut reader: Reader<'_>) -> Result<Self, DecodeError> {
        let mut hints = Self::default();
        let int = |reader: &mut Reader<'_>, field: u32, wire_type: WireType| {
            reader.number(field, wire_type).map(|n| n as i64)
        };
        while let Some((field, wire_type)) = reader.field()? {
            match field {
                1 => hints.step_ms = int(&mut reader, field, wire_type)?,
                2 => hints.func = reader.text(field, wire_type)?.to_owned(),
                3 => hints.start_ms = int(&mut reader, field, wire_type)?,
                4 => hints.end_ms = int(&mut reader, field, wire_type)?,
                5 if hints.grouping.len() == MAX_MATCHERS => {
                    return Err(reader.error(Problem::TooMany { what: "labels in the grouping", limit: MAX_MATCHERS }));
                }
                5 => hints.grouping.push(reader.text(field, wire_type)?.to_owned()),
                6 => hints.by = reader.number(field, wire_type)? != 0,
                7 => hints.range_ms = int(&mut reader, field, wire_type)?,
                _ => reader.skip(field, wire_type)?,
            }
        }
        Ok(hints)
    }
}
