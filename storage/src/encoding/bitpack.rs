//! Packs unsigned integers into as many bits as the widest of them needs.
//!
//! A full block of 128 values is laid out in lanes, so that the compiler turns the loops into vector instructions: up
//! to 32 bits, value `4p + l` is number `p` of lane `l` of four, and the 32-bit words of the lanes take turns; above,
//! value `2p + l` is number `p` of lane `l` of two with 64-bit words. A shorter block is one plain run of bits.

/// Values in a full block.
pub(crate) const BLOCK: usize = 128;

/// The number of bytes that `len` values of `width` bits take.
#[inline]
pub(crate) const fn packed_len(len: usize, width: u32) -> usize {
    (len * width as usize).div_ceil(8)
}

/// The number of bits that `value` needs.
#[inline]
pub(crate) const fn bit_width(value: u64) -> u32 {
    u64::BITS - value.leading_zeros()
}

/// The largest value of `width` bits.
#[inline]
pub(crate) const fn mask(width: u32) -> u64 {
    if width >= 64 { u64::MAX } else { (1 << width) - 1 }
}

/// Appends at most [`BLOCK`] values in `width` bits each; higher bits are cut off.
pub(crate) fn pack(values: &[u64], width: u32, out: &mut Vec<u8>) {
    if width == 0 {
        return;
    }
    match <&[u64; BLOCK]>::try_from(values) {
        Ok(block) if width <= 32 => pack_narrow(block, width, out),
        Ok(block) => pack_wide(block, width, out),
        Err(_) => pack_run(values, width, out),
    }
}

/// Fills `out` (at most [`BLOCK`] values) from exactly [`packed_len`] bytes.
#[inline]
pub(crate) fn unpack(bytes: &[u8], width: u32, out: &mut [u64]) {
    debug_assert_eq!(bytes.len(), packed_len(out.len(), width), "the caller takes packed_len bytes");
    if width == 0 {
        out.fill(0);
        return;
    }
    match <&mut [u64; BLOCK]>::try_from(&mut *out) {
        Ok(block) if width <= 32 => unpack_narrow(bytes, width, block),
        Ok(block) => unpack_wide(bytes, width, block),
        Err(_) => unpack_run(bytes, width, out),
    }
}

fn pack_narrow(values: &[u64; BLOCK], width: u32, out: &mut Vec<u8>) {
    let mut words = [[0u32; 4]; 33];
    let mask = mask(width) as u32;
    for (p, group) in values.as_chunks::<4>().0.iter().enumerate() {
        let bit = p as u32 * width;
        let (at, shift) = ((bit >> 5) as usize & 31, bit & 31);
        for lane in 0..4 {
            let value = group[lane] as u32 & mask;
            words[at][lane] |= value << shift;
            words[at + 1][lane] |= (value >> 1) >> (31 - shift);
        }
    }
    for word in words.iter().take(width as usize).flatten() {
        out.extend_from_slice(&word.to_le_bytes());
    }
}

fn unpack_narrow(bytes: &[u8], width: u32, out: &mut [u64; BLOCK]) {
    let mut words = [[0u32; 4]; 33];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<16>().0) {
        for (lane, bytes) in word.iter_mut().zip(bytes.as_chunks::<4>().0) {
            *lane = u32::from_le_bytes(*bytes);
        }
    }
    let mask = mask(width) as u32;
    for (p, group) in out.as_chunks_mut::<4>().0.iter_mut().enumerate() {
        let bit = p as u32 * width;
        let (at, shift) = ((bit >> 5) as usize & 31, bit & 31);
        let (low, high) = (words[at], words[at + 1]);
        for lane in 0..4 {
            group[lane] = u64::from(((low[lane] >> shift) | ((high[lane] << 1) << (31 - shift))) & mask);
        }
    }
}

fn pack_wide(values: &[u64; BLOCK], width: u32, out: &mut Vec<u8>) {
    let mut words = [[0u64; 2]; 65];
    let mask = mask(width);
    for (p, group) in values.as_chunks::<2>().0.iter().enumerate() {
        let bit = p as u32 * width;
        let (at, shift) = ((bit >> 6) as usize & 63, bit & 63);
        for lane in 0..2 {
            let value = group[lane] & mask;
            words[at][lane] |= value << shift;
            words[at + 1][lane] |= (value >> 1) >> (63 - shift);
        }
    }
    for word in words.iter().take(width as usize).flatten() {
        out.extend_from_slice(&word.to_le_bytes());
    }
}

fn unpack_wide(bytes: &[u8], width: u32, out: &mut [u64; BLOCK]) {
    let mut words = [[0u64; 2]; 65];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<16>().0) {
        for (lane, bytes) in word.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *lane = u64::from_le_bytes(*bytes);
        }
    }
    let mask = mask(width);
    for (p, group) in out.as_chunks_mut::<2>().0.iter_mut().enumerate() {
        let bit = p as u32 * width;
        let (at, shift) = ((bit >> 6) as usize & 63, bit & 63);
        let (low, high) = (words[at], words[at + 1]);
        for lane in 0..2 {
            group[lane] = ((low[lane] >> shift) | ((high[lane] << 1) << (63 - shift))) & mask;
        }
    }
}

fn pack_run(values: &[u64], width: u32, out: &mut Vec<u8>) {
    let mask = mask(width);
    let (mut pending, mut bits) = (0u128, 0);
    for value in values {
        pending |= u128::from(value & mask) << bits;
        bits += width;
        while bits >= 8 {
            out.push(pending as u8);
            pending >>= 8;
            bits -= 8;
        }
    }
    if bits > 0 {
        out.push(pending as u8);
    }
}

fn unpack_run(bytes: &[u8], width: u32, out: &mut [u64]) {
    let mask = mask(width);
    let (mut pending, mut bits) = (0u128, 0);
    let mut bytes = bytes.iter();
    for value in out {
        while bits < width {
            pending |= u128::from(bytes.next().copied().unwrap_or(0)) << bits;
            bits += 8;
        }
        *value = pending as u64 & mask;
        pending >>= width;
        bits -= width;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn round_trip(values in proptest::collection::vec(proptest::prelude::any::<u64>(), 0..=BLOCK), width in 0u32..=64) {
            check(&values, width)?;
        }

        #[test]
        fn round_trip_of_full_blocks(values: [u64; BLOCK], width in 0u32..=64) {
            check(&values, width)?;
        }
    }

    fn check(values: &[u64], width: u32) -> Result<(), proptest::test_runner::TestCaseError> {
        let mut out = Vec::new();
        pack(values, width, &mut out);
        proptest::prop_assert_eq!(out.len(), packed_len(values.len(), width));
        let mut back = vec![7; values.len()];
        unpack(&out, width, &mut back);
        let cut: Vec<u64> = values.iter().map(|v| v & mask(width)).collect();
        proptest::prop_assert_eq!(back, cut);
        Ok(())
    }
}
