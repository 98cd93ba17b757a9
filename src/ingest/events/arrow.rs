//! Arrow's streaming format, and record batches: columns to the columns of documents' fields.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use arrow_array::{
    Array, ArrayRef, ListArray, RecordBatch, StringViewArray, TimestampNanosecondArray,
    cast::AsArray as _,
    types::{Float64Type, Int64Type, TimestampMicrosecondType, TimestampNanosecondType},
};
use arrow_buffer::{Buffer, NullBuffer};
use arrow_cast::{CastOptions, cast_with_options, display::FormatOptions};
use arrow_ipc::reader::StreamDecoder;
use arrow_schema::{ArrowError, DataType, Field, TimeUnit};
use chronolith_storage::{
    document::{MAX_DEPTH, MAX_FIELD_BYTES, MAX_FIELDS, decode_path, encode_path, time},
    table::{ColumnKey, Kind, ListKind, Rows},
};

use super::{EventError, ReadOptions, write::write_json};

/// Most rows of one batch that is handed on.
const BATCH_ROWS: usize = 65_536;

/// How deep lists and structs may be inside each other to be kept as JSON.
const MAX_JSON_DEPTH: usize = 32;

/// Reads Arrow's stream. Buffers that are compressed are not read.
#[derive(Debug)]
pub struct ArrowReader {
    rest: Buffer,
    decoder: StreamDecoder,
    options: ReadOptions,
    /// What is left of the last record batch.
    pending: Option<RecordBatch>,
    rows_before: usize,
    ended: bool,
}

impl ArrowReader {
    /// A reader of these bytes.
    #[must_use]
    pub fn new(bytes: &[u8], options: &ReadOptions) -> Self {
        Self {
            rest: Buffer::from(bytes),
            decoder: StreamDecoder::new(),
            options: options.clone(),
            pending: None,
            rows_before: 0,
            ended: false,
        }
    }

    /// A reader of one batch.
    #[must_use]
    pub fn of_batch(batch: RecordBatch, options: &ReadOptions) -> Self {
        Self { pending: Some(batch), ended: true, ..Self::new(&[], options) }
    }

    /// The next rows.
    ///
    /// # Errors
    /// When the stream is broken, or a column's type or values cannot be held.
    pub fn next_batch(&mut self) -> Result<Option<Rows>, EventError> {
        while let Some(batch) = self.record_batch()? {
            if batch.num_rows() == 0 {
                continue;
            }
            let whole = batch.num_rows();
            let batch = if whole > BATCH_ROWS {
                self.pending = Some(batch.slice(BATCH_ROWS, whole - BATCH_ROWS));
                batch.slice(0, BATCH_ROWS)
            } else {
                batch
            };
            let rows = batch_rows(&batch, &self.options).map_err(|error| match error {
                EventError::Row { row, reason } => EventError::Row { row: row + self.rows_before, reason },
                other => other,
            })?;
            self.rows_before += batch.num_rows();
            return Ok(Some(rows));
        }
        Ok(None)
    }

    fn record_batch(&mut self) -> Result<Option<RecordBatch>, EventError> {
        if let Some(batch) = self.pending.take() {
            return Ok(Some(batch));
        }
        if self.ended {
            return Ok(None);
        }
        // The decoder panics at types of Arrow that it does not know, which a broken stream may claim.
        let (decoder, rest) = (&mut self.decoder, &mut self.rest);
        let decoded = catch_unwind(AssertUnwindSafe(|| match decoder.decode(rest) {
            Ok(None) => decoder.finish().map(|()| None),
            other => other,
        }));
        let batch = decoded
            .unwrap_or_else(|_| Err(ArrowError::IpcError("a part of the stream cannot be understood".to_owned())))
            .map_err(|e| EventError::Malformed(format!("this is no stream of Arrow batches that can be read: {e}")))?;
        self.ended = batch.is_none();
        if self.ended && self.decoder.schema().is_none() {
            return Err(EventError::Malformed("this is no stream of Arrow batches: it has no schema".to_owned()));
        }
        Ok(batch)
    }
}

