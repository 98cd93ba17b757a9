//! What a label set from outside has to fulfil before it becomes a series.

use chronolith_storage::model::labels::{Labels, MAX_LABELS_BYTES, METRIC_NAME};

use super::protobuf::DecodeError;

/// The most characters that the labels of one exemplar may have together, as OpenMetrics 1.0 fixes it.
pub const EXEMPLAR_MAX_CHARS: usize = 128;

/// How large a label set may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LabelLimits {
    /// How many labels a series may have.
    pub max_labels: usize,
    /// How long a name may be, in bytes.
    pub max_name_len: usize,
    /// How long a value may be, in bytes.
    pub max_value_len: usize,
    /// How long all names and values of a series may be together, in bytes.
    pub max_total_len: usize,
}

impl Default for LabelLimits {
    fn default() -> Self {
        Self { max_labels: 256, max_name_len: 1_024, max_value_len: 32 << 10, max_total_len: MAX_LABELS_BYTES }
    }
}

/// Why a label set is refused. Names in it are cut to a readable length.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// There is no metric name.
    #[error("the series has no metric name: the label __name__ is missing or empty")]
    NoMetricName,
    /// A label has an empty name.
    #[error("label number {number} has an empty name (its value is {value:?})")]
    EmptyName {
        /// Which label, counted from 1.
        number: usize,
        /// The value that stands there.
        value: String,
    },
    /// The labels are not sorted by name.
    #[error("the labels are not sorted: {name:?} comes after {after:?}; sort them by name before sending")]
    Unsorted {
        /// The label that stands too late.
        name: String,
        /// The label before it.
        after: String,
    },
    /// A name is there twice.
    #[error("the label {0:?} is there twice")]
    Duplicate(String),
    /// A name is too long.
    #[error("the label name {name:?} has {len} bytes, the limit is {limit}")]
    NameTooLong {
        /// The start of the name.
        name: String,
        /// Its length in bytes.
        len: usize,
        /// What is accepted.
        limit: usize,
    },
    /// A value is too long.
    #[error("the value of label {name:?} has {len} bytes, the limit is {limit}")]
    ValueTooLong {
        /// The label.
        name: String,
        /// The length of its value in bytes.
        len: usize,
        /// What is accepted.
        limit: usize,
    },
    /// There are too many labels.
    #[error("the series has more than {limit} labels (number {limit} is {last:?})")]
    TooManyLabels {
        /// What is accepted.
        limit: usize,
        /// The last label inside the limit.
        last: String,
    },
    /// The labels are too long together.
    #[error("the labels up to {name:?} have {len} bytes together, the limit is {limit}")]
    TotalTooLong {
        /// The label that went over the limit.
        name: String,
        /// The length of all names and values up to it, in bytes.
        len: usize,
        /// What is accepted.
        limit: usize,
    },
    /// The labels of an exemplar are too long together.
    #[error("the labels of the exemplar have more than {EXEMPLAR_MAX_CHARS} characters together")]
    ExemplarTooLong,
}

/// Why the labels of a series cannot be had: the message is broken, or the labels break a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LabelsError {
    /// The bytes cannot be decoded: the whole request is broken.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The labels break a rule: this series is refused, the rest of the request is good.
    #[error(transparent)]
    Rule(#[from] LabelError),
}

/// Checks that labels are sorted by name, unique, named, inside the limits, and hold a metric name. Empty values are
/// accepted: they mean that the label is absent.
///
/// # Errors
/// Names the first label that breaks a rule.
pub fn validate_labels<'a>(
    labels: impl IntoIterator<Item = (&'a str, &'a str)>,
    limits: &LabelLimits,
) -> Result<(), LabelError> {
    let mut rules = Rules::new(limits);
    for (name, value) in labels {
        rules.check(name, value)?;
    }
    rules.finish()
}

/// Checks labels and makes them a set; empty values are left out. `labels` runs through them twice.
///
/// # Errors
/// When a label cannot be decoded or breaks a rule.
pub fn checked_labels<'a, I>(labels: I, limits: &LabelLimits) -> Result<Labels, LabelsError>
where
    I: Iterator<Item = Result<(&'a str, &'a str), DecodeError>> + Clone,
{
    let mut rules = Rules::new(limits);
    for label in labels.clone() {
        let (name, value) = label?;
        rules.check(name, value)?;
    }
    rules.finish()?;
    Ok(Labels::from_sorted(labels.filter_map(Result::ok).filter(|(_, value)| !value.is_empty())))
}

/// Checks the labels of an exemplar, which may come in any order, and makes them a set.
///
/// # Errors
/// When a label cannot be decoded or breaks a rule.
pub fn exemplar_labels<'a, E: From<LabelError>>(
    labels: impl Iterator<Item = Result<(&'a str, &'a str), E>>,
) -> Result<Labels, E> {
    let mut pairs = Vec::new();
    let mut chars = 0;
    for (i, label) in labels.enumerate() {
        let (name, value) = label?;
        if name.is_empty() {
            return Err(LabelError::EmptyName { number: i + 1, value: cut(value) }.into());
        }
        chars += name.chars().count() + value.chars().count();
        if chars > EXEMPLAR_MAX_CHARS {
            return Err(LabelError::ExemplarTooLong.into());
        }
        pairs.push((name, value));
    }
    pairs.sort_unstable();
    if let Some(twice) = pairs.windows(2).find(|w| w[0].0 == w[1].0) {
        return Err(LabelError::Duplicate(cut(twice[0].0)).into());
    }
    Ok(Labels::from_sorted(pairs.into_iter().filter(|(_, value)| !value.is_empty())))
}

