//! COPY's binary format: a head, tuples of values with lengths before them, an end; cut anywhere on its way.

use std::ops::Range;

/// What the data begins with.
pub const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";
/// Bytes that a tuple, or the head's extension, may have.
const MOST_BYTES: usize = 64 << 20;

/// Why bytes are not COPY's binary format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CopyError {
    /// It begins with something else.
    #[error("COPY file signature not recognized")]
    Signature,
    /// The head asks for what nobody knows, or for OIDs.
    #[error("unrecognized critical flags in COPY file header")]
    Flags,
    /// A tuple of another length than there are columns.
    #[error("row field count is {0}, expected {1}")]
    Fields(i16, usize),
    /// A length below that of null.
    #[error("invalid field size")]
    Size,
    /// A tuple that is too long.
    #[error("a row of COPY data has more than 64 MiB")]
    TooLong,
    /// The data ends inside a tuple.
    #[error("unexpected EOF in COPY data")]
    Cut,
    /// There is data behind the end.
    #[error("received copy data after EOF marker")]
    AfterEnd,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Head,
    Tuples,
    Ended,
}

/// Cuts bytes into tuples.
#[derive(Debug)]
pub struct Tuples {
    columns: usize,
    buffer: Vec<u8>,
    start: usize,
    state: State,
}

