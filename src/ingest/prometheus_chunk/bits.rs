//! The bit stream of Prometheus' chunks, with its variable-length integers and XORed floats.

use super::ChunkError;

/// Writes bits, the highest first.
#[derive(Debug, Default)]
pub(super) struct BitWriter {
    out: Vec<u8>,
    /// Bits of the last byte that are still free.
    free: u32,
}

impl BitWriter {
    /// A stream behind a header, which must end at a byte's end.
    pub(super) const fn after(header: Vec<u8>) -> Self {
        Self { out: header, free: 0 }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    /// The bytes so far; the header's may be changed.
    pub(super) fn header(&mut self) -> &mut [u8] {
        &mut self.out
    }

    /// Writes the low `n` bits of `value`.
    pub(super) fn bits(&mut self, value: u64, mut n: u32) {
        while n > 0 {
            if self.free == 0 {
                self.out.push(0);
                self.free = 8;
            }
            let take = n.min(self.free);
            let part = (value >> (n - take)) as u8 & (0xff >> (8 - take));
            if let Some(last) = self.out.last_mut() {
                *last |= part << (self.free - take);
            }
            self.free -= take;
            n -= take;
        }
    }

    pub(super) fn bit(&mut self, one: bool) {
        self.bits(u64::from(one), 1);
    }

    /// A signed integer in steps of 3, 6, 9, 12, 18, 25, 56 and 64 bits.
    pub(super) fn varbit(&mut self, value: i64) {
        let fits = |n: u32| -((1 << (n - 1)) - 1) <= value && value <= 1 << (n - 1);
        self.stepped(value as u64, value == 0, fits);
    }

    /// An unsigned integer in the same steps.
    pub(super) fn varbit_unsigned(&mut self, value: u64) {
        self.stepped(value, value == 0, |n| value.leading_zeros() >= 64 - n);
    }

    fn stepped(&mut self, value: u64, zero: bool, fits: impl Fn(u32) -> bool) {
        if zero {
            self.bit(false);
            return;
        }
        for (ones, n) in STEPS.iter().enumerate() {
            if fits(*n) {
                let ones = ones as u32 + 1;
                self.bits((1 << (ones + 1)) - 2, ones + 1);
                self.bits(value, *n);
                return;
            }
        }
        self.bits(0xff, 8);
        self.bits(value, 64);
    }

    /// LEB128, zigzag for `varint`: whole bytes, though not aligned to them.
    pub(super) fn uvarint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bits(value & 0x7f | 0x80, 8);
            value >>= 7;
        }
        self.bits(value, 8);
    }

    pub(super) fn varint(&mut self, value: i64) {
        self.uvarint(((value << 1) ^ (value >> 63)) as u64);
    }
}

/// Widths of the variable-length integers but for the last, 64.
const STEPS: [u32; 7] = [3, 6, 9, 12, 18, 25, 56];

/// Reads bits, the highest first.
#[derive(Debug, Clone)]
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    /// Position in bits.
    at: usize,
}

