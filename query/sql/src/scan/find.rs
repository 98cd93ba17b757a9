//! Asking the parts' text indexes: what of a filter they can answer, as a set of rows that may fulfil it.

use chronolith_storage::table::{ColumnKey, Needle, Part, TableDefinition};
use datafusion::{
    common::ScalarValue,
    logical_expr::{BinaryExpr, Expr, Like, Operator, expr::InList},
};
use roaring::RoaringBitmap;

use super::{key, layout::Layout};
use crate::error::Result;

/// Values that a membership asks the index for; a longer list is left to the filter.
const MOST_VALUES: usize = 1_000;

/// A question that an index can answer.
#[derive(Debug, Clone)]
pub(crate) enum Search {
    /// Rows whose text or list has this value.
    Value(ColumnKey, String),
    /// Rows whose text has this word.
    Token(ColumnKey, String),
    /// Rows whose primary key has one of these hashes.
    Keys(Vec<u64>),
    /// Rows that fulfil all.
    All(Vec<Search>),
    /// Rows that fulfil any.
    Any(Vec<Search>),
}

impl Search {
    /// What the indexes can tell of the rows that fulfil all filters; `None` when nothing.
    pub(crate) fn of(filters: &[Expr], layout: &Layout, definition: &TableDefinition) -> Option<Self> {
        // A key finds one row: nothing else needs to be asked then.
        let keys = key::hashes(filters, definition).map(Self::Keys);
        keys.or_else(|| all(filters.iter().filter_map(|filter| question(filter, layout)).collect()))
    }

    /// The rows of a part that may fulfil it: a superset. `None` when no index can tell.
    pub(crate) fn rows(&self, part: &dyn Part) -> Result<Option<RoaringBitmap>> {
        match self {
            Self::Value(key, value) => Ok(part.find(key, &Needle::Value(value))?),
            Self::Token(key, word) => Ok(part.find(key, &Needle::Token(word))?),
            Self::Keys(hashes) => {
                let mut rows = RoaringBitmap::new();
                for hash in hashes {
                    match part.find_key(*hash)? {
                        Some(found) => rows |= found,
                        None => return Ok(None),
                    }
                }
                Ok(Some(rows))
            }
            Self::All(parts) => {
                let mut rows: Option<RoaringBitmap> = None;
                for search in parts {
                    if let Some(found) = search.rows(part)? {
                        rows = Some(match rows {
                            None => found,
                            Some(rows) => rows & found,
                        });
                    }
                }
                Ok(rows)
            }
            Self::Any(parts) => {
                let mut rows = RoaringBitmap::new();
                for search in parts {
                    match search.rows(part)? {
                        Some(found) => rows |= found,
                        None => return Ok(None),
                    }
                }
                Ok(Some(rows))
            }
        }
    }
}

fn all(mut parts: Vec<Search>) -> Option<Search> {
    match parts.len() {
        0 => None,
        1 => parts.pop(),
        _ => Some(Search::All(parts)),
    }
}

fn question(filter: &Expr, layout: &Layout) -> Option<Search> {
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            all([left, right].into_iter().filter_map(|side| question(side, layout)).collect())
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            Some(Search::Any(vec![question(left, layout)?, question(right, layout)?]))
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => {
            let (key, value) =
                key_of(left, layout).zip(text_of(right)).or_else(|| key_of(right, layout).zip(text_of(left)))?;
            Some(Search::Value(key, value))
        }
        Expr::InList(InList { expr, list, negated: false }) if list.len() <= MOST_VALUES => {
            let key = key_of(expr, layout)?;
            let values: Option<Vec<Search>> =
                list.iter().map(|value| Some(Search::Value(key.clone(), text_of(value)?))).collect();
            Some(Search::Any(values?))
        }
        Expr::Like(Like { negated: false, expr, pattern, escape_char: None, .. }) => {
            let key = key_of(expr, layout)?;
            let words = words_of(&text_of(pattern)?);
            all(words.into_iter().map(|word| Search::Token(key.clone(), word)).collect())
        }
        // `value = ANY(column)` and its likes.
        Expr::ScalarFunction(call) if call.func.name() == "array_has" => match call.args.as_slice() {
            [list, value] => Some(Search::Value(key_of(list, layout)?, text_of(value)?)),
            _ => None,
        },
        _ => None,
    }
}

fn key_of(expr: &Expr, layout: &Layout) -> Option<ColumnKey> {
    match expr {
        Expr::Column(column) => {
            let at = layout.schema.index_of(&column.name).ok()?;
            layout.columns[at].indexed_by().cloned()
        }
        _ => None,
    }
}

fn text_of(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Literal(ScalarValue::Utf8(text) | ScalarValue::Utf8View(text) | ScalarValue::LargeUtf8(text), _) => {
            text.clone()
        }
        _ => None,
    }
}

/// The whole words that every text has which the pattern fits, in lower case.
fn words_of(pattern: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    // Whether the word that is being read may have begun before what is read of it.
    let mut open = false;
    for c in pattern.chars() {
        match c {
            '\\' => return Vec::new(),
            '%' | '_' => {
                word.clear();
                open = true;
            }
            c if c.is_alphanumeric() => word.push(c),
            _ => {
                if !open && !word.is_empty() {
                    words.push(word.to_lowercase());
                }
                word.clear();
                open = false;
            }
        }
    }
    if !open && !word.is_empty() {
        words.push(word.to_lowercase());
    }
    words
}

#[cfg(test)]
mod tests {
    use super::words_of;

    #[test]
    fn only_whole_words_of_a_pattern_are_asked_for() {
        assert_eq!(words_of("%connection Refused by%"), ["refused"]);
        assert_eq!(words_of("error: disk"), ["error", "disk"]);
        assert_eq!(words_of("%err%"), Vec::<String>::new());
        assert_eq!(words_of("a_b c"), ["c"]);
        assert_eq!(words_of("% x %"), ["x"]);
        assert_eq!(words_of("100\\% sure"), Vec::<String>::new());
    }
}
