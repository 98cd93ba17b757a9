//! Random binary operations, with matching, `bool` and `fill`.

use chronolith_promql::ast::ValueType;

use crate::{
    arguments::matching_labels,
    dice::Dice,
    grammar::{Grammar, labels},
    node::Node,
    rules::Rule,
    selectors::Want,
};

const ARITHMETIC: &[&str] = &["+", "-", "*", "/", "+", "-", "*", "/", "%", "^", "atan2"];
/// Go's library and ours round powers and angles differently in the last bit. See also [`Rule::NameAfterAtan2`].
const fn arithmetic(grammar: Grammar) -> &'static [&'static str] {
    if grammar.exact || grammar.peer.has(Rule::NameAfterAtan2) { EXACT } else { ARITHMETIC }
}

const EXACT: &[&str] = &["+", "-", "*", "/", "%"];
const COMPARISONS: &[&str] = &["==", "!=", ">", "<", ">=", "<="];
const SETS: &[&str] = &["and", "or", "unless"];
const TRIMS: &[&str] = &["</", ">/"];

/// An operation of which one side is a vector at least.
pub(crate) fn vector(grammar: Grammar, dice: &mut Dice, want: Want) -> Node {
    let later = !grammar.peer.has(Rule::LaterSyntax);
    match dice.weighted(&[45, 30, 15, if later { 5 } else { 0 }]) {
        0 => numbers(grammar, dice, want, arithmetic(grammar), false),
        1 => numbers(grammar, dice, want, COMPARISONS, true),
        2 => {
            let op = *dice.pick(SETS);
            let matching = matching(dice);
            let (left, right) = (grammar.vector(dice, want), grammar.vector(dice, want));
            join(dice, ValueType::Vector, left, &[format!(" {op}"), matching, " ".to_owned()], right)
        }
        _ => numbers(grammar, dice, Want::Histogram, TRIMS, false),
    }
}

/// An operation of two scalars.
pub(crate) fn scalar(grammar: Grammar, dice: &mut Dice) -> Node {
    let op = if dice.percent(75) {
        (*dice.pick(arithmetic(grammar))).to_owned()
    } else {
        format!("{} bool", *dice.pick(COMPARISONS))
    };
    let (left, right) = (grammar.scalar(dice), grammar.scalar(dice));
    join(dice, ValueType::Scalar, left, &[format!(" {op} ")], right)
}

fn numbers(grammar: Grammar, dice: &mut Dice, want: Want, ops: &[&str], comparison: bool) -> Node {
    let op = format!(" {}", *dice.pick(ops));
    let filters = !grammar.peer.has(Rule::FilteredMatches) && dice.percent(60);
    let bool = if comparison && !filters { " bool".to_owned() } else { String::new() };
    let shape = dice.weighted(&[55, 30, 15]);
    let between = if shape == 0 {
        let mut clause = matching(dice);
        if !clause.is_empty() && dice.percent(35) {
            let side = *dice.pick(&["group_left", "group_right"]);
            let include = *dice.pick(&["", "", "()", " (instance)", " (version)", " (env, rev)", " (job)"]);
            clause.push_str(&format!(" {side}{include}"));
        }
        if !grammar.peer.has(Rule::LaterSyntax) && dice.percent(15) {
            let fill = *dice.pick(&["fill", "fill_left", "fill_right"]);
            let value = *dice.pick(&["0", "1", "-5", "NaN", "2.5"]);
            clause.push_str(&format!(" {fill} ({value})"));
        }
        [op, bool, clause, " ".to_owned()]
    } else {
        [op, bool, String::new(), " ".to_owned()]
    };
    let (left, right) = match shape {
        0 => (grammar.vector(dice, want), grammar.vector(dice, want)),
        1 => (grammar.vector(dice, want), grammar.scalar(dice)),
        _ => (grammar.scalar(dice), grammar.vector(dice, want)),
    };
    join(dice, ValueType::Vector, left, &between, right)
}

fn matching(dice: &mut Dice) -> String {
    match dice.below(10) {
        0..=3 => String::new(),
        4..=7 => format!(" on ({})", matching_labels(dice)),
        _ => format!(" ignoring ({})", labels(dice)),
    }
}

/// Both sides mostly stand in parentheses; without them precedence is put to the test.
fn join(dice: &mut Dice, kind: ValueType, left: Node, between: &[String], right: Node) -> Node {
    let side = |dice: &mut Dice, node: Node| {
        if dice.percent(75) { Node::new(node.kind).text("(").child(node).text(")") } else { node }
    };
    let left = side(dice, left);
    let mut node = Node::new(kind).child(left).text(between.first().cloned().unwrap_or_default());
    for optional in between.iter().skip(1).take(between.len().saturating_sub(2)) {
        node = node.optional(optional.clone());
    }
    if between.len() > 1 {
        node = node.text(between.last().cloned().unwrap_or_default());
    }
    let right = side(dice, right);
    node.child(right)
}
