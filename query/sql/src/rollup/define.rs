//! Making a rollup: what its query may be, the states that its store keeps, and how the result is told of them.

use std::{collections::BTreeSet, ops::ControlFlow, sync::Arc};

use arrow::datatypes::SchemaRef;
use chronolith_storage::{
    engine::Transaction,
    table::{ColumnId, HOLDS, REPLACED, TableDefinition, TableId, replaced_name},
};
use datafusion::{
    common::tree_node::{TreeNode, TreeNodeRecursion},
    logical_expr::{Expr as Planned, LogicalPlan, Volatility},
    sql::sqlparser::ast::{CreateTableOptions, CreateView, Expr, SqlOption, Statement, VisitorMut},
};

use super::{
    Item, Partial, STORE_PREFIX, StoredRollup, aggregates, find,
    form::{Form, refused},
    query::{group_column, state_column},
    retention_changes,
    state::State,
    state_name,
};
use crate::{
    connection::{Connection, check_query, naming},
    error::{Result, SqlError},
    parse::{self, ident, parse_expr, quoted, relation_name, walk_mut},
    statement::{
        Written,
        create::{add_column, is_there, option_text, set_retention, type_of},
        view::check_unique,
    },
    stored::{self, StoredView, VIEWS},
    types::{PG_TYPE, UTC, query_type},
};

/// Runs a CREATE MATERIALIZED VIEW.
///
/// # Errors
/// When the name is taken, or the query is none that can be kept up to date.
pub(crate) async fn create(connection: &mut Connection, statement: &CreateView) -> Result<Written> {
    let retention = options(&statement.options)?;
    if statement.or_replace || statement.temporary {
        return Err(SqlError::new(b"42601", "CREATE MATERIALIZED VIEW takes neither OR REPLACE nor TEMPORARY"));
    }
    let zone = connection.zone();
    if zone != UTC {
        return Err(refused(&format!("the session's time zone {zone}"))
            .with_hint("Buckets are of UTC, whoever reads them: SET TimeZone = 'UTC' first."));
    }
    let name = relation_name(&statement.name)?;
    if is_there(connection, &name, statement.if_not_exists)? {
        return Ok(Written::done("CREATE MATERIALIZED VIEW"));
    }
    is_there(connection, &format!("{STORE_PREFIX}{name}"), false).map_err(|e| match e.state.as_str() {
        "42P07" => e.with_hint("A materialized view whose definition was lost has left it behind. Drop it first."),
        _ => e,
    })?;
    check_query(&statement.query)?;
    let mut query = Statement::Query(statement.query.clone());
    naming::name_columns(&mut query);
    if !statement.columns.is_empty() {
        let names: Vec<String> = statement.columns.iter().map(|column| ident(&column.name)).collect();
        naming::rename_columns(&mut query, &names)?;
    }
    let written = Form::of(connection, &query)?;
    let (_, plan) = connection.plan(query.clone(), &[]).await?;
    if !plan.get_parameter_types()?.is_empty() {
        return Err(SqlError::new(b"42P02", "a materialized view cannot have parameters"));
    }
    check_unique(&plan)?;
    let mut read = BTreeSet::new();
    check_immutable(&plan, &mut read)?;
    let (rollup, mut store) = Box::pin(written.rollup(connection, &name, &read)).await?;
    if let Some(retention) = retention {
        set_retention(&mut store, &retention)?;
    }
    let source = written.source.definition().id;
    let columns = plan.schema().as_arrow();
    not_replaced(connection, written.source.definition())?;
    let transaction = connection.transaction()?;
    touch(transaction, written.source.definition())?;
    transaction.create_table(store)?;
    transaction.put_entry(HOLDS, &state_name(source, &name), Some(State::new().body()));
    let mut view = StoredView::new(query.to_string(), columns);
    view.rollup = Some(rollup);
    transaction.put_entry(VIEWS, &name, Some(stored::body(&view)));
    // What comes out of it is what its users are told of.
    connection.look();
    if let Some(all) = parse::parse(&format!("SELECT * FROM {}", quoted(&name)))? {
        let (_, plan) = connection.plan(all, &[]).await?;
        view = StoredView { rollup: view.rollup, ..StoredView::new(view.query, plan.schema().as_arrow()) };
        connection.transaction()?.put_entry(VIEWS, &name, Some(stored::body(&view)));
    }
    connection.sql.keep_rollups_refreshed()?;
    Ok(Written::done("CREATE MATERIALIZED VIEW"))
}

