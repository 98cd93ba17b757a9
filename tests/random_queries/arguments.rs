//! Arguments of functions: by their types, and by their meaning where a random one of the type would mostly be an error.

use chronolith_promql::{ast::ValueType, functions::Function};

use crate::{
    dice::Dice,
    grammar::{Grammar, labels},
    node::Node,
    rules::Rule,
    selectors::{LABELS, Selectors, Want},
};

/// The arguments of one call.
pub(crate) fn of(grammar: Grammar, dice: &mut Dice, function: &Function) -> Vec<Node> {
    let count = count(dice, function);
    (0..count)
        .map(|i| {
            let last = function.args.last().copied().unwrap_or(ValueType::Scalar);
            let kind = function.args.get(i).copied().unwrap_or(last);
            let want = want(dice, function.name);
            special(grammar, dice, function.name, i).unwrap_or_else(|| grammar.value(dice, kind, want))
        })
        .collect()
}

/// As the table has it: `variadic` n > 0 lets the last argument be left out and n - 1 follow, below 0 any number.
fn count(dice: &mut Dice, function: &Function) -> usize {
    let declared = function.args.len();
    match function.variadic {
        0 => declared,
        n if n > 0 => declared - 1 + dice.below((n as usize).min(3) + 1),
        _ => declared - 1 + dice.below(3),
    }
}

fn want(dice: &mut Dice, function: &str) -> Want {
    match function {
        "rate" | "increase" | "irate" | "resets" => Want::Counter,
        "delta" | "idelta" | "deriv" | "predict_linear" | "double_exponential_smoothing" => Want::Gauge,
        "histogram_quantile" | "histogram_quantiles" | "histogram_fraction" => {
            *dice.pick(&[Want::Classic, Want::Histogram])
        }
        name if name.starts_with("histogram_") => Want::Histogram,
        _ => Want::Any,
    }
}

fn text(text: &str) -> Node {
    Node::leaf(ValueType::String, format!("{text:?}"))
}

fn special(grammar: Grammar, dice: &mut Dice, function: &str, i: usize) -> Option<Node> {
    match (function, i) {
        ("rate" | "increase", 0) if grammar.peer.has(Rule::Extrapolation) => {
            Some(Selectors { peer: grammar.peer }.range_of(dice, "c_total"))
        }
        ("label_replace", 1) | ("label_join", 1) => {
            Some(text(*dice.pick(&["job", "new", "instance", "le", "__name__", "dst"])))
        }
        ("label_replace", 2) => Some(text(*dice.pick(&["$1", "x-$1", "", "$0", "v", "${1}z", "$9", "$name"]))),
        ("label_replace", 3) => Some(text(*dice.pick(&["job", "instance", "__name__", "nosuch", "le"]))),
        ("label_replace", 4) => {
            Some(text(*dice.pick(&["(.*)", "a", "(?P<name>[a-c])", "", "(.)(.*)", "x|y", "nothing", ".+"])))
        }
        ("label_join", 2) => Some(text(*dice.pick(&["", "-", "/"]))),
        ("label_join", _) | ("sort_by_label" | "sort_by_label_desc", 1..) => Some(text(*dice.pick(LABELS))),
        ("histogram_quantiles", 1) => Some(text(*dice.pick(&["q", "quantile", "job"]))),
        ("histogram_quantile" | "quantile_over_time", 0) | ("histogram_quantiles", 2..) => Some(share(grammar, dice)),
        ("double_exponential_smoothing", 1..) => {
            Some(Node::leaf(ValueType::Scalar, *dice.pick(&["0.1", "0.5", "0.9", "0.5", "1"])))
        }
        ("info", 0) => Some(grammar.vector(dice, Want::Counter)),
        ("info", 1) => Some(Node::leaf(
            ValueType::Vector,
            *dice.pick(&[
                "{version=~\".+\"}",
                "{rev=\"r\"}",
                "{__name__=\"build_info\"}",
                "{__name__=~\".*_info\"}",
                "{__name__=\"build_info\",rev=~\".*\"}",
                "{version=\"1\"}",
            ]),
        )),
        _ => None,
    }
}

/// A number that is mostly between 0 and 1.
pub(crate) fn share(grammar: Grammar, dice: &mut Dice) -> Node {
    // Remarks tell the number to the last digit.
    if dice.percent(12) {
        return Grammar { exact: true, ..grammar }.scalar(dice);
    }
    Node::leaf(ValueType::Scalar, *dice.pick(&["0", "0.1", "0.25", "0.5", "0.9", "0.99", "1", "0.7", "-0.5", "1.5"]))
}

/// A number of series.
pub(crate) fn small(grammar: Grammar, dice: &mut Dice) -> Node {
    if dice.percent(12) {
        return grammar.scalar(dice);
    }
    Node::leaf(ValueType::Scalar, *dice.pick(&["1", "2", "3", "5", "0", "1.9"]))
}

/// Labels for `on` and `ignoring`.
pub(crate) fn matching_labels(dice: &mut Dice) -> String {
    if dice.percent(50) { "job, instance".to_owned() } else { labels(dice) }
}
