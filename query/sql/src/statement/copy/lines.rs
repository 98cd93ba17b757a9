//! The lines of a COPY ... FROM STDIN: bytes cut anywhere become rows of texts.

use crate::{
    error::{Result, SqlError},
    outcome::CopyOptions,
};

/// Bytes that a line may have.
const MOST_LINE_BYTES: usize = 64 << 20;

/// Cuts bytes into rows.
#[derive(Debug)]
pub(super) struct Lines {
    options: CopyOptions,
    columns: usize,
    buffer: Vec<u8>,
    /// Where in the buffer the next line begins.
    start: usize,
    /// Up to where that line was looked through, and whether that is inside quotes.
    seen: usize,
    quoted: bool,
    number: u64,
    header_left: bool,
    ended: bool,
}

impl Lines {
    pub(super) fn new(options: &CopyOptions, columns: usize) -> Self {
        Self {
            options: options.clone(),
            columns,
            buffer: Vec::new(),
            start: 0,
            seen: 0,
            quoted: false,
            number: 0,
            header_left: options.header,
            ended: false,
        }
    }

    /// Takes the next bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.seen -= self.start;
            self.start = 0;
        }
        if !self.ended {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// The next row; `None` when more bytes are needed. With `last` there are no more bytes.
    ///
    /// # Errors
    /// `22P04` when a line does not have as many values as there are columns, `54000` when it is too long.
    pub(super) fn next(&mut self, last: bool) -> Result<Option<Vec<Option<String>>>> {
        while !self.ended {
            let Some((start, end)) = self.next_line(last)? else { return Ok(None) };
            self.number += 1;
            let line = &self.buffer[start..end];
            if line == b"\\." {
                self.ended = true;
                return Ok(None);
            }
            if std::mem::take(&mut self.header_left) {
                continue;
            }
            let values = if self.options.csv { self.csv(line)? } else { self.text(line)? };
            if values.len() != self.columns {
                let what = if values.len() < self.columns {
                    "missing data for columns"
                } else {
                    "extra data after last expected column"
                };
                let message = format!("{what}: {} values for {} columns", values.len(), self.columns);
                return Err(self.fail(&message));
            }
            return Ok(Some(values));
        }
        Ok(None)
    }

    fn fail(&self, message: &str) -> SqlError {
        SqlError::new(b"22P04", message).with_detail(format!("COPY, line {}", self.number))
    }

    /// Where the next line is, without its end.
    fn next_line(&mut self, last: bool) -> Result<Option<(usize, usize)>> {
        while self.seen < self.buffer.len() {
            let byte = self.buffer[self.seen];
            if self.options.csv {
                // An escaped quote is two quotes, or goes in and out at once: both leave the state as it was.
                if byte == self.options.quote {
                    self.quoted = !self.quoted;
                } else if self.quoted && byte == self.options.escape && self.options.escape != self.options.quote {
                    self.seen += 1;
                }
            }
            if byte == b'\n' && !self.quoted {
                let start = self.start;
                let end = self.seen;
                self.seen += 1;
                self.start = self.seen;
                return Ok(Some((start, self.without_return(start, end))));
            }
            self.seen += 1;
        }
        self.seen = self.buffer.len();
        if self.buffer.len() - self.start > MOST_LINE_BYTES {
            let message = format!("line {} has more than {MOST_LINE_BYTES} bytes", self.number + 1);
            return Err(SqlError::new(b"54000", message));
        }
        if !last || self.start == self.buffer.len() {
            return Ok(None);
        }
        if self.quoted {
            self.number += 1;
            return Err(self.fail("unterminated CSV quoted field"));
        }
        let (start, end) = (self.start, self.buffer.len());
        self.start = end;
        Ok(Some((start, self.without_return(start, end))))
    }

    fn without_return(&self, start: usize, end: usize) -> usize {
        if end > start && self.buffer[end - 1] == b'\r' { end - 1 } else { end }
    }

    fn utf8(&self, bytes: Vec<u8>) -> Result<String> {
        let text = String::from_utf8(bytes).map_err(|_| {
            SqlError::new(b"22021", "invalid byte sequence for encoding \"UTF8\"")
                .with_detail(format!("COPY, line {}", self.number))
        })?;
        Ok(text)
    }

    fn text(&self, line: &[u8]) -> Result<Vec<Option<String>>> {
        let mut values = Vec::with_capacity(self.columns);
        let mut start = 0;
        let mut at = 0;
        loop {
            let end = at >= line.len();
            if end || line[at] == self.options.delimiter {
                let raw = &line[start..at.min(line.len())];
                values.push(if raw == self.options.null.as_bytes() { None } else { Some(self.utf8(unescaped(raw))?) });
                if end {
                    return Ok(values);
                }
                start = at + 1;
                at += 1;
            } else {
                at += if line[at] == b'\\' { 2 } else { 1 };
            }
        }
    }

    fn csv(&self, line: &[u8]) -> Result<Vec<Option<String>>> {
        let CopyOptions { delimiter, quote, escape, .. } = self.options;
        let mut values = Vec::with_capacity(self.columns);
        let mut value = Vec::new();
        let mut was_quoted = false;
        let mut inside = false;
        let mut at = 0;
        while at < line.len() {
            let byte = line[at];
            let next = line.get(at + 1).copied();
            if inside {
                if byte == escape && (next == Some(quote) || (escape != quote && next == Some(escape))) {
                    value.extend(next);
                    at += 1;
                } else if byte == quote {
                    inside = false;
                } else {
                    value.push(byte);
                }
            } else if byte == quote {
                inside = true;
                was_quoted = true;
            } else if byte == delimiter {
                self.push_value(&mut values, &mut value, &mut was_quoted)?;
            } else {
                value.push(byte);
            }
            at += 1;
        }
        if inside {
            return Err(self.fail("unterminated CSV quoted field"));
        }
        self.push_value(&mut values, &mut value, &mut was_quoted)?;
        Ok(values)
    }

    fn push_value(&self, values: &mut Vec<Option<String>>, value: &mut Vec<u8>, was_quoted: &mut bool) -> Result<()> {
        let bytes = std::mem::take(value);
        let is_null = !std::mem::take(was_quoted) && bytes == self.options.null.as_bytes();
        values.push(if is_null { None } else { Some(self.utf8(bytes)?) });
        Ok(())
    }
}

