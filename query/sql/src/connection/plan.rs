//! Planning and running queries, and evaluating expressions over rows in hand.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{ArrayRef, RecordBatch, RecordBatchOptions},
    datatypes::{Field, FieldRef, Schema, SchemaRef},
};
use datafusion::{
    catalog::{CatalogProviderList, MemoryCatalogProviderList, SchemaProvider},
    common::{
        DFSchema, DFSchemaRef, ParamValues, ScalarValue,
        metadata::ScalarAndMetadata,
        tree_node::{Transformed, TreeNode},
    },
    execution::{SendableRecordBatchStream, SessionState},
    logical_expr::{Expr as Planned, ExprSchemable, LogicalPlan, expr::Placeholder, simplify::SimplifyContext},
    optimizer::simplify_expressions::ExprSimplifier,
    physical_plan::{ExecutionPlan, collect, execute_stream},
    prelude::SessionContext,
    sql::{
        parser::Statement as PlannedStatement,
        sqlparser::ast::{Expr, ExprWithAlias, Query, SelectItem, SetExpr, Statement},
    },
};
use futures::StreamExt;
use tokio::sync::mpsc;

use super::{Connection, naming};
use crate::{
    catalog,
    error::{Result, SqlError},
    functions,
    outcome::RowStream,
    parse,
    scope::{Database, PUBLIC, PublicSchema},
    session::SharedStatus,
    stop::Stop,
    types::UTC,
};

/// Batches that wait for a reader.
const BATCHES_AHEAD: usize = 2;

/// An expression's values, and what they are.
#[derive(Debug, Clone)]
pub(crate) struct Evaluated {
    pub(crate) field: FieldRef,
    pub(crate) values: ArrayRef,
}

impl Connection {
    /// A context whose schemas look at what the statement sees, as it is for the statement that begins now.
    pub(crate) fn state(&mut self) -> Result<SessionState> {
        let context = match &self.context {
            Some(context) => context,
            None => {
                let made = self.make_context()?;
                self.context.insert(made)
            }
        };
        let mut state = context.state();
        let zone = if self.is_in_utc { Some(UTC.to_owned()) } else { self.info.setting("timezone") };
        state.config_mut().options_mut().execution.time_zone = zone;
        Ok(state)
    }

    fn make_context(&self) -> Result<SessionContext> {
        let objects = self.objects();
        let mut schemas: BTreeMap<String, Arc<dyn SchemaProvider>> =
            catalog::schemas(&objects, &self.info).into_iter().collect();
        let behind = schemas.get("pg_catalog").cloned();
        schemas.insert(PUBLIC.to_owned(), Arc::new(PublicSchema { scope: Arc::clone(&self.scope), behind }));
        let list = MemoryCatalogProviderList::new();
        list.register_catalog(self.info.database.clone(), Arc::new(Database { schemas }));
        let mut state = self.sql.base_state()?;
        state.register_catalog_list(Arc::new(list));
        let names = &mut state.config_mut().options_mut().catalog;
        names.default_catalog.clone_from(&self.info.database);
        PUBLIC.clone_into(&mut names.default_schema);
        let context = SessionContext::new_with_state(state);
        catalog::register(&context, &objects, &self.info)?;
        Ok(context)
    }

    /// Makes a statement one that DataFusion can plan.
    pub(crate) fn rewrite(&self, statement: &mut Statement) -> Result<()> {
        super::bytes::read(statement)?;
        functions::rewrite_statement(statement)?;
        catalog::rewrite_statement(statement, &self.objects(), &self.info)?;
        super::rewrite::relations(statement, &self.scope)
    }

    /// The plan of a query, with the parameters' values in it if there are any.
    pub(crate) async fn plan(
        &mut self,
        mut statement: Statement,
        parameters: &[ScalarValue],
    ) -> Result<(SessionState, LogicalPlan)> {
        super::values::show(&mut statement, parameters);
        self.rewrite(&mut statement)?;
        let state = self.state()?;
        let plan = Box::pin(state.statement_to_plan(PlannedStatement::Statement(Box::new(statement)))).await?;
        let plan = if parameters.is_empty() { plan } else { plan.replace_params_with_values(&values(parameters))? };
        Ok((state, plan))
    }

