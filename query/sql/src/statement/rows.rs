//! New rows of a table: values of its columns, with defaults for those that a statement does not name.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{ArrayRef, Int16Array, Int32Array, Int64Array, RecordBatch, RecordBatchOptions, new_null_array},
    datatypes::Schema,
};
use chronolith_storage::table::{ColumnDefinition, ColumnId, ColumnKey, ColumnType, Kind, Rows};
use datafusion::common::DFSchema;

use super::{
    documents::{FieldValues, check_apart, columns_of, seen_rows},
    target::Target,
};
use crate::{
    connection::Connection,
    error::{Result, SqlError},
    parse,
    scan::LayoutColumn,
    types::{assign, check_not_null, query_field},
};

/// Rows that are checked and ready to be written.
pub(crate) struct NewRows {
    pub(crate) len: usize,
    /// The declared columns in the definition's order, as they are held.
    pub(crate) columns: Vec<ArrayRef>,
    /// Fields of a dynamic table.
    pub(crate) fields: Vec<(ColumnKey, ArrayRef)>,
}

/// Values of a column that a statement gives.
#[derive(Debug, Clone)]
pub(crate) enum Values {
    /// As a query gave them: they are to be cast and checked.
    Seen(ArrayRef),
    /// As the column holds them.
    Held(ArrayRef),
}

/// Values that a statement gives: of declared columns by their id, of fields by their name.
#[derive(Default)]
pub(crate) struct Given {
    pub(crate) columns: BTreeMap<ColumnId, Values>,
    pub(crate) fields: BTreeMap<String, FieldValues>,
}

impl NewRows {
    /// Rows of these values and the defaults of the columns that have none, cast and checked.
    ///
    /// # Errors
    /// When a value does not fit its column.
    pub(crate) fn make(connection: &mut Connection, target: &Target, len: usize, given: &Given) -> Result<Self> {
        let zone = connection.zone();
        let definition = Arc::clone(target.definition());
        let mut columns = Vec::with_capacity(definition.columns.len());
        for column in &definition.columns {
            let values = match given.columns.get(&column.id) {
                Some(Values::Held(values)) => Arc::clone(values),
                Some(Values::Seen(values)) => assign(values, &column.column_type, &zone)?,
                None => default_values(connection, target, column, len)?,
            };
            check_not_null(&values, column, &target.name)?;
            columns.push(values);
        }
        check_apart(given.fields.keys().map(String::as_str))?;
        let mut fields = Vec::with_capacity(given.fields.len());
        for (name, values) in &given.fields {
            fields.extend(columns_of(target, name, values, &zone)?);
        }
        Ok(Self { len, columns, fields })
    }

    /// The rows as the storage takes them.
    ///
    /// # Errors
    /// When a field comes twice.
    pub(crate) fn to_rows(&self, target: &Target) -> Result<Rows> {
        let definition = target.definition();
        let declared = definition.columns.iter().zip(&self.columns);
        let mut all: Vec<(ColumnKey, ArrayRef)> = declared
            .filter(|(_, values)| values.null_count() < values.len())
            .filter_map(|(column, values)| Some((column.key()?, Arc::clone(values))))
            .collect();
        all.extend(self.fields.iter().cloned());
        Ok(Rows::new(self.len, all)?)
    }

    /// The rows as queries see them.
    ///
    /// # Errors
    /// None that a well-formed table gives.
    pub(crate) fn as_seen(&self, target: &Target) -> Result<RecordBatch> {
        if target.definition().dynamic {
            return seen_rows(target, &self.to_rows(target)?);
        }
        seen(target, &self.columns, self.len)
    }
}

/// The declared columns of a table as queries see them.
pub(crate) fn seen_schema(target: &Target) -> Schema {
    let fields = target.definition().columns.iter().map(|c| query_field(&c.name, &c.column_type, true));
    Schema::new(fields.collect::<Vec<_>>())
}

/// Values of the declared columns, as they are held, as queries see them.
pub(crate) fn seen(target: &Target, columns: &[ArrayRef], len: usize) -> Result<RecordBatch> {
    let schema = seen_schema(target);
    let arrays = schema
        .fields()
        .iter()
        .zip(columns)
        .map(|(field, values)| LayoutColumn::as_type(field.data_type(), Arc::clone(values)));
    let options = RecordBatchOptions::new().with_row_count(Some(len));
    Ok(RecordBatch::try_new_with_options(Arc::new(schema.clone()), arrays.collect(), &options)?)
}

/// The values of rows that do not name a column.
pub(crate) fn default_values(
    connection: &mut Connection,
    target: &Target,
    column: &ColumnDefinition,
    len: usize,
) -> Result<ArrayRef> {
    if column.serial {
        return serial_values(connection, target, column, len);
    }
    let Some(default) = &column.default else {
        let kind = column.column_type.kind().unwrap_or(Kind::Text);
        // The moment of arrival, for documents that tell none.
        if target.definition().dynamic && target.definition().time == Some(column.id) {
            return arrival(connection, column, len);
        }
        return Ok(new_null_array(&kind.arrow(), len));
    };
    let expr = parse::parse_expr(default)?;
    evaluate_constant(connection, expr, column, len)
}

fn arrival(connection: &mut Connection, column: &ColumnDefinition, len: usize) -> Result<ArrayRef> {
    let now = parse::parse_expr("now()")?;
    evaluate_constant(connection, now, column, len)
}

fn evaluate_constant(
    connection: &mut Connection,
    expr: datafusion::sql::sqlparser::ast::Expr,
    column: &ColumnDefinition,
    len: usize,
) -> Result<ArrayRef> {
    let zone = connection.zone();
    let nothing = Arc::new(Schema::empty());
    let batch = RecordBatch::try_new_with_options(
        Arc::clone(&nothing),
        Vec::new(),
        &RecordBatchOptions::new().with_row_count(Some(len)),
    )?;
    let schema = DFSchema::empty();
    let values = connection.evaluate(vec![expr], &schema, &batch, &[])?;
    let Some(values) = values.into_iter().next() else { return Err(SqlError::new(b"XX000", "a default has no value")) };
    assign(&values.values, &column.column_type, &zone)
}

fn serial_values(
    connection: &mut Connection,
    target: &Target,
    column: &ColumnDefinition,
    len: usize,
) -> Result<ArrayRef> {
    let table = target.definition().id;
    let first = connection.transaction()?.next_serial(table, column.id, len as u64)?;
    let numbers = (first..).take(len);
    let too_large = || SqlError::new(b"2200H", format!("the numbers of column \"{}\" are used up", column.name));
    Ok(match column.column_type {
        ColumnType::Int2 => {
            let small: Option<Vec<i16>> = numbers.map(|n| i16::try_from(n).ok()).collect();
            Arc::new(Int16Array::from(small.ok_or_else(too_large)?))
        }
        ColumnType::Int4 => {
            let small: Option<Vec<i32>> = numbers.map(|n| i32::try_from(n).ok()).collect();
            Arc::new(Int32Array::from(small.ok_or_else(too_large)?))
        }
        _ => Arc::new(Int64Array::from_iter_values(numbers)),
    })
}
