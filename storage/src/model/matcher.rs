//! Label matchers: equal, not equal, and fully anchored regular expressions.

use std::{fmt, sync::Arc};

use regex::Regex;

/// Longest regular expression that is compiled, in bytes.
pub const REGEX_MAX_LEN: usize = 16 * 1024;
/// Largest compiled regular expression, in bytes.
const REGEX_SIZE_LIMIT: usize = 4 << 20;

/// How a matcher compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`
    Regex,
    /// `!~`
    NotRegex,
}

impl MatchOp {
    /// The operator as it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Regex => "=~",
            Self::NotRegex => "!~",
        }
    }
}

/// Why a matcher cannot be made.
#[derive(Debug, Clone, thiserror::Error)]
pub enum MatcherError {
    /// The regular expression is longer than [`REGEX_MAX_LEN`].
    #[error("regular expression of {len} bytes is over the limit of {REGEX_MAX_LEN} bytes")]
    TooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// The regular expression does not compile.
    #[error("error parsing regexp: {reason}")]
    Invalid {
        /// The expression.
        pattern: String,
        /// What is wrong with it, in the words of Go where Go has words for it.
        reason: String,
    },
}

/// One condition on one label. An absent label counts as the empty value, as in PromQL.
#[derive(Clone)]
pub struct Matcher {
    name: String,
    op: MatchOp,
    value: String,
    regex: Option<Arc<Compiled>>,
}

/// A compiled pattern. `set` holds the alternatives when the pattern is a plain list of texts, so that an index can
/// look each up; `prefix` is a literal text that every match starts with.
struct Compiled {
    regex: Regex,
    set: Vec<String>,
    prefix: String,
}

impl Matcher {
    /// Makes a matcher; regular expressions are anchored at both ends, and `.` matches newlines, as in Prometheus.
    ///
    /// # Errors
    /// When a regular expression is too long, too large when compiled, or invalid.
    pub fn new(name: impl Into<String>, op: MatchOp, value: impl Into<String>) -> Result<Self, MatcherError> {
        let (name, value) = (name.into(), value.into());
        let regex = match op {
            MatchOp::Equal | MatchOp::NotEqual => None,
            MatchOp::Regex | MatchOp::NotRegex => Some(Arc::new(compile(&value)?)),
        };
        Ok(Self { name, op, value, regex })
    }

    /// The matcher `name = value`, which cannot fail.
    #[must_use]
    pub fn equal(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), op: MatchOp::Equal, value: value.into(), regex: None }
    }

    /// The label that is compared.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it is compared.
    #[must_use]
    pub const fn op(&self) -> MatchOp {
        self.op
    }

    /// The text or the pattern to compare with.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Whether a label's value (empty when absent) fulfils the condition.
    #[must_use]
    pub fn matches(&self, value: &str) -> bool {
        match (self.op, &self.regex) {
            (MatchOp::Equal, _) => self.value == value,
            (MatchOp::NotEqual, _) => self.value != value,
            (MatchOp::Regex, Some(c)) => c.matches(value),
            (MatchOp::NotRegex, Some(c)) => !c.matches(value),
            // `new` is the only way to a regex matcher and always compiles it.
            (MatchOp::Regex | MatchOp::NotRegex, None) => false,
        }
    }

    /// Whether a series without the label fulfils the condition.
    #[must_use]
    pub fn matches_empty(&self) -> bool {
        self.matches("")
    }

    /// The alternatives when the pattern is a plain list of texts (`a|b|c`), else `None`.
    #[must_use]
    pub fn set_alternatives(&self) -> Option<&[String]> {
        self.regex.as_ref().map(|c| c.set.as_slice()).filter(|s| !s.is_empty())
    }

    /// A literal text that every value matching the pattern starts with; empty when there is none.
    #[must_use]
    pub fn literal_prefix(&self) -> &str {
        self.regex.as_ref().map_or("", |c| &c.prefix)
    }
}

