//! Rewrites statements: ASOF joins, and functions that return rows, which become `unnest` of a function that returns a list.

use std::ops::ControlFlow;

use datafusion::{
    common::{DataFusionError, Result, not_impl_err, plan_datafusion_err, plan_err},
    sql::sqlparser::{
        ast::{
            DataType, ExactNumberInfo, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName, Query,
            Select, SelectItem, Statement, TableAlias, TableAliasColumnDef, TableFactor, TableWithJoins, TypedString,
            Value, Visitor, VisitorMut,
        },
        dialect::PostgreSqlDialect,
        parser::Parser,
    },
};

use super::{asof, balance, datetime, elements, numbers::Numbers, series, spelling, using};
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
    /// Whether DataFusion has it as a table function of constants.
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
        "generate_series" => &[(None, "generate_series")],
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
            let FunctionArguments::List(list) = &function.args else { return Ok(()) };
            let field = match list.args.first() {
                Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(value)))) => match &value.value {
                    Value::SingleQuotedString(field) => Some(field.as_str()),
                    _ => None,
                },
                _ => None,
            };
            if let Some(renamed) = datetime::renamed(&name, field, list.args.len()) {
                function.name = ObjectName::from(vec![Ident::new(renamed)]);
            }
        }
        Expr::Extract { field, expr: of, .. } => {
            *expr = spelling::extracted(&field.to_string(), of)?;
        }
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
        let mut text = call.to_string();
        if rows.table_function
            && let FunctionArguments::List(args) = &call.args
        {
            text = series::call(&args.args);
        }
        let expr = expression(&json_typed(&name, format!("unnest({text})"), "value"))?;
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
    if rows.table_function && !series::is_of_numbers(&args) {
        let list = series::call(&args);
        let alias = named(alias.take(), &name, 1);
        return lateral(&[(None, list)], Some(alias), ordinality).map(|new| *factor = new);
    }
    if rows.table_function {
        if !ordinality && !args.iter().any(has_names) {
            // The column has the name of the table.
            let named = named(alias.take(), &name, 1);
            match factor {
                TableFactor::Table { alias, args: Some(own), .. } => (*alias, own.args) = (Some(named), args),
                TableFactor::Function { alias, args: own, .. } => (*alias, *own) = (Some(named), args),
                _ => {}
            }
            return Ok(());
        }
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
        columns.push(format!("unnest(generate_series(1, cardinality({list}))) AS ordinality"));
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

/// Whether an argument may name columns.
fn has_names(arg: &FunctionArg) -> bool {
    let FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) = arg else { return true };
    names_columns(expr)
}

/// Whether an expression may name columns.
pub(super) fn names_columns(expr: &Expr) -> bool {
    walk(expr, &mut Names).is_break()
}

pub(super) fn expression(sql: &str) -> Result<Expr> {
    let parsed = Parser::new(&PostgreSqlDialect {}).try_with_sql(sql).and_then(|mut parser| parser.parse_expr());
    parsed.map_err(|error| plan_datafusion_err!("{error}"))
}

fn derived(sql: &str, alias: Option<TableAlias>, lateral: bool) -> Result<TableFactor> {
    let parsed = Parser::new(&PostgreSqlDialect {}).try_with_sql(sql).and_then(|mut parser| parser.parse_query());
    let subquery = parsed.map_err(|error| plan_datafusion_err!("{error}"))?;
    Ok(TableFactor::Derived { lateral, subquery, alias, sample: None })
}