/// A value of the text format without its backslashes.
fn unescaped(raw: &[u8]) -> Vec<u8> {
    if !raw.contains(&b'\\') {
        return raw.to_vec();
    }
    let mut out = Vec::with_capacity(raw.len());
    let mut at = 0;
    while at < raw.len() {
        if raw[at] != b'\\' || at + 1 == raw.len() {
            out.push(raw[at]);
            at += 1;
            continue;
        }
        let byte = raw[at + 1];
        at += 2;
        let (digits, radix, most) = match byte {
            b'b' => (0, 0, 8),
            b'f' => (0, 0, 12),
            b'n' => (0, 0, b'\n'),
            b'r' => (0, 0, b'\r'),
            b't' => (0, 0, b'\t'),
            b'v' => (0, 0, 11),
            b'x' => (2, 16, b'x'),
            b'0'..=b'7' => {
                at -= 1;
                (3, 8, byte)
            }
            other => (0, 0, other),
        };
        let mut number = None;
        for _ in 0..digits {
            let Some(digit) = raw.get(at).and_then(|b| (*b as char).to_digit(radix)) else { break };
            number = Some((number.unwrap_or(0) * radix + digit) & 0xFF);
            at += 1;
        }
        out.push(number.map_or(most, |number| number as u8));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::Lines;
    use crate::outcome::CopyOptions;

    fn options(csv: bool) -> CopyOptions {
        CopyOptions {
            binary: false,
            csv,
            delimiter: if csv { b',' } else { b'\t' },
            null: if csv { String::new() } else { "\\N".to_owned() },
            header: csv,
            quote: b'"',
            escape: b'"',
        }
    }

    fn rows(csv: bool, columns: usize, pieces: &[&[u8]]) -> Vec<Vec<Option<String>>> {
        let mut lines = Lines::new(&options(csv), columns);
        let mut rows = Vec::new();
        for piece in pieces {
            lines.push(piece);
            while let Some(row) = lines.next(false).expect("the lines fit") {
                rows.push(row);
            }
        }
        while let Some(row) = lines.next(true).expect("the lines fit") {
            rows.push(row);
        }
        rows
    }

    fn texts(values: &[Option<&str>]) -> Vec<Option<String>> {
        values.iter().map(|v| v.map(str::to_owned)).collect()
    }

    #[test]
    fn text_is_cut_and_unescaped_wherever_the_bytes_are_cut() {
        let all = b"a\\tb\t\\N\nc\\\\d\t\\x41\\102\n\\.\nnot read\t1\n";
        let wanted = vec![texts(&[Some("a\tb"), None]), texts(&[Some("c\\d"), Some("AB")])];
        for cut in 0..all.len() {
            assert_eq!(rows(false, 2, &[&all[..cut], &all[cut..]]), wanted, "cut at {cut}");
        }
    }

    #[test]
    fn csv_has_quotes_nulls_and_lines_in_values() {
        let all = b"h1,h2\r\n1,\"a \"\"b\"\",\nc\"\r\n,\"\"\n3,x";
        let wanted =
            vec![texts(&[Some("1"), Some("a \"b\",\nc")]), texts(&[None, Some("")]), texts(&[Some("3"), Some("x")])];
        for cut in 0..all.len() {
            assert_eq!(rows(true, 2, &[&all[..cut], &all[cut..]]), wanted, "cut at {cut}");
        }
    }

    #[test]
    fn a_line_of_another_length_is_told() {
        let mut lines = Lines::new(&options(false), 2);
        lines.push(b"1\t2\n3\n");
        assert!(lines.next(false).expect("the first fits").is_some());
        let error = lines.next(false).expect_err("the second does not");
        assert_eq!((error.state.as_str(), error.detail.as_deref()), ("22P04", Some("COPY, line 2")));
    }

    proptest::proptest! {
        #[test]
        fn bytes_cut_anywhere_are_the_same_rows(
            bytes in proptest::collection::vec(proptest::sample::select(b"a,\t\"\\\n\r.Nx0\xff\xc3".to_vec()), 0..60),
            cuts in proptest::collection::vec(0_usize..60, 0..4),
            csv: bool,
            columns in 1_usize..3,
        ) {
            let rows = |pieces: &[&[u8]]| {
                let mut lines = Lines::new(&options(csv), columns);
                let mut rows = Vec::new();
                for piece in pieces {
                    lines.push(piece);
                    while let Some(row) = lines.next(false).map_err(|e| e.message)? {
                        rows.push(row);
                    }
                }
                while let Some(row) = lines.next(true).map_err(|e| e.message)? {
                    rows.push(row);
                }
                Ok::<_, String>(rows)
            };
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|w| &bytes[w[0]..w[1]]).collect();
            proptest::prop_assert_eq!(rows(&pieces), rows(&[&bytes]));
        }
    }
}
