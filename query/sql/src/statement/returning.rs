//! RETURNING: expressions over the rows that were written, and what they were joined with.

use std::sync::Arc;

use arrow::{
    array::{RecordBatch, RecordBatchOptions},
    datatypes::{Field, Schema, SchemaRef},
};
use datafusion::{
    common::{DFSchema, ScalarValue},
    sql::sqlparser::ast::{
        Expr, Ident, ObjectName, SelectItem, SelectItemQualifiedWildcardKind, TableFactor, TableWithJoins,
        WildcardAdditionalOptions,
    },
};

use super::{documents::with_fields, target::Target};
use crate::{
    connection::{Connection, naming},
    error::{Result, SqlError},
    parse::{ident, quoted, relation_name},
};

/// Columns of the tables behind FROM or USING, beside each written row.
pub(crate) struct Others {
    pub(crate) schema: DFSchema,
    pub(crate) batch: RecordBatch,
}

impl Others {
    /// The columns of a query's result from this one on.
    ///
    /// # Errors
    /// None that a result as its schema tells gives.
    pub(crate) fn of(schema: &DFSchema, batch: &RecordBatch, from: usize) -> Result<Self> {
        let fields = schema.iter().skip(from).map(|(qualifier, field)| (qualifier.cloned(), Arc::clone(field)));
        let columns = batch.columns().iter().skip(from).map(Arc::clone).collect();
        let schema = DFSchema::new_with_metadata(fields.collect(), std::collections::HashMap::new())?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let batch = RecordBatch::try_new_with_options(Arc::new(schema.as_arrow().clone()), columns, &options)?;
        Ok(Self { schema, batch })
    }
}

/// What the tables behind FROM or USING are called, joined ones included.
pub(crate) fn names_of(from: &[TableWithJoins]) -> Vec<Ident> {
    fn name(factor: &TableFactor, out: &mut Vec<Ident>) {
        match factor {
            TableFactor::NestedJoin { table_with_joins, alias: None } => all(table_with_joins, out),
            TableFactor::Table { alias: Some(alias), .. }
            | TableFactor::Derived { alias: Some(alias), .. }
            | TableFactor::TableFunction { alias: Some(alias), .. }
            | TableFactor::Function { alias: Some(alias), .. }
            | TableFactor::UNNEST { alias: Some(alias), .. }
            | TableFactor::NestedJoin { alias: Some(alias), .. } => out.push(alias.name.clone()),
            TableFactor::Table { name, .. } => out.extend(name.0.last().and_then(|part| part.as_ident()).cloned()),
            _ => {}
        }
    }
    fn all(table: &TableWithJoins, out: &mut Vec<Ident>) {
        name(&table.relation, out);
        table.joins.iter().for_each(|join| name(&join.relation, out));
    }
    let mut names = Vec::new();
    from.iter().for_each(|table| all(table, &mut names));
    names
}

/// All columns of a table behind FROM, as a query selects them.
pub(crate) fn all_of(name: &Ident) -> SelectItem {
    let kind = SelectItemQualifiedWildcardKind::ObjectName(ObjectName::from(vec![name.clone()]));
    SelectItem::QualifiedWildcard(kind, WildcardAdditionalOptions::default())
}

/// RETURNING's expressions, but not its `*`.
pub(crate) fn exprs(items: Option<&mut Vec<SelectItem>>) -> impl Iterator<Item = &mut Expr> {
    items.into_iter().flatten().filter_map(|item| match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr),
        _ => None,
    })
}

/// RETURNING's items as those of a query of the table and of those of these names.
///
/// # Errors
/// When one is nothing that RETURNING has.
pub(crate) fn described(target: &Target, others: &[Ident], items: &[SelectItem]) -> Result<Vec<SelectItem>> {
    let mut out = Vec::new();
    let put = |named: Vec<(Expr, String)>, out: &mut Vec<SelectItem>| {
        out.extend(named.into_iter().map(|(expr, name)| SelectItem::ExprWithAlias { expr, alias: quoted(&name) }));
    };
    for item in items {
        match item {
            SelectItem::Wildcard(_) => {
                put(self::items(target, None, std::slice::from_ref(item))?, &mut out);
                out.extend(others.iter().map(all_of));
            }
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _)
                if others.iter().any(|other| name.0.last().and_then(|part| part.as_ident()) == Some(other)) =>
            {
                out.push(item.clone());
            }
            other => put(self::items(target, None, std::slice::from_ref(other))?, &mut out),
        }
    }
    Ok(out)
}

/// The expressions and names of RETURNING's items.
fn items(target: &Target, others: Option<&DFSchema>, items: &[SelectItem]) -> Result<Vec<(Expr, String)>> {
    let mut out = Vec::new();
    for item in items {
        match item {
            SelectItem::UnnamedExpr(expr) => out.push((expr.clone(), naming::column_name(expr))),
            SelectItem::ExprWithAlias { expr, alias } => out.push((expr.clone(), ident(alias))),
            SelectItem::Wildcard(_) => {
                all_columns(target, &mut out);
                others_columns(others, None, &mut out);
            }
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
                let name = relation_name(name)?;
                let before = out.len();
                if name == target.alias {
                    all_columns(target, &mut out);
                } else {
                    others_columns(others, Some(&name), &mut out);
                }
                if out.len() == before {
                    let message = format!("missing FROM-clause entry for table \"{name}\"");
                    return Err(SqlError::new(b"42P01", message));
                }
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

fn others_columns(others: Option<&DFSchema>, of: Option<&str>, out: &mut Vec<(Expr, String)>) {
    for (qualifier, field) in others.into_iter().flat_map(DFSchema::iter) {
        let Some(qualifier) = qualifier.map(|q| q.table()) else { continue };
        if of.is_none_or(|of| of == qualifier) {
            let expr = Expr::CompoundIdentifier(vec![quoted(qualifier), quoted(field.name())]);
            out.push((expr, field.name().clone()));
        }
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
    others: Option<&Others>,
    returning: &[SelectItem],
    parameters: &[ScalarValue],
) -> Result<(SchemaRef, RecordBatch)> {
    let named = items(target, others.map(|others| &others.schema), returning)?;
    let (exprs, names): (Vec<Expr>, Vec<String>) = named.into_iter().unzip();
    let exprs = exprs.iter().map(|expr| with_fields(expr, &[&target.alias], &batch.schema())).collect();
    let mut schema = DFSchema::try_from_qualified_schema(target.alias.as_str(), &batch.schema())?;
    let mut arrays = batch.columns().to_vec();
    if let Some(others) = others {
        schema = schema.join(&others.schema)?;
        arrays.extend(others.batch.columns().iter().map(Arc::clone));
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let seen = RecordBatch::try_new_with_options(Arc::new(schema.as_arrow().clone()), arrays, &options)?;
    let values = connection.evaluate(exprs, &schema, &seen, parameters)?;
    let fields: Vec<Field> = values
        .iter()
        .zip(names)
        .map(|(value, name)| value.field.as_ref().clone().with_name(name).with_nullable(true))
        .collect();
    let schema = Arc::new(Schema::new(fields));
    let arrays = values.into_iter().map(|value| value.values).collect();
    let batch = RecordBatch::try_new_with_options(Arc::clone(&schema), arrays, &options)?;
    Ok((schema, batch))
}
