//! PostgreSQL's key words, for `pg_get_keywords` and for quoting names.

use std::sync::LazyLock;

/// A key word.
#[derive(Debug)]
pub(super) struct Keyword {
    /// The word.
    pub(super) word: &'static str,
    /// Its category's letter.
    pub(super) category: &'static str,
    /// Whether it may be a column's label without AS.
    pub(super) bare_label: bool,
}

/// All key words, sorted.
pub(super) static KEYWORDS: LazyLock<Vec<Keyword>> = LazyLock::new(|| {
    let lines = include_str!("keywords.txt").lines().filter(|l| !l.starts_with('#'));
    let parse = |line: &'static str| {
        let mut words = line.split_ascii_whitespace();
        Some(Keyword { word: words.next()?, category: words.next()?, bare_label: words.next()? == "t" })
    };
    lines.filter_map(parse).collect()
});

/// Whether a name that is this word needs quotes.
pub(crate) fn is_reserved(word: &str) -> bool {
    KEYWORDS.binary_search_by_key(&word, |k| k.word).is_ok_and(|at| KEYWORDS[at].category != "U")
}

impl Keyword {
    /// The category in words.
    pub(super) fn description(&self) -> &'static str {
        match self.category {
            "U" => "unreserved",
            "C" => "unreserved (cannot be function or type name)",
            "T" => "reserved (can be function or type name)",
            _ => "reserved",
        }
    }
}
