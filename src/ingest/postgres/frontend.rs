//! What a client sends: packets before the login, typed messages after it, decoded from bytes that anybody may have
//! written.

/// The longest packet before the login, as PostgreSQL has it.
pub const MAX_STARTUP_BYTES: usize = 10_000;
/// The packet that asks for TLS.
const SSL_REQUEST: u32 = 80_877_103;
/// The packet that asks for GSSAPI encryption.
const GSS_REQUEST: u32 = 80_877_104;
/// The packet that cancels a statement of another connection.
const CANCEL_REQUEST: u32 = 80_877_102;
/// The bytes of the length that every message has; it counts itself.
const LENGTH_BYTES: usize = 4;

/// Why bytes are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The length is one that no message has.
    #[error("invalid message length {0}")]
    Length(u32),
    /// The message is longer than this server takes.
    #[error("a message of {length} bytes is longer than {limit}, the most that is taken")]
    TooLong {
        /// Its length.
        length: usize,
        /// The limit.
        limit: usize,
    },
    /// No message begins with this byte.
    #[error("invalid frontend message type {0}")]
    Kind(u8),
    /// The message ends before what it announces.
    #[error("insufficient data left in message")]
    Short,
    /// The message goes on after its last field.
    #[error("invalid message format: bytes are left over")]
    Long,
    /// A text is not UTF-8.
    #[error("invalid byte sequence for encoding \"UTF8\"")]
    Encoding,
    /// A format that is neither text nor binary.
    #[error("unsupported format code: {0}")]
    Format(i16),
    /// A Describe or Close of something that is neither a statement nor a portal.
    #[error("invalid DESCRIBE or CLOSE message subtype {0}")]
    Target(u8),
    /// A version of the protocol that is not spoken.
    #[error("unsupported frontend protocol {major}.{minor}: server supports 3.0 to 3.0")]
    Version {
        /// Its major number.
        major: u16,
        /// Its minor number.
        minor: u16,
    },
}

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// As in SQL text.
    Text,
    /// In the type's own binary form.
    Binary,
}

/// The formats of a row's values: none means all text, one stands for all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Formats(Vec<Format>);

impl Formats {
    /// The format of the value at this place.
    #[must_use]
    pub fn of(&self, place: usize) -> Format {
        match self.0.as_slice() {
            [one] => *one,
            many => many.get(place).copied().unwrap_or(Format::Text),
        }
    }

