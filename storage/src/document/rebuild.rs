//! Rows to documents: what the columns of a dynamic table hold, written as JSON again.

use arrow_array::{
    Array, ArrayRef,
    cast::AsArray as _,
    types::{
        Date32Type, Decimal128Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type,
        IntervalMonthDayNanoType, Time64MicrosecondType, TimestampMicrosecondType, TimestampNanosecondType,
    },
};

use super::{number::write_float, path, text::write_string, time};
use crate::{
    Result, StorageError,
    table::{ColumnKey, Kind, Rows},
};

/// Writes rows of these columns as documents, keys sorted. What no document has is written as near as JSON can: times as
/// texts, floats that are no numbers as null, bytes as hexadecimal text.
#[derive(Debug)]
pub struct Rebuilder {
    /// Sorted by path; of one path the texts of numbers come first.
    leaves: Vec<Leaf>,
}

#[derive(Debug)]
struct Leaf {
    /// Where the column is in the list that was given.
    column: usize,
    kind: Kind,
    /// The keys as they are written.
    keys: Vec<String>,
    /// How many keys at the beginning are those of the leaf before.
    shared: usize,
}

impl Rebuilder {
    /// A writer of rows of these columns; the same list comes with each row.
    ///
    /// # Errors
    /// When a field is no path.
    pub fn new<'a>(columns: impl IntoIterator<Item = &'a ColumnKey>) -> Result<Self> {
        let mut sorted = Vec::new();
        for (column, key) in columns.into_iter().enumerate() {
            let keys = path::decode(&key.field)
                .ok_or_else(|| StorageError::Invalid(format!("field {:?} is no path of a document", key.field)))?;
            sorted.push((keys, key.kind != Kind::NumberText, key.kind, column));
        }
        sorted.sort();
        let mut leaves: Vec<Leaf> = Vec::with_capacity(sorted.len());
        let mut before: Vec<String> = Vec::new();
        for (keys, _, kind, column) in sorted {
            let shared = keys.iter().zip(&before).take_while(|(a, b)| a == b).count();
            let written = keys.iter().map(|key| {
                let mut out = String::new();
                write_string(&mut out, key);
                out
            });
            leaves.push(Leaf { column, kind, keys: written.collect(), shared });
            before = keys;
        }
        Ok(Self { leaves })
    }

    /// Appends a row's document.
    pub fn write(&self, columns: &[ArrayRef], row: usize, out: &mut String) {
        out.push('{');
        // The objects that are open, and how much of their path the leaf at hand has.
        let mut open: &[String] = &[];
        let mut shared = 0;
        let mut first = true;
        for leaf in &self.leaves {
            shared = leaf.shared.min(shared);
            let Some(array) = columns.get(leaf.column).filter(|a| row < a.len() && a.is_valid(row)) else { continue };
            // The text of a number was written already; this is its value.
            if !first && shared == leaf.keys.len() && shared == open.len() {
                shared = open.len();
                continue;
            }
            let around = leaf.keys.len() - 1;
            let kept = shared.min(open.len().saturating_sub(1)).min(around);
            (kept + 1..open.len()).for_each(|_| out.push('}'));
            if !first {
                out.push(',');
            }
            for (at, key) in leaf.keys.iter().enumerate().skip(kept) {
                out.push_str(key);
                out.push_str(if at < around { ":{" } else { ":" });
            }
            write_value(out, leaf.kind, array, row);
            (open, shared, first) = (&leaf.keys, leaf.keys.len(), false);
        }
        (1..open.len()).for_each(|_| out.push('}'));
        out.push('}');
    }

    /// The document of a row.
    ///
    /// # Errors
    /// When a field is no path.
    pub fn rebuild(rows: &Rows, row: usize) -> Result<String> {
        let rebuilder = Self::new(rows.columns().iter().map(|(key, _)| key))?;
        let columns: Vec<ArrayRef> = rows.columns().iter().map(|(_, array)| ArrayRef::clone(array)).collect();
        let mut out = String::new();
        rebuilder.write(&columns, row, &mut out);
        Ok(out)
    }
}

