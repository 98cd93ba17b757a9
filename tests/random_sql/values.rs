//! Expressions over the columns of a row.
//!
//! Values stay small, so that nearly no query fails: which of two rows fails first, and whether one that a filter takes away
//! is calculated at all, is for each server to choose.

use crate::{
    dice::Dice,
    node::{Node, Type},
};

/// The types that expressions have; intervals stand in results only.
pub(crate) const TYPES: [Type; 8] =
    [Type::Int, Type::Big, Type::Numeric, Type::Float, Type::Text, Type::Bool, Type::Date, Type::Time];

/// What expressions may name: tables, or the columns of a subquery.
#[derive(Clone, Debug)]
pub(crate) struct Values {
    /// Names that qualify columns.
    pub(crate) tables: Vec<&'static str>,
}

fn column(of: Type) -> &'static str {
    match of {
        Type::Int => "i",
        Type::Big => "j",
        Type::Numeric => "n",
        Type::Float => "f",
        Type::Text => "t",
        Type::Bool => "p",
        Type::Date => "d",
        Type::Time | Type::Span => "ts",
    }
}

impl Values {
    /// An expression of a type, of some depth at most.
    pub(crate) fn value(&self, dice: &mut Dice, of: Type, depth: usize) -> Node {
        if depth == 0 || dice.percent(25) {
            return self.leaf(dice, of);
        }
        if dice.percent(25) {
            return self.of_any(dice, of, depth - 1);
        }
        let depth = depth - 1;
        match of {
            Type::Int => self.integer(dice, depth),
            Type::Big => self.big(dice, depth),
            Type::Numeric => self.numeric(dice, depth),
            Type::Float => self.float(dice, depth),
            Type::Text => self.text(dice, depth),
            Type::Bool => self.condition(dice, depth),
            Type::Date => self.date(dice, depth),
            Type::Time | Type::Span => self.time(dice, depth),
        }
    }

    pub(crate) fn leaf(&self, dice: &mut Dice, of: Type) -> Node {
        let table = dice.pick(&self.tables);
        if dice.percent(70) && of != Type::Span {
            return Node::leaf(of, format!("{table}.{}", column(of)));
        }
        let literal = match of {
            Type::Int => dice.pick(&["0", "1", "2", "-3", "7", "CAST(NULL AS int)"]),
            Type::Big => dice.pick(&["3000000000", "CAST(5 AS bigint)", "-4000000000"]),
            Type::Numeric => dice.pick(&["0.5", "1.50", "-2.25", "10.0", "0.125", "1e2"]),
            Type::Float => dice.pick(&["CAST(0.5 AS float8)", "float8 '2'", "CAST('-1.5' AS double precision)"]),
            Type::Text => dice.pick(&["'a'::text", "'ab'::text", "''::text", "'Zebra'::text", "'x_y'::text"]),
            Type::Bool => dice.pick(&["true", "false", "CAST(NULL AS boolean)"]),
            Type::Date => dice.pick(&["date '2024-02-29'", "CAST('2022-12-31' AS date)"]),
            Type::Time => dice.pick(&["timestamp '2024-01-15 10:30:00'", "CAST('2024-02-29' AS timestamp)"]),
            Type::Span => dice.pick(&["interval '1 day'", "interval '90 minutes'", "interval '1 mon 2 days 03:04:05'"]),
        };
        Node::leaf(of, literal)
    }

    /// What there is of every type.
    fn of_any(&self, dice: &mut Dice, of: Type, depth: usize) -> Node {
        let (a, b) = (self.value(dice, of, depth), self.value(dice, of, depth));
        let when = self.value(dice, Type::Bool, depth);
        match dice.below(6) {
            0 => Node::new(of, "CASE WHEN {} THEN {} ELSE {} END", vec![when, a, b]),
            1 => Node::new(of, "CASE WHEN {} THEN {} END", vec![when, a]),
            2 => Node::new(of, "nullif({}, {})", vec![a, b]),
            3 if of != Type::Bool => Node::new(of, "greatest({}, {})", vec![a, b]),
            4 if of != Type::Bool => Node::new(of, "least({}, {})", vec![a, b]),
            _ => Node::new(of, "coalesce({}, {})", vec![a, b]),
        }
    }

    fn some(&self, dice: &mut Dice, depth: usize, result: Type, text: &str, of: &[Type]) -> Node {
        Node::new(result, text, of.iter().map(|of| self.value(dice, *of, depth)).collect())
    }

