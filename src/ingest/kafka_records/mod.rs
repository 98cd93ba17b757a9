//! Kafka's record batches: the messages that a fetch brought of one partition.
//!
//! Bytes come from the broker as producers wrote them, compressed by the producer. A batch that cannot be read is told as
//! one finding and does not hide those behind it.

mod batch;
mod decompress;
mod record;

#[cfg(test)]
mod tests;

use std::collections::HashSet;

use batch::Batch;
use record::Records;

/// The most bytes that a batch may have once it is decompressed.
pub const MAX_BATCH_BYTES: usize = 128 << 20;

/// What was found in a partition's batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found<'a> {
    /// A message.
    Message(Message<'a>),
    /// A batch whose messages cannot be read.
    Unreadable {
        /// The first offset of the batch.
        first: i64,
        /// The last offset of the batch.
        last: i64,
        /// What is wrong with it.
        reason: &'a str,
    },
}

/// A message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// Its offset.
    pub offset: i64,
    /// Its time in milliseconds since the Unix epoch, as its producer or its broker set it; `None` when neither did.
    pub timestamp_ms: Option<i64>,
    /// Its value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
}

/// A transaction of a producer that did not commit; its messages do not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Aborted {
    /// Whose.
    pub producer_id: i64,
    /// The offset of its first message.
    pub first_offset: i64,
}

/// Bytes in which no further batch can be found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the broker's answer is damaged at byte {at}: {reason}")]
pub struct Damaged {
    /// Where.
    pub at: usize,
    /// What is wrong.
    pub reason: &'static str,
}

/// Reads all whole batches and tells what counts from the offset `from` on. Returns the offset behind the last batch, which
/// is behind the last message: markers of transactions and messages that were compacted away have offsets too. A batch that
/// is cut off at the end is left for the next fetch.
///
/// # Errors
/// When the bytes are no batches. What was told before counts.
pub fn read(bytes: &[u8], from: i64, aborted: &[Aborted], found: &mut dyn FnMut(Found<'_>)) -> Result<i64, Damaged> {
    let mut aborted = aborted.to_vec();
    aborted.sort_by_key(|a| std::cmp::Reverse(a.first_offset));
    let mut aborting = HashSet::new();
    let mut next = from;
    let mut at = 0;
    let mut scratch = Vec::new();
    while let Some(batch) = Batch::first_of(&bytes[at..]).map_err(|reason| Damaged { at, reason })? {
        at += batch.len;
        if batch.last_offset < from {
            continue;
        }
        if let Err(reason) = batch.check() {
            // Its own word on where it ends cannot be trusted; the batch behind it tells better.
            let behind = Batch::first_of(&bytes[at..]).ok().flatten().map(|b| b.base_offset);
            let last = behind.map_or(batch.last_offset, |b| b.saturating_sub(1).max(batch.base_offset));
            found(Found::Unreadable { first: batch.base_offset.max(from), last, reason: &reason });
            next = next.max(last.saturating_add(1));
            continue;
        }
        while let Some(begun) = aborted.pop_if(|a| a.first_offset <= batch.last_offset) {
            aborting.insert(begun.producer_id);
        }
        if batch.is_control {
            if batch.is_abort_marker() {
                aborting.remove(&batch.producer_id);
            }
        } else if !(batch.is_transactional && aborting.contains(&batch.producer_id)) {
            read_batch(&batch, from, &mut scratch, found);
        }
        next = next.max(batch.last_offset.saturating_add(1));
    }
    Ok(next)
}

/// Tells a batch's messages, all or none: a batch that turns out to be unreadable in its middle is told as unreadable.
fn read_batch(batch: &Batch<'_>, from: i64, scratch: &mut Vec<u8>, found: &mut dyn FnMut(Found<'_>)) {
    let first = batch.base_offset.max(from);
    let unreadable = |reason: &str, found: &mut dyn FnMut(Found<'_>)| {
        found(Found::Unreadable { first, last: batch.last_offset, reason });
    };
    let body = match decompress::decompress(batch.compression, batch.body, scratch) {
        Ok(body) => body,
        Err(reason) => return unreadable(&reason, found),
    };
    let records = || Records::new(body, batch);
    if let Some(reason) = records().find_map(Result::err) {
        return unreadable(reason, found);
    }
    for record in records().flatten().filter(|r| r.offset >= from) {
        found(Found::Message(record));
    }
}