    /// Whether they can stand for this many values.
    #[must_use]
    pub fn fit(&self, values: usize) -> bool {
        self.0.len() <= 1 || self.0.len() == values
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

/// A packet before the login.
#[derive(Debug, PartialEq, Eq)]
pub enum Startup<'a> {
    /// A wish for TLS.
    Ssl,
    /// A wish for GSSAPI encryption.
    Gss,
    /// A wish to cancel what another connection runs.
    Cancel {
        /// Which connection.
        process: i32,
        /// What only that connection's client knows.
        secret: &'a [u8],
    },
    /// The start of a session.
    Start {
        /// The protocol's minor number.
        minor: u16,
        /// Names and values, such as `user`.
        parameters: Vec<(&'a str, &'a str)>,
    },
}

/// What Describe and Close name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    /// A prepared statement.
    Statement(&'a str),
    /// A portal.
    Portal(&'a str),
}

/// A Bind: a statement with values for its parameters.
#[derive(Debug, PartialEq, Eq)]
pub struct Bind<'a> {
    /// The portal's name.
    pub portal: &'a str,
    /// The statement's name.
    pub statement: &'a str,
    /// The formats of the values.
    pub formats: Formats,
    /// The values; `None` is null.
    pub values: Vec<Option<&'a [u8]>>,
    /// The formats that the result's columns are wanted in.
    pub results: Formats,
}

/// A message after the login.
#[derive(Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Statements of the simple protocol.
    Query(&'a str),
    /// A statement to prepare.
    Parse {
        /// Its name; empty for the one that the next Parse replaces.
        name: &'a str,
        /// Its text.
        query: &'a str,
        /// OIDs of its parameters' types; 0 where the server is to find out.
        types: Vec<u32>,
    },
    /// Values for a statement.
    Bind(Bind<'a>),
    /// A wish for the types of something.
    Describe(Target<'a>),
    /// A portal to run.
    Execute {
        /// Its name.
        portal: &'a str,
        /// How many rows are wanted at most; 0 is all.
        rows: u32,
    },
    /// Something to forget.
    Close(Target<'a>),
    /// Answers are wanted now.
    Flush,
    /// The end of a series of messages.
    Sync,
    /// The end of the connection.
    Terminate,
    /// A password, or a step of SASL.
    Password(&'a [u8]),
    /// A part of COPY's data.
    CopyData(&'a [u8]),
    /// The end of COPY's data.
    CopyDone,
    /// COPY's data will not come.
    CopyFail(&'a str),
    /// A call of a function by its OID.
    FunctionCall,
}

/// The length of the body of the packet that begins these bytes, once that can be told.
///
/// # Errors
/// When no packet has that length.
pub fn startup_frame(bytes: &[u8]) -> Result<Option<usize>, Malformed> {
    let Some(length) = bytes.first_chunk::<LENGTH_BYTES>().map(|b| u32::from_be_bytes(*b)) else { return Ok(None) };
    match usize::try_from(length) {
        Ok(full @ 8..=MAX_STARTUP_BYTES) => Ok(Some(full - LENGTH_BYTES)),
        _ => Err(Malformed::Length(length)),
    }
}

/// The kind, and the length of the body, of the message that begins these bytes, once they can be told.
///
/// # Errors
/// When there is no such kind, or the body is longer than `limit`.
pub fn message_frame(bytes: &[u8], limit: usize) -> Result<Option<(u8, usize)>, Malformed> {
    let Some((&kind, rest)) = bytes.split_first() else { return Ok(None) };
    if !b"QPBDECHSXpdcfF".contains(&kind) {
        return Err(Malformed::Kind(kind));
    }
    let Some(length) = rest.first_chunk::<LENGTH_BYTES>().map(|b| u32::from_be_bytes(*b)) else { return Ok(None) };
    let body = usize::try_from(length).ok().and_then(|l| l.checked_sub(LENGTH_BYTES));
    match body {
        Some(body) if body <= limit => Ok(Some((kind, body))),
        Some(body) if length <= i32::MAX.unsigned_abs() => Err(Malformed::TooLong { length: body, limit }),
        _ => Err(Malformed::Length(length)),
    }
}

impl<'a> Startup<'a> {
    /// Decodes the body of a packet.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn decode(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut fields = Fields { rest: body };
        let code = fields.u32()?;
        let [major, minor] = [code >> 16, code & 0xffff].map(|half| u16::try_from(half).unwrap_or_default());
        let packet = match code {
            SSL_REQUEST => Self::Ssl,
            GSS_REQUEST => Self::Gss,
            CANCEL_REQUEST => {
                let process = fields.u32()?.cast_signed();
                return Ok(Self::Cancel { process, secret: fields.rest });
            }
            _ if major == 3 => {
                let mut parameters = Vec::new();
                loop {
                    match fields.text()? {
                        "" => break,
                        name => parameters.push((name, fields.text()?)),
                    }
                }
                Self::Start { minor, parameters }
            }
            _ => return Err(Malformed::Version { major, minor }),
        };
        fields.end()?;
        Ok(packet)
    }
}

impl<'a> Message<'a> {
    /// Decodes the body of a message of this kind.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn decode(kind: u8, body: &'a [u8]) -> Result<Self, Malformed> {
        let mut fields = Fields { rest: body };
        let message = match kind {
            b'Q' => Self::Query(fields.text()?),
            b'P' => {
                let (name, query) = (fields.text()?, fields.text()?);
                let count = fields.count(4)?;
                Self::Parse { name, query, types: (0..count).map(|_| fields.u32()).collect::<Result<_, _>>()? }
            }
            b'B' => Self::Bind(fields.bind()?),
            b'D' => Self::Describe(fields.target()?),
            b'C' => Self::Close(fields.target()?),
            // A negative number of rows is no limit, as in PostgreSQL.
            b'E' => {
                Self::Execute { portal: fields.text()?, rows: u32::try_from(fields.u32()?.cast_signed()).unwrap_or(0) }
            }
            b'H' => Self::Flush,
            b'S' => Self::Sync,
            b'X' => Self::Terminate,
            b'p' => return Ok(Self::Password(body)),
            b'd' => return Ok(Self::CopyData(body)),
            b'c' => Self::CopyDone,
            b'f' => Self::CopyFail(fields.text()?),
            b'F' => return Ok(Self::FunctionCall),
            _ => return Err(Malformed::Kind(kind)),
        };
        fields.end()?;
        Ok(message)
    }
}

/// The mechanism and the first data of a SASL login.
///
/// # Errors
/// When the message ends early.
pub fn sasl_initial(body: &[u8]) -> Result<(&str, &[u8]), Malformed> {
    let mut fields = Fields { rest: body };
    let mechanism = fields.text()?;
    let data = fields.value()?.unwrap_or_default();
    fields.end()?;
    Ok((mechanism, data))
}

/// What is left of a body.
struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Malformed::Short)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(Malformed::Short)?;
        self.rest = rest;
        Ok(*taken)
    }

    fn u32(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    /// A number of things that take at least `each` bytes: no more than the rest can hold, so that memory may be taken.
    fn count(&mut self, each: usize) -> Result<usize, Malformed> {
        let count = usize::from(u16::from_be_bytes(self.array()?));
        if count.saturating_mul(each) > self.rest.len() { Err(Malformed::Short) } else { Ok(count) }
    }

    /// A text that ends with a zero byte.
    fn text(&mut self) -> Result<&'a str, Malformed> {
        let length = memchr::memchr(0, self.rest).ok_or(Malformed::Short)?;
        let text = self.take(length)?;
        self.take(1)?;
        std::str::from_utf8(text).map_err(|_| Malformed::Encoding)
    }

    /// A length and so many bytes; a negative length stands for null.
    fn value(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        match usize::try_from(self.u32()?.cast_signed()) {
            Ok(length) => self.take(length).map(Some),
            Err(_) => Ok(None),
        }
    }

    fn formats(&mut self) -> Result<Formats, Malformed> {
        let count = self.count(2)?;
        let format = |code: [u8; 2]| match i16::from_be_bytes(code) {
            0 => Ok(Format::Text),
            1 => Ok(Format::Binary),
            other => Err(Malformed::Format(other)),
        };
        (0..count).map(|_| self.array().and_then(format)).collect::<Result<_, _>>().map(Formats)
    }

    fn bind(&mut self) -> Result<Bind<'a>, Malformed> {
        let (portal, statement, formats) = (self.text()?, self.text()?, self.formats()?);
        let count = self.count(LENGTH_BYTES)?;
        let values = (0..count).map(|_| self.value()).collect::<Result<_, _>>()?;
        Ok(Bind { portal, statement, formats, values, results: self.formats()? })
    }

    fn target(&mut self) -> Result<Target<'a>, Malformed> {
        let [kind] = self.array()?;
        match kind {
            b'S' => Ok(Target::Statement(self.text()?)),
            b'P' => Ok(Target::Portal(self.text()?)),
            other => Err(Malformed::Target(other)),
        }
    }

