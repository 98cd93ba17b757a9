//! What PostgreSQL spells otherwise than DataFusion: operators, clauses and functions that are others in disguise.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, StringViewArray},
    datatypes::{DataType, Field},
};
use datafusion::{
    common::{Result, not_impl_err, plan_err},
    logical_expr::ScalarUDF,
    sql::sqlparser::ast::{
        BinaryOperator, Expr, Function, FunctionArguments, Ident, LimitClause, ObjectName, Query, SetExpr, SetOperator,
        SetQuantifier, UnaryOperator, Value,
    },
};

use super::{
    datetime,
    rewrite::{expression, name_of, names_columns},
    scalar::{Arg, Call, PG_TYPE, Scalar, exactly},
};

/// The functions of this family.
pub(super) fn scalars() -> Vec<ScalarUDF> {
    let text = |_: &[DataType]| Ok(DataType::Utf8View);
    vec![Scalar::new("pg_typeof", const { &[exactly(&[Arg::Any])] }, text, type_of).udf()]
}

fn type_of(call: &Call<'_>) -> Result<ArrayRef> {
    let name = call.fields.first().map_or_else(|| "unknown".to_owned(), |field| type_text(field));
    Ok(Arc::new(std::iter::repeat_n(Some(name), call.rows).collect::<StringViewArray>()))
}

/// The name of a field's type, as `pg_typeof` gives it.
fn type_text(field: &Field) -> String {
    use DataType as T;
    let named = match field.metadata().get(PG_TYPE).map(String::as_str) {
        Some("varchar") => Some("character varying"),
        Some("bpchar") => Some("character"),
        Some(other) if !other.starts_with('_') => Some(other),
        _ => None,
    };
    let name = match field.data_type() {
        T::List(of) | T::LargeList(of) => return format!("{}[]", type_text(of)),
        T::Boolean => "boolean",
        T::Int8 | T::Int16 | T::UInt8 => "smallint",
        T::Int32 | T::UInt16 => "integer",
        T::Int64 | T::UInt32 | T::UInt64 => "bigint",
        T::Float16 | T::Float32 => "real",
        T::Float64 => "double precision",
        T::Date32 | T::Date64 => "date",
        T::Time32(_) | T::Time64(_) => "time without time zone",
        T::Timestamp(_, None) => "timestamp without time zone",
        T::Timestamp(_, Some(_)) => "timestamp with time zone",
        T::Interval(_) | T::Duration(_) => "interval",
        T::Binary | T::LargeBinary | T::BinaryView | T::FixedSizeBinary(_) => "bytea",
        of if of.is_decimal() => "numeric",
        T::Null => "unknown",
        _ => "text",
    };
    named.unwrap_or(name).to_owned()
}

/// Clauses of a query: FETCH is LIMIT.
pub(super) fn query(query: &mut Query) -> Result<()> {
    if let Some(fetch) = query.fetch.take() {
        if fetch.with_ties || fetch.percent {
            return not_impl_err!("FETCH with WITH TIES or PERCENT; use rank() OVER (ORDER BY ...)");
        }
        let rows = match fetch.quantity {
            Some(rows) => rows,
            None => expression("1")?,
        };
        match &mut query.limit_clause {
            Some(LimitClause::LimitOffset { limit: limit @ None, .. }) => *limit = Some(rows),
            None => {
                query.limit_clause =
                    Some(LimitClause::LimitOffset { limit: Some(rows), offset: None, limit_by: Vec::new() });
            }
            _ => return plan_err!("multiple LIMIT clauses not allowed"),
        }
    }
    sets(&query.body)
}

/// DataFusion takes INTERSECT ALL and EXCEPT ALL for semi and anti joins, which count no rows.
fn sets(body: &SetExpr) -> Result<()> {
    let SetExpr::SetOperation { op, set_quantifier, left, right } = body else { return Ok(()) };
    if matches!(op, SetOperator::Intersect | SetOperator::Except | SetOperator::Minus)
        && matches!(set_quantifier, SetQuantifier::All)
    {
        return not_impl_err!("{op} ALL; number equal rows with row_number() and leave out ALL");
    }
    sets(left)?;
    sets(right)
}

