//! Label sets as operators need them: without metadata, grouped, merged, written as Prometheus writes them.

use std::collections::{HashMap, hash_map::Entry};

use chronolith_storage::{
    Labels,
    model::labels::{METRIC_NAME, is_legacy_label_name},
};

use super::{
    error::{QueryError, Result},
    grid::{Series, is_absent},
};
use crate::{format, quote::Quoted};

/// Whether a label says what the metric is, so that it does not belong to what is computed from it.
fn is_metadata(name: &str) -> bool {
    matches!(name, METRIC_NAME | "__type__" | "__unit__")
}

/// The set without the labels that say what the metric is.
pub(super) fn drop_metadata(labels: &Labels) -> Labels {
    if labels.iter().any(|(n, _)| is_metadata(n)) {
        Labels::from_sorted(labels.iter().filter(|(n, _)| !is_metadata(n)))
    } else {
        labels.clone()
    }
}

/// Which labels make a group: those listed, or all but those and the name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grouping<'a> {
    /// Sorted.
    pub(super) names: &'a [&'a str],
    pub(super) without: bool,
    /// Whether the metadata labels are gone already.
    pub(super) nameless: bool,
}

impl Grouping<'_> {
    fn selects(&self, name: &str) -> bool {
        if self.nameless && is_metadata(name) {
            return false;
        }
        let listed = self.names.contains(&name);
        if self.without { !listed && name != METRIC_NAME } else { listed }
    }

    /// The labels of the group.
    pub(super) fn labels(&self, labels: &Labels) -> Labels {
        Labels::from_sorted(labels.iter().filter(|(n, _)| self.selects(n)))
    }

    /// Writes bytes that are equal exactly for equal groups.
    pub(super) fn key(&self, labels: &Labels, key: &mut Vec<u8>) {
        key.clear();
        if !self.without && self.names.is_empty() {
            return;
        }
        for (n, v) in labels.iter().filter(|(n, _)| self.selects(n)) {
            push_packed(key, n);
            push_packed(key, v);
        }
    }
}

fn push_packed(key: &mut Vec<u8>, text: &str) {
    key.extend_from_slice(&(text.len() as u32).to_le_bytes());
    key.extend_from_slice(text.as_bytes());
}

/// Gives equal keys equal numbers, counted from 0.
#[derive(Debug, Default)]
pub(super) struct Numbering {
    numbers: HashMap<Box<[u8]>, u32>,
}

impl Numbering {
    /// The number of a key, and whether it is new.
    pub(super) fn number(&mut self, key: &[u8]) -> (u32, bool) {
        if let Some(n) = self.numbers.get(key) {
            return (*n, false);
        }
        let n = self.numbers.len() as u32;
        self.numbers.insert(key.into(), n);
        (n, true)
    }

    pub(super) fn len(&self) -> usize {
        self.numbers.len()
    }
}

/// Makes one series of those that have the same labels, and fails where two of them have a value at the same step.
pub(super) fn merge_same_labels(series: Vec<Series>) -> Result<Vec<Series>> {
    if series.len() < 2 {
        return Ok(series);
    }
    let mut places: HashMap<Labels, usize> = HashMap::with_capacity(series.len());
    let mut merged: Vec<Series> = Vec::with_capacity(series.len());
    for s in series {
        match places.entry(s.labels.clone()) {
            Entry::Vacant(e) => {
                e.insert(merged.len());
                merged.push(s);
            }
            Entry::Occupied(e) => {
                // The place was noted when the series was pushed.
                let into = &mut merged[*e.get()];
                merge_into(into, s)?;
            }
        }
    }
    Ok(merged)
}

fn merge_into(into: &mut Series, from: Series) -> Result<()> {
    // As in Prometheus the sample that comes first decides whether the name goes.
    if from.first_step() < into.first_step() {
        into.drop_name = from.drop_name;
    }
    if from.histograms.iter().any(|(k, _)| into.has(*k as usize)) {
        return Err(QueryError::same_labelset());
    }
    for (k, v) in from.values.into_iter().enumerate() {
        if is_absent(v) {
            continue;
        }
        if into.has(k) {
            return Err(QueryError::same_labelset());
        }
        if let Some(place) = into.values.get_mut(k) {
            *place = v;
        }
    }
    if !from.histograms.is_empty() {
        into.histograms.extend(from.histograms);
        into.histograms.sort_by_key(|(k, _)| *k);
    }
    Ok(())
}

