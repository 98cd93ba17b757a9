//! Primary keys: the values of a row's key columns as bytes that are equal exactly when the keys are.

use arrow_array::{
    Array, BinaryViewArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int16Array,
    Int32Array, Int64Array, StringViewArray, Time64MicrosecondArray, TimestampMicrosecondArray,
    TimestampNanosecondArray,
};
use xxhash_rust::xxh3::xxh3_64;

use super::{
    definition::TableDefinition,
    kind::{ColumnKey, Kind},
    rows::Rows,
};
use crate::{Result, StorageError};

/// Whether a column of this kind may be part of a primary key.
pub(crate) const fn is_key_kind(kind: Kind) -> bool {
    !matches!(kind, Kind::Interval | Kind::List(_) | Kind::Json | Kind::Null | Kind::EmptyObject | Kind::NumberText)
}

/// The keys of some rows. The key of a row without a value in a key column is empty, and no other is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Keys {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Keys {
    /// The keys of all rows, by these columns in their order.
    pub(crate) fn of(columns: &[ColumnKey], rows: &Rows) -> Result<Self> {
        let mut keys = Self { bytes: Vec::new(), ends: Vec::with_capacity(rows.len()) };
        let cells = columns.iter().map(|key| Cells::of(key, rows)).collect::<Result<Vec<_>>>()?;
        for row in 0..rows.len() {
            let start = keys.bytes.len();
            for column in &cells {
                match column {
                    Some(column) if !column.array().is_null(row) => column.write(row, &mut keys.bytes),
                    _ => {
                        keys.bytes.truncate(start);
                        break;
                    }
                }
            }
            keys.ends.push(keys.bytes.len());
        }
        Ok(keys)
    }

    pub(crate) const fn len(&self) -> usize {
        self.ends.len()
    }

    /// The key of one row.
    pub(crate) fn get(&self, row: usize) -> &[u8] {
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        &self.bytes[start..self.ends[row]]
    }

    /// All keys in the order of their rows.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|row| self.get(row))
    }

    /// The keys of the rows at these places, in this order.
    pub(crate) fn take(&self, places: &[u32]) -> Self {
        let mut taken = Self { bytes: Vec::new(), ends: Vec::with_capacity(places.len()) };
        for place in places {
            taken.push(self.get(*place as usize));
        }
        taken
    }

    /// Adds a key behind the others.
    pub(crate) fn push(&mut self, key: &[u8]) {
        self.bytes.extend_from_slice(key);
        self.ends.push(self.bytes.len());
    }
}

/// The hash by which segments look a key up.
pub(crate) fn key_hash(key: &[u8]) -> u64 {
    xxh3_64(key)
}

/// The hashes by which [`Part::find_key`](super::Part::find_key) finds rows, of the keys of rows that have the primary key's
/// columns. `None` for a row without a value in one of them, which no other row is equal to.
///
/// # Errors
/// When a column has another kind than the table's.
pub fn key_hashes(definition: &TableDefinition, rows: &Rows) -> Result<Vec<Option<u64>>> {
    let keys = Keys::of(&definition.key_columns(), rows)?;
    Ok(keys.iter().map(|key| (!key.is_empty()).then(|| key_hash(key))).collect())
}

/// One row's key as text, for messages.
pub(crate) fn describe(columns: &[ColumnKey], rows: &Rows, row: usize) -> String {
    let cells = columns.iter().map(|key| match Cells::of(key, rows) {
        Ok(Some(column)) if !column.array().is_null(row) => column.text(row),
        _ => "null".to_owned(),
    });
    format!("({})", cells.collect::<Vec<_>>().join(", "))
}

