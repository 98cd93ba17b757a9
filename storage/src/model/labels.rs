//! A label set in one allocation: sorted pairs of name and value, packed with their lengths.

use std::{cmp::Ordering, fmt, sync::Arc};

/// The label that holds a metric's name.
pub const METRIC_NAME: &str = "__name__";

/// The most bytes that the names and values of one series may have together. A segment keeps them in one block, which has
/// room for far more; this bounds what a single series costs in memory and in answers.
pub const MAX_LABELS_BYTES: usize = 256 << 10;

/// A sorted set of label pairs; names are unique, values are never empty (an empty value is an absent label).
///
/// Packed as `varint(len) name varint(len) value ...`, so that a clone is one reference count and a comparison mostly
/// one `memcmp`. Invariant: the bytes were written by [`LabelsBuilder::build`], so decoding them cannot fail.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Labels(Arc<str>);

impl Labels {
    /// The empty set.
    #[must_use]
    pub fn empty() -> Self {
        Self(Arc::from(""))
    }

    /// The set made of these pairs, in any order. A later pair of the same name wins; empty values are left out.
    #[must_use]
    pub fn from_pairs<N: AsRef<str>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let mut builder = LabelsBuilder::default();
        for (name, value) in pairs {
            builder.set(name.as_ref(), value.as_ref());
        }
        builder.build()
    }

    /// The set made of pairs that are already sorted by name, unique and not empty: no builder, one allocation.
    #[must_use]
    pub fn from_sorted<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut packed = String::with_capacity(256);
        for (name, value) in pairs {
            push_len(&mut packed, name.len());
            packed.push_str(name);
            push_len(&mut packed, value.len());
            packed.push_str(value);
        }
        Self(Arc::from(packed))
    }

    /// The pairs in order of their names.
    #[must_use]
    pub fn iter(&self) -> LabelsIter<'_> {
        LabelsIter { rest: &self.0 }
    }

    /// The value of a label, if it is there.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(n, _)| *n == name).map(|(_, v)| v)
    }

    /// The metric's name, or an empty text.
    #[must_use]
    pub fn metric_name(&self) -> &str {
        self.get(METRIC_NAME).unwrap_or("")
    }

    /// How many pairs there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there is no pair.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The set without one label.
    #[must_use]
    pub fn without(&self, name: &str) -> Self {
        Self::from_sorted(self.iter().filter(|(n, _)| *n != name))
    }

    /// The packed bytes: equal for equal sets, so fit for hashing and as a grouping key. Not ordered as sets are.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Memory that this set holds, in bytes.
    #[must_use]
    pub fn heap_size(&self) -> usize {
        self.0.len() + 16
    }
}

impl Default for Labels {
    fn default() -> Self {
        Self::empty()
    }
}

/// Lengths are written as base-64 digits in the ASCII range (6 bits each, bit 6 set on all but the last), so that the
/// packed form stays valid UTF-8.
fn push_len(packed: &mut String, mut len: usize) {
    while len >= 64 {
        packed.push(char::from(64 | (len & 63) as u8));
        len >>= 6;
    }
    packed.push(char::from(len as u8));
}

/// Iterator over a label set's pairs in order of their names.
#[derive(Debug, Clone)]
pub struct LabelsIter<'a> {
    rest: &'a str,
}

impl<'a> LabelsIter<'a> {
    fn text(&mut self) -> Option<&'a str> {
        let bytes = self.rest.as_bytes();
        let (mut len, mut shift, mut at) = (0usize, 0, 0);
        loop {
            let b = *bytes.get(at)?;
            at += 1;
            len |= usize::from(b & 63) << shift;
            shift += 6;
            if b & 64 == 0 {
                break;
            }
        }
        let text = self.rest.get(at..at + len)?;
        self.rest = self.rest.get(at + len..)?;
        Some(text)
    }
}

impl<'a> Iterator for LabelsIter<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        Some((self.text()?, self.text()?))
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Labels {
    /// By name, then value, pair by pair; a set that is a prefix of another comes first.
    fn cmp(&self, other: &Self) -> Ordering {
        self.iter().cmp(other.iter())
    }
}