impl Compiled {
    fn matches(&self, value: &str) -> bool {
        if self.set.is_empty() {
            value.starts_with(&self.prefix) && self.regex.is_match(value)
        } else {
            self.set.iter().any(|s| s == value)
        }
    }
}

/// Why a pattern does not compile, with the part of it that is at fault, as Go's `regexp/syntax` tells it to the users of
/// Prometheus.
fn reason(error: &regex_syntax::Error) -> String {
    use regex_syntax::ast::ErrorKind as Kind;
    let e = match error {
        regex_syntax::Error::Parse(e) => e,
        regex_syntax::Error::Translate(e) => {
            let span = e.span().start.offset..e.span().end.offset;
            return format!("invalid character class range: `{}`", e.pattern().get(span).unwrap_or_default());
        }
        other => return other.to_string(),
    };
    let whole = e.pattern();
    let (start, end) = (e.span().start.offset, e.span().end.offset);
    let (before, from_here) = whole.split_at_checked(start).unwrap_or((whole, ""));
    let here = whole.get(start..end).unwrap_or_default();
    // What Go shows begins where the construct does.
    let since = |opening: &str| whole.get(before.rfind(opening).unwrap_or(start)..).unwrap_or_default();
    let until = |text: &'_ str, last: char| text.find(last).map_or(text.len(), |i| i + last.len_utf8());
    let (what, part) = match e.kind() {
        Kind::GroupUnclosed => ("missing closing )", whole),
        Kind::GroupUnopened => ("unexpected )", whole),
        Kind::ClassUnclosed => ("missing closing ]", from_here),
        Kind::ClassRangeInvalid | Kind::ClassRangeLiteral => ("invalid character class range", here),
        Kind::EscapeUnexpectedEof => ("trailing backslash at end of expression", ""),
        Kind::EscapeUnrecognized | Kind::UnsupportedBackreference => ("invalid escape sequence", here),
        Kind::EscapeHexEmpty | Kind::EscapeHexInvalid | Kind::EscapeHexInvalidDigit => {
            ("invalid escape sequence", since("\\"))
        }
        Kind::RepetitionMissing => {
            let length = if from_here.starts_with('{') { until(from_here, '}') } else { from_here.len().min(1) };
            ("missing argument to repetition operator", from_here.get(..length).unwrap_or_default())
        }
        Kind::RepetitionCountInvalid => ("invalid repeat count", here),
        Kind::UnsupportedLookAround if here.starts_with("(?<") => ("invalid named capture", from_here),
        Kind::UnsupportedLookAround => ("invalid or unsupported Perl syntax", here),
        Kind::FlagUnrecognized | Kind::FlagUnexpectedEof => {
            let flags = before.rfind("(?").and_then(|opening| whole.get(opening..end));
            ("invalid or unsupported Perl syntax", flags.unwrap_or(here))
        }
        Kind::GroupNameInvalid | Kind::GroupNameEmpty | Kind::GroupNameUnexpectedEof => {
            let group = since("(?");
            ("invalid named capture", group.get(..until(group, '>')).unwrap_or_default())
        }
        kind => return format!("{kind}: `{here}`"),
    };
    format!("{what}: `{part}`")
}

fn compile(pattern: &str) -> Result<Compiled, MatcherError> {
    if pattern.len() > REGEX_MAX_LEN {
        return Err(MatcherError::TooLong { len: pattern.len() });
    }
    let invalid = |reason: String| MatcherError::Invalid { pattern: pattern.to_owned(), reason };
    // The pattern must stand alone: `a)(b` must not become valid by being wrapped.
    let hir = regex_syntax::ParserBuilder::new()
        .dot_matches_new_line(true)
        .nest_limit(128)
        .build()
        .parse(pattern)
        .map_err(|e| invalid(reason(&e)))?;
    let regex = regex::RegexBuilder::new(&format!("^(?s:{pattern})$"))
        .size_limit(REGEX_SIZE_LIMIT)
        .build()
        .map_err(|e| invalid(e.to_string()))?;
    Ok(Compiled { set: alternatives(&hir), prefix: prefix(&hir), regex })
}

