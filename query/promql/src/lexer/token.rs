//! The tokens of PromQL: their kinds, their spelling, how errors name them.

use std::fmt;

use crate::{
    ast::{AggregateOp, BinaryOp, PosRange},
    quote::Quoted,
};

/// A word that the grammar knows and that is neither an operator nor an aggregation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keyword {
    Bool,
    By,
    GroupLeft,
    GroupRight,
    Fill,
    FillLeft,
    FillRight,
    Ignoring,
    Offset,
    Smoothed,
    Anchored,
    On,
    Without,
    Start,
    End,
    Step,
    Range,
    MaxOf,
    MinOf,
}

impl Keyword {
    /// Whether errors show it as a keyword; `start`, `step` and the like are shown as plain words.
    const fn is_shown_as_keyword(self) -> bool {
        !matches!(self, Self::Start | Self::End | Self::Step | Self::Range | Self::MaxOf | Self::MinOf)
    }
}

/// The kind of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Eof,
    Comma,
    Colon,
    LeftParen,
    RightParen,
    LeftBrace,
    RightBrace,
    LeftBracket,
    RightBracket,
    /// `=`
    Equal,
    /// `=~`
    EqualRegex,
    /// `!~`
    NotEqualRegex,
    /// `@`
    At,
    /// A binary operator, written as a sign or as a word; `!=` is one inside braces too.
    Op(BinaryOp),
    Aggregate(AggregateOp),
    Keyword(Keyword),
    Identifier,
    /// An identifier with a colon.
    MetricIdentifier,
    Number,
    Duration,
    String,
}

/// A token and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    pub(crate) kind: Kind,
    pub(crate) text: &'a str,
    pub(crate) pos: PosRange,
}

/// The words of the language, in lower case; they are known in any case.
const WORDS: &[(&str, Kind)] = &[
    ("anchored", Kind::Keyword(Keyword::Anchored)),
    ("and", Kind::Op(BinaryOp::And)),
    ("atan2", Kind::Op(BinaryOp::Atan2)),
    ("avg", Kind::Aggregate(AggregateOp::Avg)),
    ("bool", Kind::Keyword(Keyword::Bool)),
    ("bottomk", Kind::Aggregate(AggregateOp::BottomK)),
    ("by", Kind::Keyword(Keyword::By)),
    ("count", Kind::Aggregate(AggregateOp::Count)),
    ("count_values", Kind::Aggregate(AggregateOp::CountValues)),
    ("end", Kind::Keyword(Keyword::End)),
    ("fill", Kind::Keyword(Keyword::Fill)),
    ("fill_left", Kind::Keyword(Keyword::FillLeft)),
    ("fill_right", Kind::Keyword(Keyword::FillRight)),
    ("group", Kind::Aggregate(AggregateOp::Group)),
    ("group_left", Kind::Keyword(Keyword::GroupLeft)),
    ("group_right", Kind::Keyword(Keyword::GroupRight)),
    ("ignoring", Kind::Keyword(Keyword::Ignoring)),
    ("inf", Kind::Number),
    ("limit_ratio", Kind::Aggregate(AggregateOp::LimitRatio)),
    ("limitk", Kind::Aggregate(AggregateOp::LimitK)),
    ("max", Kind::Aggregate(AggregateOp::Max)),
    ("max_of", Kind::Keyword(Keyword::MaxOf)),
    ("min", Kind::Aggregate(AggregateOp::Min)),
    ("min_of", Kind::Keyword(Keyword::MinOf)),
    ("nan", Kind::Number),
    ("offset", Kind::Keyword(Keyword::Offset)),
    ("on", Kind::Keyword(Keyword::On)),
    ("or", Kind::Op(BinaryOp::Or)),
    ("quantile", Kind::Aggregate(AggregateOp::Quantile)),
    ("range", Kind::Keyword(Keyword::Range)),
    ("smoothed", Kind::Keyword(Keyword::Smoothed)),
    ("start", Kind::Keyword(Keyword::Start)),
    ("stddev", Kind::Aggregate(AggregateOp::Stddev)),
    ("stdvar", Kind::Aggregate(AggregateOp::Stdvar)),
    ("step", Kind::Keyword(Keyword::Step)),
    ("sum", Kind::Aggregate(AggregateOp::Sum)),
    ("topk", Kind::Aggregate(AggregateOp::TopK)),
    ("unless", Kind::Op(BinaryOp::Unless)),
    ("without", Kind::Keyword(Keyword::Without)),
];

