//! Record blocks: a run of numbered records of any length. Every sixteenth is a restart: its offset is in a table at the
//! block's end, and it can be decoded without those before it.

use crate::{
    Result,
    encoding::{Reader, malformed, put_uvarint},
};

/// Records from one restart to the next.
pub(super) const RESTART: usize = 16;

/// Builds the payload of a record block.
#[derive(Debug, Default)]
pub(super) struct RecordBuilder {
    bytes: Vec<u8>,
    restarts: Vec<u32>,
    count: usize,
}

impl RecordBuilder {
    /// A builder without records.
    pub(super) const fn empty() -> Self {
        Self { bytes: Vec::new(), restarts: Vec::new(), count: 0 }
    }

    /// How many records there are.
    pub(super) const fn count(&self) -> usize {
        self.count
    }

    /// Whether the next record is a restart.
    pub(super) const fn at_restart(&self) -> bool {
        self.count.is_multiple_of(RESTART)
    }

    /// The length of the payload if it was finished now.
    pub(super) const fn len(&self) -> usize {
        self.bytes.len() + 4 * self.restarts.len() + 4
    }

    /// Appends a record.
    pub(super) fn push(&mut self, record: &[u8]) {
        if self.at_restart() {
            self.restarts.push(self.bytes.len() as u32);
        }
        put_uvarint(&mut self.bytes, record.len() as u64);
        self.bytes.extend_from_slice(record);
        self.count += 1;
    }

    /// Appends the restart table and hands out the payload; the builder is empty then.
    pub(super) fn finish(&mut self) -> Vec<u8> {
        let mut payload = std::mem::take(&mut self.bytes);
        for restart in self.restarts.drain(..) {
            payload.extend_from_slice(&restart.to_le_bytes());
        }
        payload.extend_from_slice(&(self.count as u32).to_le_bytes());
        self.count = 0;
        payload
    }
}

/// A record block as it is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct RecordBlock<'a> {
    records: &'a [u8],
    restarts: &'a [[u8; 4]],
    count: usize,
}

impl<'a> RecordBlock<'a> {
    pub(super) fn parse(payload: &'a [u8]) -> Result<Self> {
        let wrong = || malformed("record block", "its table does not fit");
        let (body, count) = payload.split_last_chunk::<4>().ok_or_else(wrong)?;
        let count = u32::from_le_bytes(*count) as usize;
        let table = count.div_ceil(RESTART).checked_mul(4).filter(|n| *n <= body.len()).ok_or_else(wrong)?;
        let (records, table) = body.split_at(body.len() - table);
        Ok(Self { records, restarts: table.as_chunks().0, count })
    }

    /// How many records the block says it has.
    pub(super) const fn count(&self) -> usize {
        self.count
    }

    /// A cursor at the restart at or before record `at`; `at` has to be inside the block.
    pub(super) fn seek(&self, at: usize) -> Result<RecordCursor<'a>> {
        let offset = self.restarts.get(at / RESTART).map(|o| u32::from_le_bytes(*o) as usize);
        match offset.and_then(|offset| self.records.get(offset..)) {
            Some(rest) if at < self.count => {
                Ok(RecordCursor { reader: Reader::new(rest), next: at / RESTART * RESTART, count: self.count })
            }
            _ => Err(malformed("record block", format!("record {at} of {}", self.count))),
        }
    }

    /// One record.
    pub(super) fn get(&self, at: usize) -> Result<&'a [u8]> {
        let mut cursor = self.seek(at)?;
        while cursor.next < at {
            cursor.take()?;
        }
        cursor.take()
    }
}

/// Walks over the records of a block.
#[derive(Debug, Clone, Copy)]
pub(super) struct RecordCursor<'a> {
    reader: Reader<'a>,
    next: usize,
    count: usize,
}

impl<'a> RecordCursor<'a> {
    /// The number of the record that comes next, and whether it is a restart.
    pub(super) const fn position(&self) -> (usize, bool) {
        (self.next, self.next.is_multiple_of(RESTART))
    }

    /// Whether all records are taken.
    pub(super) const fn at_end(&self) -> bool {
        self.next >= self.count
    }

    /// Takes the next record.
    pub(super) fn take(&mut self) -> Result<&'a [u8]> {
        if self.at_end() {
            return Err(malformed("record block", "read past its end"));
        }
        let len = self.reader.length(self.reader.rest().len())?;
        self.next += 1;
        self.reader.bytes(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn round_trip(records in proptest::collection::vec(proptest::collection::vec(0u8..255, 0..200), 0..70)) {
            let mut builder = RecordBuilder::default();
            records.iter().for_each(|r| builder.push(r));
            let expected = builder.len();
            let payload = builder.finish();
            proptest::prop_assert_eq!(payload.len(), expected);
            let block = RecordBlock::parse(&payload).unwrap();
            for (i, record) in records.iter().enumerate() {
                proptest::prop_assert_eq!(block.get(i).unwrap(), record);
            }
            proptest::prop_assert!(block.get(records.len()).is_err());
        }

        #[test]
        fn any_bytes_parse_or_fail(bytes in proptest::collection::vec(0u8..20, 0..60), at in 0usize..40) {
            if let Ok(block) = RecordBlock::parse(&bytes) {
                let _ = block.get(at);
            }
        }
    }
}
