//! What is wrong with a message, and where.

use std::fmt;

/// Why a message cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{message} is broken at byte {offset} of the decoded body: {problem}")]
pub struct DecodeError {
    /// The innermost message that was being read.
    pub message: Message,
    /// Where, counted from the start of the whole decoded body.
    pub offset: usize,
    /// What is wrong there.
    pub problem: Problem,
}

impl DecodeError {
    /// Whether the message itself is whole, and only a text in it is not UTF-8.
    #[must_use]
    pub const fn is_text(&self) -> bool {
        matches!(self.problem, Problem::Utf8(_))
    }
}

/// The messages that are read, for errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is named as its message is")]
pub enum Message {
    WriteRequest,
    Request,
    TimeSeries,
    Label,
    Sample,
    Histogram,
    BucketSpan,
    Exemplar,
    Metadata,
    ReadRequest,
    Query,
    LabelMatcher,
    ReadHints,
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What is wrong with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The bytes end inside a field.
    #[error("the bytes end inside a field")]
    Truncated,
    /// A length points behind the end of the message.
    #[error("field {field} says it has {len} bytes, {left} are left")]
    Length {
        /// The field's number.
        field: u32,
        /// The length it gives.
        len: u64,
        /// Bytes that are left.
        left: usize,
    },
    /// A varint of more than ten bytes.
    #[error("a varint is longer than ten bytes")]
    Varint,
    /// A field number of 0 or above 2^29-1.
    #[error("a field has the number {0}, which no field can have")]
    FieldNumber(u64),
    /// A wire type that does not exist or is not used (groups).
    #[error("field {field} has the wire type {wire_type}, which is not used")]
    UnknownWireType {
        /// The field's number.
        field: u32,
        /// Its wire type.
        wire_type: u8,
    },
    /// A known field with another wire type than it has.
    #[error("field {0} does not have its wire type")]
    WireType(u32),
    /// A text that is not UTF-8.
    #[error("field {0} is not valid UTF-8")]
    Utf8(u32),
    /// A packed list of doubles whose length is no multiple of eight.
    #[error("field {0} is a list of doubles, but its length is not a multiple of 8")]
    PackedDoubles(u32),
    /// A message of remote write 1.0 was sent as 2.0.
    #[error("field {0} belongs to remote write 1.0: the Content-Type says io.prometheus.write.v2.Request")]
    SentAsV2(u32),
    /// A message of remote write 2.0 was sent as 1.0.
    #[error("field {0} belongs to remote write 2.0: the Content-Type does not say io.prometheus.write.v2.Request")]
    SentAsV1(u32),
    /// References to labels that are no pairs.
    #[error("{0} references to label names and values are not pairs")]
    OddReferences(usize),
    /// A reference to a symbol that is not there.
    #[error("symbol {reference} is referred to, the request has {symbols}")]
    Reference {
        /// The reference.
        reference: u64,
        /// How many symbols there are.
        symbols: usize,
    },
    /// More of something than is accepted.
    #[error("there are more than {limit} {what}")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// How many are accepted.
        limit: usize,
    },
    /// A number that no meaning is known for.
    #[error("field {field} has the unknown value {value}")]
    UnknownValue {
        /// The field's number.
        field: u32,
        /// Its value.
        value: u64,
    },
}
