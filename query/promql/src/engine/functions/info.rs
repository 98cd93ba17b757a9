//! `info`: adds the labels of info series, such as `target_info`, to the series that they describe.

use std::collections::{HashMap, HashSet};

use chronolith_storage::{
    Labels, LabelsBuilder, MatchOp, Matcher, SampleBuffer, TimeRange, model::labels::METRIC_NAME,
};

use crate::engine::{
    error::{QueryError, Result},
    evaluate::Evaluator,
    grid::{Grid, Series, is_absent},
    labels::{go_string, merge_same_labels},
    parallel::in_chunks,
    plan::{Kind, Node, Shift},
    window::Times,
};

/// The labels that an info series has in common with what it describes.
const IDENTIFYING: [&str; 2] = ["instance", "job"];
/// The info metric that is asked when none is named.
const TARGET_INFO: &str = "target_info";
/// Up to so many values of an identifying label are looked up in the index; more are only compared.
const MAX_LOOKED_UP: usize = 100;
/// Stands for "no sample" and "no info series".
const NO_TIME: i64 = i64::MIN;
const NO_SERIES: u32 = u32::MAX;

/// `info(v, {selector})`
pub(in crate::engine) fn info<'q>(evaluator: &Evaluator<'q>, args: &'q [Node<'q>], grid: Grid) -> Result<Vec<Series>> {
    let (vector, rest) = args.split_first().ok_or_else(|| QueryError::BadData("too few arguments".to_owned()))?;
    let matchers = match rest.first().map(|node| &node.kind) {
        Some(Kind::Instant(selector)) => selector.matchers,
        Some(_) => return Err(QueryError::BadData("expected label selectors only".to_owned())),
        None => &[],
    };
    let base = evaluator.vector(vector, grid)?;
    let wanted = Wanted::new(matchers)?;
    let infos = fetch(evaluator, &base, &wanted, Times { grid, shift: reference(vector) })?;
    let present: Vec<bool> = (0..grid.count).map(|k| base.iter().any(|s| s.has(k))).collect();
    let current = Current::new(evaluator, &infos, &present)?;
    let mut out = Vec::with_capacity(base.len());
    for s in base {
        evaluator.budget.check()?;
        if wanted.is_info(&s.labels) {
            // An info series is not described by others.
            out.push(s);
        } else {
            enrich(evaluator, s, &wanted, &infos, &current, &mut out)?;
        }
    }
    merge_same_labels(out)
}

/// Which info series are asked for, and which of their labels.
struct Wanted<'q> {
    /// Conditions on the name of the info metric; at least one of them is positive.
    names: Vec<Matcher>,
    /// Conditions on other labels. When there are any, only these labels are added.
    data: Vec<&'q Matcher>,
}

impl<'q> Wanted<'q> {
    fn new(matchers: &'q [Matcher]) -> Result<Self> {
        let (names, data): (Vec<&Matcher>, Vec<&Matcher>) = matchers.iter().partition(|m| m.name() == METRIC_NAME);
        let mut names: Vec<Matcher> = names.into_iter().cloned().collect();
        if names.is_empty() {
            names.push(Matcher::equal(METRIC_NAME, TARGET_INFO));
        } else if !names.iter().any(|m| matches!(m.op(), MatchOp::Equal | MatchOp::Regex)) {
            let any_info = Matcher::new(METRIC_NAME, MatchOp::Regex, ".+_info");
            names.push(any_info.map_err(|e| QueryError::Execution(e.to_string()))?);
        }
        Ok(Self { names, data })
    }

    fn is_info(&self, labels: &Labels) -> bool {
        self.names.iter().all(|m| m.matches(labels.metric_name()))
    }

    fn adds(&self, label: &str) -> bool {
        label != METRIC_NAME && (self.data.is_empty() || self.data.iter().any(|m| m.name() == label))
    }

    /// Whether a series that no info series describes stays in the answer.
    fn keeps_undescribed(&self) -> bool {
        self.data.iter().all(|m| m.matches(""))
    }
}

/// The time at which info series are looked up: that of the first selector inside the argument, with the modifiers of
/// the subqueries around it up to the first `@`.
fn reference(node: &Node<'_>) -> Shift {
    first_selector(node, &mut Vec::new()).unwrap_or(Shift { offset: 0, at: None })
}

