//! Random expressions: every construct of the syntax, every function of the engine's table.

use chronolith_promql::{
    ast::{AggregateOp, ValueType},
    functions::{FUNCTIONS, Function},
};

use crate::{
    arguments,
    dice::Dice,
    node::Node,
    operators,
    rules::{Peer, Rule},
    selectors::{Selectors, Want},
};

/// Functions that Go's library and ours round differently in the last bit.
const INEXACT: &[&str] = &[
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atanh",
    "cos",
    "cosh",
    "exp",
    "ln",
    "log10",
    "log2",
    "sin",
    "sinh",
    "tan",
    "tanh",
    "histogram_quantile",
    "histogram_quantiles",
    "histogram_fraction",
    "histogram_stddev",
    "histogram_stdvar",
];

/// Longer queries tell nothing more.
const LONGEST: usize = 500;

/// What is generated for whom, and how deep.
#[derive(Clone, Copy)]
pub(crate) struct Grammar {
    pub(crate) peer: Peer,
    pub(crate) depth: usize,
    /// Only what both compute to the last bit: what comes out is made a label, or compared.
    pub(crate) exact: bool,
    pub(crate) in_subquery: bool,
}

/// A query.
pub(crate) fn query(dice: &mut Dice, peer: Peer) -> Node {
    loop {
        let grammar = Grammar { peer, depth: 1 + dice.weighted(&[20, 30, 30, 20]), exact: false, in_subquery: false };
        let node = match dice.weighted(&[88, 8, 3, 1]) {
            0 => grammar.vector(dice, Want::Any),
            1 => grammar.scalar(dice),
            2 => grammar.matrix(dice, Want::Any),
            _ => Node::leaf(ValueType::String, r#""text""#),
        };
        if node.render().len() <= LONGEST {
            return node;
        }
    }
}

impl Grammar {
    pub(crate) fn deeper(self) -> Grammar {
        Grammar { depth: self.depth.saturating_sub(1), ..self }
    }

    const fn selectors(self) -> Selectors {
        Selectors { peer: self.peer }
    }

    pub(crate) fn value(self, dice: &mut Dice, kind: ValueType, want: Want) -> Node {
        match kind {
            ValueType::Vector => self.vector(dice, want),
            ValueType::Scalar => self.scalar(dice),
            ValueType::Matrix => self.matrix(dice, want),
            ValueType::String => Node::leaf(ValueType::String, *dice.pick(&[r#""job""#, r#""x""#, r#""instance""#])),
        }
    }

    pub(crate) fn vector(self, dice: &mut Dice, want: Want) -> Node {
        if self.depth == 0 {
            return self.selectors().instant(dice, want);
        }
        let next = self.deeper();
        match dice.weighted(&[12, 46, 17, 20, 2, 3]) {
            0 => self.selectors().instant(dice, want),
            1 => self.call(dice, ValueType::Vector),
            2 => self.aggregate(dice, want),
            3 => operators::vector(next, dice, want),
            4 => Node::new(ValueType::Vector).text(*dice.pick(&["-", "+"])).child(next.vector(dice, want)),
            _ => Node::new(ValueType::Vector).text("(").child(next.vector(dice, want)).text(")"),
        }
    }

    pub(crate) fn scalar(self, dice: &mut Dice) -> Node {
        if self.depth == 0 || dice.percent(40) {
            return Node::leaf(ValueType::Scalar, number(dice, self.peer));
        }
        let next = self.deeper();
        match dice.weighted(&[50, 35, 10, 5]) {
            0 => self.call(dice, ValueType::Scalar),
            1 => operators::scalar(next, dice),
            2 => Node::new(ValueType::Scalar).text("-").child(next.scalar(dice)),
            _ => Node::new(ValueType::Scalar).text("(").child(next.scalar(dice)).text(")"),
        }
    }

    pub(crate) fn matrix(self, dice: &mut Dice, want: Want) -> Node {
        // See `EdgesApart`: points of the inner subquery would stand on the edges of its windows.
        let subquery = self.depth > 0 && dice.percent(18) && !(self.in_subquery && self.peer.has(Rule::EdgesApart));
        if !subquery {
            return self.selectors().range(dice, want);
        }
        let inside = Grammar { in_subquery: true, ..self.deeper() };
        let range = self.selectors().subquery_range(dice);
        let node = Node::new(ValueType::Matrix).text("(").child(inside.vector(dice, want)).text(format!(")[{range}]"));
        self.selectors().modifiers(dice, node)
    }

    fn call(self, dice: &mut Dice, returns: ValueType) -> Node {
        let known: Vec<&Function> = FUNCTIONS
            .iter()
            .filter(|f| f.returns == returns && self.peer.knows(f.name, f.experimental))
            .filter(|f| !self.exact || !INEXACT.contains(&f.name))
            .collect();
        let function = *dice.pick(&known);
        let mut node = Node::new(returns).text(format!("{}(", function.name));
        for (i, argument) in arguments::of(self.deeper(), dice, function).into_iter().enumerate() {
            node = node.text(if i > 0 { ", " } else { "" }).child(argument);
        }
        node.text(")")
    }

    fn aggregate(self, dice: &mut Dice, want: Want) -> Node {
        const OPS: &[AggregateOp] = &[
            AggregateOp::Sum,
            AggregateOp::Avg,
            AggregateOp::Count,
            AggregateOp::Min,
            AggregateOp::Max,
            AggregateOp::Group,
            AggregateOp::Stddev,
            AggregateOp::Stdvar,
            AggregateOp::TopK,
            AggregateOp::BottomK,
            AggregateOp::CountValues,
            AggregateOp::Quantile,
            AggregateOp::LimitK,
            AggregateOp::LimitRatio,
            AggregateOp::Sum,
            AggregateOp::Avg,
        ];
        let later = [AggregateOp::LimitK, AggregateOp::LimitRatio];
        let by_chance = [AggregateOp::TopK, AggregateOp::BottomK];
        let known: Vec<AggregateOp> = OPS
            .iter()
            .copied()
            .filter(|op| !(self.peer.has(Rule::LaterSyntax) && later.contains(op)))
            .filter(|op| !(self.peer.has(Rule::TiesByChance) && by_chance.contains(op)))
            .collect();
        let op = *dice.pick(&known);
        let grouping = match dice.below(5) {
            0 | 1 => String::new(),
            2 | 3 => format!(" by ({})", labels(dice)),
            _ => format!(" without ({})", labels(dice)),
        };
        let mut node = Node::new(ValueType::Vector).text(op.as_str()).optional(grouping).text("(");
        if op.has_param() {
            let param = match op {
                AggregateOp::CountValues => {
                    Node::leaf(ValueType::String, *dice.pick(&[r#""value""#, r#""job""#, r#""new""#]))
                }
                AggregateOp::Quantile | AggregateOp::LimitRatio => arguments::share(self.deeper(), dice),
                _ => arguments::small(self.deeper(), dice),
            };
            node = node.child(param).text(", ");
        }
        let exact = self.exact || op == AggregateOp::CountValues;
        let spread = matches!(op, AggregateOp::Stddev | AggregateOp::Stdvar) && self.peer.has(Rule::SpreadOfNaN);
        let flat = spread || exact && self.peer.has(Rule::PlainSums);
        let depth = if flat { 0 } else { self.deeper().depth };
        node.child(Grammar { exact, depth, ..self }.vector(dice, want)).text(")")
    }
}

/// Some label names.
pub(crate) fn labels(dice: &mut Dice) -> String {
    (*dice.pick(&["job", "instance", "job, instance", "job", "le", "env", "", "job, le", "__name__", "nosuch"]))
        .to_owned()
}

fn number(dice: &mut Dice, peer: Peer) -> &'static str {
    const PLAIN: &[&str] = &["0", "1", "2", "3", "0.5", "10", "100", "1e3", "7", "0.1", "25", "-1", "-3"];
    const RARE: &[&str] = &["NaN", "Inf", "-Inf", "0x1f", "1e-3", "1e300", "1m", "-2m30s", "1_000"];
    if dice.percent(8) && !peer.has(Rule::LaterSyntax) { *dice.pick(RARE) } else { *dice.pick(PLAIN) }
}
