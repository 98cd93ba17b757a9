//! What the query of a rollup may be: groups, one of them a bucket of time, and aggregates over one table.

use std::ops::ControlFlow;

use chronolith_storage::table::Kind;
use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, Query, Select, SelectItem, SetExpr,
    Statement, TableFactor, Value, Visitor,
};

use super::aggregates;
use crate::{
    connection::{Connection, naming, select},
    error::{Result, SqlError},
    parse::{ident, walk},
    statement::{Target, no_column},
};

/// The functions that make buckets.
const BUCKETS: [&str; 3] = ["time_bucket", "date_trunc", "date_bin"];

/// Refuses what a rollup cannot have.
pub(super) fn refused(what: &str) -> SqlError {
    SqlError::unsupported(format!("{what} in a continuous rollup"))
}

/// A query that can be kept up to date: groups and aggregates of one table.
pub(super) struct Form {
    pub(super) source: Target,
    /// The columns of the result.
    pub(super) items: Vec<(Expr, String)>,
    /// The groups, the bucket first.
    pub(super) groups: Vec<Expr>,
    /// The aggregates, each once.
    pub(super) aggregates: Vec<Function>,
    pub(super) column: String,
    pub(super) condition: Option<String>,
}

impl Form {
    /// The form of a statement.
    ///
    /// # Errors
    /// `0A000` for what cannot be kept up to date, by name.
    pub(super) fn of(connection: &Connection, statement: &Statement) -> Result<Self> {
        let Statement::Query(query) = statement else { return Err(refused("something else than a SELECT")) };
        let select = select_of(query)?;
        check_clauses(query, select)?;
        let source = source(connection, select)?;
        let items = select.projection.iter().map(|item| match item {
            SelectItem::UnnamedExpr(expr) => Ok((expr.clone(), naming::column_name(expr))),
            SelectItem::ExprWithAlias { expr, alias } => Ok((expr.clone(), ident(alias))),
            other => Err(refused(&other.to_string()).with_hint("Name the columns one by one.")),
        });
        let items = items.collect::<Result<Vec<_>>>()?;
        let mut groups = groups(connection, &source, select, &items)?;
        let (place, column) = bucket(connection, &source, &groups)?;
        let bucket = groups.remove(place);
        groups.insert(0, bucket);
        let mut found = Aggregates { connection, groups: &groups, found: Vec::new(), state: None };
        for (expr, _) in &items {
            let _ = walk(expr, &mut found);
        }
        if let Some(error) = found.state {
            return Err(error);
        }
        let aggregates = found.found;
        let condition = select.selection.as_ref().map(ToString::to_string);
        Ok(Self { source, items, groups, aggregates, column, condition })
    }
}

fn select_of(query: &Query) -> Result<&Select> {
    match &*query.body {
        SetExpr::Select(select) => Ok(select),
        _ => Err(refused("UNION, VALUES or another form of query")),
    }
}

/// Refuses by name what a SELECT has beside columns, FROM, WHERE and GROUP BY.
fn check_clauses(query: &Query, select_: &Select) -> Result<()> {
    let clauses = [
        (query.with.is_some(), "WITH"),
        (query.order_by.is_some(), "ORDER BY"),
        (query.limit_clause.is_some() || query.fetch.is_some(), "LIMIT"),
        (select_.distinct.is_some(), "DISTINCT"),
        (select_.having.is_some(), "HAVING"),
        (!select_.named_window.is_empty(), "WINDOW"),
        (select_.into.is_some(), "INTO"),
    ];
    if let Some((_, clause)) = clauses.iter().find(|(there, _)| *there) {
        return Err(refused(clause).with_hint("Say it when the materialized view is read."));
    }
    let mut plain = select(select_.projection.clone())?;
    if let SetExpr::Select(plain) = &mut *plain.body {
        plain.from.clone_from(&select_.from);
        plain.selection.clone_from(&select_.selection);
        plain.group_by = select_.group_by.clone();
    }
    if plain != *query {
        return Err(refused("this form of SELECT"));
    }
    struct Subqueries(usize);
    impl Visitor for Subqueries {
        type Break = ();
        fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
            self.0 += 1;
            ControlFlow::Continue(())
        }
    }
    let mut queries = Subqueries(0);
    let _ = walk(query, &mut queries);
    if queries.0 > 1 { Err(refused("a subquery")) } else { Ok(()) }
}

fn source(connection: &Connection, select: &Select) -> Result<Target> {
    let one = match select.from.as_slice() {
        [one] if one.joins.is_empty() => &one.relation,
        [] => return Err(refused("a query without a table")),
        _ => return Err(refused("a join").with_hint("Join the materialized view when it is read.")),
    };
    let TableFactor::Table { name, alias, args: None, sample: None, .. } = one else {
        return Err(refused("something else than one table in FROM"));
    };
    if alias.as_ref().is_some_and(|alias| !alias.columns.is_empty()) {
        return Err(refused("an alias with columns"));
    }
    let target = Target::find(connection, name, alias.as_ref().map(|alias| &alias.name));
    target.map_err(|e| match e.state.as_str() {
        "42P01" | "42809" => SqlError { hint: Some("A continuous rollup is of one table of rows.".to_owned()), ..e },
        _ => e,
    })
}

