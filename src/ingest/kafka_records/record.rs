//! The messages inside a batch that is decompressed.

use super::{Message, batch::Batch};

/// The type of the marker that ends a transaction without a commit.
pub(super) const ABORT: i16 = 0;

/// The messages of a batch. Ends after the first one that cannot be read.
pub(super) struct Records<'a> {
    rest: &'a [u8],
    left: i32,
    base_offset: i64,
    last_offset: i64,
    base_timestamp: i64,
    broker_time: Option<i64>,
}

impl<'a> Records<'a> {
    pub(super) const fn new(body: &'a [u8], batch: &Batch<'_>) -> Self {
        Self {
            rest: body,
            left: batch.count,
            base_offset: batch.base_offset,
            last_offset: batch.last_offset,
            base_timestamp: batch.base_timestamp,
            broker_time: batch.broker_time,
        }
    }

    /// The next message with its key.
    pub(super) fn next_with_key(&mut self) -> Option<Result<(&'a [u8], Message<'a>), &'static str>> {
        match self.left {
            0 if self.rest.is_empty() => None,
            0 => self.fail("bytes follow the batch's last message"),
            ..0 => self.fail("the batch has a negative number of messages"),
            _ => match self.read() {
                Ok(record) => {
                    self.left -= 1;
                    Some(Ok(record))
                }
                Err(reason) => self.fail(reason),
            },
        }
    }

    fn fail<T>(&mut self, reason: &'static str) -> Option<Result<T, &'static str>> {
        (self.left, self.rest) = (0, &[]);
        Some(Err(reason))
    }

    fn read(&mut self) -> Result<(&'a [u8], Message<'a>), &'static str> {
        let len = length(&mut self.rest)?.ok_or("a message's length is negative")?;
        let mut record = take(&mut self.rest, len)?;
        take(&mut record, 1)?; // attributes, of which none is in use
        let timestamp_delta = varint(&mut record)?;
        let offset_delta = varint(&mut record)?;
        let offset = self.base_offset.saturating_add(offset_delta);
        if offset < self.base_offset || offset > self.last_offset {
            return Err("a message's offset is not within its batch");
        }
        let key = match length(&mut record)? {
            Some(len) => take(&mut record, len)?,
            None => &[],
        };
        let value = length(&mut record)?.map(|len| take(&mut record, len)).transpose()?;
        // The headers follow, which nobody asks for.
        let timestamp = self.broker_time.unwrap_or_else(|| self.base_timestamp.saturating_add(timestamp_delta));
        Ok((key, Message { offset, timestamp_ms: Some(timestamp).filter(|t| *t >= 0), value }))
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Message<'a>, &'static str>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.next_with_key()?.map(|(_, message)| message))
    }
}

/// The type in a marker's key: a version, then the type.
pub(super) fn control_type(key: &[u8]) -> Option<i16> {
    match key {
        [_, _, high, low, ..] => Some(i16::from_be_bytes([*high, *low])),
        _ => None,
    }
}

fn take<'a>(from: &mut &'a [u8], len: usize) -> Result<&'a [u8], &'static str> {
    from.split_off(..len).ok_or("a message is cut off")
}

/// A length; `None` stands for no value.
fn length(from: &mut &[u8]) -> Result<Option<usize>, &'static str> {
    match varint(from)? {
        -1 => Ok(None),
        len => usize::try_from(len).map(Some).map_err(|_| "a length is negative"),
    }
}

/// A zigzag number of at most ten bytes.
fn varint(from: &mut &[u8]) -> Result<i64, &'static str> {
    let mut value = 0_u64;
    for shift in (0..70).step_by(7) {
        let byte = *from.split_off_first().ok_or("a message is cut off")?;
        value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        if byte & 0x80 == 0 {
            return Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
        }
    }
    Err("a number is longer than ten bytes")
}
