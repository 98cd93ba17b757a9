//! Reads fields from borrowed bytes; every length is checked before it is used.

use super::error::{DecodeError, Message, Problem};

/// How a field's value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WireType {
    Varint,
    Fixed64,
    Bytes,
    Fixed32,
}

/// A position in one message. `base` is where the message starts in the whole body, for errors.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    base: usize,
    message: Message,
}

impl<'a> Reader<'a> {
    #[inline]
    pub(crate) const fn new(message: Message, bytes: &'a [u8], base: usize) -> Self {
        Self { bytes, at: 0, base, message }
    }

    /// A reader of a part of this message's bytes; it must lie inside.
    #[inline]
    pub(crate) fn part(&self, from: usize, to: usize) -> Self {
        Self { bytes: self.bytes.get(..to).unwrap_or(self.bytes), at: from.min(to), ..*self }
    }

    /// A reader of a message inside this one, just returned by [`Self::bytes`].
    #[inline]
    pub(crate) const fn inner(&self, message: Message, bytes: &'a [u8]) -> Self {
        Self::new(message, bytes, self.base + self.at - bytes.len())
    }

    /// Bytes of the message that were read.
    #[inline]
    pub(crate) const fn at(&self) -> usize {
        self.at
    }

    /// All bytes of the message.
    #[inline]
    pub(crate) const fn whole(&self) -> &'a [u8] {
        self.bytes
    }

    #[inline]
    pub(crate) const fn is_empty(&self) -> bool {
        self.at >= self.bytes.len()
    }

    /// An error at the present position.
    #[cold]
    pub(crate) const fn error(&self, problem: Problem) -> DecodeError {
        DecodeError { message: self.message, offset: self.base + self.at, problem }
    }

    /// The next field's number and wire type; `None` at the end of the message.
    #[inline]
    pub(crate) fn field(&mut self) -> Result<Option<(u32, WireType)>, DecodeError> {
        if self.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let field = match u32::try_from(key >> 3) {
            Ok(n) if n > 0 && n < 1 << 29 => n,
            _ => return Err(self.error(Problem::FieldNumber(key >> 3))),
        };
        let wire_type = match key & 7 {
            0 => WireType::Varint,
            1 => WireType::Fixed64,
            2 => WireType::Bytes,
            5 => WireType::Fixed32,
            other => return Err(self.error(Problem::UnknownWireType { field, wire_type: other as u8 })),
        };
        Ok(Some((field, wire_type)))
    }

    /// Goes on behind the tag if the next field's whole tag is this one byte.
    #[inline]
    pub(crate) fn take_tag(&mut self, tag: u8) -> bool {
        let is = self.bytes.get(self.at) == Some(&tag);
        self.at += usize::from(is);
        is
    }

    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64, DecodeError> {
        match self.bytes.get(self.at) {
            Some(&b) if b < 0x80 => {
                self.at += 1;
                Ok(u64::from(b))
            }
            _ => self.long_varint(),
        }
    }

    #[inline]
    fn long_varint(&mut self) -> Result<u64, DecodeError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let mut value = 0u64;
        for (i, byte) in rest.iter().take(10).enumerate() {
            // The tenth byte has one bit left; what is above is cut, as every decoder of the format does.
            value |= u64::from(byte & 0x7f) << (7 * i);
            if byte & 0x80 == 0 {
                self.at += i + 1;
                return Ok(value);
            }
        }
        Err(self.error(if rest.len() < 10 { Problem::Truncated } else { Problem::Varint }))
    }

    #[inline]
    pub(crate) fn fixed64(&mut self) -> Result<u64, DecodeError> {
        match self.bytes.get(self.at..).and_then(<[u8]>::first_chunk::<8>) {
            Some(chunk) => {
                self.at += 8;
                Ok(u64::from_le_bytes(*chunk))
            }
            None => Err(self.error(Problem::Truncated)),
        }
    }

    /// The bytes of a length-delimited field whose tag was read.
    #[inline]
    pub(crate) fn bytes(&mut self, field: u32) -> Result<&'a [u8], DecodeError> {
        let len = self.varint()?;
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        match usize::try_from(len).ok().and_then(|len| rest.get(..len)) {
            Some(bytes) => {
                self.at += bytes.len();
                Ok(bytes)
            }
            None => Err(self.error(Problem::Length { field, len, left: rest.len() })),
        }
    }

    #[inline]
    pub(crate) fn text(&mut self, field: u32, wire_type: WireType) -> Result<&'a str, DecodeError> {
        let bytes = self.expect(field, wire_type, WireType::Bytes)?.bytes(field)?;
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text),
            Err(_) => Err(self.error(Problem::Utf8(field))),
        }
    }

    /// A field that holds a varint.
    #[inline]
    pub(crate) fn number(&mut self, field: u32, wire_type: WireType) -> Result<u64, DecodeError> {
        self.expect(field, wire_type, WireType::Varint)?.varint()
    }

    /// A field that holds a double.
    #[inline]
    pub(crate) fn double(&mut self, field: u32, wire_type: WireType) -> Result<f64, DecodeError> {
        self.expect(field, wire_type, WireType::Fixed64)?.fixed64().map(f64::from_bits)
    }

    /// A field that holds a message; the reader is at the message's start.
    #[inline]
    pub(crate) fn message(&mut self, field: u32, wire_type: WireType, of: Message) -> Result<Self, DecodeError> {
        let bytes = self.expect(field, wire_type, WireType::Bytes)?.bytes(field)?;
        Ok(self.inner(of, bytes))
    }

    #[inline]
    fn expect(&mut self, field: u32, is: WireType, should_be: WireType) -> Result<&mut Self, DecodeError> {
        if is == should_be { Ok(self) } else { Err(self.error(Problem::WireType(field))) }
    }

    /// Passes over a field whose tag was read.
    pub(crate) fn skip(&mut self, field: u32, wire_type: WireType) -> Result<(), DecodeError> {
        match wire_type {
            WireType::Varint => self.varint().map(drop),
            WireType::Fixed64 => self.fixed64().map(drop),
            WireType::Bytes => self.bytes(field).map(drop),
            WireType::Fixed32 if self.bytes.len() - self.at >= 4 => {
                self.at += 4;
                Ok(())
            }
            WireType::Fixed32 => Err(self.error(Problem::Truncated)),
        }
    }

    /// The varints of a repeated field, packed or single.
    pub(crate) fn packed_varints(&mut self, field: u32, wire_type: WireType) -> Result<PackedVarints<'a>, DecodeError> {
        match wire_type {
            WireType::Bytes => {
                let bytes = self.bytes(field)?;
                Ok(PackedVarints(self.inner(self.message, bytes)))
            }
            WireType::Varint => {
                let from = self.at;
                self.varint()?;
                Ok(PackedVarints(self.part(from, self.at)))
            }
            _ => Err(self.error(Problem::WireType(field))),
        }
    }

    /// The doubles of a repeated field, packed or single.
    pub(crate) fn packed_doubles(&mut self, field: u32, wire_type: WireType) -> Result<PackedDoubles<'a>, DecodeError> {
        let bytes = match wire_type {
            WireType::Bytes => self.bytes(field)?,
            WireType::Fixed64 => {
                let from = self.at;
                self.fixed64()?;
                self.bytes.get(from..self.at).unwrap_or_default()
            }
            _ => return Err(self.error(Problem::WireType(field))),
        };
        let (doubles, rest) = bytes.as_chunks::<8>();
        if rest.is_empty() { Ok(PackedDoubles(doubles)) } else { Err(self.error(Problem::PackedDoubles(field))) }
    }
}

/// The varints of one packed field.
#[derive(Debug, Clone)]
pub(crate) struct PackedVarints<'a>(Reader<'a>);

impl<'a> PackedVarints<'a> {
    /// No values; `end` must be at its end.
    pub(crate) const fn none(end: Reader<'a>) -> Self {
        Self(end)
    }

    /// The most values that there can be, from the bytes that are left.
    pub(crate) const fn max_len(&self) -> usize {
        self.0.bytes.len() - self.0.at
    }
}

impl Iterator for PackedVarints<'_> {
    type Item = Result<u64, DecodeError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let value = self.0.varint();
        if value.is_err() {
            self.0.at = self.0.bytes.len();
        }
        Some(value)
    }
}

/// The doubles of one packed field.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PackedDoubles<'a>(&'a [[u8; 8]]);

impl<'a> PackedDoubles<'a> {
    pub(crate) const fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = f64> + 'a {
        self.0.iter().map(|bytes| f64::from_le_bytes(*bytes))
    }
}

/// Undoes the encoding of `sint32` and `sint64`.
#[inline]
pub(crate) const fn zigzag(n: u64) -> i64 {
    (n >> 1) as i64 ^ -((n & 1) as i64)
}