impl Rebuilder {
    /// Appends a value that is there, as documents have it. An array that is not of the kind's Arrow type is written as null.
    pub fn write_value(out: &mut String, kind: Kind, array: &dyn Array, row: usize) {
        write_value(out, kind, array, row);
    }
}

fn write_value(out: &mut String, kind: Kind, array: &dyn Array, row: usize) {
    if try_value(out, kind, array, row).is_none() {
        out.push_str("null");
    }
}

fn try_value(out: &mut String, kind: Kind, array: &dyn Array, row: usize) -> Option<()> {
    use std::fmt::Write as _;
    match kind {
        Kind::Bool => out.push_str(if array.as_boolean_opt()?.value(row) { "true" } else { "false" }),
        Kind::Int16 => write!(out, "{}", array.as_primitive_opt::<Int16Type>()?.value(row)).ok()?,
        Kind::Int32 => write!(out, "{}", array.as_primitive_opt::<Int32Type>()?.value(row)).ok()?,
        Kind::Int64 => write!(out, "{}", array.as_primitive_opt::<Int64Type>()?.value(row)).ok()?,
        Kind::Float32 => {
            let value = array.as_primitive_opt::<Float32Type>()?.value(row);
            if !value.is_finite() {
                return None;
            }
            out.push_str(zmij::Buffer::new().format_finite(value));
        }
        Kind::Float64 => write_float(out, array.as_primitive_opt::<Float64Type>()?.value(row)),
        Kind::Text => write_string(out, array.as_string_view_opt()?.value(row)),
        Kind::Json | Kind::NumberText => out.push_str(array.as_string_view_opt()?.value(row)),
        Kind::Null => return None,
        Kind::EmptyObject => out.push_str("{}"),
        Kind::Date => {
            let day = array.as_primitive_opt::<Date32Type>()?.value(row);
            write_string(out, &time::date_text(i64::from(day)));
        }
        Kind::Micros => {
            let micros = array.as_primitive_opt::<TimestampMicrosecondType>()?.value(row);
            match micros.checked_mul(1_000) {
                Some(nanos) => write_string(out, &time::to_text(nanos)),
                None => write!(out, "{micros}").ok()?,
            }
        }
        Kind::Nanos => {
            write_string(out, &time::to_text(array.as_primitive_opt::<TimestampNanosecondType>()?.value(row)));
        }
        Kind::Decimal(_) => out.push_str(&array.as_primitive_opt::<Decimal128Type>()?.value_as_string(row)),
        Kind::Bytes => {
            out.push_str("\"\\\\x");
            array.as_binary_view_opt()?.value(row).iter().try_for_each(|b| write!(out, "{b:02x}")).ok()?;
            out.push('"');
        }
        Kind::Time => {
            let micros = array.as_primitive_opt::<Time64MicrosecondType>()?.value(row);
            let (second, fraction) = (micros / 1_000_000, micros % 1_000_000);
            let (hour, minute) = (second / 3_600, second / 60 % 60);
            write!(out, "\"{hour:02}:{minute:02}:{:02}.{fraction:06}\"", second % 60).ok()?;
        }
        Kind::Interval => {
            let value = array.as_primitive_opt::<IntervalMonthDayNanoType>()?.value(row);
            let (seconds, nanos) =
                (value.nanoseconds / 1_000_000_000, value.nanoseconds.unsigned_abs() % 1_000_000_000);
            let sign = if value.nanoseconds < 0 && seconds == 0 { "-" } else { "" };
            write!(out, "\"P{}M{}DT{sign}{seconds}.{nanos:09}S\"", value.months, value.days).ok()?;
        }
        Kind::List(of) => {
            let items = array.as_list_opt::<i32>()?.value(row);
            out.push('[');
            for at in 0..items.len() {
                if at > 0 {
                    out.push(',');
                }
                if items.is_null(at) {
                    out.push_str("null");
                } else {
                    write_value(out, of.element(), &items, at);
                }
            }
            out.push(']');
        }
    }
    Some(())
}
