//! `sort`, `sort_desc` by value, `sort_by_label`, `sort_by_label_desc` by label.

use std::cmp::Ordering;

use crate::{
    ast::PosRange,
    engine::{
        error::{QueryError, Result},
        evaluate::Evaluator,
        grid::{Grid, Series},
        plan::Node,
    },
};

/// Orders the series of an instant query; the order of a range query is by labels whatever happens here.
pub(in crate::engine) fn sort<'q>(
    evaluator: &Evaluator<'q>,
    name: &str,
    args: &'q [Node<'q>],
    pos: PosRange,
    grid: Grid,
) -> Result<Vec<Series>> {
    let (node, rest) = args.split_first().ok_or_else(|| QueryError::BadData("too few arguments".to_owned()))?;
    let mut series = evaluator.vector(node, grid)?;
    if grid.start != grid.end {
        let text = "sort is ineffective for range queries since results are always ordered by labels";
        evaluator.budget.annotate(|a| a.warn(text.to_owned(), pos));
    }
    let descending = name.ends_with("_desc");
    if name.starts_with("sort_by_label") {
        let labels = rest.iter().map(|a| evaluator.text(a)).collect::<Result<Vec<_>>>()?;
        series.sort_by(|a, b| {
            let by_labels = labels
                .iter()
                .map(|l| natural(a.labels.get(l).unwrap_or_default(), b.labels.get(l).unwrap_or_default()));
            let order = by_labels.into_iter().find(|o| o.is_ne()).unwrap_or_else(|| a.labels.cmp(&b.labels));
            if descending { order.reverse() } else { order }
        });
        return Ok(series);
    }
    // Only floats can be ordered.
    for s in &mut series {
        s.histograms.clear();
    }
    series.retain(|s| !s.is_empty());
    if grid.count == 1 {
        series.sort_by(|a, b| by_value(a, b, descending));
    }
    Ok(series)
}

/// NaN comes last in either order.
fn by_value(a: &Series, b: &Series, descending: bool) -> Ordering {
    let value = |s: &Series| s.values.first().copied().unwrap_or(f64::NAN);
    let (a, b) = (value(a), value(b));
    match (a.is_nan(), b.is_nan()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) => {
            let order = a.partial_cmp(&b).unwrap_or(Ordering::Equal);
            if descending { order.reverse() } else { order }
        }
    }
}

/// Compares texts with runs of digits as numbers: `a2` before `a10`.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        let (x, y) = (take_run(&mut a), take_run(&mut b));
        if x.is_empty() || y.is_empty() {
            return x.len().cmp(&y.len());
        }
        // Numbers that do not fit are compared as texts.
        let order = match (x.parse::<i64>(), y.parse::<i64>()) {
            (Ok(p), Ok(q)) => p.cmp(&q).then_with(|| x.len().cmp(&y.len())),
            _ => x.cmp(y),
        };
        if order.is_ne() {
            return order;
        }
    }
}

/// Cuts the longest run of digits, or of other bytes, off the front.
fn take_run<'a>(text: &mut &'a str) -> &'a str {
    let bytes = text.as_bytes();
    let digit = bytes.first().is_some_and(u8::is_ascii_digit);
    let len = bytes.iter().take_while(|b| b.is_ascii_digit() == digit).count();
    // Digits are single bytes, so a run ends between characters.
    let (run, rest) = text.split_at(len);
    *text = rest;
    run
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_compared_as_numbers() {
        for (a, b) in [
            ("a2", "a10"),
            ("2", "10"),
            ("a", "a1"),
            ("", "x"),
            ("cpu9x", "cpu10a"),
            ("1", "a"),
            ("a10000000000000000000", "a9"),
        ] {
            assert_eq!(natural(a, b), Ordering::Less, "{a} {b}");
            assert_eq!(natural(b, a), Ordering::Greater, "{a} {b}");
        }
        assert_eq!(natural("x007", "x007"), Ordering::Equal);
    }
}
