//! Shows where a query is wrong: the line, and carets under the part that is.

/// The line of `query` that holds byte `start`, with carets from there to `end` or the end of the line.
pub(crate) fn point_at(query: &str, start: usize, end: usize) -> String {
    let start = boundary(query, start);
    let end = boundary(query, end).max(start);
    let line_start = query.get(..start).and_then(|b| b.rfind('\n')).map_or(0, |i| i + 1);
    let rest = query.get(line_start..).unwrap_or("");
    let line = rest.lines().next().unwrap_or("");
    let before = query.get(line_start..start).map_or(0, |b| b.chars().count());
    let marked = query.get(start..end).map_or(0, |m| m.lines().next().unwrap_or("").chars().count()).max(1);
    let shown: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("  | {shown}\n  | {}{}", " ".repeat(before), "^".repeat(marked))
}

/// The byte of a line and column as PromQL's errors count them: both from 1, columns in bytes.
pub(crate) fn offset_of(query: &str, line: usize, column: usize) -> Option<usize> {
    let mut offset = 0;
    for (number, text) in query.split('\n').enumerate() {
        if number + 1 == line {
            return Some(offset + column.checked_sub(1)?.min(text.len()));
        }
        offset += text.len() + 1;
    }
    None
}

/// The next boundary between characters, from `at` down.
fn boundary(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (0..=at).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn carets_stand_under_the_part() {
        assert_eq!(point_at("sum(up) +", 8, 9), "  | sum(up) +\n  |         ^");
        assert_eq!(point_at("a\n+ bcd e", 4, 7), "  | + bcd e\n  |   ^^^");
        assert_eq!(point_at("\u{e9}{x}", 3, 5), "  | \u{e9}{x}\n  |  ^^".replace("  |  ^^", "  |   ^^"));
        assert_eq!(point_at("", 0, 0), "  | \n  | ^");
        assert_eq!(point_at("ab", 99, 99), "  | ab\n  |   ^");
    }

    #[test]
    fn lines_and_columns_are_bytes() {
        assert_eq!(offset_of("a\nbc", 2, 2), Some(3));
        assert_eq!(offset_of("a", 1, 1), Some(0));
        assert_eq!(offset_of("a", 3, 1), None);
        assert_eq!(offset_of("a", 1, 0), None);
    }
}
