//! The head of a record batch: offsets, checksum, compression, transaction.

use super::record::{ABORT, Records, control_type};

/// Offset and length, which batches of every format begin with.
const PREFIX_BYTES: usize = 12;
const FORMAT_AT: usize = 16;
const CHECKSUM_AT: usize = 17;
/// Where the bytes begin that the checksum is of.
const CHECKED_AT: usize = 21;
/// The head of the format that is read.
const HEAD_BYTES: usize = 61;
/// The format that is read; Kafka writes it since version 0.11.
const FORMAT: u8 = 2;

const COMPRESSION_BITS: u16 = 0b111;
const BROKER_TIME_BIT: u16 = 1 << 3;
const TRANSACTION_BIT: u16 = 1 << 4;
const CONTROL_BIT: u16 = 1 << 5;

/// A batch, whose messages are not read yet.
#[derive(Debug)]
pub(super) struct Batch<'a> {
    /// Bytes of the whole batch.
    pub(super) len: usize,
    pub(super) base_offset: i64,
    pub(super) last_offset: i64,
    /// The first three bits of the attributes.
    pub(super) compression: u16,
    pub(super) base_timestamp: i64,
    /// The time of all messages, when the broker set it.
    pub(super) broker_time: Option<i64>,
    pub(super) is_transactional: bool,
    /// Whether it holds no messages but the end of a transaction.
    pub(super) is_control: bool,
    pub(super) producer_id: i64,
    pub(super) count: i32,
    pub(super) body: &'a [u8],
    format: u8,
    checksum: u32,
    checked: &'a [u8],
}

impl<'a> Batch<'a> {
    /// The batch at the beginning of the bytes; `None` when they end before it does.
    pub(super) fn first_of(bytes: &'a [u8]) -> Result<Option<Self>, &'static str> {
        if bytes.len() <= FORMAT_AT {
            return Ok(None);
        }
        let (base_offset, length) = (i64_at(bytes, 0), i32_at(bytes, 8));
        let length = usize::try_from(length).map_err(|_| "a batch's length is negative")?;
        if length <= FORMAT_AT - PREFIX_BYTES {
            return Err("a batch's length is below that of its head");
        }
        let Some(whole) = bytes.get(..PREFIX_BYTES.saturating_add(length)) else { return Ok(None) };
        if base_offset < 0 {
            return Err("a batch's offset is negative");
        }
        let format = whole[FORMAT_AT];
        if format != FORMAT {
            return Ok(Some(Self::of_other_format(whole, base_offset, format)));
        }
        if whole.len() < HEAD_BYTES {
            return Err("a batch's length is below that of its head");
        }
        let attributes = u16::from_be_bytes([whole[21], whole[22]]);
        let last_delta = i32_at(whole, 23);
        if last_delta < 0 {
            return Err("a batch ends before it begins");
        }
        Ok(Some(Self {
            len: whole.len(),
            base_offset,
            last_offset: base_offset.saturating_add(i64::from(last_delta)),
            compression: attributes & COMPRESSION_BITS,
            base_timestamp: i64_at(whole, 27),
            broker_time: (attributes & BROKER_TIME_BIT != 0).then(|| i64_at(whole, 35)),
            is_transactional: attributes & TRANSACTION_BIT != 0,
            is_control: attributes & CONTROL_BIT != 0,
            producer_id: i64_at(whole, 43),
            count: i32_at(whole, 57),
            body: &whole[HEAD_BYTES..],
            format,
            checksum: i32_at(whole, CHECKSUM_AT).cast_unsigned(),
            checked: &whole[CHECKED_AT..],
        }))
    }

    /// A batch of which only the extent is known: the offset of an older format's entry is that of its last message.
    fn of_other_format(whole: &'a [u8], offset: i64, format: u8) -> Self {
        Self {
            len: whole.len(),
            base_offset: offset,
            last_offset: offset,
            compression: 0,
            base_timestamp: -1,
            broker_time: None,
            is_transactional: false,
            is_control: false,
            producer_id: -1,
            count: 0,
            body: &[],
            format,
            checksum: 0,
            checked: &[],
        }
    }

    /// Whether the format is known and the checksum fits.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.format != FORMAT {
            return Err(format!(
                "the message format {} is not read: only {FORMAT}, which Kafka writes since version 0.11",
                self.format
            ));
        }
        if crc32c::crc32c(self.checked) != self.checksum {
            return Err("the batch's checksum does not fit".to_owned());
        }
        Ok(())
    }

    /// Whether it ends a transaction that did not commit. Such batches are not compressed.
    pub(super) fn is_abort_marker(&self) -> bool {
        let mut records = Records::new(self.body, self);
        records.next_with_key().is_some_and(|record| record.is_ok_and(|(key, _)| control_type(key) == Some(ABORT)))
    }
}

/// Eight bytes, which the caller knows to be there.
fn i64_at(bytes: &[u8], at: usize) -> i64 {
    let mut value = [0; 8];
    value.copy_from_slice(&bytes[at..at + 8]);
    i64::from_be_bytes(value)
}

/// Four bytes, which the caller knows to be there.
fn i32_at(bytes: &[u8], at: usize) -> i32 {
    let mut value = [0; 4];
    value.copy_from_slice(&bytes[at..at + 4]);
    i32::from_be_bytes(value)
}