/// The rules, one label after the other.
struct Rules<'a, 'l> {
    limits: &'l LabelLimits,
    last: &'a str,
    seen: usize,
    total_len: usize,
    has_metric_name: bool,
}

impl<'a, 'l> Rules<'a, 'l> {
    const fn new(limits: &'l LabelLimits) -> Self {
        Self { limits, last: "", seen: 0, total_len: 0, has_metric_name: false }
    }

    fn check(&mut self, name: &'a str, value: &'a str) -> Result<(), LabelError> {
        if self.seen == self.limits.max_labels {
            return Err(LabelError::TooManyLabels { limit: self.seen, last: cut(self.last) });
        }
        if name.is_empty() {
            return Err(LabelError::EmptyName { number: self.seen + 1, value: cut(value) });
        }
        if self.seen > 0 && name <= self.last {
            return Err(if name == self.last {
                LabelError::Duplicate(cut(name))
            } else {
                LabelError::Unsorted { name: cut(name), after: cut(self.last) }
            });
        }
        if name.len() > self.limits.max_name_len {
            let limit = self.limits.max_name_len;
            return Err(LabelError::NameTooLong { name: cut(name), len: name.len(), limit });
        }
        if value.len() > self.limits.max_value_len {
            let limit = self.limits.max_value_len;
            return Err(LabelError::ValueTooLong { name: cut(name), len: value.len(), limit });
        }
        self.total_len += name.len() + value.len();
        if self.total_len > self.limits.max_total_len {
            let limit = self.limits.max_total_len;
            return Err(LabelError::TotalTooLong { name: cut(name), len: self.total_len, limit });
        }
        self.has_metric_name |= name == METRIC_NAME && !value.is_empty();
        self.last = name;
        self.seen += 1;
        Ok(())
    }

    const fn finish(&self) -> Result<(), LabelError> {
        if self.has_metric_name { Ok(()) } else { Err(LabelError::NoMetricName) }
    }
}

/// The first 64 characters of a text from outside, for an error.
fn cut(text: &str) -> String {
    match text.char_indices().nth(64) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(labels: &[(&str, &str)]) -> Result<(), LabelError> {
        validate_labels(labels.iter().copied(), &LabelLimits::default())
    }

    #[test]
    fn each_rule_names_the_label_that_breaks_it() {
        assert_eq!(check(&[("__name__", "up"), ("job", "a"), ("z", "")]), Ok(()));
        assert_eq!(check(&[]), Err(LabelError::NoMetricName));
        assert_eq!(check(&[("__name__", ""), ("job", "a")]), Err(LabelError::NoMetricName));
        assert_eq!(
            check(&[("", "x"), ("__name__", "up")]),
            Err(LabelError::EmptyName { number: 1, value: "x".to_owned() })
        );
        assert_eq!(
            check(&[("job", "a"), ("__name__", "up")]),
            Err(LabelError::Unsorted { name: "__name__".to_owned(), after: "job".to_owned() })
        );
        assert_eq!(
            check(&[("__name__", "up"), ("job", "a"), ("job", "b")]),
            Err(LabelError::Duplicate("job".to_owned()))
        );
        let long = "n".repeat(1_025);
        assert!(matches!(check(&[("__name__", "up"), (&long, "a")]), Err(LabelError::NameTooLong { len: 1_025, .. })));
        let long = "v".repeat((32 << 10) + 1);
        assert!(matches!(check(&[("__name__", &long)]), Err(LabelError::ValueTooLong { .. })));
        // Each value is inside its limit, nine of them are not inside that of the whole.
        let value = "v".repeat(30 << 10);
        let names: Vec<_> = (0..9).map(|i| format!("l{i}")).collect();
        let long = names.iter().map(|n| (n.as_str(), value.as_str()));
        let total =
            |n| validate_labels([("__name__", "up")].into_iter().chain(long.clone().take(n)), &LabelLimits::default());
        assert_eq!(total(8), Ok(()));
        assert!(matches!(total(9), Err(LabelError::TotalTooLong { name, limit: 262_144, .. }) if name == "l8"));
        let names: Vec<_> = (0..1_000_000).map(|i| format!("l{i:07}")).collect();
        let error = validate_labels(names.iter().map(|n| (n.as_str(), "v")), &LabelLimits::default()).unwrap_err();
        assert_eq!(error.to_string(), "the series has more than 256 labels (number 256 is \"l0000255\")");
    }

    #[test]
    fn exemplars_have_rules_of_their_own() {
        let labels = |pairs: &'static [(&str, &str)]| exemplar_labels(pairs.iter().copied().map(Ok::<_, LabelError>));
        assert_eq!(labels(&[("b", "1"), ("a", "2")]).unwrap().to_string(), r#"{a="2", b="1"}"#);
        assert!(matches!(labels(&[("b", "1"), ("b", "2")]), Err(LabelError::Duplicate(_))));
        let long = exemplar_labels([Ok(("a", "x".repeat(128).as_str()))].into_iter());
        assert_eq!(long, Err(LabelError::ExemplarTooLong));
    }
}
