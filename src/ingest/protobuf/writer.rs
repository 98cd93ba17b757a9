//! Writes fields into a growing buffer. Fields that hold their default are left out, as proto3 has it.

/// A message that is being written.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    out: Vec<u8>,
}

impl Writer {
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.out
    }

    pub(crate) fn clear(&mut self) {
        self.out.clear();
    }

    pub(crate) fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.out.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.out.push(value as u8);
    }

    fn tag(&mut self, field: u32, wire_type: u32) {
        self.varint(u64::from(field << 3 | wire_type));
    }

    pub(crate) fn number(&mut self, field: u32, value: u64) {
        if value != 0 {
            self.number_or_zero(field, value);
        }
    }

    /// A number in a `oneof`: written even when it is 0.
    pub(crate) fn number_or_zero(&mut self, field: u32, value: u64) {
        self.tag(field, 0);
        self.varint(value);
    }

    /// An `int64`: negative numbers take ten bytes.
    pub(crate) fn int64(&mut self, field: u32, value: i64) {
        self.number(field, value as u64);
    }

    /// A `sint32` or `sint64`.
    pub(crate) fn signed(&mut self, field: u32, value: i64) {
        self.number(field, unzigzag(value));
    }

    pub(crate) fn double(&mut self, field: u32, value: f64) {
        // Compared by bits: -0.0 is not the default.
        if value.to_bits() != 0 {
            self.double_or_zero(field, value);
        }
    }

    /// A double in a `oneof`: written even when it is 0.
    pub(crate) fn double_or_zero(&mut self, field: u32, value: f64) {
        self.tag(field, 1);
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn bytes(&mut self, field: u32, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.bytes_or_empty(field, bytes);
        }
    }

    /// An element of a repeated field: written even when it is empty.
    pub(crate) fn bytes_or_empty(&mut self, field: u32, bytes: &[u8]) {
        self.tag(field, 2);
        self.varint(bytes.len() as u64);
        self.out.extend_from_slice(bytes);
    }

    /// Bytes of fields that are already encoded.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// A message inside this one. Its length is known only afterwards, so its bytes move by the length's length.
    pub(crate) fn message(&mut self, field: u32, body: impl FnOnce(&mut Self)) {
        self.tag(field, 2);
        let start = self.out.len();
        self.out.push(0);
        body(self);
        let mut len = self.out.len() - start - 1;
        let mut prefix = [0u8; 10];
        let mut used = 0;
        loop {
            prefix[used] = len as u8 & 0x7f;
            len >>= 7;
            used += 1;
            if len == 0 {
                break;
            }
            prefix[used - 1] |= 0x80;
        }
        if used > 1 {
            let end = self.out.len();
            self.out.resize(end + used - 1, 0);
            self.out.copy_within(start + 1..end, start + used);
        }
        self.out[start..start + used].copy_from_slice(&prefix[..used]);
    }

    pub(crate) fn packed_varints(&mut self, field: u32, values: impl ExactSizeIterator<Item = u64>) {
        if values.len() > 0 {
            self.message(field, |w| values.for_each(|v| w.varint(v)));
        }
    }

    pub(crate) fn packed_signed(&mut self, field: u32, values: &[i64]) {
        self.packed_varints(field, values.iter().map(|v| unzigzag(*v)));
    }

    pub(crate) fn packed_doubles(&mut self, field: u32, values: &[f64]) {
        if !values.is_empty() {
            self.tag(field, 2);
            self.varint(values.len() as u64 * 8);
            for value in values {
                self.out.extend_from_slice(&value.to_le_bytes());
            }
        }
    }
}

const fn unzigzag(n: i64) -> u64 {
    ((n << 1) ^ (n >> 63)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::protobuf::zigzag;

    #[test]
    fn lengths_of_inner_messages_of_any_size() {
        for size in [0usize, 1, 127, 128, 16_383, 16_384, 3_000_000] {
            let mut w = Writer::default();
            w.message(1, |w| w.raw(&vec![9; size]));
            let mut expected = Writer::default();
            expected.bytes_or_empty(1, &vec![9; size]);
            assert!(w.into_bytes() == expected.into_bytes(), "size {size}");
        }
    }

    #[test]
    fn signs_go_round() {
        for n in [0, 1, -1, i64::MAX, i64::MIN, 63, -64] {
            assert_eq!(zigzag(unzigzag(n)), n);
        }
    }
}