/// A key column's values.
enum Cells<'a> {
    Bool(&'a BooleanArray),
    Int16(&'a Int16Array),
    Int32(&'a Int32Array),
    Int64(&'a Int64Array),
    Float32(&'a Float32Array),
    Float64(&'a Float64Array),
    Text(&'a StringViewArray),
    Bytes(&'a BinaryViewArray),
    Date(&'a Date32Array),
    Time(&'a Time64MicrosecondArray),
    Micros(&'a TimestampMicrosecondArray),
    Nanos(&'a TimestampNanosecondArray),
    Decimal(&'a Decimal128Array),
}

impl<'a> Cells<'a> {
    /// `None` when the rows do not have the column.
    fn of(key: &ColumnKey, rows: &'a Rows) -> Result<Option<Self>> {
        let Some(array) = rows.column(key) else { return Ok(None) };
        let any = array.as_any();
        let cells = match key.kind {
            Kind::Bool => any.downcast_ref().map(Self::Bool),
            Kind::Int16 => any.downcast_ref().map(Self::Int16),
            Kind::Int32 => any.downcast_ref().map(Self::Int32),
            Kind::Int64 => any.downcast_ref().map(Self::Int64),
            Kind::Float32 => any.downcast_ref().map(Self::Float32),
            Kind::Float64 => any.downcast_ref().map(Self::Float64),
            Kind::Text => any.downcast_ref().map(Self::Text),
            Kind::Bytes => any.downcast_ref().map(Self::Bytes),
            Kind::Date => any.downcast_ref().map(Self::Date),
            Kind::Time => any.downcast_ref().map(Self::Time),
            Kind::Micros => any.downcast_ref().map(Self::Micros),
            Kind::Nanos => any.downcast_ref().map(Self::Nanos),
            Kind::Decimal(_) => any.downcast_ref().map(Self::Decimal),
            _ => None,
        };
        match cells {
            Some(cells) => Ok(Some(cells)),
            None => Err(StorageError::Invalid(format!("column {key} cannot be part of a primary key"))),
        }
    }

    fn array(&self) -> &dyn Array {
        match self {
            Self::Bool(a) => a,
            Self::Int16(a) => a,
            Self::Int32(a) => a,
            Self::Int64(a) => a,
            Self::Float32(a) => a,
            Self::Float64(a) => a,
            Self::Text(a) => a,
            Self::Bytes(a) => a,
            Self::Date(a) => a,
            Self::Time(a) => a,
            Self::Micros(a) => a,
            Self::Nanos(a) => a,
            Self::Decimal(a) => a,
        }
    }

    fn write(&self, row: usize, out: &mut Vec<u8>) {
        match self {
            Self::Bool(a) => out.push(u8::from(a.value(row))),
            Self::Int16(a) => out.extend_from_slice(&a.value(row).to_le_bytes()),
            Self::Int32(a) => out.extend_from_slice(&a.value(row).to_le_bytes()),
            Self::Int64(a) => out.extend_from_slice(&a.value(row).to_le_bytes()),
            Self::Float32(a) => out.extend_from_slice(&float_bits(f64::from(a.value(row)))),
            Self::Float64(a) => out.extend_from_slice(&float_bits(a.value(row))),
            Self::Text(a) => bytes(a.value(row).as_bytes(), out),
            Self::Bytes(a) => bytes(a.value(row), out),
            Self::Date(a) => out.extend_from_slice(&a.value(row).to_le_bytes()),
            Self::Time(a) => out.extend_from_slice(&a.value(row).to_le_bytes()),
            Self::Micros(a) => out.extend_from_slice(&a.value(row).to_le_bytes()),
            Self::Nanos(a) => out.extend_from_slice(&a.value(row).to_le_bytes()),
            Self::Decimal(a) => out.extend_from_slice(&a.value(row).to_le_bytes()),
        }
    }

    fn text(&self, row: usize) -> String {
        match self {
            Self::Bool(a) => a.value(row).to_string(),
            Self::Int16(a) => a.value(row).to_string(),
            Self::Int32(a) => a.value(row).to_string(),
            Self::Int64(a) => a.value(row).to_string(),
            Self::Float32(a) => a.value(row).to_string(),
            Self::Float64(a) => a.value(row).to_string(),
            Self::Text(a) => a.value(row).to_owned(),
            Self::Bytes(a) => format!("{:02x?}", a.value(row)),
            Self::Date(a) => a.value_as_date(row).map_or_else(|| a.value(row).to_string(), |d| d.to_string()),
            Self::Time(a) => a.value_as_time(row).map_or_else(|| a.value(row).to_string(), |t| t.to_string()),
            Self::Micros(a) => a.value_as_datetime(row).map_or_else(|| a.value(row).to_string(), |t| t.to_string()),
            Self::Nanos(a) => a.value_as_datetime(row).map_or_else(|| a.value(row).to_string(), |t| t.to_string()),
            Self::Decimal(a) => a.value_as_string(row),
        }
    }
}

/// Both zeros are one key, and all NaNs are.
fn float_bits(value: f64) -> [u8; 8] {
    let value = if value == 0.0 {
        0.0
    } else if value.is_nan() {
        f64::NAN
    } else {
        value
    };
    value.to_le_bytes()
}

/// Bytes behind their length, so that no two columns can be taken for others.
fn bytes(value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&(value.len() as u32).to_le_bytes());
    out.extend_from_slice(value);
}
