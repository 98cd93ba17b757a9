//! What is wrong with a query's text, and where.

use std::fmt;

use crate::ast::PosRange;

/// Why a query cannot be parsed. Displays as Prometheus prints it: `1:5: parse error: unexpected ...`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    /// What is wrong.
    pub message: String,
    /// The part of the text that is.
    pub pos: PosRange,
    /// Line of the first byte, counted from 1; 0 when the query is empty, so that there is no position.
    pub line: u32,
    /// Column of the first byte, counted from 1 in bytes.
    pub column: u32,
}

impl ParseError {
    pub(crate) fn new(query: &str, pos: PosRange, message: impl Into<String>) -> Self {
        let before = query.as_bytes().get(..pos.start as usize).unwrap_or_default();
        let line_start = before.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
        let (line, column) = if query.is_empty() {
            (0, 0)
        } else {
            (1 + before.iter().filter(|b| **b == b'\n').count(), 1 + before.len() - line_start)
        };
        // Query texts are far shorter than 4 GiB.
        Self { message: message.into(), pos, line: line as u32, column: column as u32 }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            f.write_str("unknown position")?;
        } else {
            write!(f, "{}:{}", self.line, self.column)?;
        }
        write!(f, ": parse error: {}", self.message)
    }
}

impl std::error::Error for ParseError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_lines_and_columns_from_one() {
        let at = |query, start| ParseError::new(query, PosRange { start, end: start }, "x").to_string();
        assert_eq!(at("", 0), "unknown position: parse error: x");
        assert_eq!(at("a", 0), "1:1: parse error: x");
        assert_eq!(at("a\nbc", 3), "2:2: parse error: x");
        assert_eq!(at("a\nbc\n", 5), "3:1: parse error: x");
    }
}
