//! Aggregates and window functions.

use crate::{
    dice::Dice,
    node::{Node, Type},
    values::{TYPES, Values},
};

/// An aggregate over some rows.
pub(crate) fn aggregate(values: &Values, dice: &mut Dice, depth: usize) -> Node {
    use Type::{Big, Bool, Date, Float, Int, Numeric, Span, Text, Time};
    let any = dice.pick(&TYPES);
    let least = dice.pick(&[Int, Big, Numeric, Float, Text, Date, Time]);
    let (result, text, of): (Type, &str, &[Type]) = match dice.below(20) {
        0 => (Big, "count(*)", &[]),
        1 => (Big, "count({})", &[any]),
        2 => (Big, "count(DISTINCT {})", &[any]),
        3 => (Big, "sum({})", &[Int]),
        4 => (Numeric, "sum({})", &[Big]),
        5 => (Numeric, "sum({})", &[Numeric]),
        6 => (Float, "sum({})", &[Float]),
        7 => (Numeric, "avg({})", &[Int]),
        8 => (Numeric, "avg({})", &[Numeric]),
        9 => (Float, "avg({})", &[Float]),
        10 => (least, "min({})", &[least]),
        11 => (least, "max({})", &[least]),
        12 => (Bool, "bool_and({})", &[Bool]),
        13 => (Bool, "bool_or({})", &[Bool]),
        14 => (Text, "string_agg({}, ',' ORDER BY {})", &[Text, Text]),
        15 => (Big, "count(*) FILTER (WHERE {})", &[Bool]),
        16 => (Big, "sum({}) FILTER (WHERE {})", &[Int, Bool]),
        17 => (Float, "percentile_cont(0.5) WITHIN GROUP (ORDER BY {})", &[Float]),
        18 => (Int, "percentile_disc(0.25) WITHIN GROUP (ORDER BY {})", &[Int]),
        _ => (Span, "max({} - {})", &[Time, Time]),
    };
    if text.starts_with("string_agg") {
        // By the text itself, so that equal places have equal texts.
        let value = values.value(dice, Text, depth);
        return Node::new(result, text, vec![value.clone(), value]);
    }
    Node::new(result, text, of.iter().map(|of| values.value(dice, *of, depth)).collect())
}

/// A function over a window. Its rows are put in order by `id`, so that each has one place.
pub(crate) fn window(values: &Values, dice: &mut Dice) -> Node {
    use Type::{Big, Float, Int, Numeric, Text, Time};
    let table = values.tables[0];
    let part = match dice.below(3) {
        0 => String::new(),
        1 => format!("PARTITION BY {table}.p "),
        _ => format!("PARTITION BY {table}.t "),
    };
    let order = dice.pick(&["", "DESC "]);
    let over = format!("OVER ({part}ORDER BY {table}.id {order}");
    let frame = dice.pick(&[
        ")",
        "ROWS BETWEEN 2 PRECEDING AND CURRENT ROW)",
        "ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)",
        "ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING)",
        "RANGE BETWEEN 3 PRECEDING AND 3 FOLLOWING)",
    ]);
    let (result, function, of, framed): (Type, &str, &[Type], bool) = match dice.below(14) {
        0 => (Big, "row_number()", &[], false),
        1 => (Big, "rank()", &[], false),
        2 => (Big, "dense_rank()", &[], false),
        3 => (Int, "lag({})", &[Int], false),
        4 => (Text, "lead({}, 2)", &[Text], false),
        5 => (Int, "lag({}, 1, 0)", &[Int], false),
        6 => (Time, "first_value({})", &[Time], true),
        7 => (Numeric, "last_value({})", &[Numeric], true),
        8 => (Big, "sum({})", &[Int], true),
        9 => (Numeric, "avg({})", &[Int], true),
        10 => (Big, "count(*)", &[], true),
        11 => (Int, "max({})", &[Int], true),
        12 => (Int, "ntile(3)", &[], false),
        _ => (Float, "percent_rank()", &[], false),
    };
    let text = format!("{function} {over}{}", if framed { frame } else { ")" });
    Node::new(result, text, of.iter().map(|of| values.value(dice, *of, 1)).collect())
}