/// The rows of a record batch. A struct is an object: its fields are fields of their own.
///
/// # Errors
/// When a column's type or values cannot be held.
pub fn batch_rows(batch: &RecordBatch, options: &ReadOptions) -> Result<Rows, EventError> {
    let schema = batch.schema();
    let mut waiting: Vec<(Vec<String>, ArrayRef)> = Vec::new();
    for (field, array) in schema.fields().iter().zip(batch.columns()).rev() {
        waiting.push((path(field.name()), Arc::clone(array)));
    }
    let mut columns = Vec::new();
    while let Some((path, array)) = waiting.pop() {
        if let Some(object) = array.as_struct_opt() {
            if path.len() >= MAX_DEPTH {
                return Err(malformed(&path, format!("has objects more than {MAX_DEPTH} deep inside each other")));
            }
            for (field, values) in object.fields().iter().zip(object.columns()).rev() {
                let inner = path.iter().cloned().chain([field.name().clone()]).collect();
                waiting.push((inner, without(values, object.nulls())?));
            }
            continue;
        }
        if columns.len() == MAX_FIELDS {
            return Err(malformed(&path, format!("is one more than the {MAX_FIELDS} fields that events may have")));
        }
        if let Some(column) = column(&path, &array)? {
            columns.push(column);
        }
    }
    if let Some(key) = &options.time {
        let times = times(&columns, batch.num_rows(), options)?;
        columns.push((key.clone(), Arc::new(TimestampNanosecondArray::from(times))));
    }
    Rows::new(batch.num_rows(), columns).map_err(|e| EventError::Malformed(e.to_string()))
}

/// A column's name as a path; as one key when it is none.
fn path(name: &str) -> Vec<String> {
    decode_path(name).unwrap_or_else(|| vec![name.to_owned()])
}

/// Values that are null where their object is.
fn without(values: &ArrayRef, object: Option<&NullBuffer>) -> Result<ArrayRef, EventError> {
    if object.is_none() {
        return Ok(Arc::clone(values));
    }
    let nulls = NullBuffer::union(values.logical_nulls().as_ref(), object);
    let data = values.to_data().into_builder().nulls(nulls).build();
    data.map(arrow_array::make_array).map_err(|e| EventError::Malformed(e.to_string()))
}

/// The column of a field. `None` when it has no values.
fn column(path: &[String], array: &ArrayRef) -> Result<Option<(ColumnKey, ArrayRef)>, EventError> {
    if array.data_type() == &DataType::Null || array.null_count() == array.len() {
        return Ok(None);
    }
    let field = encode_path(path);
    if field.len() > MAX_FIELD_BYTES {
        return Err(malformed(path, format!("has a name longer than {MAX_FIELD_BYTES} bytes")));
    }
    let kind = match kind(array.data_type()) {
        Some(kind) => kind,
        None if is_json(array.data_type()) => {
            let text = |row: usize| {
                let mut out = String::new();
                write_json(&mut out, array, row);
                out
            };
            let texts = (0..array.len()).map(|row| array.is_valid(row).then(|| text(row)));
            return Ok(Some((ColumnKey::new(field, Kind::Json), Arc::new(StringViewArray::from_iter(texts)))));
        }
        None => {
            let is = array.data_type();
            return Err(malformed(
                path,
                format!("has the Arrow type {is}, which is not taken; cast it to another one"),
            ));
        }
    };
    let array = cast(path, array, &kind.arrow())?;
    let array = if let Kind::List(_) = kind { whole_lists(path, &array)? } else { array };
    Ok(Some((ColumnKey::new(field, kind), array)))
}

/// The kind that holds values of an Arrow type.
fn kind(of: &DataType) -> Option<Kind> {
    use DataType as D;
    Some(match of {
        D::Boolean => Kind::Bool,
        D::Int8 | D::Int16 | D::Int32 | D::Int64 | D::UInt8 | D::UInt16 | D::UInt32 | D::UInt64 => Kind::Int64,
        D::Float16 | D::Float32 | D::Float64 => Kind::Float64,
        D::Utf8 | D::LargeUtf8 | D::Utf8View => Kind::Text,
        D::Binary | D::LargeBinary | D::BinaryView | D::FixedSizeBinary(_) => Kind::Bytes,
        D::Date32 | D::Date64 => Kind::Date,
        D::Time32(_) | D::Time64(_) => Kind::Time,
        D::Timestamp(..) => Kind::Nanos,
        D::Decimal32(_, scale) | D::Decimal64(_, scale) | D::Decimal128(_, scale) | D::Decimal256(_, scale) => {
            Kind::Decimal(u8::try_from(*scale).ok().filter(|s| *s <= 38)?)
        }
        D::Dictionary(_, values) => kind(values).filter(|k| !matches!(k, Kind::List(_)))?,
        D::List(item) | D::LargeList(item) | D::FixedSizeList(item, _) => {
            Kind::List(match kind(flat(item.data_type())?)? {
                Kind::Bool => ListKind::Bool,
                Kind::Int64 => ListKind::Int64,
                Kind::Float64 => ListKind::Float64,
                Kind::Text => ListKind::Text,
                Kind::Date => ListKind::Date,
                _ => return None,
            })
        }
        _ => return None,
    })
}

/// Whether these are lists of what documents may hold, which are kept as the JSON that they are in documents.
fn is_json(of: &DataType) -> bool {
    let mut waiting = vec![(of, 0)];
    while let Some((of, depth)) = waiting.pop() {
        match of {
            _ if depth > MAX_JSON_DEPTH => return false,
            DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
                waiting.push((item.data_type(), depth + 1));
            }
            DataType::Struct(fields) if depth > 0 => waiting.extend(fields.iter().map(|f| (f.data_type(), depth + 1))),
            DataType::Null if depth > 0 => {}
            other => {
                if depth == 0 || kind(other).is_none() {
                    return false;
                }
            }
        }
    }
    true
}

