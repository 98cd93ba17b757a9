//! Chunks of messages: what a fetch brought, cut to the size of a transaction.

use std::{collections::BTreeMap, ops::Range};

use super::{fetch::Fetched, tables::Rejected};
use crate::ingest::kafka_records::{self, Damaged, Found};

/// A chunk with this many messages is full.
const FULL_MESSAGES: usize = 8_192;
/// A chunk with this many bytes of messages is full.
const FULL_BYTES: usize = 8 << 20;
/// How much of a rejected message is kept.
const KEPT_BYTES: usize = 1_024;

/// A message.
#[derive(Debug, Clone)]
pub(super) struct Message {
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) time_ms: Option<i64>,
    /// Where its value is in the chunk's bytes.
    pub(super) value: Option<Range<usize>>,
}

/// Messages that are written together, and the positions behind them.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    pub(super) bytes: Vec<u8>,
    pub(super) messages: Vec<Message>,
    /// Batches that cannot be read.
    pub(super) unreadable: Vec<Rejected>,
    pub(super) positions: BTreeMap<i32, i64>,
}

impl Chunk {
    fn is_full(&self) -> bool {
        self.messages.len() >= FULL_MESSAGES || self.bytes.len() >= FULL_BYTES
    }

    fn take(&mut self, partition: i32, found: Found<'_>) {
        match found {
            Found::Message(message) => {
                let value = message.value.map(|value| {
                    let start = self.bytes.len();
                    self.bytes.extend_from_slice(value);
                    start..self.bytes.len()
                });
                let (offset, time_ms) = (message.offset, message.timestamp_ms);
                self.messages.push(Message { partition, offset, time_ms, value });
                self.positions.insert(partition, offset.saturating_add(1));
            }
            Found::Unreadable { first, last, reason } => {
                self.unreadable.push(Rejected {
                    partition,
                    offset: first,
                    time_ms: None,
                    reason: format!("the messages with the offsets {first} to {last} cannot be read: {reason}"),
                    message: None,
                    bytes: None,
                });
                self.positions.insert(partition, last.saturating_add(1));
            }
        }
    }

    /// A message as it is kept among the rejected ones.
    pub(super) fn rejected(&self, message: &Message, reason: String) -> Rejected {
        let value = message.value.clone().map(|range| &self.bytes[range]);
        Rejected {
            partition: message.partition,
            offset: message.offset,
            time_ms: message.time_ms,
            reason,
            message: value.map(beginning),
            bytes: value.map(|v| v.len() as i64),
        }
    }
}

/// The beginning of a message as text that every client can take: what is no UTF-8 and NUL become replacement characters.
fn beginning(value: &[u8]) -> String {
    let cut = &value[..value.len().min(KEPT_BYTES)];
    let whole = match std::str::from_utf8(cut) {
        // A character that the cut goes through is left out.
        Err(e) if cut.len() < value.len() && e.error_len().is_none() => &cut[..e.valid_up_to()],
        _ => cut,
    };
    String::from_utf8_lossy(whole).replace('\0', "\u{fffd}")
}

/// Why a cut did not come to the end of everything.
#[derive(Debug, Default)]
pub(super) struct Stops {
    /// A partition whose bytes are no batches from some place on.
    pub(super) damaged: Option<(i32, Damaged)>,
    /// A batch that cannot be read, by its partition and first offset: nothing behind it was taken.
    pub(super) doubtful: Option<(i32, i64, String)>,
}

/// Cuts what was fetched into chunks and hands each to `full`. Every partition ends with the position behind its last
/// batch, which may be behind its last message. A batch that cannot be read ends its partition for now, unless it is
/// `believed`: then it is one that never will be.
///
/// # Errors
/// The first error of `full`.
pub(super) fn cut<E>(
    fetched: &[Fetched],
    positions: &BTreeMap<i32, i64>,
    believed: Option<(i32, i64)>,
    full: &mut dyn FnMut(&Chunk) -> Result<(), E>,
) -> Result<Stops, E> {
    let mut chunk = Chunk::default();
    let mut stops = Stops::default();
    for of in fetched {
        let partition = of.partition;
        let from = positions.get(&partition).copied().unwrap_or_default();
        let (mut failed, mut doubtful) = (None, None);
        let read = kafka_records::read(&of.records, from, &of.aborted, &mut |found| {
            if failed.is_some() || doubtful.is_some() {
                return;
            }
            if let Found::Unreadable { first, reason, .. } = found
                && believed != Some((partition, first))
            {
                doubtful = Some((partition, first, reason.to_owned()));
                return;
            }
            chunk.take(partition, found);
            if chunk.is_full() {
                failed = full(&std::mem::take(&mut chunk)).err();
            }
        });
        if let Some(error) = failed {
            return Err(error);
        }
        match read {
            Ok(next) if next > from && doubtful.is_none() => drop(chunk.positions.insert(partition, next)),
            Ok(_) => {}
            Err(damaged) => stops.damaged = stops.damaged.or(Some((partition, damaged))),
        }
        stops.doubtful = stops.doubtful.or(doubtful);
    }
    if !chunk.positions.is_empty() {
        full(&chunk)?;
    }
    Ok(stops)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kept_beginning_is_text() {
        assert_eq!(beginning(b"{\"a\":\xff\0}"), "{\"a\":\u{fffd}\u{fffd}}");
        let long = "\u{e9}".repeat(600);
        assert_eq!(beginning(long.as_bytes()).len(), KEPT_BYTES);
        let long = format!("a{long}");
        assert_eq!(beginning(long.as_bytes()).len(), KEPT_BYTES - 1, "a character is not cut in two");
    }
}