impl Tuples {
    /// Tuples of this many values.
    #[must_use]
    pub const fn new(columns: usize) -> Self {
        Self { columns, buffer: Vec::new(), start: 0, state: State::Head }
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// When the data has ended already.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), CopyError> {
        if self.state == State::Ended && !bytes.is_empty() {
            return Err(CopyError::AfterEnd);
        }
        self.buffer.drain(..self.start);
        self.start = 0;
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// Where the values of the next tuple are, nulls as `None`; `None` when more bytes are needed, or there are no more.
    ///
    /// # Errors
    /// When the bytes are not of the format.
    pub fn next_tuple(&mut self) -> Result<Option<Vec<Option<Range<usize>>>>, CopyError> {
        if self.state == State::Head && !self.head()? {
            return Ok(None);
        }
        if self.state == State::Ended {
            return if self.start == self.buffer.len() { Ok(None) } else { Err(CopyError::AfterEnd) };
        }
        let mut at = self.start;
        let Some(count) = self.take::<2>(&mut at).map(i16::from_be_bytes) else { return Ok(None) };
        if count == -1 {
            self.start = at;
            self.state = State::Ended;
            return self.next_tuple();
        }
        if usize::try_from(count) != Ok(self.columns) {
            return Err(CopyError::Fields(count, self.columns));
        }
        let mut values = Vec::with_capacity(self.columns);
        for _ in 0..self.columns {
            let Some(length) = self.take::<4>(&mut at).map(i32::from_be_bytes) else { return self.wait() };
            match length {
                -1 => values.push(None),
                0.. => {
                    let end = at + usize::try_from(length).map_err(|_| CopyError::Size)?;
                    if end - self.start > MOST_BYTES {
                        return Err(CopyError::TooLong);
                    }
                    if end > self.buffer.len() {
                        return Ok(None);
                    }
                    values.push(Some(at..end));
                    at = end;
                }
                _ => return Err(CopyError::Size),
            }
        }
        self.start = at;
        Ok(Some(values))
    }

    /// The bytes of a value of the tuple that came last.
    #[must_use]
    pub fn value(&self, place: Range<usize>) -> &[u8] {
        self.buffer.get(place).unwrap_or_default()
    }

    /// Sees to it that the data may end here.
    ///
    /// # Errors
    /// When that is inside a tuple or the head.
    pub const fn finish(&self) -> Result<(), CopyError> {
        match self.state {
            State::Ended => Ok(()),
            State::Tuples if self.start == self.buffer.len() => Ok(()),
            _ => Err(CopyError::Cut),
        }
    }

    fn wait(&self) -> Result<Option<Vec<Option<Range<usize>>>>, CopyError> {
        if self.buffer.len() - self.start > MOST_BYTES { Err(CopyError::TooLong) } else { Ok(None) }
    }

    fn take<const N: usize>(&self, at: &mut usize) -> Option<[u8; N]> {
        let bytes = self.buffer.get(*at..)?.first_chunk::<N>()?;
        *at += N;
        Some(*bytes)
    }

    /// Reads the head. Returns whether it is there as a whole.
    fn head(&mut self) -> Result<bool, CopyError> {
        let there = self.buffer.len().min(SIGNATURE.len());
        if self.buffer[..there] != SIGNATURE[..there] {
            return Err(CopyError::Signature);
        }
        let mut at = SIGNATURE.len();
        let Some(flags) = self.take::<4>(&mut at).map(u32::from_be_bytes) else { return Ok(false) };
        // The upper half are flags that a reader must know; the one known to be is that of OIDs, long gone.
        if flags >> 16 != 0 {
            return Err(CopyError::Flags);
        }
        let Some(extension) = self.take::<4>(&mut at).map(u32::from_be_bytes) else { return Ok(false) };
        let extension = usize::try_from(extension).ok().filter(|length| *length <= MOST_BYTES);
        let end = at + extension.ok_or(CopyError::TooLong)?;
        if end > self.buffer.len() {
            return Ok(false);
        }
        self.start = end;
        self.state = State::Tuples;
        Ok(true)
    }
}

/// Writes what stands before the tuples.
pub fn write_head(out: &mut Vec<u8>) {
    out.extend_from_slice(SIGNATURE);
    // No flags, no extension.
    out.extend_from_slice(&[0; 8]);
}

/// Writes what stands behind the tuples.
pub fn write_end(out: &mut Vec<u8>) {
    out.extend_from_slice(&(-1_i16).to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(tuples: &[&[Option<&[u8]>]]) -> Vec<u8> {
        let mut out = Vec::new();
        write_head(&mut out);
        for tuple in tuples {
            out.extend_from_slice(&i16::try_from(tuple.len()).unwrap().to_be_bytes());
            for value in *tuple {
                let length = value.map_or(-1, |v| i32::try_from(v.len()).unwrap());
                out.extend_from_slice(&length.to_be_bytes());
                out.extend_from_slice(value.unwrap_or_default());
            }
        }
        write_end(&mut out);
        out
    }

    type Row = Vec<Option<Vec<u8>>>;

    fn read(columns: usize, pieces: &[&[u8]]) -> Result<Vec<Row>, CopyError> {
        let mut tuples = Tuples::new(columns);
        let mut rows = Vec::new();
        for piece in pieces {
            tuples.push(piece)?;
            while let Some(row) = tuples.next_tuple()? {
                rows.push(row.into_iter().map(|v| v.map(|v| tuples.value(v).to_vec())).collect());
            }
        }
        tuples.finish()?;
        Ok(rows)
    }

    #[test]
    fn tuples_are_the_same_wherever_the_bytes_are_cut() {
        let all = data(&[&[Some(b"ab"), None], &[Some(b""), Some(b"c")]]);
        let wanted: Vec<Row> = vec![vec![Some(b"ab".to_vec()), None], vec![Some(Vec::new()), Some(b"c".to_vec())]];
        for cut in 0..=all.len() {
            assert_eq!(read(2, &[&all[..cut], &all[cut..]]), Ok(wanted.clone()), "cut at {cut}");
        }
        // The end may be left out, but not between values.
        assert_eq!(read(2, &[&all[..all.len() - 2]]), Ok(wanted));
        assert_eq!(read(2, &[&all[..all.len() - 3]]), Err(CopyError::Cut));
    }

    #[test]
    fn what_is_not_the_format_is_told() {
        let all = data(&[&[Some(b"ab")]]);
        assert_eq!(read(2, &[&all]), Err(CopyError::Fields(1, 2)));
        assert_eq!(read(1, &[b"1,2\n"]), Err(CopyError::Signature));
        assert_eq!(read(1, &[&all, b"x"]), Err(CopyError::AfterEnd));
        assert_eq!(read(1, &[&[all.clone(), b"x".to_vec()].concat()]), Err(CopyError::AfterEnd));
        let mut flags = all.clone();
        flags[12] = 1;
        assert_eq!(read(1, &[&flags]), Err(CopyError::Flags));
        let mut size = all.clone();
        size[21..25].copy_from_slice(&(-2_i32).to_be_bytes());
        assert_eq!(read(1, &[&size]), Err(CopyError::Size));
        let mut long = all;
        long[21..25].copy_from_slice(&i32::MAX.to_be_bytes());
        assert_eq!(read(1, &[&long]), Err(CopyError::TooLong));
        assert_eq!(read(1, &[]), Err(CopyError::Cut));
    }
}
