//! Which columns a table has for queries, and where in its parts their values are.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use arrow::{
    array::{Array, ArrayRef, AsArray, ListArray, new_null_array},
    compute::{cast, kernels::zip::zip},
    datatypes::{DataType, Field, Float64Type, Schema, SchemaRef, TimestampMicrosecondType, TimestampNanosecondType},
};
use chronolith_storage::{
    document::encode_path,
    table::{ColumnKey, Kind, ListKind, Part, TableSnapshot},
};

use super::{
    member::{Member, MemberColumns},
    mixed,
    prune::block_len,
};
use crate::{
    error::{Result, SqlError},
    types::{PG_TYPE, UTC, query_field},
};

/// The column of row ids that UPDATE and DELETE read. No other column begins with this byte.
pub(crate) const ROW_ID_COLUMN: &str = "\u{1}row_id";

/// Where a column's values are.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// In one column of the parts.
    One(ColumnKey),
    /// Integers and floats of one field: all as floats.
    Numbers {
        /// The integers.
        integers: ColumnKey,
        /// The floats.
        floats: ColumnKey,
    },
    /// Values of several kinds: all as text.
    Mixed(Vec<ColumnKey>),
    /// A value of the documents, built from the columns of its fields.
    Member(Arc<MemberColumns>),
    /// The row ids.
    RowIds,
}

/// A column as queries see it.
#[derive(Debug, Clone)]
pub(crate) struct LayoutColumn {
    /// Its type as queries see it.
    pub(crate) data_type: DataType,
    /// Where its values are.
    pub(crate) source: Source,
}

/// The columns of a table for queries: the declared ones, then the fields that came with rows.
#[derive(Debug)]
pub(crate) struct Layout {
    /// Names and types.
    pub(crate) schema: SchemaRef,
    /// The columns in the schema's order.
    pub(crate) columns: Vec<LayoutColumn>,
}

impl Layout {
    /// The layout of a table: its columns, then these values of its documents under the names that a statement gives them,
    /// and its row ids as the last column if they are asked for.
    pub(crate) fn new(table: &TableSnapshot, members: &BTreeMap<String, Member>, row_ids: bool) -> Self {
        let mut fields = Vec::new();
        let mut columns = Vec::new();
        let mut names = BTreeSet::new();
        for column in &table.definition.columns {
            let Some(key) = column.key() else { continue };
            let nullable = !column.not_null;
            let field = query_field(&column.name, &column.column_type, nullable);
            columns.push(LayoutColumn { data_type: field.data_type().clone(), source: Source::One(key) });
            fields.push(field);
            names.insert(column.name.clone());
        }
        let time = table.definition.time.and_then(|id| table.definition.column(id));
        let told = time.map(|column| encode_path(&[&column.name]));
        // Keys are sorted, so those of one field follow one another.
        for keys in table.fields.chunk_by(|a, b| a.field == b.field) {
            let Some(source) = source_of(keys) else { continue };
            // What a document says of its time is in the time column already, as a time.
            if Some(&*keys[0].field) == told.as_deref() || !names.insert(keys[0].field.to_string()) {
                continue;
            }
            let field = field_of(&keys[0].field, &source);
            columns.push(LayoutColumn { data_type: field.data_type().clone(), source });
            fields.push(field);
        }
        for (name, member) in members {
            if !names.insert(name.clone()) {
                continue;
            }
            let field = Field::new(name, DataType::Utf8View, true);
            fields.push(if member.as_text { field } else { field.with_metadata(jsonb()) });
            let source = Source::Member(Arc::new(member.columns(&table.fields)));
            columns.push(LayoutColumn { data_type: DataType::Utf8View, source });
        }
        if row_ids {
            fields.push(Field::new(ROW_ID_COLUMN, DataType::UInt64, false));
            columns.push(LayoutColumn { data_type: DataType::UInt64, source: Source::RowIds });
        }
        Self { schema: Arc::new(Schema::new(fields)), columns }
    }
}

fn source_of(keys: &[ColumnKey]) -> Option<Source> {
    let values: Vec<&ColumnKey> = keys.iter().filter(|k| !k.kind.is_mark()).collect();
    match *values.as_slice() {
        // A field that only ever was null, or an empty object, has no values.
        [] => None,
        [one] => Some(Source::One(one.clone())),
        [a, b] if a.kind == Kind::Int64 && b.kind == Kind::Float64 => {
            Some(Source::Numbers { integers: a.clone(), floats: b.clone() })
        }
        _ => Some(Source::Mixed(values.into_iter().cloned().collect())),
    }
}

fn jsonb() -> HashMap<String, String> {
    [(PG_TYPE.to_owned(), "jsonb".to_owned())].into()
}

