//! Queries inside expressions that are evaluated over rows in hand, as in VALUES and RETURNING: each is answered first, and
//! its answer is a parameter of the expression.

use std::{ops::ControlFlow, sync::Arc};

use arrow::{array::ArrayRef, datatypes::DataType};
use datafusion::{
    common::ScalarValue,
    sql::sqlparser::ast::{BinaryOperator, Expr, Query, Statement, UnaryOperator, Value, VisitorMut},
};

use super::{Connection, check_query, naming};
use crate::{
    error::{Result, SqlError},
    parse::{quoted, walk_mut},
};

/// What a query is asked for.
enum Kind {
    /// Its one value.
    Scalar,
    /// Whether it has rows, or has none.
    Exists { negated: bool },
    /// The values of its one column.
    List,
}

/// Takes the queries out of expressions and puts parameters in their place.
struct TakeOut {
    queries: Vec<(Kind, Box<Query>)>,
    /// How many parameters there are already.
    known: usize,
}

impl TakeOut {
    fn parameter(&mut self, kind: Kind, query: Box<Query>) -> Expr {
        self.queries.push((kind, query));
        Expr::Value(Value::Placeholder(format!("${}", self.known + self.queries.len())).into())
    }
}

impl VisitorMut for TakeOut {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if !matches!(expr, Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. }) {
            return ControlFlow::Continue(());
        }
        *expr = match std::mem::replace(expr, Expr::Identifier(quoted(""))) {
            Expr::Subquery(query) => self.parameter(Kind::Scalar, query),
            Expr::Exists { subquery, negated } => self.parameter(Kind::Exists { negated }, subquery),
            Expr::InSubquery { expr, subquery, negated } => {
                let right = Box::new(self.parameter(Kind::List, subquery));
                let any = Expr::AnyOp { left: expr, compare_op: BinaryOperator::Eq, right, is_some: false };
                match negated {
                    true => Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(Expr::Nested(Box::new(any))) },
                    false => any,
                }
            }
            other => other,
        };
        ControlFlow::Continue(())
    }
}

impl Connection {
    /// Answers the queries inside expressions; their places become parameters behind those that there are.
    ///
    /// # Errors
    /// What the queries do wrong, and `0A000` when one reads columns of the row that its expression is evaluated for.
    pub(crate) async fn answer_inside<'e>(
        &mut self,
        exprs: impl Iterator<Item = &'e mut Expr>,
        parameters: &[ScalarValue],
    ) -> Result<Vec<ScalarValue>> {
        let mut taken = TakeOut { queries: Vec::new(), known: parameters.len() };
        for expr in exprs {
            let _ = walk_mut(expr, &mut taken);
        }
        let mut all = parameters.to_vec();
        for (kind, query) in taken.queries {
            let text = query.to_string();
            let answer = Box::pin(self.answer(kind, query, parameters)).await;
            all.push(answer.map_err(|error| of_row(error, &text))?);
        }
        Ok(all)
    }

    async fn answer(&mut self, kind: Kind, query: Box<Query>, parameters: &[ScalarValue]) -> Result<ScalarValue> {
        check_query(&query)?;
        let mut statement = Statement::Query(query);
        naming::name_columns(&mut statement);
        let (schema, batches) = self.collect(statement, parameters).await?;
        let rows: usize = batches.iter().map(|batch| batch.num_rows()).sum();
        if let Kind::Exists { negated } = kind {
            return Ok(ScalarValue::Boolean(Some((rows > 0) != negated)));
        }
        if schema.fields().len() != 1 {
            return Err(SqlError::new(b"42601", "subquery must return only one column"));
        }
        let column = Arc::clone(arrow::compute::concat_batches(&schema, &batches)?.column(0));
        match kind {
            Kind::List => Ok(ScalarValue::List(Arc::new(list_of_all(&column)?))),
            _ if rows > 1 => {
                Err(SqlError::new(b"21000", "more than one row returned by a subquery used as an expression"))
            }
            _ if rows == 0 => Ok(ScalarValue::try_from(schema.field(0).data_type())?),
            _ => Ok(ScalarValue::try_from_array(&column, 0)?),
        }
    }
}

/// A list of all values of a column.
fn list_of_all(column: &ArrayRef) -> Result<arrow::array::ListArray> {
    let of = DataType::clone(column.data_type());
    let field = Arc::new(arrow::datatypes::Field::new_list_field(of, true));
    let offsets = arrow::buffer::OffsetBuffer::<i32>::from_lengths([column.len()]);
    Ok(arrow::array::ListArray::try_new(field, offsets, Arc::clone(column), None)?)
}

/// A column that is not there may be one of the row, which such a query does not see.
fn of_row(error: SqlError, query: &str) -> SqlError {
    if error.state.as_str() != "42703" {
        return error;
    }
    let short: String = query.chars().take(200).collect();
    SqlError::unsupported("a subquery here that reads columns of the row")
        .with_detail(format!("({short}): {}", error.message))
}
