//! What a table is declared to be: columns, primary key, time, retention.

use std::fmt;

use super::kind::{ColumnKey, Kind, ListKind};

/// A table's number. Never used again, also after the table is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableId(pub u32);

/// A declared column's number inside its table. Never used again, also after the column is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ColumnId(pub u32);

/// The name of the time column that every dynamic table has.
pub const TIME_COLUMN: &str = "_time";

/// A declared column's type as its users see it. Each has one [`Kind`]; what more it demands of a value (a length, a
/// syntax) is checked by whoever makes the rows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ColumnType {
    /// BOOLEAN.
    Bool,
    /// SMALLINT.
    Int2,
    /// INTEGER.
    Int4,
    /// BIGINT.
    Int8,
    /// REAL.
    Float4,
    /// DOUBLE PRECISION.
    Float8,
    /// TEXT.
    Text,
    /// VARCHAR, with its length in characters.
    Varchar(Option<u32>),
    /// CHAR, with its length in characters.
    Char(u32),
    /// BYTEA.
    Bytes,
    /// DATE.
    Date,
    /// TIME.
    Time,
    /// TIMESTAMP, in microseconds.
    Timestamp,
    /// TIMESTAMP WITH TIME ZONE, in microseconds.
    TimestampTz,
    /// A moment in nanoseconds.
    TimestampNanos,
    /// INTERVAL.
    Interval,
    /// UUID, held as text in its usual form.
    Uuid,
    /// JSON, held as it was written.
    Json,
    /// JSONB, held in a canonical form.
    Jsonb,
    /// NUMERIC, with its precision if one was given, and its scale.
    Numeric {
        /// Digits in all, at most 38.
        precision: Option<u8>,
        /// Digits behind the point.
        scale: u8,
    },
    /// An array of one dimension.
    Array(Box<ColumnType>),
}

impl ColumnType {
    /// How a value is held. `None` for an array of what cannot be an element.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        Some(match self {
            Self::Bool => Kind::Bool,
            Self::Int2 => Kind::Int16,
            Self::Int4 => Kind::Int32,
            Self::Int8 => Kind::Int64,
            Self::Float4 => Kind::Float32,
            Self::Float8 => Kind::Float64,
            Self::Text | Self::Varchar(_) | Self::Char(_) | Self::Uuid | Self::Json | Self::Jsonb => Kind::Text,
            Self::Bytes => Kind::Bytes,
            Self::Date => Kind::Date,
            Self::Time => Kind::Time,
            Self::Timestamp | Self::TimestampTz => Kind::Micros,
            Self::TimestampNanos => Kind::Nanos,
            Self::Interval => Kind::Interval,
            Self::Numeric { scale, .. } => Kind::Decimal(*scale),
            Self::Array(of) => Kind::List(match of.kind()? {
                Kind::Bool => ListKind::Bool,
                Kind::Int16 => ListKind::Int16,
                Kind::Int32 => ListKind::Int32,
                Kind::Int64 => ListKind::Int64,
                Kind::Float32 => ListKind::Float32,
                Kind::Float64 => ListKind::Float64,
                Kind::Text => ListKind::Text,
                Kind::Date => ListKind::Date,
                Kind::Micros => ListKind::Micros,
                _ => return None,
            }),
        })
    }
}

/// A declared column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnDefinition {
    /// Its number.
    pub id: ColumnId,
    /// Its name.
    pub name: String,
    /// Its type.
    pub column_type: ColumnType,
    /// Whether a row without a value is refused.
    pub not_null: bool,
    /// The expression for a row that does not name the column, as its users wrote it; the engine does not read it.
    pub default: Option<String>,
    /// Whether a row that does not name the column gets the next number of the table.
    pub serial: bool,
}

impl ColumnDefinition {
    /// Where the column's values are.
    ///
    /// # Errors
    /// An array of what cannot be an element has none.
    #[must_use]
    pub fn key(&self) -> Option<ColumnKey> {
        Some(ColumnKey::new(self.id.field(), self.column_type.kind()?))
    }
}

impl ColumnId {
    /// The field that holds the column's values.
    #[must_use]
    pub fn field(self) -> String {
        format!("#{}", self.0)
    }
}

impl fmt::Display for TableId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableDefinition {
    /// Its number; given by the engine when the table is made.
    pub id: TableId,
    /// Its name.
    pub name: String,
    /// The declared columns in their order.
    pub columns: Vec<ColumnDefinition>,
    /// The next declared column's number.
    pub next_column: ColumnId,
    /// The columns of the primary key, in its order; empty when there is none.
    pub primary_key: Vec<ColumnId>,
    /// The column by whose values rows are sorted and dropped by retention; of a kind with time.
    pub time: Option<ColumnId>,
    /// Whether rows may bring fields that are not declared.
    pub dynamic: bool,
    /// Rows older than this many milliseconds, by their time column, are dropped. `None`: kept for good.
    pub retention_ms: Option<i64>,
}

impl TableDefinition {
    /// A table whose rows are documents: a time column of nanoseconds and any fields.
    #[must_use]
    pub fn dynamic(name: impl Into<String>) -> Self {
        let time = ColumnDefinition {
            id: ColumnId(0),
            name: TIME_COLUMN.to_owned(),
            column_type: ColumnType::TimestampNanos,
            not_null: true,
            default: None,
            serial: false,
        };
        Self {
            id: TableId(0),
            name: name.into(),
            columns: vec![time],
            next_column: ColumnId(1),
            primary_key: Vec::new(),
            time: Some(ColumnId(0)),
            dynamic: true,
            retention_ms: None,
        }
    }

    /// The declared column of this number.
    #[must_use]
    pub fn column(&self, id: ColumnId) -> Option<&ColumnDefinition> {
        self.columns.iter().find(|c| c.id == id)
    }

    /// The declared column of this name.
    #[must_use]
    pub fn column_named(&self, name: &str) -> Option<&ColumnDefinition> {
        self.columns.iter().find(|c| c.name == name)
    }

    /// Where the values of the primary key's columns are.
    pub(crate) fn key_columns(&self) -> Vec<ColumnKey> {
        self.primary_key.iter().filter_map(|id| self.column(*id)?.key()).collect()
    }

    /// Where the time column's values are.
    #[must_use]
    pub fn time_key(&self) -> Option<ColumnKey> {
        self.column(self.time?)?.key()
    }
}
