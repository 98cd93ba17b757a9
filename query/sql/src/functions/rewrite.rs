//! Rewrites statements: ASOF joins, and functions that return rows, which become `unnest` of a function that returns a list.

use std::ops::ControlFlow;

use datafusion::{
    common::{DataFusionError, Result, not_impl_err, plan_datafusion_err, plan_err},
    sql::sqlparser::{
        ast::{
            BinaryOperator, DataType, DateTimeField, ExactNumberInfo, Expr, FunctionArg, FunctionArgExpr,
            FunctionArguments, Ident, Interval, ObjectName, Query, Select, SelectItem, Statement, TableAlias,
            TableAliasColumnDef, TableFactor, TableWithJoins, TypedString, UnaryOperator, Value, Visitor, VisitorMut,
        },
        parser::Parser,
    },
};

use super::{
    asof, balance, datetime, elements, from_char, interval, make, numbers::Numbers, series, spelling, time_texts, using,
};
use crate::parse::{walk, walk_mut};

/// Rewrites a statement in place.
pub(super) fn statement(statement: &mut Statement) -> Result<()> {
    let _ = walk_mut(statement, &mut Numbers);
    match walk_mut(statement, &mut Rewriter) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

/// A function that returns rows.
struct Rows {
    /// Its columns: a name, or none when the column is named by the function or its alias; and the function that returns
    /// the column's values as a list.
    columns: &'static [(Option<&'static str>, &'static str)],
    /// Whether DataFusion has it as a table function of numbers.
    table_function: bool,
}

fn rows_of(name: &str) -> Option<Rows> {
    let columns: &'static [(Option<&str>, &str)] = match name {
        "jsonb_array_elements" | "json_array_elements" => &[(Some("value"), "json_elements_list")],
        "jsonb_array_elements_text" | "json_array_elements_text" => &[(Some("value"), "json_elements_text_list")],
        "jsonb_object_keys" | "json_object_keys" => &[(None, "json_keys_list")],
        "jsonb_each" | "json_each" => &[(Some("key"), "json_keys_list"), (Some("value"), "json_values_list")],
        "jsonb_each_text" | "json_each_text" => {
            &[(Some("key"), "json_keys_list"), (Some("value"), "json_values_text_list")]
        }
        "regexp_split_to_table" => &[(None, "regexp_split_to_array")],
        "string_to_table" => &[(None, "string_to_array")],
        "regexp_matches" => &[(None, "regexp_matches_list")],
        "generate_subscripts" => &[(None, "generate_subscripts_list")],
        "generate_series" => &[(None, series::NAME)],
        _ => return None,
    };
    Some(Rows { columns, table_function: name == "generate_series" })
}

const REFUSED: &[&str] = &[
    "jsonb_to_recordset",
    "json_to_recordset",
    "jsonb_to_record",
    "json_to_record",
    "jsonb_populate_record",
    "json_populate_record",
    "jsonb_populate_recordset",
    "json_populate_recordset",
    "jsonb_path_query",
    "json_table",
];

struct Rewriter;

type Flow = ControlFlow<DataFusionError>;

fn flow(result: Result<()>) -> Flow {
    match result {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => ControlFlow::Break(error),
    }
}

impl VisitorMut for Rewriter {
    type Break = DataFusionError;