/// The type itself unless it has another one inside.
fn flat(of: &DataType) -> Option<&DataType> {
    (!of.is_nested() && !matches!(of, DataType::Dictionary(..))).then_some(of)
}

/// Another type for the same values. A value that it cannot hold is an error that names the row.
fn cast(path: &[String], array: &ArrayRef, to: &DataType) -> Result<ArrayRef, EventError> {
    if array.data_type() == to {
        return Ok(Arc::clone(array));
    }
    let strict = CastOptions { safe: true, format_options: FormatOptions::default() };
    // Without its zone a moment is the same one in UTC.
    let array = match array.data_type() {
        DataType::Timestamp(unit, Some(_)) => &cast_zone(array, *unit)?,
        _ => array,
    };
    let cast = cast_with_options(array, to, &strict).map_err(|e| malformed(path, e.to_string()))?;
    if let Some(row) = (0..array.len()).find(|row| cast.is_null(*row) && array.is_valid(*row)) {
        let reason = format!(
            "field {:?} has a value of the type {} that {to} cannot hold",
            encode_path(path),
            array.data_type()
        );
        return Err(EventError::Row { row: row + 1, reason });
    }
    Ok(cast)
}

fn cast_zone(array: &ArrayRef, unit: TimeUnit) -> Result<ArrayRef, EventError> {
    let data = array.to_data().into_builder().data_type(DataType::Timestamp(unit, None)).build();
    data.map(arrow_array::make_array).map_err(|e| EventError::Malformed(e.to_string()))
}

/// The lists, which must have no nulls inside.
fn whole_lists(path: &[String], array: &ArrayRef) -> Result<ArrayRef, EventError> {
    let lists: &ListArray = array.as_list();
    if lists.values().null_count() > 0 {
        let inside = |row: usize| lists.is_valid(row) && lists.value(row).null_count() > 0;
        if let Some(row) = (0..lists.len()).find(|row| inside(*row)) {
            let reason = format!("field {:?} has a null inside a list, which cannot be held", encode_path(path));
            return Err(EventError::Row { row: row + 1, reason });
        }
    }
    let item = Arc::new(Field::new_list_field(lists.value_type(), true));
    let lists = ListArray::try_new(item, lists.offsets().clone(), Arc::clone(lists.values()), lists.nulls().cloned());
    lists.map(|l| Arc::new(l) as ArrayRef).map_err(|e| malformed(path, e.to_string()))
}

/// Each row's time: that of the first field that has one, else the time of arrival.
fn times(columns: &[(ColumnKey, ArrayRef)], rows: usize, options: &ReadOptions) -> Result<Vec<i64>, EventError> {
    let fields = options.document.time_fields.iter().map(|name| encode_path(&path(name)));
    let mut times: Vec<Option<i64>> = vec![None; rows];
    for field in fields {
        for (key, array) in columns.iter().filter(|(key, _)| *key.field == *field) {
            for (row, time) in times.iter_mut().enumerate().filter(|(row, time)| time.is_none() && array.is_valid(*row))
            {
                *time =
                    Some(time_of(key.kind, array, row).ok_or_else(|| EventError::Row {
                        row: row + 1,
                        reason: format!("field {field:?} is no time"),
                    })?);
            }
        }
    }
    Ok(times.into_iter().map(|time| time.unwrap_or(options.document.arrival)).collect())
}

/// A value as a time in nanoseconds since the Unix epoch, as documents' times are read.
#[must_use]
pub fn time_of(kind: Kind, array: &ArrayRef, row: usize) -> Option<i64> {
    match kind {
        Kind::Micros => array.as_primitive_opt::<TimestampMicrosecondType>()?.value(row).checked_mul(1_000),
        Kind::Nanos => Some(array.as_primitive_opt::<TimestampNanosecondType>()?.value(row)),
        Kind::Int64 => time::from_number(&array.as_primitive_opt::<Int64Type>()?.value(row).to_string()),
        Kind::Float64 => time::from_number(&array.as_primitive_opt::<Float64Type>()?.value(row).to_string()),
        Kind::Text => time::from_text(array.as_string_view_opt()?.value(row)),
        Kind::Date => {
            let day = array.as_primitive_opt::<arrow_array::types::Date32Type>()?.value(row);
            i64::from(day).checked_mul(86_400_000_000_000)
        }
        _ => None,
    }
}

fn malformed(path: &[String], reason: impl std::fmt::Display) -> EventError {
    EventError::Malformed(format!("field {:?} {reason}", encode_path(path)))
}