fn field_of(name: &str, source: &Source) -> Field {
    match source {
        Source::One(key) => {
            let data_type = match key.kind {
                Kind::Nanos | Kind::Micros => {
                    let DataType::Timestamp(unit, _) = key.kind.arrow() else {
                        return Field::new(name, DataType::Null, true);
                    };
                    DataType::Timestamp(unit, Some(UTC.into()))
                }
                other => other.arrow(),
            };
            let field = Field::new(name, data_type, true);
            match key.kind {
                Kind::Json => field.with_metadata(jsonb()),
                _ => field,
            }
        }
        Source::Numbers { .. } => Field::new(name, DataType::Float64, true),
        Source::Mixed(_) | Source::Member(_) => Field::new(name, DataType::Utf8View, true),
        Source::RowIds => Field::new(name, DataType::UInt64, false),
    }
}

impl LayoutColumn {
    /// The column's values in one block of a part: in all rows, or in those at some places, which rise.
    ///
    /// # Errors
    /// When the part cannot be read.
    pub(crate) fn read(&self, part: &dyn Part, block: usize, few: Option<&[u32]>) -> Result<ArrayRef> {
        match (&self.source, few) {
            (Source::RowIds, None) => Ok(Arc::new(part.row_ids(block)?)),
            (Source::RowIds, Some(rows)) => Ok(Arc::new(part.row_ids_at(block, rows)?)),
            (_, None) => self.build(block_len(part, block), |key| Ok(part.read(key, block)?)),
            (_, Some(rows)) => self.build(rows.len(), |key| Ok(part.read_rows(key, block, rows)?)),
        }
    }

    /// The column's values in so many rows, from the columns that hold them. Row ids are in no column.
    ///
    /// # Errors
    /// When a column cannot be read.
    pub(crate) fn build(&self, rows: usize, held: impl Fn(&ColumnKey) -> Result<ArrayRef>) -> Result<ArrayRef> {
        match &self.source {
            Source::One(key) => Ok(self.as_seen(held(key)?)),
            Source::Numbers { integers, floats } => {
                let integers = cast(&held(integers)?, &DataType::Float64).map_err(internal)?;
                let floats = held(floats)?;
                if floats.null_count() == floats.len() {
                    return Ok(integers);
                }
                let is_float = arrow::compute::is_not_null(&floats).map_err(internal)?;
                zip(&is_float, floats.as_primitive::<Float64Type>(), integers.as_primitive::<Float64Type>())
                    .map_err(internal)
            }
            Source::Mixed(keys) => {
                let arrays: Result<Vec<(Kind, ArrayRef)>> = keys.iter().map(|key| Ok((key.kind, held(key)?))).collect();
                mixed::as_texts(&arrays?)
            }
            Source::Member(columns) => columns.build(rows, held),
            Source::RowIds => Ok(new_null_array(&DataType::UInt64, rows)),
        }
    }

    /// Values as queries see them: moments have a zone, decimals their precision. No value is copied.
    pub(crate) fn as_seen(&self, values: ArrayRef) -> ArrayRef {
        Self::as_type(&self.data_type, values)
    }

    /// Values as they are held, as this type of the same values.
    pub(crate) fn as_type(data_type: &DataType, values: ArrayRef) -> ArrayRef {
        match data_type {
            DataType::Timestamp(_, Some(zone)) => match values.data_type() {
                DataType::Timestamp(arrow::datatypes::TimeUnit::Nanosecond, None) => {
                    Arc::new(values.as_primitive::<TimestampNanosecondType>().clone().with_timezone(Arc::clone(zone)))
                }
                DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, None) => {
                    Arc::new(values.as_primitive::<TimestampMicrosecondType>().clone().with_timezone(Arc::clone(zone)))
                }
                _ => values,
            },
            DataType::Decimal128(precision, scale) => {
                let decimals = values.as_primitive::<arrow::datatypes::Decimal128Type>().clone();
                match decimals.with_precision_and_scale(*precision, *scale) {
                    Ok(decimals) => Arc::new(decimals),
                    Err(_) => values,
                }
            }
            DataType::List(field) => match field.data_type() {
                DataType::Timestamp(..) | DataType::Decimal128(..) => {
                    let list = values.as_list::<i32>();
                    let inner = Self::as_type(field.data_type(), Arc::clone(list.values()));
                    let offsets = list.offsets().clone();
                    match ListArray::try_new(Arc::clone(field), offsets, inner, list.nulls().cloned()) {
                        Ok(list) => Arc::new(list),
                        Err(_) => values,
                    }
                }
                _ => values,
            },
            _ => values,
        }
    }

    /// The column of the parts whose statistics bound this column's values, if there is one.
    pub(crate) fn bounded_by(&self) -> Option<&ColumnKey> {
        match &self.source {
            Source::One(key) if !matches!(key.kind, Kind::List(_) | Kind::Json | Kind::Interval) => Some(key),
            _ => None,
        }
    }

    /// The column of the parts whose text indexes know this column's values, if there is one.
    pub(crate) fn indexed_by(&self) -> Option<&ColumnKey> {
        match &self.source {
            Source::One(key) if matches!(key.kind, Kind::Text | Kind::List(ListKind::Text)) => Some(key),
            _ => None,
        }
    }
}

fn internal(error: arrow::error::ArrowError) -> SqlError {
    SqlError::new(b"XX000", error.to_string())
}
