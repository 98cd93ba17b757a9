//! Kinds of cells: how a value is held in memory and on disk, and the Arrow type that stands for each.

use std::{fmt, sync::Arc};

use arrow_schema::{DataType, Field, IntervalUnit, TimeUnit};

/// Digits that a decimal holds at most.
pub const DECIMAL_DIGITS: u8 = 38;

/// The kind of all cells of a column. A field of a dynamic table may have columns of several kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// True or false.
    Bool,
    /// A signed integer of 16 bits.
    Int16,
    /// A signed integer of 32 bits.
    Int32,
    /// A signed integer of 64 bits.
    Int64,
    /// An IEEE 754 number of 32 bits.
    Float32,
    /// An IEEE 754 number of 64 bits.
    Float64,
    /// UTF-8.
    Text,
    /// Any bytes.
    Bytes,
    /// Days since 1970-01-01.
    Date,
    /// Microseconds since midnight.
    Time,
    /// Microseconds since the Unix epoch.
    Micros,
    /// Nanoseconds since the Unix epoch.
    Nanos,
    /// Months, days and nanoseconds.
    Interval,
    /// An integer of up to [`DECIMAL_DIGITS`] digits, divided by 10 to the power of this scale.
    Decimal(u8),
    /// A list of values of one kind; no element is null.
    List(ListKind),
    /// The text of a JSON value that is no scalar and no list of one kind.
    Json,
    /// In a document: the field is there and null.
    Null,
    /// In a document: the field is there and an object without fields.
    EmptyObject,
    /// In a document: the text of a number that does not print as it was written. The number itself is in the column
    /// of the same field of kind [`Kind::Float64`]; or the text of an array of numbers of which one does not, whose
    /// numbers are in the column of kind [`ListKind::Float64`].
    NumberText,
}

/// The kind of a list's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ListKind {
    /// As [`Kind::Bool`].
    Bool,
    /// As [`Kind::Int16`].
    Int16,
    /// As [`Kind::Int32`].
    Int32,
    /// As [`Kind::Int64`].
    Int64,
    /// As [`Kind::Float32`].
    Float32,
    /// As [`Kind::Float64`].
    Float64,
    /// As [`Kind::Text`].
    Text,
    /// As [`Kind::Date`].
    Date,
    /// As [`Kind::Micros`].
    Micros,
}

impl ListKind {
    /// The kind of one element.
    #[must_use]
    pub const fn element(self) -> Kind {
        match self {
            Self::Bool => Kind::Bool,
            Self::Int16 => Kind::Int16,
            Self::Int32 => Kind::Int32,
            Self::Int64 => Kind::Int64,
            Self::Float32 => Kind::Float32,
            Self::Float64 => Kind::Float64,
            Self::Text => Kind::Text,
            Self::Date => Kind::Date,
            Self::Micros => Kind::Micros,
        }
    }
}

impl Kind {
    /// The Arrow type of a column of this kind.
    #[must_use]
    pub fn arrow(self) -> DataType {
        match self {
            Self::Bool | Self::Null | Self::EmptyObject => DataType::Boolean,
            Self::Int16 => DataType::Int16,
            Self::Int32 => DataType::Int32,
            Self::Int64 => DataType::Int64,
            Self::Float32 => DataType::Float32,
            Self::Float64 => DataType::Float64,
            Self::Text | Self::Json | Self::NumberText => DataType::Utf8View,
            Self::Bytes => DataType::BinaryView,
            Self::Date => DataType::Date32,
            Self::Time => DataType::Time64(TimeUnit::Microsecond),
            Self::Micros => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::Nanos => DataType::Timestamp(TimeUnit::Nanosecond, None),
            Self::Interval => DataType::Interval(IntervalUnit::MonthDayNano),
            Self::Decimal(scale) => DataType::Decimal128(DECIMAL_DIGITS, scale as i8),
            // Elements are nullable by type, as Arrow's own builders make them; by rule none is null.
            Self::List(of) => DataType::List(Arc::new(Field::new_list_field(of.element().arrow(), true))),
        }
    }

    /// Whether the column only says how a document was written, and holds no value of the field.
    #[must_use]
    pub const fn is_mark(self) -> bool {
        matches!(self, Self::Null | Self::EmptyObject | Self::NumberText)
    }
}

/// Which column: a field's name and a kind.
///
/// A declared column's field is `#` and its id, so that a rename rewrites nothing. A field of a dynamic table is the
/// path from the document's root, its keys joined by dots; a key that is empty, begins with `#` or `_time`, or has a dot,
/// a quote, a backslash or a control character stands as a JSON string.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ColumnKey {
    /// The field.
    pub field: Arc<str>,
    /// The kind.
    pub kind: Kind,
}

impl ColumnKey {
    /// The column of a field and a kind.
    #[must_use]
    pub fn new(field: impl Into<Arc<str>>, kind: Kind) -> Self {
        Self { field: field.into(), kind }
    }
}

impl fmt::Display for ColumnKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:?})", self.field, self.kind)
    }
}
