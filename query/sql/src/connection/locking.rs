//! SELECT ... FOR UPDATE and FOR SHARE. No lock is held: the rows that were selected must be as they were when the transaction
//! commits, or it fails with 40001. Outside a transaction there is nothing that a lock could guard.

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::UInt64Type;
use datafusion::{
    common::ScalarValue,
    sql::sqlparser::ast::{GroupByExpr, LockClause, NonBlock, Query, SetExpr, Statement, TableFactor},
};
use roaring::RoaringTreemap;
use std::sync::Arc;

use super::{Connection, naming};
use crate::{
    error::{Result, SqlError},
    outcome::{Outcome, rows_of},
    parse::relation_name,
    scan::ROW_ID_COLUMN,
    statement::{
        Target,
        update::{item, qualified},
    },
};

/// Refuses what a lock cannot mean here.
fn check(lock: &LockClause) -> Result<()> {
    if lock.nonblock == Some(NonBlock::SkipLocked) {
        return Err(SqlError::unsupported("SKIP LOCKED").with_hint(
            "no row is ever locked: two transactions that take the same row contradict each other at COMMIT",
        ));
    }
    Ok(())
}

fn refused(locks: &[LockClause]) -> SqlError {
    let lock = locks.first().map_or_else(String::new, |lock| format!("FOR {}", lock.lock_type));
    SqlError::unsupported(format!("{lock} of something else than rows of one table"))
        .with_hint("writes that contradict each other fail with 40001 at COMMIT; try the transaction again")
}

impl Connection {
    /// Runs a query with FOR UPDATE or FOR SHARE.
    ///
    /// # Errors
    /// `0A000` when it reads something else than rows of one table, and what the query does wrong.
    pub(super) async fn query_locking(&mut self, mut query: Query, parameters: &[ScalarValue]) -> Result<Outcome> {
        let locks = std::mem::take(&mut query.locks);
        locks.iter().try_for_each(check)?;
        self.look();
        let target = match self.locked_table(&query, &locks) {
            // What is no table may be something else that can be read.
            Err(error) if error.state.as_str() == "42P01" => {
                let readable = Box::pin(self.plan(Statement::Query(Box::new(query)), parameters)).await;
                return Err(readable.map_or(error, |_| refused(&locks)));
            }
            other => other?,
        };
        for of in locks.iter().filter_map(|lock| lock.of.as_ref()) {
            let of = relation_name(of)?;
            if of != target.alias {
                let message = format!("relation \"{of}\" in the locking clause not found in FROM clause");
                return Err(SqlError::new(b"42P01", message));
            }
        }
        if !self.in_transaction() {
            return Box::pin(self.dispatch(Statement::Query(Box::new(query)), parameters)).await;
        }
        self.check_may_write()?;
        let mut statement = Statement::Query(Box::new(query));
        naming::name_columns(&mut statement);
        if let Statement::Query(query) = &mut statement
            && let SetExpr::Select(select) = &mut *query.body
        {
            select.projection.push(item(qualified(&target, ROW_ID_COLUMN), 0));
        }
        self.scope.show_row_ids(Some(&target.name));
        let found = self.collect(statement, parameters).await;
        self.scope.show_row_ids(None);
        let (schema, batches) = found?;
        let last = schema.fields().len().saturating_sub(1);
        let mut ids = RoaringTreemap::new();
        for batch in &batches {
            let Some(of_batch) = batch.column(last).as_primitive_opt::<UInt64Type>() else {
                return Err(SqlError::new(b"XX000", "row ids have another type"));
            };
            ids.extend(of_batch.values().iter().copied());
        }
        self.transaction()?.lock(target.definition().id, &ids)?;
        // A `*` has the row ids too.
        let kept: Vec<usize> = (0..last).filter(|&at| schema.field(at).name() != ROW_ID_COLUMN).collect();
        let named = naming::result_schema(&Arc::new(schema.project(&kept)?));
        let batches = batches.iter().map(|batch| Ok(RecordBatch::try_new(Arc::clone(&named), project(batch, &kept)?)?));
        let batches = batches.collect::<Result<Vec<_>>>()?;
        Ok(rows_of(named, batches, "SELECT"))
    }

    /// The one table whose rows a query gives.
    fn locked_table(&self, query: &Query, locks: &[LockClause]) -> Result<Target> {
        let refused = || refused(locks);
        let SetExpr::Select(select) = &*query.body else { return Err(refused()) };
        let groups = !matches!(&select.group_by, GroupByExpr::Expressions(by, _) if by.is_empty());
        let [from] = select.from.as_slice() else { return Err(refused()) };
        if groups || select.having.is_some() || select.distinct.is_some() || !from.joins.is_empty() {
            return Err(refused());
        }
        let TableFactor::Table { name, alias, args: None, .. } = &from.relation else { return Err(refused()) };
        let target = Target::find(self, name, alias.as_ref().map(|alias| &alias.name)).map_err(|e| {
            // A view or a table of the catalog.
            if e.state.as_str() == "42809" || e.state.as_str() == "42501" { refused() } else { e }
        })?;
        Ok(target)
    }
}

fn project(batch: &RecordBatch, kept: &[usize]) -> Result<Vec<arrow::array::ArrayRef>> {
    Ok(batch.project(kept)?.columns().to_vec())
}