    fn integer(&self, dice: &mut Dice, depth: usize) -> Node {
        use Type::{Bool, Date, Float, Int, Numeric, Text, Time};
        let (text, of): (&str, &[Type]) = match dice.below(20) {
            0 => ("({} + {})", &[Int, Int]),
            1 => ("({} - {})", &[Int, Int]),
            2 => ("({} * 3)", &[Int]),
            3 => ("({} / 2)", &[Int]),
            4 => ("({} % 3)", &[Int]),
            5 => ("mod({}, 4)", &[Int]),
            6 => ("abs({})", &[Int]),
            7 => ("length({})", &[Text]),
            8 => ("strpos({}, {})", &[Text, Text]),
            9 => ("CAST(({} % 1000) AS int)", &[Numeric]),
            10 => ("CAST({} AS int)", &[Bool]),
            11 => ("CAST(extract(month FROM {}) AS int)", &[Date]),
            12 => ("CAST(extract(hour FROM {}) AS int)", &[Time]),
            13 => ("({} - {})", &[Date, Date]),
            14 => ("(-{})", &[Int]),
            15 => ("({} & 6)", &[Int]),
            16 => ("({} | 1)", &[Int]),
            17 => ("position('b' IN {})", &[Text]),
            18 => ("CAST(round(CAST(least(greatest({}, -1000), 1000) AS numeric), 0) AS int)", &[Float]),
            _ => ("({} / nullif({}, 0))", &[Int, Int]),
        };
        self.some(dice, depth, Int, text, of)
    }

    fn big(&self, dice: &mut Dice, depth: usize) -> Node {
        use Type::{Big, Int};
        let (text, of): (&str, &[Type]) = match dice.below(4) {
            0 => ("CAST({} AS bigint)", &[Int]),
            1 => ("({} / 1000 + {})", &[Big, Int]),
            2 => ("({} % 1000)", &[Big]),
            _ => ("(CAST({} AS bigint) * 1000000000)", &[Int]),
        };
        self.some(dice, depth, Big, text, of)
    }

    fn numeric(&self, dice: &mut Dice, depth: usize) -> Node {
        use Type::{Date, Int, Numeric, Time};
        let (text, of): (&str, &[Type]) = match dice.below(18) {
            0 => ("({} + {})", &[Numeric, Numeric]),
            1 => ("({} - {})", &[Numeric, Int]),
            2 => ("({} * {})", &[Numeric, Int]),
            3 => ("({} * 1.5)", &[Numeric]),
            4 => ("({} / nullif({}, 0))", &[Int, Numeric]),
            5 => ("({} / 3)", &[Numeric]),
            6 => ("({} % 2)", &[Numeric]),
            7 => ("round({}, 1)", &[Numeric]),
            8 => ("round({})", &[Numeric]),
            9 => ("trunc({}, 2)", &[Numeric]),
            10 => ("ceil({})", &[Numeric]),
            11 => ("floor({})", &[Numeric]),
            12 => ("abs({})", &[Numeric]),
            13 => ("(-{})", &[Numeric]),
            14 => ("CAST({} AS numeric(10,2))", &[Int]),
            15 => ("extract(day FROM {})", &[Date]),
            16 => ("extract(epoch FROM {})", &[Time]),
            _ => ("({} * 0.1)", &[Int]),
        };
        self.some(dice, depth, Numeric, text, of)
    }

    fn float(&self, dice: &mut Dice, depth: usize) -> Node {
        use Type::{Float, Int, Numeric, Text, Time};
        let (text, of): (&str, &[Type]) = match dice.below(15) {
            12 => ("coalesce({}, 0.5)", &[Float]),
            13 => ("CASE WHEN {} > 1 THEN {} ELSE 0.0 END", &[Int, Float]),
            14 => ("greatest({}, {})", &[Float, Numeric]),
            0 => ("({} + {})", &[Float, Float]),
            1 => ("({} - {})", &[Float, Int]),
            2 => ("({} * 2)", &[Float]),
            3 => ("({} / 4)", &[Float]),
            4 => ("({} + {})", &[Float, Numeric]),
            5 => ("sqrt(abs({}))", &[Float]),
            6 => ("CAST({} AS float8)", &[Numeric]),
            7 => ("round({})", &[Float]),
            8 => ("floor({})", &[Float]),
            9 => ("date_part('minute', {})", &[Time]),
            10 => ("CAST(CAST(length({}) AS text) AS float8)", &[Text]),
            _ => ("power(CAST({} AS float8), 2)", &[Int]),
        };
        self.some(dice, depth, Float, text, of)
    }