    fn pre_visit_select(&mut self, select: &mut Select) -> Flow {
        elements::name(select);
        flow(select_list(select).and_then(|()| select.from.iter_mut().try_for_each(table)))
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> Flow {
        flow(match factor {
            TableFactor::NestedJoin { table_with_joins, .. } => table(table_with_joins),
            _ => Ok(()),
        })
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> Flow {
        balance::balance(expr);
        Flow::Continue(())
    }

    fn pre_visit_query(&mut self, query: &mut Query) -> Flow {
        flow(spelling::query(query).and_then(|()| using::joins(query)))
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> Flow {
        flow(rewrite_expr(expr).and_then(|()| spelling::expr(expr)))
    }
}

fn rewrite_expr(expr: &mut Expr) -> Result<()> {
    match expr {
        Expr::Function(function) => {
            let name = name_of(&function.name);
            refuse(&name)?;
            let args = match &mut function.args {
                FunctionArguments::List(list) if name == "make_interval" => return make::place_arguments(list),
                FunctionArguments::List(list) => list.args.as_slice(),
                _ => &[],
            };
            if let Some(clock) = clock_of(&name, args) {
                *expr = expression(clock)?;
                return Ok(());
            }
            let FunctionArguments::List(list) = &function.args else { return Ok(()) };
            let field = match list.args.first() {
                Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(value)))) => match &value.value {
                    Value::SingleQuotedString(field) => Some(field.as_str()),
                    _ => None,
                },
                _ => None,
            };
            let renamed = datetime::renamed(&name, field, list.args.len());
            if let Some(renamed) = renamed.or_else(|| from_char::renamed(&name, list.args.len())) {
                function.name = ObjectName::from(vec![Ident::new(renamed)]);
            } else if name == "date_part" {
                *expr = as_float(expr)?;
            }
        }
        Expr::Extract { field, expr: of, .. } => {
            *expr = spelling::extracted(&field.to_string(), of)?;
        }
        Expr::Interval(interval) => canonical(interval)?,
        Expr::UnaryOp { op: UnaryOperator::Minus, expr: of } if matches!(**of, Expr::Interval(_)) => {
            let Expr::Interval(mut interval) = std::mem::replace(&mut **of, expression("NULL")?) else { return Ok(()) };
            negate(&mut interval)?;
            *expr = Expr::Interval(interval);
        }
        Expr::BinaryOp { left, op: BinaryOperator::Overlaps, right } => *expr = overlaps(left, right)?,
        Expr::AtTimeZone { timestamp, time_zone } => {
            *expr = expression(&format!("timezone({time_zone}, {timestamp})"))?
        }
        // FLOAT is a double in PostgreSQL, and REAL is not.
        Expr::Cast { data_type, .. } if matches!(data_type, DataType::Float(ExactNumberInfo::None)) => {
            *data_type = DataType::DoublePrecision;
        }
        Expr::Cast { data_type: to @ (DataType::JSON | DataType::JSONB), .. }
        | Expr::TypedString(TypedString { data_type: to @ (DataType::JSON | DataType::JSONB), .. }) => {
            let read = expression(if *to == DataType::JSON { "json_in(NULL)" } else { "jsonb_in(NULL)" })?;
            let cast = std::mem::replace(expr, read);
            if let Expr::Function(function) = expr
                && let FunctionArguments::List(list) = &mut function.args
            {
                list.args = vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(cast))];
            }
        }
        _ => {}
    }
    Ok(())
}

/// What a function that tells the time is in DataFusion's words. Digits of seconds beside it do not count.
fn clock_of(name: &str, args: &[FunctionArg]) -> Option<&'static str> {
    match (name, args) {
        ("statement_timestamp" | "transaction_timestamp", []) | ("current_timestamp", [_]) => Some("now()"),
        ("localtimestamp", _) => Some("CAST(now() AS TIMESTAMP)"),
        ("localtime" | "current_time", _) => Some("CAST(now() AS TIME)"),
        _ => None,
    }
}

/// Takes an interval that is in DataFusion's words back.
fn negate(interval: &mut Interval) -> Result<()> {
    let Expr::Value(value) = &mut *interval.value else { return Ok(()) };
    let Value::SingleQuotedString(text) = &mut value.value else { return Ok(()) };
    let negated = interval::negated(interval::parse(text)?);
    let negated = negated.ok_or_else(|| plan_datafusion_err!("interval out of range: {text}"))?;
    *text = time_texts::canonical(negated);
    Ok(())
}

/// Whether two periods of time have a moment in common: each from one of its times up to the other, which may be told as an
/// interval from the first.
fn overlaps(left: &Expr, right: &Expr) -> Result<Expr> {
    let period = |expr: &Expr| match expr {
        Expr::Tuple(ends) if ends.len() == 2 => {
            let (start, end) = (&ends[0], &ends[1]);
            let is_length = matches!(end, Expr::Interval(_) | Expr::Cast { data_type: DataType::Interval { .. }, .. });
            let end = if is_length { format!("({start} + {end})") } else { end.to_string() };
            Ok((format!("least({start}, {end})"), format!("greatest({start}, {end})")))
        }
        _ => plan_err!("OVERLAPS takes two pairs of times"),
    };
    let ((start, end), (other_start, other_end)) = (period(left)?, period(right)?);
    expression(&format!("({start} = {other_start} OR ({start} < {other_end} AND {other_start} < {end}))"))
}

/// A part of a time as PostgreSQL tells it: a number that is divided as such.
fn as_float(part: &Expr) -> Result<Expr> {
    expression(&format!("CAST({part} AS DOUBLE PRECISION)"))
}