// Recursion is bounded by the depth of the tree, which the parser bounds.
fn first_selector(node: &Node<'_>, around: &mut Vec<Shift>) -> Option<Shift> {
    match &node.kind {
        Kind::Instant(selector) => Some(within(selector.shift, around)),
        Kind::Range(range) => Some(within(range.selector.shift, around)),
        Kind::Subquery(subquery) => {
            around.push(subquery.shift);
            let found = first_selector(&subquery.expr, around);
            around.pop();
            found
        }
        Kind::Call { args, .. } => args.iter().find_map(|arg| first_selector(arg, around)),
        Kind::Aggregate(a) => {
            first_selector(&a.expr, around).or_else(|| a.param.as_ref().and_then(|p| first_selector(p, around)))
        }
        Kind::Binary(b) => first_selector(&b.lhs, around).or_else(|| first_selector(&b.rhs, around)),
        Kind::Negate(inner) | Kind::Plus(inner) | Kind::Invariant(inner) => first_selector(inner, around),
        Kind::Number(_) | Kind::Text(_) => None,
    }
}

fn within(mut shift: Shift, around: &[Shift]) -> Shift {
    for outer in around.iter().rev() {
        if shift.at.is_some() {
            break;
        }
        shift = Shift { offset: shift.offset.saturating_add(outer.offset), at: outer.at };
    }
    shift
}

/// An info series with the time of the sample that each step sees, [`NO_TIME`] where it sees none.
struct Info {
    labels: Labels,
    times: Vec<i64>,
}

/// Reads the info series that may describe a series of `base`.
fn fetch(evaluator: &Evaluator<'_>, base: &[Series], wanted: &Wanted<'_>, times: Times) -> Result<Vec<Info>> {
    let mut values = IDENTIFYING.map(|name| (name, HashSet::new()));
    for s in base.iter().filter(|s| !wanted.is_info(&s.labels)) {
        for (name, values) in &mut values {
            values.extend(s.labels.get(name));
        }
    }
    if values.iter().all(|(_, values)| values.is_empty()) {
        return Ok(Vec::new());
    }
    let mut matchers = wanted.names.clone();
    matchers.extend(wanted.data.iter().map(|m| (*m).clone()));
    matchers.extend(values.iter().filter_map(|(name, values)| one_of(name, values)));
    let lookback = evaluator.options.lookback_ms;
    let (first, last) = times.bounds();
    let range = TimeRange::new(first.saturating_sub(lookback).saturating_add(1), last);
    let set = evaluator.select(&matchers, range)?;
    let mut infos = Vec::new();
    in_chunks(
        &evaluator.budget,
        set.len(),
        SampleBuffer::default,
        |buffer, chunk| {
            let mut part = Vec::new();
            for i in chunk {
                evaluator.budget.check()?;
                let labels = set.labels(i);
                let of_interest = |(name, values): &(&str, HashSet<&str>)| {
                    values.is_empty() || labels.get(name).is_some_and(|v| values.contains(v))
                };
                if !values.iter().all(of_interest) {
                    continue;
                }
                buffer.clear();
                set.read(i, range, buffer)?;
                evaluator.budget.count_read(buffer.len());
                let seen = seen_times(labels, buffer, &times, lookback)?;
                if seen.iter().any(|t| *t != NO_TIME) {
                    evaluator.budget.hold(seen.iter().filter(|t| **t != NO_TIME).count(), seen.len() * 8)?;
                    part.push(Info { labels: labels.clone(), times: seen });
                }
            }
            Ok(part)
        },
        |mut part: Vec<Info>| {
            infos.append(&mut part);
            Ok(())
        },
    )?;
    Ok(infos)
}

/// A matcher of these values where it helps the index to find less; what it leaves is compared anyway.
fn one_of(name: &str, values: &HashSet<&str>) -> Option<Matcher> {
    if values.is_empty() || values.len() > MAX_LOOKED_UP {
        return None;
    }
    let mut values: Vec<String> = values.iter().map(|v| regex::escape(v)).collect();
    values.sort_unstable();
    Matcher::new(name, MatchOp::Regex, values.join("|")).ok()
}