/// The texts of a pattern that is nothing but a bounded list of literals.
fn alternatives(hir: &regex_syntax::hir::Hir) -> Vec<String> {
    use regex_syntax::hir::literal::Extractor;
    let seq = Extractor::new().limit_total(256).extract(hir);
    let Some(literals) = seq.literals() else { return Vec::new() };
    if !hir.properties().look_set().is_empty() || !literals.iter().all(regex_syntax::hir::literal::Literal::is_exact) {
        return Vec::new();
    }
    literals.iter().map(|l| String::from_utf8(l.as_bytes().to_vec())).collect::<Result<_, _>>().unwrap_or_default()
}

fn prefix(hir: &regex_syntax::hir::Hir) -> String {
    use regex_syntax::hir::HirKind;
    let first = match hir.kind() {
        HirKind::Concat(parts) => parts.first(),
        HirKind::Literal(_) => Some(hir),
        _ => None,
    };
    match first.map(regex_syntax::hir::Hir::kind) {
        Some(HirKind::Literal(l)) => String::from_utf8(l.0.to_vec()).unwrap_or_default(),
        _ => String::new(),
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.op == other.op && self.value == other.value
    }
}

impl Eq for Matcher {}

impl fmt::Debug for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{:?}", self.name, self.op.as_str(), self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn re(p: &str) -> Matcher {
        Matcher::new("x", MatchOp::Regex, p).unwrap()
    }

    #[test]
    fn bad_patterns_are_told_in_the_words_of_go() {
        let reason = |pattern| Matcher::new("a", MatchOp::Regex, pattern).unwrap_err().to_string();
        for (pattern, want) in [
            ("a(b", "missing closing ): `a(b`"),
            ("a)(b", "unexpected ): `a)(b`"),
            ("x[a-", "missing closing ]: `[a-`"),
            ("a|+", "missing argument to repetition operator: `+`"),
            ("{1}", "missing argument to repetition operator: `{1}`"),
            ("a{5,2}", "invalid repeat count: `{5,2}`"),
            ("[z-a]", "invalid character class range: `z-a`"),
            (r"\p{Foo}", r"invalid character class range: `\p{Foo}`"),
            (r"a\", "trailing backslash at end of expression: ``"),
            (r"(a)\1", r"invalid escape sequence: `\1`"),
            ("(?=a)", "invalid or unsupported Perl syntax: `(?=`"),
            ("é(?z)a", "invalid or unsupported Perl syntax: `(?z`"),
            ("(?P<>a)", "invalid named capture: `(?P<>`"),
        ] {
            assert_eq!(reason(pattern), format!("error parsing regexp: {want}"));
        }
    }

    #[test]
    fn patterns_are_anchored_and_dot_takes_newlines() {
        assert!(re("a.b").matches("a\nb"));
        assert!(!re("a").matches("ab"));
        assert!(re("a|ab").matches("ab"));
        assert!(re("").matches_empty());
        assert!(re("(?i:foo)").matches("FOO"));
        assert!(Matcher::new("x", MatchOp::Regex, "a)(b").is_err());
        assert!(Matcher::new("x", MatchOp::Regex, "((a{100}){100}){100}").is_err());
    }

    #[test]
    fn lists_of_texts_are_seen_as_such() {
        assert_eq!(re("foo|bar").set_alternatives().unwrap(), ["foo", "bar"]);
        assert_eq!(re("ba(r|z)").set_alternatives().unwrap(), ["bar", "baz"]);
        assert!(re("ba.*").set_alternatives().is_none());
        assert_eq!(re("ba.*").literal_prefix(), "ba");
        assert!(re("^foo$").matches("foo"));
    }
}