/// Refuses a source whose rows are replaced with nobody told, as those of Kafka's positions are. That it is none until
/// this is committed is seen to by taking out the mark which is not there.
fn not_replaced(connection: &mut Connection, source: &TableDefinition) -> Result<()> {
    let mark = replaced_name(source.id);
    let transaction = connection.transaction()?;
    if transaction.tables().entry(REPLACED, &mark).is_some() {
        return Err(refused(&format!("table \"{}\", whose rows are replaced in place,", source.name))
            .with_hint("It holds only what is true now. Ask it directly, or make a plain view of it."));
    }
    transaction.put_entry(REPLACED, &mark, None);
    Ok(())
}

/// Changes a source's definition by nothing that matters, when a rollup of it is made or dropped: a transaction that
/// deletes rows and does not know of that contradicts it then.
pub(super) fn touch(transaction: &mut Transaction, source: &TableDefinition) -> Result<()> {
    let next_column = ColumnId(source.next_column.0 + 1);
    transaction.alter_table(TableDefinition { next_column, ..source.clone() })?;
    Ok(())
}

/// The retention that WITH (continuous, ...) asks for.
fn options(options: &CreateTableOptions) -> Result<Option<String>> {
    let mut continuous = false;
    let mut retention = None;
    let given: &[SqlOption] = match options {
        CreateTableOptions::None => &[],
        CreateTableOptions::With(given) => given,
        other => return Err(SqlError::unsupported(format!("the option {other} of CREATE MATERIALIZED VIEW"))),
    };
    for option in given {
        let SqlOption::KeyValue { key, value } = option else {
            return Err(SqlError::unsupported(format!("the option {option} of CREATE MATERIALIZED VIEW")));
        };
        let text = option_text(value);
        match ident(key).as_str() {
            "continuous" => continuous = matches!(text.to_lowercase().as_str(), "true" | "on" | "1"),
            "retention" => retention = Some(text),
            _ => {
                return Err(SqlError::new(b"22023", format!("unrecognized parameter \"{key}\""))
                    .with_hint("the options are continuous and retention = '2y'"));
            }
        }
    }
    if continuous {
        return Ok(retention);
    }
    Err(SqlError::unsupported("CREATE MATERIALIZED VIEW without WITH (continuous)")
        .with_hint("Add WITH (continuous): the view is then kept up to date. Or use CREATE TABLE ... AS."))
}

/// Runs an ALTER MATERIALIZED VIEW ... SET (retention = ...).
///
/// # Errors
/// For any other option.
pub(crate) fn set_options(connection: &mut Connection, name: &str, options: &[SqlOption]) -> Result<()> {
    let view = connection.scope.view();
    let store = find(&view, name).and_then(|rollup| view.table(&rollup.store).cloned());
    let Some(store) = store else {
        return Err(SqlError::new(b"42P01", format!("materialized view \"{name}\" does not exist")));
    };
    let mut definition = TableDefinition::clone(&store.definition);
    for option in options {
        match option {
            SqlOption::KeyValue { key, value } if ident(key) == "retention" => {
                set_retention(&mut definition, &option_text(value))?;
            }
            other => {
                return Err(SqlError::unsupported(format!("changing the option {other} of a materialized view"))
                    .with_hint("retention can be changed"));
            }
        }
    }
    retention_changes(connection, &store)?;
    connection.transaction()?.alter_table(definition)?;
    Ok(())
}