/// For each step the time of the sample that it sees.
fn seen_times(labels: &Labels, buffer: &SampleBuffer, times: &Times, lookback: i64) -> Result<Vec<i64>> {
    let (mut f, mut h) = (0, 0);
    let mut seen = Vec::with_capacity(times.grid.count);
    for k in 0..times.grid.count {
        let at = times.at(k);
        f += buffer.timestamps.get(f..).unwrap_or_default().iter().take_while(|t| **t <= at).count();
        h += buffer.histograms.get(h..).unwrap_or_default().iter().take_while(|s| s.timestamp <= at).count();
        let fresh = |t: &i64| *t > at.saturating_sub(lookback);
        let float = f.checked_sub(1).and_then(|i| buffer.timestamps.get(i).copied().zip(buffer.values.get(i)));
        let float = float.filter(|(t, _)| fresh(t));
        let histogram = h.checked_sub(1).and_then(|i| buffer.histograms.get(i)).filter(|s| fresh(&s.timestamp));
        seen.push(match (float, histogram) {
            (_, Some(s)) if float.is_none_or(|(t, _)| t < s.timestamp) => {
                if !s.histogram.is_stale() {
                    let text = format!("this should be an info metric, with float samples: {}", go_string(labels));
                    return Err(QueryError::Execution(text));
                }
                NO_TIME
            }
            (Some((t, v)), _) if !is_absent(*v) => t,
            _ => NO_TIME,
        });
    }
    Ok(seen)
}

/// What an info series has in common with the series that it describes: the values of the identifying labels.
type Identity<'a> = [&'a str; 2];

fn identity(labels: &Labels) -> Identity<'_> {
    IDENTIFYING.map(|name| labels.get(name).unwrap_or_default())
}

/// For each info metric and identity the info series that counts at each step: the one with the newest sample.
struct Current<'a> {
    /// By name, and then by identity: for each step the number of the series, or [`NO_SERIES`].
    metrics: Vec<HashMap<Identity<'a>, Vec<u32>>>,
}

impl<'a> Current<'a> {
    fn new(evaluator: &Evaluator<'_>, infos: &'a [Info], present: &[bool]) -> Result<Self> {
        let mut numbers: HashMap<&str, usize> = HashMap::new();
        let mut metrics: Vec<HashMap<Identity<'_>, Vec<u32>>> = Vec::new();
        // The earliest step at which two samples are equally new, and their series.
        let mut conflict: Option<(usize, u32, u32)> = None;
        for (i, info) in (0u32..).zip(infos) {
            let metric = *numbers.entry(info.labels.metric_name()).or_insert_with(|| {
                metrics.push(HashMap::new());
                metrics.len() - 1
            });
            let Some(of_metric) = metrics.get_mut(metric) else { continue };
            let steps = of_metric.entry(identity(&info.labels)).or_insert_with(|| vec![NO_SERIES; present.len()]);
            for (k, (place, time)) in steps.iter_mut().zip(&info.times).enumerate() {
                if *time == NO_TIME || !present.get(k).is_some_and(|p| *p) {
                    continue;
                }
                let before = infos.get(*place as usize).and_then(|other| other.times.get(k));
                match before.map(|before| before.cmp(time)) {
                    None | Some(std::cmp::Ordering::Less) => *place = i,
                    Some(std::cmp::Ordering::Equal) if conflict.is_none_or(|(at, ..)| k < at) => {
                        conflict = Some((k, *place, i));
                    }
                    Some(_) => {}
                }
            }
        }
        if let Some((k, existing, new)) = conflict {
            return Err(duplicate(infos, k, existing, new));
        }
        let columns: usize = metrics.iter().map(HashMap::len).sum();
        evaluator.budget.hold(0, columns * present.len() * 4)?;
        Ok(Self { metrics })
    }

    /// For each info metric the series that count for these labels.
    fn of<'s>(&'s self, labels: &'s Labels) -> Vec<&'s [u32]> {
        let identity = identity(labels);
        self.metrics.iter().filter_map(|m| m.get(&identity).map(Vec::as_slice)).collect()
    }
}

fn duplicate(infos: &[Info], k: usize, existing: u32, new: u32) -> QueryError {
    let show = |i: u32| {
        infos.get(i as usize).map_or_else(String::new, |info| {
            format!("{} @ {}", go_string(&info.labels), info.times.get(k).copied().unwrap_or_default())
        })
    };
    let text = format!("found duplicate series for info metric: existing {}, new {}", show(existing), show(new));
    QueryError::Execution(text)
}