    fn text(&self, dice: &mut Dice, depth: usize) -> Node {
        use Type::{Bool, Date, Float, Int, Text, Time};
        let (text, of): (&str, &[Type]) = match dice.below(24) {
            0 => ("({} || {})", &[Text, Text]),
            1 => ("({} || {})", &[Text, Int]),
            2 => ("upper({})", &[Text]),
            3 => ("lower({})", &[Text]),
            4 => ("substring({} FROM 2 FOR 2)", &[Text]),
            5 => ("left({}, 2)", &[Text]),
            6 => ("right({}, -1)", &[Text]),
            7 => ("replace({}, 'a', 'xy')", &[Text]),
            8 => ("trim({})", &[Text]),
            9 => ("lpad({}, 5, '*')", &[Text]),
            10 => ("CAST({} AS text)", &[Int]),
            11 => ("CAST({} AS text)", &[Date]),
            12 => ("CAST({} AS text)", &[Time]),
            13 => ("CAST({} AS text)", &[Bool]),
            14 => ("CAST(floor({}) AS text)", &[Float]),
            15 => ("to_char({}, 'YYYY-MM-DD HH24:MI:SS')", &[Time]),
            16 => ("concat({}, '-', {})", &[Text, Int]),
            17 => ("reverse({})", &[Text]),
            18 => ("initcap({})", &[Text]),
            19 => ("split_part({}, ' ', 1)", &[Text]),
            20 => ("translate({}, 'ab', 'ba')", &[Text]),
            21 => ("regexp_replace({}, '[a-c]+', '<\\&>')", &[Text]),
            22 => ("md5({})", &[Text]),
            _ => ("repeat({}, 2)", &[Text]),
        };
        self.some(dice, depth, Text, text, of)
    }

    /// A condition.
    pub(crate) fn condition(&self, dice: &mut Dice, depth: usize) -> Node {
        use Type::{Big, Bool, Date, Float, Int, Numeric, Text, Time};
        let of = dice.pick(&TYPES);
        if dice.percent(45) {
            let compared = dice.pick(&["=", "<>", "<", "<=", ">", ">=", "IS DISTINCT FROM", "IS NOT DISTINCT FROM"]);
            return self.some(dice, depth, Bool, &format!("({{}} {compared} {{}})"), &[of, of]);
        }
        let (text, of): (&str, &[Type]) = match dice.below(20) {
            15 => ("({} > {})", &[Float, Numeric]),
            16 => ("({} < {})", &[Int, Numeric]),
            17 => ("({} = {})", &[Big, Int]),
            18 => ("({} <= {})", &[Date, Time]),
            0 => ("({} AND {})", &[Bool, Bool]),
            1 => ("({} OR {})", &[Bool, Bool]),
            2 => ("(NOT {})", &[Bool]),
            3 => ("({} IS NULL)", &[of]),
            4 => ("({} IS NOT NULL)", &[of]),
            5 => ("({} IN (1, 2, {}))", &[Int, Int]),
            6 => ("({} NOT IN (0, NULL, 3))", &[Int]),
            7 => ("({} BETWEEN {} AND {})", &[of, of, of]),
            8 => ("({} LIKE 'a%')", &[Text]),
            9 => ("({} ILIKE '%Z_b%')", &[Text]),
            10 => ("({} ~ '^[a-m]')", &[Text]),
            11 => ("({} SIMILAR TO '(a|x)%')", &[Text]),
            12 => ("({} = ANY (ARRAY[1, 5, -3]))", &[Int]),
            13 => ("({} IS NOT TRUE)", &[Bool]),
            14 => ("({} IN ('a', 'b', {}))", &[Text, Text]),
            _ => ("({} > ALL (ARRAY[0, -1]))", &[Int]),
        };
        self.some(dice, depth, Bool, text, of)
    }

    fn date(&self, dice: &mut Dice, depth: usize) -> Node {
        use Type::{Date, Int, Time};
        let (text, of): (&str, &[Type]) = match dice.below(4) {
            0 => ("({} + 7)", &[Date]),
            1 => ("({} - {} % 100)", &[Date, Int]),
            2 => ("CAST({} AS date)", &[Time]),
            _ => ("CAST(date_trunc('month', {}) AS date)", &[Time]),
        };
        self.some(dice, depth, Date, text, of)
    }

    fn time(&self, dice: &mut Dice, depth: usize) -> Node {
        use Type::{Date, Time};
        let (text, of): (&str, &[Type]) = match dice.below(6) {
            0 => ("({} + interval '1 day 02:03:04')", &[Time]),
            1 => ("({} - interval '1 month')", &[Time]),
            2 => ("({} + interval '36 hours')", &[Date]),
            3 => ("date_trunc('hour', {})", &[Time]),
            4 => ("date_trunc('week', {})", &[Time]),
            _ => ("CAST({} AS timestamp)", &[Date]),
        };
        self.some(dice, depth, Time, text, of)
    }

    /// A time between two moments.
    pub(crate) fn span(&self, dice: &mut Dice, depth: usize) -> Node {
        let (text, of): (&str, &[Type]) = match dice.below(4) {
            0 => ("({} - {})", &[Type::Time, Type::Time]),
            1 => ("({} * 2)", &[Type::Span]),
            2 => ("age({}, {})", &[Type::Time, Type::Time]),
            _ => ("({} + interval '2 days')", &[Type::Span]),
        };
        let operands = of.iter().map(|of| match of {
            Type::Span => self.leaf(dice, Type::Span),
            other => self.value(dice, *other, depth),
        });
        Node::new(Type::Span, text, operands.collect())
    }
}
