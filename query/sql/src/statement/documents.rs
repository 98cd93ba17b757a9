//! Rows of dynamic tables as statements write them: values of fields become columns of their kinds, objects are taken
//! apart, and a changed row keeps the fields that it is not about.

use std::{collections::BTreeMap, ops::ControlFlow, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions, new_null_array},
    compute::{is_not_null, nullif},
    datatypes::{DataType, Schema},
};
use chronolith_storage::{
    document::{self, DocumentBuilder, DocumentOptions},
    table::{ColumnKey, ColumnType, Kind, Rows, TableSnapshot},
};
use datafusion::sql::sqlparser::ast::{Expr, Ident, VisitorMut};

use super::{insert::Place, rows::Values, target::Target};
use crate::{
    connection::Connection,
    error::{Result, SqlError},
    parse::{ident, quoted, walk_mut},
    scan::{DOCUMENT, Layout, Member, rows_by_id},
    types::{assign, check_not_null},
};

/// Values of a field that is not declared.
#[derive(Debug, Clone)]
pub(crate) struct FieldValues {
    pub(crate) values: ArrayRef,
    /// Whether they are texts of JSON.
    pub(crate) is_json: bool,
}

/// What an UPDATE sets.
pub(crate) struct Change {
    pub(crate) place: Place,
    pub(crate) values: Values,
    pub(crate) is_json: bool,
}

/// The field that a name, or a path of names, means: in the case it is written in if there is such a field, else in
/// lower case.
///
/// # Errors
/// When it is no path.
pub(crate) fn field_path(target: &Target, names: &[Ident]) -> Result<String> {
    let written = names.iter().map(|name| name.value.clone()).collect::<Vec<_>>().join(".");
    let folded = names.iter().map(ident).collect::<Vec<_>>().join(".");
    let member = |field: &str| document::decode_path(field).map(|path| Member { path, as_text: false });
    let is_there = |member: &Member| member.columns(&target.table.fields).is_known();
    if folded == DOCUMENT && !member(&written).is_some_and(|m| is_there(&m)) {
        return Err(SqlError::unsupported("setting a whole document")
            .with_hint("set its fields, or delete the row and send the document anew"));
    }
    let found = member(&written).filter(is_there).or_else(|| member(&folded));
    let message = || format!("\"{folded}\" is no path of a field of table \"{}\"", target.name);
    found.map(|member| member.field()).ok_or_else(|| {
        SqlError::new(b"42602", message())
            .with_hint("keys with dots or quotes in them stand in quotes, as JSON has them")
    })
}

/// Refuses fields of which one is inside another.
///
/// # Errors
/// `42701`.
pub(crate) fn check_apart<'a>(fields: impl IntoIterator<Item = &'a str>) -> Result<()> {
    let fields: Vec<&str> = fields.into_iter().collect();
    for outer in &fields {
        let inside = |field: &&&str| field.strip_prefix(outer).is_some_and(|rest| rest.starts_with('.'));
        if let Some(inner) = fields.iter().find(inside) {
            return Err(SqlError::new(
                b"42701",
                format!("field \"{inner}\" is inside field \"{outer}\", which is set too"),
            ));
        }
    }
    Ok(())
}

