//! Makes a query on which both servers differ smaller, then its series.

use crate::{
    data::{Data, Series},
    node::Node,
};

/// When a query is evaluated, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Times {
    At(i64),
    Range { start: i64, end: i64, step: i64 },
}

/// How many servers may be started to make the series of one query fewer.
const STARTS: usize = 60;

/// The smallest query that still differs, found by one step after the other. `differs` asks the servers.
pub(crate) fn query(
    node: Node,
    times: Times,
    moments: &[i64],
    mut differs: impl FnMut(&Node, Times) -> bool,
) -> (Node, Times) {
    let (mut node, mut times) = (node, times);
    loop {
        let earlier = simpler_times(times, moments).into_iter().find(|fewer| differs(&node, *fewer));
        let smaller = node.smaller().into_iter().find(|smaller| differs(smaller, earlier.unwrap_or(times)));
        times = earlier.unwrap_or(times);
        match (smaller, earlier) {
            (Some(smaller), _) => node = smaller,
            (None, Some(_)) => {}
            (None, None) => return (node, times),
        }
    }
}

fn simpler_times(times: Times, moments: &[i64]) -> Vec<Times> {
    let Times::Range { start, end, step } = times else { return Vec::new() };
    let mut simpler: Vec<Times> =
        moments.iter().copied().filter(|t| (start..=end).contains(t)).map(Times::At).collect();
    let steps = (end - start) / step;
    simpler.extend([Times::At(start), Times::At(end)]);
    if steps > 0 {
        simpler.push(Times::Range { start, end: start + steps / 2 * step, step });
        simpler.push(Times::Range { start: start + (steps + 1) / 2 * step, end, step });
        simpler.push(Times::Range { start, end: end - step, step });
        simpler.push(Times::Range { start: start + step, end, step });
    }
    simpler.retain(|one| *one != times);
    simpler
}

/// The fewest series and points on which `differs` still holds, as far as the number of starts allows.
pub(crate) fn data(data: &Data, mut differs: impl FnMut(&Data) -> bool) -> Data {
    let mut left = STARTS;
    let mut try_one = |candidate: &Data| {
        if left == 0 {
            return false;
        }
        left -= 1;
        differs(candidate)
    };
    let all = data.series.clone();
    let series = fewer(all, |series| try_one(&Data { series: series.to_vec(), ..data.clone() }));
    let mut best = Data { series, ..data.clone() };
    for i in 0..best.series.len() {
        let mut without_starts = best.clone();
        if without_starts.series[i].starts.take().is_some() && try_one(&without_starts) {
            best = without_starts;
        }
        let points: Vec<usize> =
            (0..best.series[i].points.len()).filter(|p| best.series[i].points[*p] != "_").collect();
        let keep = fewer(points, |keep| try_one(&with_points(&best, i, keep)));
        best = with_points(&best, i, &keep);
    }
    best
}

fn with_points(data: &Data, i: usize, keep: &[usize]) -> Data {
    let mut data = data.clone();
    let Series { points, .. } = &mut data.series[i];
    for (p, point) in points.iter_mut().enumerate() {
        if !keep.contains(&p) {
            *point = "_".to_owned();
        }
    }
    data
}

/// Leaves out halves, quarters and so on, as long as `holds`.
fn fewer<T: Clone>(all: Vec<T>, mut holds: impl FnMut(&[T]) -> bool) -> Vec<T> {
    let mut kept = all;
    let mut size = kept.len().div_ceil(2);
    while size > 0 {
        let mut at = 0;
        while at < kept.len() && kept.len() > 1 {
            let mut without = kept.clone();
            without.drain(at..(at + size).min(kept.len()));
            if !without.is_empty() && holds(&without) {
                kept = without;
            } else {
                at += size;
            }
        }
        size /= 2;
    }
    kept
}

#[test]
fn what_is_not_needed_is_left_out() {
    let kept = fewer((0..100).collect(), |some| some.contains(&17) && some.contains(&83));
    assert_eq!(kept, [17, 83]);
    let metric = Node::leaf(chronolith_promql::ast::ValueType::Vector, "m").optional("{a=\"b\"}");
    let times = Times::Range { start: 0, end: 1000, step: 100 };
    let (node, times) = query(metric, times, &[], |_, times| match times {
        Times::At(t) => t == 300,
        Times::Range { start, end, .. } => (start..=end).contains(&300),
    });
    assert_eq!((node.render().as_str(), times), ("m", Times::At(300)));
}
