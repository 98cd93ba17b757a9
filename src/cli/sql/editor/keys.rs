//! Bytes of a terminal as the keys that were pressed.

/// A key, by what it does to the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Char(char),
    Enter,
    Tab,
    Backspace,
    Delete,
    Left,
    Right,
    WordLeft,
    WordRight,
    Home,
    End,
    Up,
    Down,
    /// Ctrl-C
    Interrupt,
    /// Ctrl-D: the end of input on an empty line, else as Delete.
    Leave,
    /// Ctrl-K
    CutToEnd,
    /// Ctrl-U
    CutToStart,
    /// Ctrl-W
    CutWord,
    /// Ctrl-L
    Clear,
    /// Anything else.
    Nothing,
}

/// The longest escape sequence that is looked at.
const MAX_SEQUENCE: usize = 16;

/// Reads keys byte by byte.
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// A key that is not whole.
    begun: Vec<u8>,
}

impl Keys {
    /// The key that ends with this byte, if one does.
    pub(super) fn push(&mut self, byte: u8) -> Option<Key> {
        self.begun.push(byte);
        let key = match self.begun.as_slice() {
            [0x1b] | [0x1b, b'[' | b'O'] => return None,
            [0x1b, b'[' | b'O', rest @ ..] => match rest.last() {
                Some(0x40..=0x7e) => of_sequence(rest),
                _ if rest.len() < MAX_SEQUENCE => return None,
                _ => Key::Nothing,
            },
            [0x1b, b'b'] => Key::WordLeft,
            [0x1b, b'f'] => Key::WordRight,
            [0x1b, 0x7f] => Key::CutWord,
            [0x1b, ..] => Key::Nothing,
            [byte] if *byte < 0x20 || *byte == 0x7f => of_control(*byte),
            bytes => match std::str::from_utf8(bytes) {
                Ok(text) => text.chars().next().filter(|c| !c.is_control()).map_or(Key::Nothing, Key::Char),
                // The rest of the character is on its way.
                Err(e) if e.error_len().is_none() => return None,
                Err(_) => Key::Nothing,
            },
        };
        self.begun.clear();
        Some(key)
    }
}

const fn of_control(byte: u8) -> Key {
    match byte {
        0x01 => Key::Home,
        0x02 => Key::Left,
        0x03 => Key::Interrupt,
        0x04 => Key::Leave,
        0x05 => Key::End,
        0x06 => Key::Right,
        0x08 | 0x7f => Key::Backspace,
        b'\t' => Key::Tab,
        b'\r' | b'\n' => Key::Enter,
        0x0b => Key::CutToEnd,
        0x0c => Key::Clear,
        0x0e => Key::Down,
        0x10 => Key::Up,
        0x15 => Key::CutToStart,
        0x17 => Key::CutWord,
        _ => Key::Nothing,
    }
}

/// What stands behind `ESC [` or `ESC O`.
const fn of_sequence(rest: &[u8]) -> Key {
    match rest {
        b"A" => Key::Up,
        b"B" => Key::Down,
        b"C" => Key::Right,
        b"D" => Key::Left,
        b"1;5C" | b"1;3C" => Key::WordRight,
        b"1;5D" | b"1;3D" => Key::WordLeft,
        b"H" | b"1~" | b"7~" => Key::Home,
        b"F" | b"4~" | b"8~" => Key::End,
        b"3~" => Key::Delete,
        _ => Key::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(bytes: &[u8]) -> Vec<Key> {
        let mut keys = Keys::default();
        bytes.iter().filter_map(|byte| keys.push(*byte)).collect()
    }

    #[test]
    fn bytes_are_keys() {
        assert_eq!(keys("a\u{e9}\u{1f600}".as_bytes()), [Key::Char('a'), Key::Char('\u{e9}'), Key::Char('\u{1f600}')]);
        assert_eq!(
            keys(b"\x1b[A\x1bOB\x1b[1;5C\x1b[3~x"),
            [Key::Up, Key::Down, Key::WordRight, Key::Delete, Key::Char('x')]
        );
        assert_eq!(
            keys(b"\x03\x04\t\r\x7f\x1bb"),
            [Key::Interrupt, Key::Leave, Key::Tab, Key::Enter, Key::Backspace, Key::WordLeft]
        );
        assert_eq!(keys(b"\xff\xc3\x28z"), [Key::Nothing, Key::Nothing, Key::Char('z')]);
        let endless = [b"\x1b[".as_slice(), &[b'1'; 64]].concat();
        assert!(keys(&endless).contains(&Key::Nothing));
    }
}