/// The columns of a field with these values.
///
/// # Errors
/// When a text is no JSON where the field holds objects, or a value cannot be held.
pub(crate) fn columns_of(
    target: &Target,
    field: &str,
    given: &FieldValues,
    zone: &str,
) -> Result<Vec<(ColumnKey, ArrayRef)>> {
    let values = &given.values;
    if values.null_count() == values.len() || values.data_type() == &DataType::Null {
        return Ok(Vec::new());
    }
    let is_text = matches!(values.data_type(), DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    if is_text && (given.is_json || holds_objects(&target.table, field)) {
        return taken_apart(field, values, zone);
    }
    let column_type = match values.data_type() {
        DataType::List(of) | DataType::LargeList(of) | DataType::FixedSizeList(of, _) => {
            ColumnType::Array(Box::new(scalar_type(of.data_type())))
        }
        scalar => scalar_type(scalar),
    };
    let kind = column_type.kind().unwrap_or(Kind::Text);
    Ok(vec![(ColumnKey::new(field, kind), assign(values, &column_type, zone)?)])
}

fn scalar_type(data_type: &DataType) -> ColumnType {
    match data_type {
        DataType::Boolean => ColumnType::Bool,
        of if of.is_integer() => ColumnType::Int8,
        of if of.is_floating() || of.is_decimal() => ColumnType::Float8,
        _ => ColumnType::Text,
    }
}

/// Whether a field has objects and no texts, so that a text is meant to be JSON.
fn holds_objects(table: &TableSnapshot, field: &str) -> bool {
    let columns = document::decode_path(field).map(|path| Member { path, as_text: false }.columns(&table.fields));
    columns.is_some_and(|columns| columns.is_object() && !columns.has_texts())
}

/// The columns of a field whose values are these JSON texts.
fn taken_apart(field: &str, texts: &ArrayRef, zone: &str) -> Result<Vec<(ColumnKey, ArrayRef)>> {
    let texts = assign(texts, &ColumnType::Json, zone)?;
    let options = DocumentOptions { time_fields: Vec::new(), ..DocumentOptions::default() };
    let invalid = |error: &dyn std::fmt::Display| SqlError::new(b"22023", format!("field \"{field}\": {error}"));
    let mut builder = DocumentBuilder::new(&options).map_err(|e| invalid(&e))?;
    for text in texts.as_string_view() {
        let document = text.map_or_else(|| "{}".to_owned(), |text| format!("{{\"v\":{text}}}"));
        builder.push(document.as_bytes()).map_err(|e| invalid(&e))?;
    }
    let rows = builder.take_rows(None)?;
    let columns = rows.columns().iter().map(|(key, values)| {
        let inside = key.field.strip_prefix('v').unwrap_or_default();
        (ColumnKey::new(format!("{field}{inside}"), key.kind), Arc::clone(values))
    });
    Ok(columns.collect())
}

/// The rows of these ids, with all their columns.
///
/// # Errors
/// When a row is not there.
pub(crate) fn old_rows(table: &TableSnapshot, ids: &[u64]) -> Result<Rows> {
    let declared = table.definition.columns.iter().filter_map(|column| column.key());
    let keys: Vec<ColumnKey> = declared.chain(table.fields.iter().cloned()).collect();
    let columns = rows_by_id(table, ids, &keys)?;
    Ok(Rows::new(ids.len(), keys.into_iter().zip(columns).collect())?)
}

/// The rows after these changes of all of them.
///
/// # Errors
/// When a value does not fit, or a field cannot be set in a row since what should be its object is something else.
pub(crate) fn changed(connection: &Connection, target: &Target, old: &Rows, changes: &[Change]) -> Result<Rows> {
    let zone = connection.zone();
    let mut columns: BTreeMap<ColumnKey, ArrayRef> = old.columns().iter().cloned().collect();
    for change in changes {
        match (&change.place, &change.values) {
            (Place::Column(id), values) => {
                let Some(column) = target.definition().column(*id) else { continue };
                let values = match values {
                    Values::Held(values) => Arc::clone(values),
                    Values::Seen(values) => assign(values, &column.column_type, &zone)?,
                };
                check_not_null(&values, column, &target.name)?;
                columns.extend(column.key().map(|key| (key, values)));
            }
            (Place::Field(field), Values::Held(values) | Values::Seen(values)) => {
                let given = FieldValues { values: Arc::clone(values), is_json: change.is_json };
                let new = columns_of(target, field, &given, &zone)?;
                let inside = format!("{field}.");
                columns.retain(|key, _| *key.field != **field && !key.field.starts_with(&inside));
                make_room(&mut columns, target, field, &is_not_null(values)?)?;
                columns.extend(new);
            }
        }
    }
    let columns = columns.into_iter().filter(|(_, values)| values.null_count() < values.len());
    Ok(Rows::new(old.len(), columns.collect())?)
}

/// Sees to it that what is around a field is an object in the rows where the field is set.
fn make_room(
    columns: &mut BTreeMap<ColumnKey, ArrayRef>,
    target: &Target,
    field: &str,
    is_set: &BooleanArray,
) -> Result<()> {
    let path = document::decode_path(field).unwrap_or_default();
    for length in 1..path.len() {
        let around = document::encode_path(&path[..length]);
        for (key, values) in columns.iter_mut().filter(|(key, _)| *key.field == *around) {
            if !matches!(key.kind, Kind::Null | Kind::EmptyObject) {
                let taken = (0..values.len()).any(|row| is_set.value(row) && values.is_valid(row));
                if taken {
                    let message = format!(
                        "field \"{around}\" of a row of \"{}\" is no object, so it has no \"{field}\"",
                        target.name
                    );
                    return Err(SqlError::new(b"22023", message).with_hint(format!("set \"{around}\" itself")));
                }
                continue;
            }
            *values = nullif(values, is_set)?;
        }
    }
    Ok(())
}

/// Rows as queries see them: with all columns that the table has, and those that are new.
///
/// # Errors
/// None that well-formed rows give.
pub(crate) fn seen_rows(target: &Target, rows: &Rows) -> Result<RecordBatch> {
    let mut fields: Vec<ColumnKey> = target.table.fields.to_vec();
    fields.extend(rows.columns().iter().map(|(key, _)| key).filter(|key| !key.field.starts_with('#')).cloned());
    fields.sort();
    fields.dedup();
    let table = TableSnapshot { fields: fields.into(), parts: Arc::from([]), ..target.table.clone() };
    let layout = Layout::new(&table, &BTreeMap::new(), false);
    let held = |key: &ColumnKey| {
        Ok(rows.column(key).map_or_else(|| new_null_array(&key.kind.arrow(), rows.len()), Arc::clone))
    };
    let arrays = layout.columns.iter().map(|column| column.build(rows.len(), held)).collect::<Result<_>>()?;
    // Rows that are given back may be none, or of a table's outer side: nothing is known of nulls.
    let fields = layout.schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    Ok(RecordBatch::try_new_with_options(schema, arrays, &options)?)
}

/// An expression over rows in hand, in which paths are the names of columns. `relations` are what the rows are called.
pub(crate) fn with_fields(expr: &Expr, relations: &[&str], schema: &Schema) -> Expr {
    let mut expr = expr.clone();
    let _ = walk_mut(&mut expr, &mut Fields { relations, schema });
    expr
}

struct Fields<'a> {
    relations: &'a [&'a str],
    schema: &'a Schema,
}

impl Fields<'_> {
    fn field(&self, path: &[Ident]) -> Option<Ident> {
        let written = path.iter().map(|name| name.value.clone()).collect::<Vec<_>>().join(".");
        let folded = path.iter().map(ident).collect::<Vec<_>>().join(".");
        [written, folded].iter().find(|name| self.schema.index_of(name).is_ok()).map(|name| quoted(name))
    }
}

impl VisitorMut for Fields<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let found = match expr {
            Expr::Identifier(name) => self.field(std::slice::from_ref(name)).map(Expr::Identifier),
            Expr::CompoundIdentifier(names) => match names.split_first() {
                Some((first, rest)) if self.relations.contains(&ident(first).as_str()) => {
                    self.field(rest).map(|field| Expr::CompoundIdentifier(vec![first.clone(), field]))
                }
                _ => self.field(names).map(Expr::Identifier),
            },
            _ => None,
        };
        if let Some(found) = found {
            *expr = found;
        }
        ControlFlow::Continue(())
    }
}
