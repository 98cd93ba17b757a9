//! Single values on their way between the catalog's rows, its functions and Arrow.

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, AsArray, BinaryViewArray, BooleanArray, Decimal128Array, Float32Array, Float64Array,
        Int16Array, Int32Array, Int64Array, IntervalMonthDayNanoArray, ListArray, StringViewArray, StructArray,
        TimestampMicrosecondArray, UInt32Array, new_null_array,
    },
    buffer::{NullBuffer, OffsetBuffer},
    datatypes::{
        DataType, Field, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimeUnit, UInt8Type,
        UInt16Type, UInt32Type, UInt64Type,
    },
};
use datafusion::error::{DataFusionError, Result};

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    /// No value.
    Null,
    /// A truth value.
    Bool(bool),
    /// An integer of any width, an oid included.
    Int(i64),
    /// A number.
    Float(f64),
    /// A text, a name, a "char".
    Text(String),
    /// A moment in microseconds since the Unix epoch.
    Time(i64),
    /// Several values.
    List(Vec<Cell>),
}

impl Cell {
    /// The integer, or the text that is one.
    pub(super) fn int(&self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(*value),
            Self::Float(value) => Some(*value as i64),
            Self::Text(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// The number as an oid; `None` when it cannot be one.
    pub(super) fn oid(&self) -> Option<u32> {
        u32::try_from(self.int()?).ok()
    }

    /// The text.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The value as PostgreSQL prints it; `None` for null.
    pub(super) fn printed(&self) -> Option<String> {
        Some(match self {
            Self::Null => return None,
            Self::Bool(value) => if *value { "t" } else { "f" }.to_owned(),
            Self::Int(value) | Self::Time(value) => value.to_string(),
            Self::Float(value) => value.to_string(),
            Self::Text(text) => text.clone(),
            Self::List(items) => {
                let items: Vec<String> = items.iter().map(element).collect();
                format!("{{{}}}", items.join(","))
            }
        })
    }

    /// The value in a row of an array; null for types that the catalog has not.
    pub(super) fn at(array: &dyn Array, row: usize) -> Self {
        if array.is_null(row) {
            return Self::Null;
        }
        match array.data_type() {
            DataType::Boolean => Self::Bool(array.as_boolean().value(row)),
            DataType::Int8 => Self::Int(array.as_primitive::<Int8Type>().value(row).into()),
            DataType::Int16 => Self::Int(array.as_primitive::<Int16Type>().value(row).into()),
            DataType::Int32 => Self::Int(array.as_primitive::<Int32Type>().value(row).into()),
            DataType::Int64 => Self::Int(array.as_primitive::<Int64Type>().value(row)),
            DataType::UInt8 => Self::Int(array.as_primitive::<UInt8Type>().value(row).into()),
            DataType::UInt16 => Self::Int(array.as_primitive::<UInt16Type>().value(row).into()),
            DataType::UInt32 => Self::Int(array.as_primitive::<UInt32Type>().value(row).into()),
            DataType::UInt64 => {
                i64::try_from(array.as_primitive::<UInt64Type>().value(row)).map_or(Self::Null, Self::Int)
            }
            DataType::Float32 => Self::Float(array.as_primitive::<Float32Type>().value(row).into()),
            DataType::Float64 => Self::Float(array.as_primitive::<Float64Type>().value(row)),
            DataType::Utf8 => Self::Text(array.as_string::<i32>().value(row).to_owned()),
            DataType::LargeUtf8 => Self::Text(array.as_string::<i64>().value(row).to_owned()),
            DataType::Utf8View => Self::Text(array.as_string_view().value(row).to_owned()),
            DataType::List(_) => {
                let items = array.as_list::<i32>().value(row);
                Self::List((0..items.len()).map(|at| Self::at(&items, at)).collect())
            }
            _ => Self::Null,
        }
    }
}

/// An element as it stands in an array's text.
fn element(cell: &Cell) -> String {
    let Some(text) = cell.printed() else { return "NULL".to_owned() };
    let plain = !text.is_empty()
        && !text.eq_ignore_ascii_case("null")
        && !text.contains(|c: char| c.is_whitespace() || matches!(c, '{' | '}' | ',' | '"' | '\\'));
    if plain || matches!(cell, Cell::List(_)) {
        return text;
    }
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

impl From<bool> for Cell {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i16> for Cell {
    fn from(value: i16) -> Self {
        Self::Int(value.into())
    }
}

impl From<i32> for Cell {
    fn from(value: i32) -> Self {
        Self::Int(value.into())
    }
}

impl From<u32> for Cell {
    fn from(value: u32) -> Self {
        Self::Int(value.into())
    }
}

impl From<i64> for Cell {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<&str> for Cell {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Cell {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl<T: Into<Self>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl<T: Into<Self>> From<Vec<T>> for Cell {
    fn from(values: Vec<T>) -> Self {
        Self::List(values.into_iter().map(Into::into).collect())
    }
}

/// An array of these values.
///
/// # Errors
/// When a value is not of the type: a mistake of the catalog itself.
pub(super) fn array(data_type: &DataType, cells: &[Cell]) -> Result<ArrayRef> {
    if let Some(wrong) = cells.iter().find(|cell| !fits(cell, data_type)) {
        return Err(DataFusionError::Internal(format!("the catalog made {wrong:?} for a column of type {data_type}")));
    }
    let ints = || cells.iter().map(|c| if let Cell::Int(v) = c { Some(*v) } else { None });
    let texts = || cells.iter().map(Cell::text);
    Ok(match data_type {
        DataType::Boolean => {
            Arc::new(BooleanArray::from_iter(cells.iter().map(|c| if let Cell::Bool(v) = c { Some(*v) } else { None })))
        }
        DataType::Int16 => Arc::new(ints().map(|v| v.map(|v| v as i16)).collect::<Int16Array>()),
        DataType::Int32 => Arc::new(ints().map(|v| v.map(|v| v as i32)).collect::<Int32Array>()),
        DataType::Int64 => Arc::new(ints().collect::<Int64Array>()),
        DataType::UInt32 => Arc::new(ints().map(|v| v.map(|v| v as u32)).collect::<UInt32Array>()),
        DataType::Float32 => Arc::new(cells.iter().map(|c| float(c).map(|v| v as f32)).collect::<Float32Array>()),
        DataType::Float64 => Arc::new(cells.iter().map(float).collect::<Float64Array>()),
        DataType::Utf8View => Arc::new(texts().collect::<StringViewArray>()),
        DataType::BinaryView => Arc::new(texts().map(|t| t.map(str::as_bytes)).collect::<BinaryViewArray>()),
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let times = cells.iter().map(|c| if let Cell::Time(v) = c { Some(*v) } else { None });
            Arc::new(times.collect::<TimestampMicrosecondArray>().with_timezone_opt(zone.clone()))
        }
        DataType::Interval(_) => Arc::new(IntervalMonthDayNanoArray::new_null(cells.len())),
        DataType::Decimal128(..) => Arc::new(Decimal128Array::new_null(cells.len()).with_data_type(data_type.clone())),
        DataType::List(item) => list(item, cells)?,
        DataType::Struct(fields) => {
            let columns = fields.iter().enumerate().map(|(at, field)| {
                let parts: Vec<Cell> = cells.iter().map(|c| part(c, at)).collect();
                array(field.data_type(), &parts)
            });
            Arc::new(StructArray::new(fields.clone(), columns.collect::<Result<_>>()?, None))
        }
        _ => new_null_array(data_type, cells.len()),
    })
}

fn list(item: &Arc<Field>, cells: &[Cell]) -> Result<ArrayRef> {
    let lengths = cells.iter().map(|c| if let Cell::List(items) = c { items.len() } else { 0 });
    let offsets = OffsetBuffer::<i32>::from_lengths(lengths);
    let flat: Vec<Cell> = cells
        .iter()
        .filter_map(|c| if let Cell::List(items) = c { Some(items.clone()) } else { None })
        .flatten()
        .collect();
    let nulls = NullBuffer::from_iter(cells.iter().map(|c| *c != Cell::Null));
    let values = array(item.data_type(), &flat)?;
    Ok(Arc::new(ListArray::try_new(Arc::clone(item), offsets, values, Some(nulls))?))
}

fn part(cell: &Cell, at: usize) -> Cell {
    match cell {
        Cell::List(parts) => parts.get(at).cloned().unwrap_or(Cell::Null),
        _ => Cell::Null,
    }
}

fn float(cell: &Cell) -> Option<f64> {
    match cell {
        Cell::Float(value) => Some(*value),
        Cell::Int(value) => Some(*value as f64),
        _ => None,
    }
}

fn fits(cell: &Cell, data_type: &DataType) -> bool {
    match cell {
        Cell::Null => true,
        Cell::Bool(_) => *data_type == DataType::Boolean,
        Cell::Int(value) => match data_type {
            DataType::Int16 => i16::try_from(*value).is_ok(),
            DataType::Int32 => i32::try_from(*value).is_ok(),
            DataType::UInt32 => u32::try_from(*value).is_ok(),
            _ => matches!(data_type, DataType::Int64 | DataType::Float32 | DataType::Float64),
        },
        Cell::Float(_) => matches!(data_type, DataType::Float32 | DataType::Float64),
        Cell::Text(_) => matches!(data_type, DataType::Utf8View | DataType::BinaryView),
        Cell::Time(_) => matches!(data_type, DataType::Timestamp(TimeUnit::Microsecond, _)),
        Cell::List(_) => matches!(data_type, DataType::List(_) | DataType::Struct(_)),
    }
}