/// Refuses functions whose results change by themselves, and notes the columns that are read.
fn check_immutable(plan: &LogicalPlan, read: &mut BTreeSet<String>) -> Result<()> {
    let mut changing = None;
    plan.apply(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                match expr {
                    // A field that is cast may get another type: what comes of it stays the same.
                    Planned::Cast(cast) if matches!(*cast.expr, Planned::Column(_)) => {
                        return Ok(TreeNodeRecursion::Jump);
                    }
                    Planned::Column(column) => {
                        read.insert(column.name.clone());
                    }
                    Planned::ScalarFunction(call) if call.func.signature().volatility != Volatility::Immutable => {
                        changing = Some(call.func.name().to_owned());
                    }
                    _ => {}
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    match changing {
        None => Ok(()),
        Some(name) => Err(refused(&format!("{name}(), whose result changes,"))
            .with_hint("What a row adds to a rollup must not depend on when it is added.")),
    }
}

impl Form {
    /// The rollup, and the table for its states.
    async fn rollup(
        &self,
        connection: &mut Connection,
        name: &str,
        read: &BTreeSet<String>,
    ) -> Result<(StoredRollup, TableDefinition)> {
        let partial = |expr: String| Partial { expr, data_type: String::new(), merge: None };
        let layout = connection.scope.layout(&self.source.table);
        let fields = layout.schema.fields().iter().filter(|field| {
            self.source.definition().column_named(field.name()).is_none() && read.contains(field.name())
        });
        let column_type = self.source.definition().column_named(&self.column);
        let mut rollup = StoredRollup {
            source: self.source.name.clone(),
            alias: self.source.alias.clone(),
            store: format!("{STORE_PREFIX}{name}"),
            column: self.column.clone(),
            column_type: column_type.map_or_else(String::new, |column| query_type(&column.column_type).to_string()),
            groups: self.groups.iter().map(|group| partial(group.to_string())).collect(),
            condition: self.condition.clone(),
            states: self.aggregates.iter().map(|call| partial(call.to_string())).collect(),
            items: Vec::new(),
            fields: fields.map(|field| (field.name().clone(), field.data_type().to_string())).collect(),
        };
        // First the types of the results, then those of the states.
        let own = schema_of(connection, &rollup.partial(&rollup.source, None)).await?;
        let mut results = Vec::new();
        rollup.states.clear();
        for (at, call) in self.aggregates.iter().enumerate() {
            let result_type = own.field(self.groups.len() + at).data_type();
            let kept = aggregates::kept(call, result_type)?;
            let merged: Vec<String> = kept.states.into_iter().map(|state| merged(&mut rollup, state)).collect();
            let result = (kept.result)(&merged, &kept.extra);
            results.push(if kept.cast { format!("arrow_cast({result}, '{result_type}')") } else { result });
        }
        let states = schema_of(connection, &rollup.partial(&rollup.source, None)).await?;
        let store = store(&mut rollup, &states)?;
        let mut groups = Vec::new();
        for (at, group) in rollup.groups.iter().enumerate() {
            let (column, of) = (quoted(&group_column(at)).to_string(), own.field(at).data_type());
            groups.push(if group.arrow() == *of { column } else { format!("arrow_cast({column}, '{of}')") });
        }
        rollup.items = self.told(&groups, &results)?;
        Ok((rollup, store))
    }

    /// The columns of the result, over the store's columns.
    fn told(&self, groups: &[String], results: &[String]) -> Result<Vec<Item>> {
        let parsed = |texts: &[String]| texts.iter().map(|text| parse_expr(text)).collect::<Result<Vec<_>>>();
        let (groups, results) = (parsed(groups)?, parsed(results)?);
        let items = self.items.iter().map(|(expr, name)| {
            let mut expr = expr.clone();
            let _ = walk_mut(&mut expr, &mut Replace { form: self, groups: &groups, results: &results });
            Item { expr: expr.to_string(), name: name.clone() }
        });
        Ok(items.collect())
    }
}

/// Puts columns of the store in the place of groups and aggregates.
struct Replace<'a> {
    form: &'a Form,
    groups: &'a [Expr],
    results: &'a [Expr],
}

impl VisitorMut for Replace<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let group = self.form.groups.iter().position(|group| group == expr).and_then(|at| self.groups.get(at));
        let result = match &*expr {
            Expr::Function(call) => {
                self.form.aggregates.iter().position(|found| found == call).and_then(|at| self.results.get(at))
            }
            _ => None,
        };
        if let Some(new) = group.or(result) {
            *expr = Expr::Nested(Box::new(new.clone()));
        }
        ControlFlow::Continue(())
    }
}

/// The merged form of a state; one that is there already is not kept twice.
fn merged(rollup: &mut StoredRollup, (expr, merge): (String, &'static str)) -> String {
    let known = rollup.states.iter().position(|state| state.expr == expr);
    let at = known.unwrap_or_else(|| {
        rollup.states.push(Partial { expr, data_type: String::new(), merge: Some(merge.to_owned()) });
        rollup.states.len() - 1
    });
    format!("{merge}({})", quoted(&state_column(at)))
}

async fn schema_of(connection: &mut Connection, query: &str) -> Result<SchemaRef> {
    let Some(query) = parse::parse(query)? else { return Err(SqlError::new(b"XX000", "a rollup has no query")) };
    let (_, plan) = connection.plan(query, &[]).await?;
    Ok(Arc::clone(plan.schema().inner()))
}

/// The table of the states, whose types the rollup's columns get.
fn store(rollup: &mut StoredRollup, states: &SchemaRef) -> Result<TableDefinition> {
    let mut definition = TableDefinition {
        id: TableId(0),
        name: rollup.store.clone(),
        columns: Vec::new(),
        next_column: ColumnId(0),
        primary_key: Vec::new(),
        time: None,
        dynamic: false,
        retention_ms: None,
    };
    for (partial, field) in rollup.groups.iter_mut().chain(&mut rollup.states).zip(states.fields()) {
        let column_type = type_of(field.data_type(), field.metadata().get(PG_TYPE).map(String::as_str))?;
        let seen = query_type(&column_type);
        if seen != *field.data_type() {
            partial.expr = format!("arrow_cast({}, '{seen}')", partial.expr);
        }
        partial.data_type = seen.to_string();
        add_column(&mut definition, field.name().clone(), column_type);
    }
    definition.time = definition.columns.first().map(|bucket| bucket.id);
    Ok(definition)
}
