//! RETURNING: expressions over the rows that were written.

use std::sync::Arc;

use arrow::{
    array::{RecordBatch, RecordBatchOptions},
    datatypes::{Field, Schema, SchemaRef},
};
use datafusion::{
    common::{DFSchema, ScalarValue},
    sql::sqlparser::ast::{Expr, SelectItem, SelectItemQualifiedWildcardKind},
};

use super::{documents::with_fields, target::Target};
use crate::{
    connection::{Connection, naming},
    error::{Result, SqlError},
    parse::{ident, quoted, relation_name},
};

/// The expressions and names of RETURNING's items.
pub(crate) fn items(target: &Target, items: &[SelectItem]) -> Result<Vec<(Expr, String)>> {
    let mut out = Vec::new();
    for item in items {
        match item {
            SelectItem::UnnamedExpr(expr) => out.push((expr.clone(), naming::column_name(expr))),
            SelectItem::ExprWithAlias { expr, alias } => out.push((expr.clone(), ident(alias))),
            SelectItem::Wildcard(_) => all_columns(target, &mut out),
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _)
                if relation_name(name)? == target.alias =>
            {
                all_columns(target, &mut out);
            }
            other => return Err(SqlError::unsupported(format!("RETURNING {other}"))),
        }
    }
    Ok(out)
}

fn all_columns(target: &Target, out: &mut Vec<(Expr, String)>) {
    for name in target.column_names() {
        let expr = Expr::CompoundIdentifier(vec![quoted(&target.alias), quoted(&name)]);
        out.push((expr, name));
    }
}

/// The rows of RETURNING.
///
/// # Errors
/// When an expression is wrong.
pub(crate) fn rows(
    connection: &mut Connection,
    target: &Target,
    batch: &RecordBatch,
    returning: &[SelectItem],
    parameters: &[ScalarValue],
) -> Result<(SchemaRef, RecordBatch)> {
    let (exprs, names): (Vec<Expr>, Vec<String>) = items(target, returning)?.into_iter().unzip();
    let exprs = exprs.iter().map(|expr| with_fields(expr, &[&target.alias], &batch.schema())).collect();
    let schema = DFSchema::try_from_qualified_schema(target.alias.as_str(), &batch.schema())?;
    let values = connection.evaluate(exprs, &schema, batch, parameters)?;
    let fields: Vec<Field> = values
        .iter()
        .zip(names)
        .map(|(value, name)| value.field.as_ref().clone().with_name(name).with_nullable(true))
        .collect();
    let schema = Arc::new(Schema::new(fields));
    let arrays = values.into_iter().map(|value| value.values).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let batch = RecordBatch::try_new_with_options(Arc::clone(&schema), arrays, &options)?;
    Ok((schema, batch))
}