/// Puts an interval's text in words that DataFusion's planner reads as PostgreSQL read the text.
fn canonical(interval: &mut Interval) -> Result<()> {
    let Expr::Value(value) = &mut *interval.value else { return Ok(()) };
    let (Value::SingleQuotedString(text) | Value::Number(text, _)) = &value.value else { return Ok(()) };
    let (first, last) = (interval.leading_field.take(), interval.last_field.take());
    let is_number = text.trim().parse::<f64>().is_ok();
    let text = match (first, last) {
        (Some(DateTimeField::Minute), Some(DateTimeField::Second)) if text.matches(':').count() == 1 => {
            format!("0:{}", text.trim())
        }
        (Some(unit), None) | (Some(_), Some(unit)) if is_number => format!("{text} {unit}"),
        _ => text.clone(),
    };
    value.value = Value::SingleQuotedString(time_texts::canonical(interval::parse(&text)?));
    Ok(())
}

fn refuse(name: &str) -> Result<()> {
    if REFUSED.contains(&name) {
        return not_impl_err!("{name}; use jsonb_array_elements, jsonb_each and the operators -> and ->>");
    }
    Ok(())
}

/// A function's name without its schema, as it is compared.
pub(super) fn name_of(name: &ObjectName) -> String {
    let ident = name.0.last().and_then(|part| part.as_ident());
    ident.map_or_else(String::new, |i| if i.quote_style.is_some() { i.value.clone() } else { i.value.to_lowercase() })
}

fn table(table: &mut TableWithJoins) -> Result<()> {
    factor(&mut table.relation)?;
    for join in &mut table.joins {
        factor(&mut join.relation)?;
        asof::rewrite_join(join)?;
    }
    Ok(())
}

/// Functions that return rows as select items.
fn select_list(select: &mut Select) -> Result<()> {
    for item in &mut select.projection {
        let (expr, alias) = match item {
            SelectItem::UnnamedExpr(expr) => (expr, None),
            SelectItem::ExprWithAlias { expr, alias } => (expr, Some(alias.clone())),
            _ => continue,
        };
        let Expr::Function(function) = expr else { continue };
        let name = name_of(&function.name);
        let Some(rows) = rows_of(&name) else { continue };
        let [(_, list)] = rows.columns else {
            return not_impl_err!("{name} in a select list; write it in FROM");
        };
        if function.over.is_some() {
            return plan_err!("{name} returns rows, and is no window function");
        }
        let mut call = function.clone();
        call.name = ObjectName::from(vec![Ident::new(*list)]);
        let expr = expression(&json_typed(&name, format!("unnest({call})"), "value"))?;
        *item = SelectItem::ExprWithAlias { expr, alias: alias.unwrap_or_else(|| Ident::new(name)) };
    }
    Ok(())
}

/// Functions that return rows in FROM.
fn factor(factor: &mut TableFactor) -> Result<()> {
    let (name, args, alias, ordinality) = match factor {
        TableFactor::Table { name, args: Some(args), alias, with_ordinality, .. } => {
            (name_of(name), args.args.clone(), alias, *with_ordinality)
        }
        TableFactor::Function { name, args, alias, with_ordinality, .. } => {
            (name_of(name), args.clone(), alias, *with_ordinality)
        }
        TableFactor::UNNEST { array_exprs, alias, with_ordinality, with_offset: false, .. } => {
            return unnest(array_exprs.clone(), alias.take(), *with_ordinality).map(|new| *factor = new);
        }
        _ => return Ok(()),
    };
    refuse(&name)?;
    if name == "unnest" {
        let array = |arg| match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(array)) => Ok(array),
            other => plan_err!("unnest takes arrays, not {other}"),
        };
        let arrays = args.into_iter().map(array).collect::<Result<_>>()?;
        return unnest(arrays, alias.take(), ordinality).map(|new| *factor = new);
    }
    let Some(rows) = rows_of(&name) else { return Ok(()) };
    if rows.table_function && !ordinality && !args.iter().any(is_other) {
        // The column has the name of the table.
        let named = named(alias.take(), &name, 1);
        match factor {
            TableFactor::Table { alias, args: Some(own), .. } => (*alias, own.args) = (Some(named), args),
            TableFactor::Function { alias, args: own, .. } => (*alias, *own) = (Some(named), args),
            _ => {}
        }
        return Ok(());
    }
    let args = args.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let lists: Vec<(Option<&str>, String)> =
        rows.columns.iter().map(|(column, list)| (*column, format!("{list}({args})"))).collect();
    let function = name.clone();
    let own_names = rows.columns.iter().all(|(column, _)| column.is_some());
    let alias = match alias.take() {
        // The columns keep their names unless the alias renames them.
        alias if own_names => Some(alias.unwrap_or_else(|| named(None, &name, 0))),
        alias => Some(named(alias, &name, 1)),
    };
    *factor = lateral_of(&function, &lists, alias, ordinality)?;
    Ok(())
}

