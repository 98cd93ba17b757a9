//! XOR chunks: float samples with their timestamps as deltas of deltas.

use chronolith_storage::SampleBuffer;

use super::{
    ChunkError,
    bits::{BitReader, BitWriter, XorFloat},
};

/// An XOR chunk that still takes samples.
pub(super) struct Encoder {
    out: BitWriter,
    len: u16,
    timestamp: i64,
    delta: i64,
    value: XorFloat,
}

impl Encoder {
    pub(super) fn new() -> Self {
        Self { out: BitWriter::after(vec![0; 2]), len: 0, timestamp: 0, delta: 0, value: XorFloat::new(0.0) }
    }

    pub(super) fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// Adds a sample; the caller keeps the chunk below [`super::SAMPLES_PER_CHUNK`].
    pub(super) fn push(&mut self, timestamp: i64, value: f64) {
        let delta = timestamp.wrapping_sub(self.timestamp);
        match self.len {
            0 => {
                self.out.varint(timestamp);
                self.out.bits(value.to_bits(), 64);
                self.value = XorFloat::new(value);
            }
            1 => {
                self.out.uvarint(delta as u64);
                self.value.write(&mut self.out, value);
            }
            _ => {
                self.write_step(delta.wrapping_sub(self.delta));
                self.value.write(&mut self.out, value);
            }
        }
        if self.len > 0 {
            self.delta = delta;
        }
        self.timestamp = timestamp;
        self.len += 1;
    }

    fn write_step(&mut self, step: i64) {
        let fits = |n: u32| -((1 << (n - 1)) - 1) <= step && step <= 1 << (n - 1);
        let (prefix, width, bits) = match step {
            0 => (0, 1, 0),
            _ if fits(14) => (0b10, 2, 14),
            _ if fits(17) => (0b110, 3, 17),
            _ if fits(20) => (0b1110, 4, 20),
            _ => (0b1111, 4, 64),
        };
        self.out.bits(prefix, width);
        self.out.bits(step as u64, bits);
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        self.out.header()[..2].copy_from_slice(&self.len.to_be_bytes());
        self.out.into_bytes()
    }
}

/// Appends the samples of an XOR chunk to `out`.
pub(super) fn decode(data: &[u8], out: &mut SampleBuffer) -> Result<(), ChunkError> {
    let Some((header, body)) = data.split_first_chunk::<2>() else { return Err(ChunkError::Truncated) };
    let mut reader = BitReader::new(body);
    let (mut timestamp, mut delta, mut value) = (0i64, 0i64, XorFloat::new(0.0));
    for i in 0..u16::from_be_bytes(*header) {
        match i {
            0 => {
                timestamp = reader.varint()?;
                value = XorFloat::new(reader.float()?);
            }
            1 => {
                delta = reader.uvarint()? as i64;
                timestamp = timestamp.wrapping_add(delta);
                value.read(&mut reader)?;
            }
            _ => {
                let step = match reader.ones(4)? {
                    0 => 0,
                    1 => reader.leaning(14)?,
                    2 => reader.leaning(17)?,
                    3 => reader.leaning(20)?,
                    _ => reader.bits(64)? as i64,
                };
                delta = delta.wrapping_add(step);
                timestamp = timestamp.wrapping_add(delta);
                value.read(&mut reader)?;
            }
        }
        out.push_float(timestamp, value.value(), 0);
    }
    Ok(())
}