    /// Runs a query; its rows come while it runs.
    pub(crate) async fn stream(
        &mut self,
        statement: Statement,
        parameters: &[ScalarValue],
    ) -> Result<(SchemaRef, RowStream)> {
        let (state, plan) = self.plan(statement, parameters).await?;
        let plan = analyzed(&state, plan)?;
        let schema = Arc::clone(plan.schema().inner());
        let physical = Box::pin(physical(&state, plan)).await?;
        let rows = execute_stream(physical, state.task_ctx())?;
        let named = naming::result_schema(&schema);
        let rename = (named != schema).then(|| Arc::clone(&named));
        Ok((named, drive(rows, rename, self.stop(), Arc::clone(&self.status))))
    }

    /// Runs a query to its end.
    pub(crate) async fn collect(
        &mut self,
        query: Statement,
        parameters: &[ScalarValue],
    ) -> Result<(SchemaRef, Vec<RecordBatch>)> {
        let (schema, batches) = Box::pin(self.collect_qualified(query, parameters)).await?;
        Ok((Arc::clone(schema.inner()), batches))
    }

    /// Runs a query to its end; the schema tells which tables the columns came from.
    pub(crate) async fn collect_qualified(
        &mut self,
        query: Statement,
        parameters: &[ScalarValue],
    ) -> Result<(DFSchemaRef, Vec<RecordBatch>)> {
        let (state, plan) = Box::pin(self.plan(query, parameters)).await?;
        let plan = analyzed(&state, plan)?;
        let schema = Arc::clone(plan.schema());
        let physical = Box::pin(physical(&state, plan)).await?;
        Ok((schema, Box::pin(collect(physical, state.task_ctx())).await?))
    }

    /// The values of expressions for each row of a batch.
    ///
    /// # Errors
    /// When an expression is wrong, aggregates, or has a query inside.
    pub(crate) fn evaluate(
        &mut self,
        exprs: Vec<Expr>,
        schema: &DFSchema,
        batch: &RecordBatch,
        parameters: &[ScalarValue],
    ) -> Result<Vec<Evaluated>> {
        let exprs = self.rewritten(exprs)?;
        let state = self.state()?;
        let mut evaluated = Vec::with_capacity(exprs.len());
        for expr in exprs {
            let expr = ExprWithAlias { expr, alias: None };
            let mut expr = state.create_logical_expr_from_sql_expr(expr, schema)?;
            if !parameters.is_empty() {
                expr = with_parameters(expr, &values(parameters))?;
            }
            let (_, field) = expr.to_field(schema)?;
            let physical = state.create_physical_expr(simplified(&state, expr, schema)?, schema)?;
            let values = physical.evaluate(batch)?.into_array(batch.num_rows())?;
            let field = Arc::new(field.as_ref().clone().with_data_type(values.data_type().clone()));
            evaluated.push(Evaluated { field, values });
        }
        Ok(evaluated)
    }

    /// Expressions that DataFusion can plan: rewritten as the columns of a SELECT.
    fn rewritten(&self, exprs: Vec<Expr>) -> Result<Vec<Expr>> {
        let count = exprs.len();
        let items = exprs.into_iter().map(SelectItem::UnnamedExpr).collect();
        let mut statement = Statement::Query(Box::new(select(items)?));
        super::bytes::read(&mut statement)?;
        functions::rewrite_statement(&mut statement)?;
        catalog::rewrite_statement(&mut statement, &self.objects(), &self.info)?;
        let changed = || SqlError::unsupported("a set of rows, or a query, in an expression of this statement");
        let Statement::Query(query) = statement else { return Err(changed()) };
        let SetExpr::Select(select) = *query.body else { return Err(changed()) };
        let exprs = select.projection.into_iter().map(|item| match item {
            SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Ok(expr),
            _ => Err(changed()),
        });
        let exprs = exprs.collect::<Result<Vec<_>>>()?;
        if exprs.len() == count { Ok(exprs) } else { Err(changed()) }
    }
}

/// A plan in which operands have the types that they are calculated in: of `1 UNION SELECT 2.5`, only now is it known that
/// the result is numeric.
pub(crate) fn analyzed(state: &SessionState, plan: LogicalPlan) -> Result<LogicalPlan> {
    // An explained plan is analyzed when it is explained.
    if matches!(plan, LogicalPlan::Explain(_)) {
        return Ok(plan);
    }
    Ok(state.analyzer().execute_and_check(plan, state.config_options(), |_, _| {})?)
}