    fn end(&self) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { Err(Malformed::Long) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bind_is_read_as_it_was_written() {
        let mut body = b"p\0s\0".to_vec();
        body.extend([0, 1, 0, 1, 0, 2, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 2, b'h', b'i', 0, 1, 0, 0]);
        let Ok(Message::Bind(bind)) = Message::decode(b'B', &body) else { panic!("{body:?}") };
        assert_eq!((bind.portal, bind.statement), ("p", "s"));
        assert_eq!(bind.values, [None, Some(b"hi".as_slice())]);
        assert_eq!((bind.formats.of(7), bind.results.of(7)), (Format::Binary, Format::Text));
        assert!(bind.formats.fit(2));
        // Cut anywhere, it is refused.
        for end in 0..body.len() {
            assert_eq!(Message::decode(b'B', &body[..end]), Err(Malformed::Short), "{end}");
        }
        body.push(0);
        assert_eq!(Message::decode(b'B', &body), Err(Malformed::Long));
    }

    #[test]
    fn counts_and_lengths_that_lie_take_no_memory() {
        assert_eq!(Message::decode(b'P', b"\0\0\xff\xff"), Err(Malformed::Short));
        assert_eq!(Message::decode(b'B', b"\0\0\xff\xff\0\0"), Err(Malformed::Short));
        assert_eq!(message_frame(b"Q\xff\xff\xff\xff", 100), Err(Malformed::Length(u32::MAX)));
        assert_eq!(message_frame(b"Q\0\0\0\x03", 100), Err(Malformed::Length(3)));
        assert_eq!(message_frame(b"Q\0\0\0\xff", 100), Err(Malformed::TooLong { length: 251, limit: 100 }));
        assert_eq!(message_frame(b"GET / HTTP/1.1", 100), Err(Malformed::Kind(b'G')));
        assert_eq!(message_frame(b"S\0\0\0", 100), Ok(None));
        assert_eq!(message_frame(b"S\0\0\0\x04", 100), Ok(Some((b'S', 0))));
        for length in [0u32, 7, 10_001, u32::MAX] {
            assert_eq!(startup_frame(&length.to_be_bytes()), Err(Malformed::Length(length)));
        }
    }

    #[test]
    fn startup_packets_are_told_apart() {
        assert_eq!(Startup::decode(&SSL_REQUEST.to_be_bytes()), Ok(Startup::Ssl));
        let start = b"\0\x03\0\x02user\0me\0database\0\0\0";
        let parameters = vec![("user", "me"), ("database", "")];
        assert_eq!(Startup::decode(start), Ok(Startup::Start { minor: 2, parameters }));
        assert_eq!(Startup::decode(b"\0\x02\0\0"), Err(Malformed::Version { major: 2, minor: 0 }));
        assert_eq!(Startup::decode(b"\0\x03\0\0user\0me\0"), Err(Malformed::Short));
        let cancel = b"\x04\xd2\x16\x2e\0\0\0\x07\0\0\0\x09";
        assert_eq!(Startup::decode(cancel), Ok(Startup::Cancel { process: 7, secret: &[0, 0, 0, 9] }));
    }
}
