//! A cursor over bytes from outside: each step checks that the bytes are there.

use super::{malformed, varint::unfold};
use crate::Result;

/// Takes fields from the front of a byte slice.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A cursor at the front of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What is not taken yet.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether everything is taken.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Takes the next `len` bytes.
    ///
    /// # Errors
    /// When there are fewer.
    #[inline]
    pub fn bytes(&mut self, len: usize) -> Result<&'a [u8]> {
        match self.rest.split_at_checked(len) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => Err(short(len, self.rest.len())),
        }
    }

    /// Takes as many bytes as the array holds.
    ///
    /// # Errors
    /// When there are fewer.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        match self.rest.split_first_chunk() {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(*taken)
            }
            None => Err(short(N, self.rest.len())),
        }
    }

    /// Takes one byte.
    ///
    /// # Errors
    /// At the end.
    #[inline]
    pub fn u8(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    /// Takes four bytes, low byte first.
    ///
    /// # Errors
    /// When there are fewer.
    #[inline]
    pub fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// Takes eight bytes, low byte first.
    ///
    /// # Errors
    /// When there are fewer.
    #[inline]
    pub fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// Takes an unsigned integer of variable length.
    ///
    /// # Errors
    /// When the bytes end inside it, or it does not fit 64 bits.
    #[inline]
    pub fn uvarint(&mut self) -> Result<u64> {
        match self.rest {
            [first, rest @ ..] if *first < 0x80 => {
                self.rest = rest;
                Ok(u64::from(*first))
            }
            _ => self.long_uvarint(),
        }
    }

    fn long_uvarint(&mut self) -> Result<u64> {
        let mut value = 0u64;
        for (i, byte) in self.rest.iter().enumerate().take(10) {
            let bits = u64::from(byte & 0x7f);
            if i == 9 && bits > 1 {
                break;
            }
            value |= bits << (7 * i);
            if byte & 0x80 == 0 {
                self.rest = self.rest.get(i + 1..).unwrap_or_default();
                return Ok(value);
            }
        }
        Err(malformed("integer", if self.rest.len() < 10 { "cut off" } else { "over 64 bits" }))
    }

    /// Takes a signed integer of variable length.
    ///
    /// # Errors
    /// As [`Reader::uvarint`].
    #[inline]
    pub fn ivarint(&mut self) -> Result<i64> {
        Ok(unfold(self.uvarint()?))
    }

    /// Takes an unsigned integer of variable length that counts or measures something: at most `limit`.
    ///
    /// # Errors
    /// As [`Reader::uvarint`], and when it is above the limit.
    #[inline]
    pub fn length(&mut self, limit: usize) -> Result<usize> {
        let value = self.uvarint()?;
        match usize::try_from(value) {
            Ok(n) if n <= limit => Ok(n),
            _ => Err(malformed("length", format!("{value} is over the limit of {limit}"))),
        }
    }

    /// Takes an unsigned integer of variable length below 2^32.
    ///
    /// # Errors
    /// As [`Reader::uvarint`], and when it is larger.
    #[inline]
    pub fn id(&mut self) -> Result<u32> {
        let value = self.uvarint()?;
        u32::try_from(value).map_err(|_| malformed("number", format!("{value} does not fit 32 bits")))
    }

    /// Takes a length and as many bytes of text.
    ///
    /// # Errors
    /// When the bytes end before, or are not UTF-8.
    pub fn text(&mut self) -> Result<&'a str> {
        let len = self.length(self.rest.len())?;
        std::str::from_utf8(self.bytes(len)?).map_err(|_| malformed("text", "not UTF-8"))
    }

    /// Checks that nothing is left.
    ///
    /// # Errors
    /// When bytes are left.
    pub fn finish(&self, what: &'static str) -> Result<()> {
        if self.rest.is_empty() { Ok(()) } else { Err(malformed(what, format!("{} bytes too many", self.rest.len()))) }
    }
}

#[cold]
fn short(need: usize, have: usize) -> crate::StorageError {
    malformed("field", format!("needs {need} bytes, {have} are left"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_is_not_there() {
        let mut reader = Reader::new(&[1, 2, 3]);
        assert!(reader.bytes(4).is_err());
        assert!(reader.u32().is_err());
        assert_eq!(reader.rest(), [1, 2, 3]);
        assert!(Reader::new(&[0x80; 9]).uvarint().is_err());
        assert!(Reader::new(&[0xff; 11]).uvarint().is_err());
        assert!(Reader::new(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]).uvarint().is_err());
        assert!(Reader::new(&[5]).length(4).is_err());
        assert!(Reader::new(&[2, 0xff, 0xff]).text().is_err());
        assert_eq!(Reader::new(&[2, b'o', b'k']).text().unwrap(), "ok");
    }
}
