//! Where the elements of a repeated field stand in a message, and the walk over them.

use crate::ingest::protobuf::{DecodeError, Message, Reader, WireType};

/// The stretch of a message from the first to the last element of one repeated field.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Region {
    start: usize,
    end: usize,
    /// Bytes of the elements alone, with their tags.
    bytes: usize,
    count: usize,
}

impl Region {
    #[inline]
    pub(crate) const fn add(&mut self, start: usize, end: usize) {
        if self.count == 0 {
            self.start = start;
        }
        self.end = end;
        self.bytes += end - start;
        self.count += 1;
    }

    #[inline]
    pub(crate) const fn count(&self) -> usize {
        self.count
    }

    /// The stretch's bytes, if nothing but the field's elements stands in it.
    #[inline]
    pub(crate) fn contiguous<'a>(&self, message: &'a [u8]) -> Option<&'a [u8]> {
        if self.bytes == self.end - self.start { message.get(self.start..self.end) } else { None }
    }

    /// A reader of the stretch alone.
    #[inline]
    pub(crate) fn part<'a>(&self, reader: &Reader<'a>) -> Reader<'a> {
        reader.part(self.start, self.end)
    }

    /// The elements, as messages of type `of`, in the message that `reader` reads.
    #[inline]
    pub(crate) fn elements<'a>(&self, reader: &Reader<'a>, field: u32, of: Message) -> Repeated<'a> {
        Repeated { reader: self.part(reader), field, of }
    }
}

/// The elements of one repeated field of messages, whatever stands between them.
#[derive(Debug, Clone)]
pub(crate) struct Repeated<'a> {
    reader: Reader<'a>,
    field: u32,
    of: Message,
}

impl<'a> Repeated<'a> {
    /// The elements in all of a message.
    pub(crate) const fn in_message(reader: Reader<'a>, field: u32, of: Message) -> Self {
        Self { reader, field, of }
    }

    #[inline]
    fn advance(&mut self) -> Result<Option<Reader<'a>>, DecodeError> {
        // Field numbers here are below 16, so the whole tag is one byte.
        if self.reader.take_tag((self.field as u8) << 3 | 2) {
            let bytes = self.reader.bytes(self.field)?;
            return Ok(Some(self.reader.inner(self.of, bytes)));
        }
        while let Some((field, wire_type)) = self.reader.field()? {
            if field == self.field {
                return self.reader.message(field, wire_type, self.of).map(Some);
            }
            self.reader.skip(field, wire_type)?;
        }
        Ok(None)
    }
}

impl<'a> Iterator for Repeated<'a> {
    type Item = Result<Reader<'a>, DecodeError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let element = self.advance();
        if element.is_err() {
            self.reader = self.reader.part(0, 0);
        }
        element.transpose()
    }
}

/// Adds the field that starts at `start` and whose tag was just read to `region`, without looking into it.
#[inline]
pub(crate) fn pass_message(
    reader: &mut Reader<'_>,
    region: &mut Region,
    start: usize,
    (field, wire_type): (u32, WireType),
    of: Message,
) -> Result<(), DecodeError> {
    reader.message(field, wire_type, of)?;
    region.add(start, reader.at());
    Ok(())
}