/// What a word is: a part of the language or a name.
pub(super) fn word(text: &str) -> Kind {
    WORDS
        .iter()
        .find(|(word, _)| word.eq_ignore_ascii_case(text))
        .map_or_else(|| if text.contains(':') { Kind::MetricIdentifier } else { Kind::Identifier }, |(_, kind)| *kind)
}

impl Kind {
    /// Whether `metric{...}` may start with it. All words can name a metric but those that follow an operator or a
    /// vector: `bool`, `on`, `ignoring`, `group_left`, `group_right`, `atan2`, and the numbers.
    pub(crate) const fn names_metric(self) -> bool {
        match self {
            Self::Identifier | Self::MetricIdentifier | Self::Aggregate(_) => true,
            Self::Op(op) => matches!(op, BinaryOp::And | BinaryOp::Or | BinaryOp::Unless),
            Self::Keyword(word) => !matches!(
                word,
                Keyword::Bool | Keyword::On | Keyword::Ignoring | Keyword::GroupLeft | Keyword::GroupRight
            ),
            _ => false,
        }
    }
}

impl Token<'_> {
    /// Whether it may be a label's name inside `by (...)` and the like. Every word may but `without` and the numbers;
    /// the signs of operators are not words.
    pub(crate) fn names_label(&self) -> bool {
        match self.kind {
            Kind::Identifier | Kind::MetricIdentifier | Kind::Aggregate(_) => true,
            Kind::Keyword(word) => word != Keyword::Without,
            Kind::Op(_) => self.text.starts_with(|c: char| c.is_ascii_alphabetic()),
            _ => false,
        }
    }
}

/// As Prometheus' errors name a token: `identifier "a"`, `<op:+>`, `end of input`.
impl fmt::Display for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Eof => f.write_str("end of input"),
            Kind::Identifier => write!(f, "identifier {}", Quoted(self.text)),
            Kind::MetricIdentifier => write!(f, "metric identifier {}", Quoted(self.text)),
            Kind::Op(_) | Kind::EqualRegex | Kind::NotEqualRegex | Kind::At => write!(f, "<op:{}>", self.text),
            Kind::Aggregate(_) => write!(f, "<aggr:{}>", self.text),
            Kind::Keyword(word) if word.is_shown_as_keyword() => write!(f, "<{}>", self.text),
            kind => {
                match kind {
                    Kind::String => f.write_str("string ")?,
                    Kind::Number => f.write_str("number ")?,
                    Kind::Duration => f.write_str("duration ")?,
                    _ => {}
                }
                match self.text.char_indices().nth(10) {
                    // Go cuts after ten characters when there are more than ten bytes.
                    Some((cut, _)) => write!(f, "{}...", Quoted(self.text.get(..cut).unwrap_or_default())),
                    None if self.text.len() > 10 => write!(f, "{}...", Quoted(self.text)),
                    None => write!(f, "{}", Quoted(self.text)),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_sorted_and_known_in_any_case() {
        assert!(WORDS.is_sorted_by(|a, b| a.0 < b.0));
        assert_eq!(word("SUM"), Kind::Aggregate(AggregateOp::Sum));
        assert_eq!(word("summe"), Kind::Identifier);
        assert_eq!(word("a:sum"), Kind::MetricIdentifier);
    }
}