impl fmt::Display for Labels {
    /// As Prometheus writes a series: `name{label="value", ...}`, names that are not plain are quoted.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.metric_name();
        let plain = is_legacy_metric_name(name);
        if plain {
            f.write_str(name)?;
        }
        let mut rest = self.iter().filter(|(n, _)| *n != METRIC_NAME).peekable();
        let quoted_name = !name.is_empty() && !plain;
        if rest.peek().is_none() && plain {
            return Ok(());
        }
        f.write_str("{")?;
        let mut first = true;
        if quoted_name {
            write!(f, "{name:?}")?;
            first = false;
        }
        for (n, v) in rest {
            if !first {
                f.write_str(", ")?;
            }
            first = false;
            if is_legacy_label_name(n) { write!(f, "{n}={v:?}")? } else { write!(f, "{n:?}={v:?}")? }
        }
        f.write_str("}")
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Whether a name needs no quotes as a label: `[a-zA-Z_][a-zA-Z0-9_]*`.
#[must_use]
pub fn is_legacy_label_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Whether a name needs no quotes as a metric: `[a-zA-Z_:][a-zA-Z0-9_:]*`.
#[must_use]
pub fn is_legacy_metric_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_' || b == b':')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b':')
}

/// Collects and changes label pairs, then packs them.
#[derive(Debug, Clone, Default)]
pub struct LabelsBuilder {
    pairs: Vec<(String, String)>,
}

impl LabelsBuilder {
    /// A builder that starts from an existing set.
    #[must_use]
    pub fn from_labels(labels: &Labels) -> Self {
        Self { pairs: labels.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect() }
    }

    /// Sets a label, or removes it when the value is empty.
    pub fn set(&mut self, name: &str, value: &str) -> &mut Self {
        match self.pairs.iter().position(|(n, _)| n == name) {
            Some(i) if value.is_empty() => {
                self.pairs.remove(i);
            }
            Some(i) => value.clone_into(&mut self.pairs[i].1),
            None if value.is_empty() => {}
            None => self.pairs.push((name.to_owned(), value.to_owned())),
        }
        self
    }

    /// Removes a label if it is there.
    pub fn remove(&mut self, name: &str) -> &mut Self {
        self.pairs.retain(|(n, _)| n != name);
        self
    }

    /// The value that a label has now.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// Sorts and packs the pairs.
    #[must_use]
    pub fn build(mut self) -> Labels {
        self.pairs.sort_unstable();
        Labels::from_sorted(self.pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packs_sorts_and_finds() {
        let long = "x".repeat(70_000);
        let labels =
            Labels::from_pairs([("b", "2"), ("a", "1"), ("gone", ""), ("long", &long), ("é", "ü"), ("a", "3")]);
        assert_eq!(
            labels.iter().collect::<Vec<_>>(),
            vec![("a", "3"), ("b", "2"), ("long", long.as_str()), ("é", "ü")]
        );
        assert_eq!(labels.get("b"), Some("2"));
        assert_eq!(labels.get("gone"), None);
        assert_eq!(labels.without("b").len(), 3);
        assert!(Labels::empty().is_empty());
    }

    #[test]
    fn orders_by_pairs_not_by_packed_bytes() {
        let short = Labels::from_pairs([("a", "zz")]);
        let long = Labels::from_pairs([("a", "b".repeat(100))]);
        assert!(long < short);
        assert!(Labels::empty() < long);
    }

    #[test]
    fn displays_as_prometheus_does() {
        assert_eq!(Labels::from_pairs([(METRIC_NAME, "up"), ("job", "a\"b")]).to_string(), r#"up{job="a\"b"}"#);
        assert_eq!(Labels::from_pairs([(METRIC_NAME, "my.up"), ("a.b", "c")]).to_string(), r#"{"my.up", "a.b"="c"}"#);
        assert_eq!(Labels::from_pairs([(METRIC_NAME, "up")]).to_string(), "up");
        assert_eq!(Labels::empty().to_string(), "{}");
    }
}