/// Operators and functions.
pub(super) fn expr(expr: &mut Expr) -> Result<()> {
    let new = match expr {
        Expr::UnaryOp { op, expr: of } => match op {
            UnaryOperator::PGSquareRoot => expression(&format!("sqrt({of})"))?,
            UnaryOperator::PGCubeRoot => expression(&format!("cbrt({of})"))?,
            UnaryOperator::PGAbs => expression(&format!("abs({of})"))?,
            // DataFusion takes the sign before operators of bits for their complement.
            UnaryOperator::Minus if is_of_bits(of) => expression(&format!("(0 - ({of}))"))?,
            UnaryOperator::BitwiseNot => expression(&format!("(-1 - ({of}))"))?,
            _ => return Ok(()),
        },
        Expr::BinaryOp { left, op, right } => match op {
            BinaryOperator::PGExp => {
                expression(&format!("power(arrow_cast({left}, 'Float64'), arrow_cast({right}, 'Float64'))"))?
            }
            BinaryOperator::PGStartsWith => expression(&format!("starts_with({left}, {right})"))?,
            BinaryOperator::PGOverlap => expression(&format!("array_has_any({left}, {right})"))?,
            _ => return Ok(()),
        },
        Expr::InList { expr: of, list, negated } if list.iter().any(names_columns) => among(of, list, *negated)?,
        Expr::Substring { expr: of, substring_from: Some(from), substring_for: None, .. } => match literal(from) {
            Some(pattern) => found(&of.to_string(), &format!("'{}'", quoted(pattern)))?,
            None => return Ok(()),
        },
        Expr::Like { .. } | Expr::ILike { .. } => return like(expr),
        Expr::SimilarTo { negated, expr: of, pattern, escape_char: None } => match literal(pattern) {
            Some(pattern) => {
                let op = if *negated { "!~" } else { "~" };
                expression(&format!("(({of}) {op} '{}')", quoted(&similar(pattern))))?
            }
            None => return not_impl_err!("SIMILAR TO a pattern that is no constant; use ~ with a regular expression"),
        },
        Expr::Function(function) => match called(function)? {
            Some(new) => new,
            None => return Ok(()),
        },
        _ => return Ok(()),
    };
    *expr = new;
    Ok(())
}

fn is_of_bits(expr: &Expr) -> bool {
    match expr {
        Expr::Nested(inner) => is_of_bits(inner),
        Expr::BinaryOp { op, .. } => matches!(
            op,
            BinaryOperator::BitwiseAnd
                | BinaryOperator::BitwiseOr
                | BinaryOperator::PGBitwiseXor
                | BinaryOperator::PGBitwiseShiftLeft
                | BinaryOperator::PGBitwiseShiftRight
        ),
        _ => false,
    }
}

/// A list of which some members are no constants: these are compared one by one. DataFusion takes a CASE in a list for a
/// constant, and what `coalesce` becomes is one.
fn among(of: &Expr, list: &[Expr], negated: bool) -> Result<Expr> {
    let (others, constants): (Vec<&Expr>, Vec<&Expr>) = list.iter().partition(|member| names_columns(member));
    let (not, compared, joined) = if negated { ("NOT ", "<>", " AND ") } else { ("", "=", " OR ") };
    let mut all: Vec<String> = others.iter().map(|member| format!("({of}) {compared} ({member})")).collect();
    if !constants.is_empty() {
        let constants: Vec<String> = constants.iter().map(ToString::to_string).collect();
        all.insert(0, format!("({of}) {not}IN ({})", constants.join(", ")));
    }
    expression(&format!("({})", all.join(joined)))
}

/// What a regular expression finds: its first group, if it has one.
fn found(of: &str, pattern: &str) -> Result<Expr> {
    expression(&format!("array_element(regexp_match({of}, {pattern}), 1)"))
}

/// The regular expression that a pattern of SIMILAR TO stands for.
fn similar(pattern: &str) -> String {
    let mut own = String::from("^(?:");
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            '%' => own.push_str(".*"),
            '_' => own.push('.'),
            '\\' => {
                own.push('\\');
                own.extend(chars.next());
            }
            '.' | '^' | '$' => {
                own.push('\\');
                own.push(c);
            }
            other => own.push(other),
        }
    }
    own.push_str(")$");
    own
}

