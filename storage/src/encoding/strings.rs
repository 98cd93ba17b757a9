//! Front coding of sorted texts: each is the length it shares with the one before, and what differs.

use super::{Reader, malformed, put_uvarint};
use crate::Result;

/// Appends `text` as its difference to `before`.
pub(crate) fn encode_front(before: &[u8], text: &[u8], out: &mut Vec<u8>) {
    let shared = before.iter().zip(text).take_while(|(a, b)| a == b).count();
    put_uvarint(out, shared as u64);
    put_uvarint(out, (text.len() - shared) as u64);
    out.extend_from_slice(text.get(shared..).unwrap_or_default());
}

/// Decodes a run of front-coded texts.
#[derive(Debug, Default)]
pub(crate) struct FrontDecoder {
    text: Vec<u8>,
}

impl FrontDecoder {
    /// Starts a new run: the next text stands alone.
    pub(crate) fn restart(&mut self) {
        self.text.clear();
    }

    /// Takes the next text.
    pub(crate) fn advance(&mut self, reader: &mut Reader<'_>) -> Result<()> {
        let shared = reader.length(self.text.len())?;
        let len = reader.length(reader.rest().len())?;
        let suffix = reader.bytes(len)?;
        self.text.truncate(shared);
        self.text.extend_from_slice(suffix);
        Ok(())
    }

    /// The bytes of the text taken last.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.text
    }

    /// The text taken last.
    pub(crate) fn text(&self) -> Result<&str> {
        std::str::from_utf8(&self.text).map_err(|_| malformed("text", "not UTF-8"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn round_trip(mut texts in prop::collection::vec("[ab\u{e9}\u{ea}]{0,8}", 0..50)) {
            texts.sort();
            let mut out = Vec::new();
            let mut before = "";
            for text in &texts {
                encode_front(before.as_bytes(), text.as_bytes(), &mut out);
                before = text;
            }
            let mut reader = Reader::new(&out);
            let mut decoder = FrontDecoder::default();
            for text in &texts {
                decoder.advance(&mut reader).unwrap();
                prop_assert_eq!(decoder.text().unwrap(), text);
            }
            prop_assert!(reader.is_empty());
        }
    }

    #[test]
    fn refuses_more_than_was_there() {
        let mut decoder = FrontDecoder::default();
        assert!(decoder.advance(&mut Reader::new(&[1, 0])).is_err());
        assert!(decoder.advance(&mut Reader::new(&[0, 9, b'a'])).is_err());
        decoder.advance(&mut Reader::new(&[0, 1, 0xff])).unwrap();
        assert!(decoder.text().is_err());
    }
}
