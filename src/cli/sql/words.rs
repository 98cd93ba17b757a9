//! What the shell completes: SQL's words, and the names that are in the database.

use std::collections::BTreeSet;

/// Words that statements are made of.
const KEYWORDS: &[&str] = &[
    "ALTER",
    "ANALYZE",
    "AND",
    "AS",
    "ASC",
    "ASOF",
    "BETWEEN",
    "BY",
    "CASE",
    "CAST",
    "COLUMN",
    "CONFLICT",
    "COUNT",
    "CREATE",
    "CROSS",
    "CURRENT_TIMESTAMP",
    "DEFAULT",
    "DELETE",
    "DESC",
    "DISTINCT",
    "DO",
    "DROP",
    "ELSE",
    "END",
    "EXCEPT",
    "EXISTS",
    "EXPLAIN",
    "EXTRACT",
    "FALSE",
    "FILTER",
    "FROM",
    "FULL",
    "GROUP",
    "HAVING",
    "ILIKE",
    "IN",
    "INDEX",
    "INNER",
    "INSERT",
    "INTERSECT",
    "INTERVAL",
    "INTO",
    "IS",
    "JOIN",
    "LATERAL",
    "LEFT",
    "LIKE",
    "LIMIT",
    "MATERIALIZED",
    "NOT",
    "NOTHING",
    "NULL",
    "NULLS",
    "OFFSET",
    "ON",
    "OR",
    "ORDER",
    "OVER",
    "PARTITION",
    "PRIMARY",
    "RECURSIVE",
    "RETURNING",
    "RIGHT",
    "ROWS",
    "SELECT",
    "SET",
    "SHOW",
    "TABLE",
    "THEN",
    "TIMESTAMPTZ",
    "TRUE",
    "TRUNCATE",
    "UNION",
    "UNIQUE",
    "UPDATE",
    "USING",
    "VALUES",
    "VIEW",
    "WHEN",
    "WHERE",
    "WINDOW",
    "WITH",
];
/// Most words that are shown.
const MOST: usize = 100;

/// All that can be completed.
#[derive(Debug, Default)]
pub(super) struct Words {
    names: BTreeSet<String>,
}

impl Words {
    /// Takes the names of tables and columns, instead of those that were there.
    pub(super) fn set_names(&mut self, names: impl IntoIterator<Item = String>) {
        // A terminal obeys escapes: names with control characters are typed by who wants them.
        let names = names.into_iter().filter(|name| !name.chars().any(char::is_control));
        self.names = names.map(|name| as_written(&name)).collect();
    }

    /// What the word before the cursor may become: where it begins, and its completions.
    pub(super) fn find(&self, before: &str) -> (usize, Vec<String>) {
        let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '"' | '.');
        let start = before.char_indices().rev().find(|(_, c)| !is_part(*c)).map_or(0, |(at, c)| at + c.len_utf8());
        let typed = before.get(start..).unwrap_or("");
        // Of `table.col` only what follows the dot is completed.
        let start = typed.rfind('.').map_or(start, |dot| start + dot + 1);
        let after_dot = start > 0 && before.as_bytes().get(start - 1) == Some(&b'.');
        let typed = before.get(start..).unwrap_or("");
        if typed.is_empty() && !after_dot {
            return (start, Vec::new());
        }
        let lower = typed.to_lowercase();
        let names = self.names.iter().filter(|name| name.to_lowercase().starts_with(&lower)).cloned();
        let keywords = KEYWORDS.iter().filter(|word| !after_dot && word.to_lowercase().starts_with(&lower));
        // As it was begun: in small letters or in capitals.
        let small = typed.chars().all(|c| !c.is_uppercase());
        let keywords = keywords.map(|word| if small { word.to_lowercase() } else { (*word).to_owned() });
        (start, names.chain(keywords).take(MOST).collect())
    }
}

/// A name as it must be written in a statement.
fn as_written(name: &str) -> String {
    let is_plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if is_plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_words_are_completed() {
        let mut words = Words::default();
        words.set_names(["sessions", "session_id", "User id", "page", "sess\u{1b}[2J"].map(str::to_owned));
        assert_eq!(words.find("sel"), (0, vec!["select".to_owned()]));
        assert_eq!(words.find("SELECT * FR"), (9, vec!["FROM".to_owned()]));
        let (start, found) = words.find("select max(sess");
        assert_eq!((start, found.as_slice()), (11, ["session_id".to_owned(), "sessions".to_owned()].as_slice()));
        assert_eq!(words.find("select s.pa"), (9, vec!["page".to_owned()]));
        assert_eq!(words.find("select s.").1.len(), 4);
        assert_eq!(words.find("select \"us"), (7, vec!["\"User id\"".to_owned()]));
        assert_eq!(words.find("select "), (7, vec![]));
    }
}