/// Fails when two series have the same labels, whether or not they meet at a step.
pub(super) fn refuse_same_labels<'a>(labels: impl Iterator<Item = &'a Labels>) -> Result<()> {
    let mut seen = std::collections::HashSet::new();
    for l in labels {
        if !seen.insert(l) {
            return Err(QueryError::same_labelset());
        }
    }
    Ok(())
}

/// A label set as Go's `Labels.String` writes it: `{__name__="up", job="x"}`.
pub(super) fn go_string(labels: &Labels) -> String {
    let mut text = String::from("{");
    for (i, (n, v)) in labels.iter().enumerate() {
        if i > 0 {
            text.push_str(", ");
        }
        if is_legacy_label_name(n) {
            text.push_str(n);
        } else {
            text.push_str(&go_quoted(n));
        }
        text.push('=');
        text.push_str(&go_quoted(v));
    }
    text.push('}');
    text
}

/// A text as Go's `strconv.Quote` writes it.
pub(super) fn go_quoted(text: &str) -> String {
    Quoted(text).to_string()
}

/// A number as Go's `%.2g` writes it: two digits.
pub(super) fn two_digits(v: f64) -> String {
    let rounded = if v.is_finite() { format!("{v:.1e}").parse().unwrap_or(v) } else { v };
    let general = format::float_general(rounded);
    // Two digits have no room for 100, which with more digits would be written out.
    if (100.0..1e6).contains(&rounded.abs()) {
        let scientific = format!("{rounded:e}");
        return scientific.split_once('e').map_or(general, |(mantissa, exponent)| format!("{mantissa}e+0{exponent}"));
    }
    general
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::grid::ABSENT;

    #[test]
    fn groups_have_the_labels_that_were_asked_for() {
        let l = Labels::from_pairs([(METRIC_NAME, "up"), ("job", "a"), ("instance", "b")]);
        let by = Grouping { names: &["__name__", "job"], without: false, nameless: false };
        assert_eq!(by.labels(&l).to_string(), r#"up{job="a"}"#);
        let nameless = Grouping { nameless: true, ..by };
        assert_eq!(nameless.labels(&l).to_string(), r#"{job="a"}"#);
        let without = Grouping { names: &["job"], without: true, nameless: false };
        assert_eq!(without.labels(&l).to_string(), r#"{instance="b"}"#);
        let (mut a, mut b) = (Vec::new(), Vec::new());
        without.key(&l, &mut a);
        without.key(&Labels::from_pairs([("instance", "b")]), &mut b);
        assert_eq!(a, b);
    }

    #[test]
    fn series_with_the_same_labels_become_one_or_fail() {
        let s = |v: [f64; 2]| Series::floats(Labels::empty(), v.to_vec());
        let merged = merge_same_labels(vec![s([1.0, ABSENT]), s([ABSENT, 2.0])]).unwrap();
        assert_eq!(merged.len(), 1);
        assert_eq!(merged[0].values, [1.0, 2.0]);
        assert!(merge_same_labels(vec![s([1.0, ABSENT]), s([1.0, 2.0])]).is_err());
        let dropped = Series { drop_name: true, ..s([ABSENT, 2.0]) };
        assert!(!merge_same_labels(vec![s([1.0, ABSENT]), dropped]).unwrap()[0].drop_name);
        let dropped = Series { drop_name: true, ..s([1.0, ABSENT]) };
        assert!(merge_same_labels(vec![s([ABSENT, 2.0]), dropped]).unwrap()[0].drop_name);
    }

    #[test]
    fn two_digits_are_written_as_go_does() {
        assert_eq!([0.123, 5.0, 123.0, 10.0, 0.000_012].map(two_digits), ["0.12", "5", "1.2e+02", "10", "1.2e-05"]);
    }

    #[test]
    fn label_sets_are_written_as_go_does() {
        let l = Labels::from_pairs([(METRIC_NAME, "up"), ("a.b", "c\"\n")]);
        assert_eq!(go_string(&l), r#"{__name__="up", "a.b"="c\"\n"}"#);
    }
}