/// The expressions of GROUP BY; numbers and names of the result's columns stand for these.
fn groups(connection: &Connection, source: &Target, select: &Select, items: &[(Expr, String)]) -> Result<Vec<Expr>> {
    let GroupByExpr::Expressions(by, modifiers) = &select.group_by else { return Err(refused("GROUP BY ALL")) };
    if !modifiers.is_empty() {
        return Err(refused("a modifier of GROUP BY"));
    }
    let layout = connection.scope.layout(&source.table);
    let mut groups: Vec<Expr> = Vec::new();
    for expr in by {
        let group = match expr {
            Expr::Value(value) => match &value.value {
                Value::Number(number, _) => {
                    let place: Option<usize> = number.parse().ok();
                    let item = place.and_then(|place| items.get(place.checked_sub(1)?));
                    let missing = || SqlError::new(b"42P10", format!("GROUP BY position {number} is not in the list"));
                    item.ok_or_else(missing)?.0.clone()
                }
                _ => return Err(refused("a constant in GROUP BY")),
            },
            Expr::Identifier(name) if layout.schema.index_of(&ident(name)).is_err() => {
                let item = items.iter().find(|(_, item)| *item == ident(name));
                item.map_or_else(|| expr.clone(), |(expr, _)| expr.clone())
            }
            Expr::GroupingSets(_) | Expr::Cube(_) | Expr::Rollup(_) => return Err(refused("GROUPING SETS")),
            other => other.clone(),
        };
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    Ok(groups)
}

/// Which group is the bucket, and the column that it is of.
fn bucket(connection: &Connection, source: &Target, groups: &[Expr]) -> Result<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    for (at, group) in groups.iter().enumerate() {
        found.extend(bucketed(connection, source, group)?.map(|column| (at, column)));
    }
    let [(at, column)] = found.as_slice() else {
        return Err(refused(if found.is_empty() { "GROUP BY without a bucket of time" } else { "a second bucket" })
            .with_hint(format!(
                "Group by one time_bucket('1 hour', t), date_trunc or date_bin, where t is a date or timestamp column \
                 of \"{}\".",
                source.name
            )));
    };
    let definition = source.definition();
    let declared = definition.column_named(column);
    if let Some(time) = definition.time.and_then(|id| definition.column(id))
        && declared.is_none_or(|declared| declared.id != time.id)
    {
        return Err(refused(&format!("a bucket of \"{column}\""))
            .with_hint(format!("Rows of \"{}\" are kept by \"{}\": make buckets of that.", source.name, time.name)));
    }
    Ok((*at, column.clone()))
}

/// The column that a bucket is of; `None` of what is no bucket.
fn bucketed(connection: &Connection, source: &Target, group: &Expr) -> Result<Option<String>> {
    let Expr::Function(call) = group else { return Ok(None) };
    if !BUCKETS.contains(&aggregates::name(call).as_str()) {
        return Ok(None);
    }
    let FunctionArguments::List(list) = &call.args else { return Ok(None) };
    let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(of))) = list.args.get(1) else { return Ok(None) };
    let name = match of {
        Expr::Identifier(name) => ident(name),
        Expr::CompoundIdentifier(names) => match names.as_slice() {
            [table, name] if ident(table) == source.alias => ident(name),
            _ => return Ok(None),
        },
        _ => return Ok(None),
    };
    let Some(column) = source.definition().column_named(&name) else {
        let is_field = connection.scope.layout(&source.table).schema.index_of(&name).is_ok();
        return if is_field { Ok(None) } else { Err(no_column(&name, &source.name)) };
    };
    Ok(matches!(column.column_type.kind(), Some(Kind::Date | Kind::Micros | Kind::Nanos)).then_some(name))
}

/// Finds the aggregates in the result's columns.
struct Aggregates<'a> {
    connection: &'a Connection,
    groups: &'a [Expr],
    found: Vec<Function>,
    state: Option<SqlError>,
}

impl Visitor for Aggregates<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        let Expr::Function(call) = expr else { return ControlFlow::Continue(()) };
        if call.over.is_some() {
            self.state = Some(refused("a window function"));
            return ControlFlow::Break(());
        }
        if self.groups.contains(expr) || self.found.contains(call) {
            return ControlFlow::Continue(());
        }
        match self.connection.sql.is_aggregate(&aggregates::name(call)) {
            Ok(true) => self.found.push(call.clone()),
            Ok(false) => {}
            Err(error) => {
                self.state = Some(error);
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }
}