fn called(function: &Function) -> Result<Option<Expr>> {
    let FunctionArguments::List(list) = &function.args else { return Ok(None) };
    let args = list.args.as_slice();
    if name_of(&function.name) == "variance" {
        let mut samples = function.clone();
        samples.name = ObjectName::from(vec![Ident::new("var_samp")]);
        return Ok(Some(Expr::Function(samples)));
    }
    if function.over.is_some() && name_of(&function.name) == "ntile" {
        return Ok(Some(expression(&format!("arrow_cast({function}, 'Int32')"))?));
    }
    if function.over.is_some() || function.filter.is_some() {
        return Ok(None);
    }
    Ok(match (name_of(&function.name).as_str(), args) {
        ("mod", [left, right]) => Some(expression(&format!("(({left}) % ({right}))"))?),
        ("regexp_substr", [of, pattern]) => Some(found(&of.to_string(), &pattern.to_string())?),
        ("sign", [of]) => Some(expression(&format!("signum({of})"))?),
        ("array_length", [of, dimension]) => Some(expression(&format!(
            "nullif(arrow_cast(array_length({of}, {dimension}), 'Int32'), arrow_cast(0, 'Int32'))"
        ))?),
        ("cardinality", [of]) => Some(expression(&format!("arrow_cast(cardinality({of}), 'Int32')"))?),
        _ => None,
    })
}

/// EXTRACT gives numerics, with the digits behind the point that a field has.
pub(super) fn extracted(field: &str, of: &Expr) -> Result<Expr> {
    let function = datetime::renamed("date_part", Some(field), 2).unwrap_or("date_part");
    let lower = field.to_ascii_lowercase();
    let scale = match lower.as_str() {
        "epoch" => 6,
        of if of.starts_with("second") => 6,
        of if of.starts_with("millisecond") => 3,
        of if of.starts_with("julian") => return expression(&format!("{function}('{}', {of})", quoted(field))),
        _ => 0,
    };
    expression(&format!("arrow_cast({function}('{}', {of}), 'Decimal128(38, {scale})')", quoted(field)))
}

fn quoted(text: &str) -> String {
    text.replace('\'', "''")
}

/// The text of a literal.
fn literal(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) => Some(text),
            _ => None,
        },
        Expr::Nested(inner) => literal(inner),
        _ => None,
    }
}

/// LIKE with another escape than the backslash, and LIKE ANY of a list of patterns.
fn like(expr: &mut Expr) -> Result<()> {
    let word = if matches!(expr, Expr::Like { .. }) { "LIKE" } else { "ILIKE" };
    let (Expr::Like { negated, any, expr: of, pattern, escape_char }
    | Expr::ILike { negated, any, expr: of, pattern, escape_char }) = &mut *expr
    else {
        return Ok(());
    };
    if *any && let Expr::Nested(inner) = &**pattern {
        *pattern = inner.clone();
    }
    if let Some(escape) = escape_char.take() {
        let Value::SingleQuotedString(escape) = escape.value else { return not_impl_err!("this ESCAPE of LIKE") };
        let mut chars = escape.chars();
        let escape = match (chars.next(), chars.next()) {
            (escape, None) => escape,
            _ => return plan_err!("invalid escape string: it must be empty or one character"),
        };
        if escape != Some('\\') {
            let Some(written) = literal(pattern) else {
                return not_impl_err!("ESCAPE of a pattern that is no constant");
            };
            let mut own = String::with_capacity(written.len());
            let mut chars = written.chars();
            while let Some(c) = chars.next() {
                if Some(c) == escape {
                    own.push('\\');
                    own.extend(chars.next());
                } else if c == '\\' {
                    own.push_str("\\\\");
                } else {
                    own.push(c);
                }
            }
            **pattern = Expr::Value(Value::SingleQuotedString(own).into());
        }
    }
    let Expr::Array(patterns) = &**pattern else { return Ok(()) };
    if !*any || patterns.elem.is_empty() {
        return Ok(());
    }
    let not = if *negated { "NOT " } else { "" };
    let all: Vec<String> = patterns.elem.iter().map(|pattern| format!("({of}) {not}{word} {pattern}")).collect();
    *expr = expression(&format!("({})", all.join(" OR ")))?;
    Ok(())
}