fn unnest(arrays: Vec<Expr>, alias: Option<TableAlias>, ordinality: bool) -> Result<TableFactor> {
    let count = arrays.len();
    let lists: Vec<(Option<&str>, String)> = arrays.iter().map(|array| (None, array.to_string())).collect();
    lateral(&lists, Some(named(alias, "unnest", count)), ordinality)
}

fn lateral(lists: &[(Option<&str>, String)], alias: Option<TableAlias>, ordinality: bool) -> Result<TableFactor> {
    lateral_of("unnest", lists, alias, ordinality)
}

/// What a function returns as rows, with the JSON type that it has.
fn json_typed(function: &str, rows: String, column: &str) -> String {
    match function {
        "jsonb_array_elements" | "jsonb_each" if column == "value" => format!("jsonb_in({rows})"),
        "json_array_elements" | "json_each" if column == "value" => format!("json_in({rows})"),
        _ => rows,
    }
}

/// A query that unnests lists side by side.
fn lateral_of(
    function: &str,
    lists: &[(Option<&str>, String)],
    mut alias: Option<TableAlias>,
    ordinality: bool,
) -> Result<TableFactor> {
    let column = |(at, (name, list)): (usize, &(Option<&str>, String))| {
        let rows = json_typed(function, format!("unnest({list})"), name.unwrap_or_default());
        format!("{rows} AS {}", name.map_or_else(|| format!("unnest_{at}"), str::to_owned))
    };
    let mut columns: Vec<String> = lists.iter().enumerate().map(column).collect();
    if ordinality {
        let Some((_, list)) = lists.first() else { return plan_err!("WITH ORDINALITY of nothing") };
        columns.push(format!("unnest(generate_series_list(1, cardinality({list}))) AS ordinality"));
        if let Some(alias) = &mut alias
            && alias.columns.len() == lists.len()
        {
            alias.columns.push(TableAliasColumnDef { name: Ident::new("ordinality"), data_type: None });
        }
    }
    derived(&format!("SELECT {}", columns.join(", ")), alias, true)
}

/// An alias, its table and its only column named by the function when it names none.
fn named(alias: Option<TableAlias>, function: &str, columns: usize) -> TableAlias {
    let mut alias = alias.unwrap_or_else(|| TableAlias {
        explicit: true,
        name: Ident::new(function),
        columns: Vec::new(),
        at: None,
    });
    if alias.columns.is_empty() {
        let name = alias.name.clone();
        alias.columns = (0..columns).map(|_| TableAliasColumnDef { name: name.clone(), data_type: None }).collect();
        for (at, column) in alias.columns.iter_mut().enumerate().skip(1) {
            column.name = Ident::new(format!("{}_{at}", name.value));
        }
    }
    alias
}

/// Ends at the first of what is no number, nor made of numbers.
struct Others;

impl Visitor for Others {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::Value(value) if matches!(value.value, Value::Number(..)) => ControlFlow::Continue(()),
            Expr::UnaryOp { .. } | Expr::BinaryOp { .. } | Expr::Nested(_) => ControlFlow::Continue(()),
            _ => ControlFlow::Break(()),
        }
    }
}

/// Whether an argument is anything but a number that is told.
fn is_other(arg: &FunctionArg) -> bool {
    let FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) = arg else { return true };
    walk(expr, &mut Others).is_break()
}

/// Ends at the first name of a column, and at what may have one.
struct Names;

impl Visitor for Names {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::Subquery(_) => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    }
}

/// Whether an expression may name columns.
pub(super) fn names_columns(expr: &Expr) -> bool {
    walk(expr, &mut Names).is_break()
}

pub(super) fn expression(sql: &str) -> Result<Expr> {
    let parsed = Parser::new(&crate::parse::Postgres).try_with_sql(sql).and_then(|mut parser| parser.parse_expr());
    parsed.map_err(|error| plan_datafusion_err!("{error}"))
}

fn derived(sql: &str, alias: Option<TableAlias>, lateral: bool) -> Result<TableFactor> {
    let parsed = Parser::new(&crate::parse::Postgres).try_with_sql(sql).and_then(|mut parser| parser.parse_query());
    let subquery = parsed.map_err(|error| plan_datafusion_err!("{error}"))?;
    Ok(TableFactor::Derived { lateral, subquery, alias, sample: None })
}