/// What runs an analyzed plan.
async fn physical(state: &SessionState, plan: LogicalPlan) -> Result<Arc<dyn ExecutionPlan>> {
    if matches!(plan, LogicalPlan::Explain(_)) {
        return Ok(state.create_physical_plan(&plan).await?);
    }
    let optimized = state.optimizer().optimize(plan, state, |_, _| {})?;
    Ok(state.query_planner().create_physical_plan(&optimized, state).await?)
}

/// A query of these columns from nothing.
pub(crate) fn select(items: Vec<SelectItem>) -> Result<Query> {
    let internal = || SqlError::new(b"XX000", "a query could not be made");
    let Some(Statement::Query(mut query)) = parse::parse("SELECT 1")? else { return Err(internal()) };
    let SetExpr::Select(select) = &mut *query.body else { return Err(internal()) };
    select.projection = items;
    Ok(*query)
}

/// An expression in which what does not depend on rows, such as now(), has its value.
fn simplified(state: &SessionState, expr: Planned, schema: &DFSchema) -> Result<Planned> {
    let context = SimplifyContext::builder()
        .with_schema(Arc::new(schema.clone()))
        .with_config_options(Arc::clone(state.config_options()))
        .with_query_execution_start_time(state.execution_props().query_execution_start_time)
        .build();
    let simplifier = ExprSimplifier::new(context);
    let zone = functions::zone_of(state.config_options());
    let coerced = functions::casts(simplifier.coerce(expr, schema)?, schema, zone)?.data;
    let in_zone = functions::in_zone(coerced, schema, zone)?.data;
    Ok(simplifier.simplify(in_zone)?)
}

/// Parameters as plans take them.
fn values(parameters: &[ScalarValue]) -> ParamValues {
    ParamValues::List(parameters.iter().cloned().map(ScalarAndMetadata::from).collect())
}

fn with_parameters(expr: Planned, parameters: &ParamValues) -> Result<Planned> {
    let expr = expr.transform_up(|expr| match expr {
        Planned::Placeholder(Placeholder { id, .. }) => {
            let (value, metadata) = parameters.get_placeholders_with_values(&id)?.into_inner();
            Ok(Transformed::yes(Planned::Literal(value, metadata)))
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(expr.data)
}

/// Runs a query's stream on the engine's threads, whoever reads its rows. An error lets the transaction fail.
fn drive(
    mut rows: SendableRecordBatchStream,
    rename: Option<SchemaRef>,
    mut stop: Stop,
    status: Arc<SharedStatus>,
) -> RowStream {
    let (sender, mut receiver) = mpsc::channel::<Result<RecordBatch>>(BATCHES_AHEAD);
    let task = tokio::spawn(async move {
        loop {
            let next = tokio::select! {
                biased;
                error = stop.stopped() => Some(Err(error)),
                next = rows.next() => next.map(|batch| batch.map_err(SqlError::from).and_then(|batch| renamed(batch, rename.as_ref()))),
            };
            let Some(next) = next else { return };
            let failed = next.is_err();
            if failed {
                status.fail();
            }
            // Whoever reads may be slow for longer than the statement may take.
            let sent = tokio::select! {
                sent = sender.send(next) => sent.is_ok(),
                error = stop.stopped(), if !failed => {
                    status.fail();
                    let _ = sender.send(Err(error)).await;
                    false
                }
            };
            if !sent || failed {
                return;
            }
        }
    });
    let stop_on_drop = StopOnDrop(task.abort_handle());
    Box::pin(futures::stream::poll_fn(move |turn| {
        let _held = &stop_on_drop;
        receiver.poll_recv(turn)
    }))
}

/// A batch under other names.
fn renamed(batch: RecordBatch, names: Option<&SchemaRef>) -> Result<RecordBatch> {
    let Some(schema) = names else { return Ok(batch) };
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    // Types are those of the batch: a plan may tell of a null that no batch has.
    let fields = batch
        .schema()
        .fields()
        .iter()
        .zip(schema.fields())
        .map(|(is, named)| Field::clone(is).with_name(named.name()))
        .collect::<Vec<_>>();
    Ok(RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), batch.columns().to_vec(), &options)?)
}

/// Ends a query when nobody reads its rows any more.
struct StopOnDrop(tokio::task::AbortHandle);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
