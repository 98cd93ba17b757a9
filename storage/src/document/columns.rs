//! Columns while documents are read: the values that there are, and the rows that have them.

use std::sync::Arc;

use arrow_array::{
    Array as _, ArrayRef, BooleanArray, Float64Array, Int64Array, ListArray, UInt32Array, builder::StringViewBuilder,
};
use arrow_buffer::{OffsetBuffer, ScalarBuffer};
use arrow_schema::Field;
use arrow_select::take::take;

use crate::{
    Result, StorageError,
    table::{ColumnKey, Kind, ListKind},
};

/// The kinds of columns that documents have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    Bool,
    Integer,
    Float,
    Text,
    Bools,
    Integers,
    Floats,
    Texts,
    Json,
    Null,
    EmptyObject,
    NumberText,
}

/// How many there are.
pub(super) const SLOTS: usize = Slot::NumberText as usize + 1;

/// The row of a value that counts no longer, since its document gave the field another value or was refused.
const VOID: u32 = u32::MAX;

impl Slot {
    const fn kind(self) -> Kind {
        match self {
            Self::Bool => Kind::Bool,
            Self::Integer => Kind::Int64,
            Self::Float => Kind::Float64,
            Self::Text => Kind::Text,
            Self::Bools => Kind::List(ListKind::Bool),
            Self::Integers => Kind::List(ListKind::Int64),
            Self::Floats => Kind::List(ListKind::Float64),
            Self::Texts => Kind::List(ListKind::Text),
            Self::Json => Kind::Json,
            Self::Null => Kind::Null,
            Self::EmptyObject => Kind::EmptyObject,
            Self::NumberText => Kind::NumberText,
        }
    }

    fn values(self) -> Values {
        let list = |items| Values::List { ends: vec![0], items: Box::new(items) };
        match self {
            Self::Bool => Values::Bools(Vec::new()),
            Self::Integer => Values::Integers(Vec::new()),
            Self::Float => Values::Floats(Vec::new()),
            Self::Text | Self::Json | Self::NumberText => Values::Texts(StringViewBuilder::new()),
            Self::Bools => list(Values::Bools(Vec::new())),
            Self::Integers => list(Values::Integers(Vec::new())),
            Self::Floats => list(Values::Floats(Vec::new())),
            Self::Texts => list(Values::Texts(StringViewBuilder::new())),
            Self::Null | Self::EmptyObject => Values::Marks(0),
        }
    }
}

/// The values of a column, one after another without gaps.
#[derive(Debug)]
pub(super) enum Values {
    Bools(Vec<bool>),
    Integers(Vec<i64>),
    Floats(Vec<f64>),
    Texts(StringViewBuilder),
    Marks(usize),
    List {
        /// Where each list ends among the items; begins with a zero.
        ends: Vec<i32>,
        items: Box<Values>,
    },
}

impl Values {
    fn len(&self) -> usize {
        match self {
            Self::Bools(v) => v.len(),
            Self::Integers(v) => v.len(),
            Self::Floats(v) => v.len(),
            Self::Texts(v) => arrow_array::builder::ArrayBuilder::len(v),
            Self::Marks(n) => *n,
            Self::List { ends, .. } => ends.len() - 1,
        }
    }

    /// Ends a list behind the items that are there now.
    fn end_list(ends: &mut Vec<i32>, items: &Self) {
        // A batch is refused long before it has so many items.
        ends.push(i32::try_from(items.len()).unwrap_or(i32::MAX));
    }

    /// The values as an array; none are left.
    fn take_array(&mut self) -> Result<ArrayRef> {
        Ok(match self {
            Self::Bools(v) => Arc::new(BooleanArray::from(std::mem::take(v))),
            Self::Integers(v) => Arc::new(Int64Array::from(std::mem::take(v))),
            Self::Floats(v) => Arc::new(Float64Array::from(std::mem::take(v))),
            Self::Texts(v) => Arc::new(v.finish()),
            Self::Marks(n) => Arc::new(BooleanArray::from(vec![true; std::mem::take(n)])),
            Self::List { ends, items } => {
                let offsets = OffsetBuffer::new(ScalarBuffer::from(std::mem::replace(ends, vec![0])));
                let items = items.take_array()?;
                let field = Arc::new(Field::new_list_field(items.data_type().clone(), true));
                Arc::new(ListArray::try_new(field, offsets, items, None).map_err(|e| invalid(&e))?)
            }
        })
    }
}

/// A column.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) key: ColumnKey,
    /// The row of each value, ascending but for void ones.
    rows: Vec<u32>,
    has_voids: bool,
    values: Values,
}

impl Column {
    pub(super) fn new(path: Arc<str>, slot: Slot) -> Self {
        let key = ColumnKey::new(path, slot.kind());
        Self { key, rows: Vec::new(), has_voids: false, values: slot.values() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Makes the row's value, if it has one, count no longer.
    pub(super) fn void(&mut self, row: u32) {
        if let Some(last) = self.rows.last_mut().filter(|last| **last == row) {
            *last = VOID;
            self.has_voids = true;
        }
    }

    pub(super) fn push_bool(&mut self, row: u32, value: bool) {
        if let Values::Bools(values) = &mut self.values {
            values.push(value);
            self.rows.push(row);
        }
    }

    pub(super) fn push_integer(&mut self, row: u32, value: i64) {
        if let Values::Integers(values) = &mut self.values {
            values.push(value);
            self.rows.push(row);
        }
    }

    pub(super) fn push_float(&mut self, row: u32, value: f64) {
        if let Values::Floats(values) = &mut self.values {
            values.push(value);
            self.rows.push(row);
        }
    }

    pub(super) fn push_text(&mut self, row: u32, value: &str) {
        if let Values::Texts(values) = &mut self.values {
            values.append_value(value);
            self.rows.push(row);
        }
    }

    pub(super) fn push_mark(&mut self, row: u32) {
        if let Values::Marks(count) = &mut self.values {
            *count += 1;
            self.rows.push(row);
        }
    }

    /// Adds a list, whose items `push` adds.
    pub(super) fn push_list(&mut self, row: u32, push: impl FnOnce(&mut Values)) {
        if let Values::List { ends, items } = &mut self.values {
            push(items);
            Values::end_list(ends, items);
            self.rows.push(row);
        }
    }

    /// The column for so many rows, null where a row has no value; the column is empty then. `None` when no row has one.
    pub(super) fn take_array(&mut self, rows: usize) -> Result<Option<ArrayRef>> {
        let values = self.values.take_array()?;
        let places = std::mem::take(&mut self.rows);
        let has_voids = std::mem::take(&mut self.has_voids);
        if !has_voids && places.len() == rows {
            return Ok(Some(values));
        }
        let mut from: Vec<Option<u32>> = vec![None; rows];
        let mut any = false;
        for (value, row) in (0..).zip(places) {
            if let Some(place) = from.get_mut(row as usize) {
                *place = Some(value);
                any = true;
            }
        }
        if !any {
            return Ok(None);
        }
        take(&values, &UInt32Array::from(from), None).map(Some).map_err(|e| invalid(&e))
    }
}

fn invalid(error: &arrow_schema::ArrowError) -> StorageError {
    StorageError::Invalid(format!("documents: {error}"))
}
