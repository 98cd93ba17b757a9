//! Queries: what is selected, from what, of which groups, in which order.
//!
//! Not generated, since it is refused or known to differ: FULL and RIGHT JOIN with `*` of USING, INTERSECT ALL and EXCEPT
//! ALL, equal groups in CUBE, casts of a column that is a group itself (DataFusion gives both one name), LATERAL with
//! LIMIT, rows as values, GROUPS and EXCLUDE in frames, literals of bits, sums and averages of float4 and intervals,
//! variances of integers (numerics in PostgreSQL), and generate_series (bigints here).

use crate::{
    aggregates::{aggregate, window},
    dice::Dice,
    node::{Node, Type},
    values::{TYPES, Values},
};

const DEPTH: usize = 3;

/// A SELECT.
#[derive(Clone, Debug, Default)]
pub(crate) struct Select {
    items: Vec<Node>,
    /// Whether items have names, as they need where a query is around them.
    named: bool,
    distinct: bool,
    from: &'static str,
    filter: Option<Node>,
    groups: Vec<Node>,
    /// ROLLUP or CUBE of the groups.
    sets: &'static str,
    having: Option<Node>,
    ordered: Option<&'static str>,
    limit: Option<(u64, u64)>,
    /// Another SELECT with the same types, and what makes one result of both.
    other: Option<(&'static str, Box<Self>)>,
    /// What stands around the query.
    around: Option<&'static str>,
}

/// Tables, and the names of those of which columns may be named.
const FROM: [(&str, &[&str]); 8] = [
    ("a", &["a"]),
    ("a", &["a"]),
    ("b", &["b"]),
    ("a JOIN b ON a.i = b.i", &["a", "b"]),
    ("a LEFT JOIN b ON a.t = b.t AND b.p", &["a", "b"]),
    ("a FULL JOIN b ON a.id = b.id + 5", &["a", "b"]),
    ("a RIGHT JOIN b ON a.d = b.d", &["a", "b"]),
    ("a JOIN (SELECT * FROM b WHERE id < 6) AS b ON true", &["a", "b"]),
];

const AROUND: [&str; 4] = [
    "SELECT * FROM ({}) AS x",
    "WITH x AS ({}) SELECT * FROM x",
    "SELECT count(*), count(c0) FROM ({}) AS x",
    "WITH x AS ({}) SELECT c0, count(*) FROM x GROUP BY c0",
];

/// A query.
pub(crate) fn select(dice: &mut Dice) -> Select {
    let mut query = match dice.below(10) {
        0..=4 => rows(dice),
        5..=7 => groups(dice),
        _ => sets(dice),
    };
    if dice.percent(20) {
        query.named = true;
        query.around = Some(dice.pick(&AROUND));
    } else if dice.percent(50) {
        query.ordered = Some(dice.pick(&["", " DESC", " NULLS FIRST", " DESC NULLS LAST"]));
        if dice.percent(40) {
            query.limit = Some((dice.below(12) as u64, dice.below(4) as u64));
        }
    }
    query
}

fn from(dice: &mut Dice) -> (&'static str, Values) {
    let (from, tables) = dice.pick(&FROM);
    (from, Values { tables: tables.to_vec() })
}

fn filter(values: &Values, dice: &mut Dice) -> Option<Node> {
    if dice.percent(35) {
        return None;
    }
    let outer = dice.pick(&values.tables);
    let condition = values.condition(dice, DEPTH - 1);
    // The subquery's own table has another name.
    Some(match dice.below(8) {
        0 => Node::new(
            Type::Bool,
            format!("EXISTS (SELECT 1 FROM b AS z WHERE z.i = {outer}.i AND z.f > 0) AND {{}}"),
            vec![condition],
        ),
        1 => Node::new(Type::Bool, format!("{outer}.i IN (SELECT z.i FROM a AS z WHERE z.p) OR {{}}"), vec![condition]),
        2 => Node::new(
            Type::Bool,
            format!("NOT EXISTS (SELECT 1 FROM a AS z WHERE z.t = {outer}.t AND z.id > {outer}.id)"),
            Vec::new(),
        ),
        _ => condition,
    })
}

fn rows(dice: &mut Dice) -> Select {
    let (from, values) = from(dice);
    let items = (0..1 + dice.below(4)).map(|_| item(&values, dice, from)).collect::<Vec<_>>();
    let distinct = dice.percent(15);
    Select { filter: filter(&values, dice), items, from, distinct, ..Select::default() }
}

fn item(values: &Values, dice: &mut Dice, from: &str) -> Node {
    match dice.below(12) {
        0 => values.span(dice, 1),
        // In a join, a row's id does not give it a place.
        1 | 2 if values.tables.len() == 1 => window(values, dice),
        3 if !from.contains("FULL") => {
            let outer = dice.pick(&values.tables);
            let of = dice.pick(&["max(z.i)", "min(z.i)", "CAST(count(*) AS int)"]);
            Node::leaf(Type::Int, format!("(SELECT {of} FROM b AS z WHERE z.t = {outer}.t)"))
        }
        _ => {
            let of = dice.pick(&TYPES);
            values.value(dice, of, DEPTH)
        }
    }
}

fn groups(dice: &mut Dice) -> Select {
    let (from, values) = from(dice);
    let count = dice.below(3);
    let groups: Vec<Node> = (0..count)
        .map(|_| {
            let of = dice.pick(&TYPES);
            let depth = dice.below(2);
            // A constant is no group.
            let table = values.tables[0];
            let value = values.value(dice, of, depth);
            if value.text().contains('.') && value.text().contains(&format!("{table}.")) {
                value
            } else {
                Node::leaf(Type::Text, format!("{table}.t"))
            }
        })
        .collect();
    let sets = if groups.is_empty() { "" } else { dice.pick(&["", "", "", "", "ROLLUP", "CUBE"]) };
    let mut groups = groups;
    let uncast = |group: &Node| {
        let text = group.text();
        text.strip_prefix("CAST(")
            .and_then(|cast| cast.split_once(" AS "))
            .map_or(text.clone(), |(of, _)| of.to_owned())
    };
    let is_alike =
        |group: &Node| (!sets.is_empty() || group.text() != groups[0].text()) && uncast(group) == uncast(&groups[0]);
    if groups.iter().skip(1).any(is_alike) {
        groups.truncate(1);
    }
    let mut items = groups.clone();
    items.extend((0..1 + dice.below(3)).map(|_| aggregate(&values, dice, 1)));
    let having = dice.percent(20).then(|| {
        let counted = aggregate(&values, dice, 1);
        Node::new(Type::Bool, "({} IS NOT NULL)", vec![counted])
    });
    Select { filter: filter(&values, dice), items, from, groups, sets, having, ..Select::default() }
}

fn sets(dice: &mut Dice) -> Select {
    let of: Vec<Type> = (0..1 + dice.below(3)).map(|_| dice.pick(&TYPES)).collect();
    let part = |dice: &mut Dice| {
        let (from, values) = from(dice);
        let items = of.iter().map(|of| values.value(dice, *of, 1)).collect();
        Select { filter: filter(&values, dice), items, from, ..Select::default() }
    };
    let (mut first, second) = (part(dice), part(dice));
    first.named = true;
    first.other = Some((dice.pick(&["UNION", "UNION ALL", "INTERSECT", "EXCEPT"]), Box::new(second)));
    first
}

impl Select {
    /// Whether all rows have a place.
    pub(crate) fn is_ordered(&self) -> bool {
        self.ordered.is_some()
    }