impl<'a> BitReader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Bits that are left.
    pub(super) const fn left(&self) -> usize {
        self.bytes.len() * 8 - self.at
    }

    /// Reads `n` bits, at most 64.
    pub(super) fn bits(&mut self, n: u32) -> Result<u64, ChunkError> {
        if n as usize > self.left() {
            return Err(ChunkError::Truncated);
        }
        if n == 0 {
            return Ok(0);
        }
        let rest = self.bytes.get(self.at / 8..).unwrap_or_default();
        let window = match rest.first_chunk::<16>() {
            Some(window) => *window,
            None => {
                let mut window = [0; 16];
                window[..rest.len()].copy_from_slice(rest);
                window
            }
        };
        let value = u128::from_be_bytes(window) << (self.at % 8) >> (128 - n);
        self.at += n as usize;
        Ok(value as u64)
    }

    pub(super) fn bit(&mut self) -> Result<bool, ChunkError> {
        let byte = self.bytes.get(self.at / 8).ok_or(ChunkError::Truncated)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Ok(bit == 1)
    }

    /// Counts ones up to the first zero, which is read too, but no more than `most`.
    pub(super) fn ones(&mut self, most: u32) -> Result<u32, ChunkError> {
        let mut ones = 0;
        while ones < most && self.bit()? {
            ones += 1;
        }
        Ok(ones)
    }

    /// Reads a signed integer of `n` bits whose range leans to the positive side: `-(2^(n-1) - 1) ..= 2^(n-1)`.
    pub(super) fn leaning(&mut self, n: u32) -> Result<i64, ChunkError> {
        let bits = self.bits(n)?;
        Ok(if n < 64 && bits > 1 << (n - 1) { bits as i64 - (1 << n) } else { bits as i64 })
    }

    pub(super) fn varbit(&mut self) -> Result<i64, ChunkError> {
        match self.ones(8)? {
            0 => Ok(0),
            step @ 1..=7 => self.leaning(STEPS[step as usize - 1]),
            _ => self.bits(64).map(|bits| bits as i64),
        }
    }

    pub(super) fn varbit_unsigned(&mut self) -> Result<u64, ChunkError> {
        match self.ones(8)? {
            0 => Ok(0),
            step @ 1..=7 => self.bits(STEPS[step as usize - 1]),
            _ => self.bits(64),
        }
    }

    pub(super) fn uvarint(&mut self) -> Result<u64, ChunkError> {
        let mut value = 0;
        for i in 0..10 {
            let byte = self.bits(8)?;
            value |= (byte & 0x7f) << (7 * i);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(ChunkError::Damaged("a varint is longer than ten bytes"))
    }

    pub(super) fn varint(&mut self) -> Result<i64, ChunkError> {
        let value = self.uvarint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    pub(super) fn float(&mut self) -> Result<f64, ChunkError> {
        self.bits(64).map(f64::from_bits)
    }
}

/// A float of which each next value is written as the difference in bits to the one before.
#[derive(Debug, Clone, Copy)]
pub(super) struct XorFloat {
    bits: u64,
    /// The zeros left and right of the last difference that was written with its position.
    window: Option<(u32, u32)>,
}

impl XorFloat {
    pub(super) const fn new(value: f64) -> Self {
        Self { bits: value.to_bits(), window: None }
    }

    pub(super) const fn value(&self) -> f64 {
        f64::from_bits(self.bits)
    }

    pub(super) fn write(&mut self, out: &mut BitWriter, value: f64) {
        let difference = value.to_bits() ^ self.bits;
        self.bits = value.to_bits();
        out.bit(difference != 0);
        if difference == 0 {
            return;
        }
        let (leading, trailing) = (difference.leading_zeros().min(31), difference.trailing_zeros());
        match self.window {
            Some((left, right)) if leading >= left && trailing >= right => {
                out.bit(false);
                out.bits(difference >> right, 64 - left - right);
            }
            _ => {
                self.window = Some((leading, trailing));
                let significant = 64 - leading - trailing;
                out.bit(true);
                out.bits(u64::from(leading), 5);
                // 64 does not fit six bits and is written as 0, which cannot occur.
                out.bits(u64::from(significant), 6);
                out.bits(difference >> trailing, significant);
            }
        }
    }

    pub(super) fn read(&mut self, reader: &mut BitReader<'_>) -> Result<f64, ChunkError> {
        if reader.bit()? {
            if reader.bit()? {
                let leading = reader.bits(5)? as u32;
                let significant = match reader.bits(6)? as u32 {
                    0 => 64,
                    n => n,
                };
                let Some(trailing) = 64u32.checked_sub(leading + significant) else {
                    return Err(ChunkError::Damaged("a value has more than 64 bits"));
                };
                self.window = Some((leading, trailing));
            }
            let (left, right) = self.window.unwrap_or((0, 0));
            self.bits ^= reader.bits(64 - left - right)? << right;
        }
        Ok(self.value())
    }
}
