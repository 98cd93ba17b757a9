//! Random selectors, and the modifiers of selectors and subqueries.

use chronolith_promql::ast::ValueType;

use crate::{
    dice::Dice,
    node::Node,
    rules::{Peer, Rule},
};

/// Which metrics an argument is best given; every now and then it gets another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    Any,
    Counter,
    Gauge,
    Histogram,
    Classic,
}

const FLOATS: &[&str] = &["c_total", "c", "g", "g2", "wild", "lat_bucket", "target_info", "build_info"];
const HISTOGRAMS: &[&str] = &["h", "hg", "hc", "mix"];
/// The labels that are sorted by and joined.
pub(crate) const LABELS: &[&str] = &["job", "instance", "le", "nosuch", "__name__", "env"];

const MATCHERS: &[&str] = &[
    r#"job="a""#,
    r#"job="b""#,
    r#"job!="a""#,
    r#"instance="x""#,
    r#"instance=~"x|y""#,
    r#"instance!~"y""#,
    r#"env="""#,
    r#"env=~".+""#,
    r#"job=~".*""#,
    r#"le="+Inf""#,
];
const NAMELESS: &[&str] = &[
    r#"{__name__=~"c.*"}"#,
    r#"{__name__=~"c|g"}"#,
    r#"{__name__=~".*_info"}"#,
    r#"{job="a",__name__!~"lat.*"}"#,
    r#"{"g2"}"#,
    r#"{__name__=~"h.?|mix"}"#,
];

/// Selectors for a peer.
#[derive(Clone, Copy)]
pub(crate) struct Selectors {
    pub(crate) peer: Peer,
}

impl Selectors {
    fn name(self, dice: &mut Dice, want: Want) -> &'static str {
        let old = self.peer.has(Rule::FloatsOnly);
        let want = if dice.percent(8) { Want::Any } else { want };
        match want {
            Want::Any if old || dice.percent(65) => *dice.pick(FLOATS),
            Want::Any | Want::Histogram if !old => *dice.pick(HISTOGRAMS),
            Want::Any | Want::Histogram | Want::Classic => "lat_bucket",
            Want::Counter if old => *dice.pick(&["c_total", "c", "lat_bucket"]),
            Want::Counter => *dice.pick(&["c_total", "c", "lat_bucket", "h", "hc", "mix", "c_total", "h"]),
            Want::Gauge if old => *dice.pick(&["g", "g2"]),
            Want::Gauge => *dice.pick(&["g", "g2", "wild", "hg"]),
        }
    }

    /// A metric and matchers, without modifiers.
    fn plain(self, dice: &mut Dice, want: Want) -> Node {
        if dice.percent(4) && want == Want::Any && !self.peer.has(Rule::FloatsOnly) {
            return Node::leaf(ValueType::Vector, *dice.pick(NAMELESS));
        }
        let name = self.name(dice, want);
        self.matched(dice, name)
    }

    fn matched(self, dice: &mut Dice, name: &str) -> Node {
        let node = Node::leaf(ValueType::Vector, name);
        let matchers: Vec<&str> = (0..dice.weighted(&[65, 28, 7])).map(|_| *dice.pick(MATCHERS)).collect();
        if matchers.is_empty() { node } else { node.optional(format!("{{{}}}", matchers.join(","))) }
    }

    pub(crate) fn instant(self, dice: &mut Dice, want: Want) -> Node {
        let node = self.plain(dice, want);
        let node = if dice.percent(4) { self.extension(dice, node, &[" smoothed", " anchored"]) } else { node };
        self.modifiers(dice, node)
    }

    pub(crate) fn range(self, dice: &mut Dice, want: Want) -> Node {
        let inner = self.plain(dice, want);
        self.ranged(dice, inner)
    }

    /// A range of this metric.
    pub(crate) fn range_of(self, dice: &mut Dice, name: &str) -> Node {
        let inner = self.matched(dice, name);
        self.ranged(dice, inner)
    }

    fn ranged(self, dice: &mut Dice, inner: Node) -> Node {
        let range = self.duration(dice);
        let node = inner.turned(ValueType::Matrix).text(format!("[{range}]"));
        let node = if dice.percent(15) { self.extension(dice, node, &[" anchored", " smoothed"]) } else { node };
        self.modifiers(dice, node)
    }

    fn extension(self, dice: &mut Dice, node: Node, names: &[&str]) -> Node {
        if self.peer.has(Rule::LaterSyntax) { node } else { node.optional(*dice.pick(names)) }
    }

    /// `offset` and `@`, in either order.
    pub(crate) fn modifiers(self, dice: &mut Dice, node: Node) -> Node {
        let offset = dice.percent(12).then(|| {
            let sign = if dice.percent(30) { "-" } else { "" };
            let length = self.duration(dice);
            // A sign binds closer than an operator.
            format!(" offset {sign}{length}")
        });
        let at = dice.percent(8).then(|| match dice.below(3) {
            0 => " @ start()".to_owned(),
            1 => " @ end()".to_owned(),
            // Steps of the old peer stand at a phase of the second, see `EdgesApart`.
            _ if self.peer.has(Rule::EdgesApart) => format!(" @ {}.953", dice.between(0, 1200)),
            _ => format!(" @ {}", dice.between(-2, 60) * 15),
        });
        let (first, second) = if dice.percent(50) { (offset, at) } else { (at, offset) };
        node.optional(first.unwrap_or_default()).optional(second.unwrap_or_default())
    }

    /// The length of a range, a step or an offset.
    pub(crate) fn duration(self, dice: &mut Dice) -> String {
        if !self.peer.has(Rule::LaterSyntax) && dice.percent(8) {
            const COMPUTED: &[&str] = &[
                "(1m + 30s)",
                "(step() * 2)",
                "(step() + 1m)",
                "(max_of(step(), 1m))",
                "(min_of(2m, range()))",
                "(range() / 2 + 15s)",
                "(2 ^ 6)",
                "(5m - 100 % 60)",
                "(-(1m) + 2m)",
                "90",
                "1.5",
                "step()",
            ];
            return (*dice.pick(COMPUTED)).to_owned();
        }
        const LENGTHS: &[&str] =
            &["15s", "30s", "45s", "1m", "1m", "2m", "2m", "5m", "5m", "90s", "10m", "7s", "1m30s", "20m", "1s"];
        (*dice.pick(LENGTHS)).to_owned()
    }

    /// What stands in the brackets of a subquery.
    pub(crate) fn subquery_range(self, dice: &mut Dice) -> String {
        let range = *dice.pick(&["1m", "2m", "5m", "90s", "10m", "45s"]);
        let step = *dice.pick(&["15s", "30s", "1m", "10s", "", "7s"]);
        if !self.peer.has(Rule::LaterSyntax) && dice.percent(6) {
            return format!("{}:{}", self.duration(dice), self.duration(dice));
        }
        format!("{range}:{step}")
    }
}