    /// As SQL.
    pub(crate) fn text(&self) -> String {
        let mut text = self.alone();
        if let Some((word, other)) = &self.other {
            text.push_str(&format!(" {word} {}", other.alone()));
        }
        if let Some(ordered) = self.ordered {
            let by: Vec<String> = (1..=self.items.len()).map(|at| format!("{at}{ordered}")).collect();
            text.push_str(&format!(" ORDER BY {}", by.join(", ")));
        }
        if let Some((limit, offset)) = self.limit {
            text.push_str(&format!(" LIMIT {limit} OFFSET {offset}"));
        }
        self.around.map_or(text.clone(), |around| around.replacen("{}", &text, 1))
    }

    fn alone(&self) -> String {
        let items = self.items.iter().enumerate().map(|(at, item)| {
            let name = if self.named { format!(" AS c{at}") } else { String::new() };
            format!("{}{name}", item.text())
        });
        let distinct = if self.distinct { "DISTINCT " } else { "" };
        let mut text = format!("SELECT {distinct}{} FROM {}", items.collect::<Vec<_>>().join(", "), self.from);
        if let Some(filter) = &self.filter {
            text.push_str(&format!(" WHERE {}", filter.text()));
        }
        if !self.groups.is_empty() {
            let groups: Vec<String> = self.groups.iter().map(Node::text).collect();
            let groups = groups.join(", ");
            text.push_str(" GROUP BY ");
            text.push_str(&if self.sets.is_empty() { groups } else { format!("{} ({groups})", self.sets) });
        }
        if let Some(having) = &self.having {
            text.push_str(&format!(" HAVING {}", having.text()));
        }
        text
    }

    /// Queries with less.
    pub(crate) fn smaller(&self) -> Vec<Self> {
        let mut smaller = Vec::new();
        let mut less = |change: &dyn Fn(&mut Self)| {
            let mut query = self.clone();
            change(&mut query);
            if query.text() != self.text() {
                smaller.push(query);
            }
        };
        less(&|query| query.around = None);
        less(&|query| query.other = None);
        less(&|query| query.limit = None);
        less(&|query| {
            if query.limit.is_none() {
                query.ordered = None;
            }
        });
        less(&|query| query.filter = None);
        less(&|query| query.having = None);
        less(&|query| query.distinct = false);
        less(&|query| query.sets = "");
        if self.other.is_none() {
            for at in 0..self.items.len() {
                less(&|query| {
                    if query.items.len() > 1 && query.around.is_none() {
                        query.items.remove(at);
                    }
                });
            }
        }
        for at in self.groups.len()..self.items.len() {
            for node in self.items[at].smaller() {
                less(&|query| query.items[at] = node.clone());
            }
        }
        for node in self.filter.iter().flat_map(Node::smaller) {
            less(&|query| query.filter = Some(node.clone()));
        }
        smaller
    }
}