/// Adds the labels to one series: to a copy for each set of info series that describe it at some steps.
fn enrich(
    evaluator: &Evaluator<'_>,
    mut s: Series,
    wanted: &Wanted<'_>,
    infos: &[Info],
    current: &Current<'_>,
    out: &mut Vec<Series>,
) -> Result<()> {
    let metrics = current.of(&s.labels);
    let mut sets: Vec<Vec<u32>> = Vec::new();
    // For each step with a value which of the sets describes it.
    let mut which: Vec<u32> = vec![NO_SERIES; s.values.len()];
    let mut set = Vec::with_capacity(metrics.len());
    for (k, which) in which.iter_mut().enumerate().filter(|(k, _)| s.has(*k)) {
        set.clear();
        set.extend(metrics.iter().filter_map(|steps| steps.get(k).copied()).filter(|i| *i != NO_SERIES));
        // The set of a step is most often that of the step before.
        let known = sets.iter().rposition(|known| *known == set).unwrap_or_else(|| {
            sets.push(set.clone());
            sets.len() - 1
        });
        *which = known as u32;
    }
    for (number, set) in (0u32..).zip(&sets) {
        let described_by = set.iter().filter_map(|i| infos.get(*i as usize)).map(|info| &info.labels);
        let Some(labels) = enriched(&s.labels, described_by, wanted)? else { continue };
        if sets.len() == 1 {
            s.labels = labels;
            out.push(s);
            return Ok(());
        }
        let mut part = s.clone();
        part.labels = labels;
        part.retain_steps(|k| which.get(k) == Some(&number));
        evaluator.budget.hold(part.samples(), part.bytes())?;
        out.push(part);
    }
    Ok(())
}

/// The labels of a series with those of the info series that describe it, or nothing when it is left out.
fn enriched<'a>(base: &Labels, infos: impl Iterator<Item = &'a Labels>, wanted: &Wanted<'_>) -> Result<Option<Labels>> {
    let mut added: HashMap<&str, &str> = HashMap::new();
    let mut described = false;
    for labels in infos {
        described = true;
        for (name, value) in labels.iter().filter(|(name, _)| wanted.adds(name) && base.get(name).is_none()) {
            if added.insert(name, value).is_some_and(|other| other != value) {
                return Err(QueryError::Execution(format!("conflicting label: {name}")));
            }
        }
    }
    if !described && !wanted.keeps_undescribed() {
        return Ok(None);
    }
    let mut labels = LabelsBuilder::from_labels(base);
    for (name, value) in added {
        labels.set(name, value);
    }
    Ok(Some(labels.build()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_add_up_to_the_first_fixed_time() {
        let shift = |offset, at| Shift { offset, at };
        let result = |s: Shift| (s.offset, s.at);
        assert_eq!(result(within(shift(1, Some(9)), &[shift(5, Some(7))])), (1, Some(9)));
        assert_eq!(result(within(shift(1, None), &[shift(5, Some(7)), shift(2, None)])), (8, Some(7)));
        assert_eq!(result(within(shift(1, None), &[shift(5, Some(7)), shift(2, Some(3))])), (3, Some(3)));
    }

    #[test]
    fn labels_come_from_info_series_and_never_replace() {
        let base = Labels::from_pairs([(METRIC_NAME, "up"), ("job", "a"), ("x", "mine")]);
        let info = Labels::from_pairs([(METRIC_NAME, "target_info"), ("job", "a"), ("x", "theirs"), ("y", "2")]);
        let other = Labels::from_pairs([(METRIC_NAME, "build_info"), ("job", "a"), ("y", "3")]);
        let all = Wanted::new(&[]).unwrap();
        let labels = enriched(&base, [&info].into_iter(), &all).unwrap().unwrap();
        assert_eq!(labels.to_string(), r#"up{job="a", x="mine", y="2"}"#);
        assert!(enriched(&base, [&info, &other].into_iter(), &all).is_err());
        let matchers = [Matcher::equal("z", "1")];
        let some = Wanted::new(&matchers).unwrap();
        assert_eq!(enriched(&base, std::iter::empty(), &some).unwrap(), None);
    }

    #[test]
    fn negative_conditions_alone_mean_every_info_metric() {
        let matchers = [Matcher::new(METRIC_NAME, MatchOp::NotEqual, "a_info").unwrap()];
        let wanted = Wanted::new(&matchers).unwrap();
        let named = |name| wanted.is_info(&Labels::from_pairs([(METRIC_NAME, name)]));
        assert!(named("b_info") && !named("a_info") && !named("up"));
    }
}
