//! `absent` and `absent_over_time`.

use chronolith_storage::{Labels, LabelsBuilder, MatchOp, Matcher, model::labels::METRIC_NAME};

use crate::engine::{
    budget::Budget,
    error::Result,
    grid::{ABSENT, Series, is_absent},
    plan::{Kind, Node},
    stream::Stream,
};

/// The labels that a selector asks for by name and value, each once.
pub(in crate::engine) fn labels_of(node: &Node<'_>) -> Labels {
    let matchers = match &node.kind {
        Kind::Instant(s) => s.matchers,
        Kind::Range(r) => r.selector.matchers,
        Kind::Invariant(inner) => return labels_of(inner),
        _ => return Labels::empty(),
    };
    let mut labels = LabelsBuilder::default();
    let mut seen: Vec<&str> = Vec::new();
    // Prometheus' storage puts matchers that only take series away last, in the list that this function then reads.
    let takes_away = |m: &&Matcher| {
        let must_be_set = matchers.iter().any(|other| other.name() == m.name() && !other.matches(""));
        !must_be_set || matches!(m.op(), MatchOp::NotEqual | MatchOp::NotRegex) && m.matches("")
    };
    let (last, first): (Vec<&Matcher>, Vec<&Matcher>) = matchers.iter().partition(takes_away);
    for m in first.into_iter().chain(last).filter(|m| m.name() != METRIC_NAME) {
        if m.op() == MatchOp::Equal && !seen.contains(&m.name()) {
            labels.set(m.name(), m.value());
            seen.push(m.name());
        } else {
            // A label that is asked for twice has no one value.
            labels.remove(m.name());
        }
    }
    labels.build()
}

/// A series that is 1 where the stream has nothing.
pub(in crate::engine) fn absent(stream: &Stream<'_>, labels: Labels, budget: &Budget<'_>) -> Result<Vec<Series>> {
    let mut present = vec![false; stream.grid.count];
    stream.in_chunks(
        budget,
        |scratch, chunk| {
            let mut part = vec![false; stream.grid.count];
            for i in chunk {
                let Some(p) = stream.produce(i, scratch, budget)? else { continue };
                for (present, v) in part.iter_mut().zip(p.values) {
                    *present |= !is_absent(*v);
                }
                for (k, _) in p.histograms {
                    if let Some(present) = part.get_mut(*k as usize) {
                        *present = true;
                    }
                }
            }
            Ok(part)
        },
        |part: Vec<bool>| {
            present.iter_mut().zip(part).for_each(|(a, b)| *a |= b);
            Ok(())
        },
    )?;
    let values: Vec<f64> = present.into_iter().map(|p| if p { ABSENT } else { 1.0 }).collect();
    let series = Series::floats(labels, values);
    Ok(if series.is_empty() { Vec::new() } else { vec![series] })
}
