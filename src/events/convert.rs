//! Values of documents to values of a declared column's type. Nothing is rounded, cut or guessed: a value that the type
//! does not have is refused.

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, BinaryViewArray, Date32Array, Float64Array, ListArray, StringViewArray, TimestampMicrosecondArray,
    TimestampNanosecondArray, builder::StringViewBuilder, cast::AsArray as _, new_empty_array, types::Float64Type,
};
use arrow_buffer::OffsetBuffer;
use arrow_cast::{
    CastOptions, cast_with_options,
    display::{ArrayFormatter, FormatOptions},
};
use arrow_schema::{DataType, Field};
use chronolith_storage::{
    document::{canonical, compact},
    table::{ColumnType, Kind, ListKind},
};

use crate::ingest::events::time_of;

/// Most characters of a value that a message shows.
const SHOWN: usize = 100;
const DAY_NANOS: i64 = 86_400_000_000_000;

/// A value that does not fit.
#[derive(Debug)]
pub(super) struct Refused {
    /// Its row among those at hand.
    pub(super) row: usize,
    pub(super) reason: String,
}

/// The values as the column holds them; nulls stay nulls. `number_texts` are the texts of numbers that a float may have lost
/// digits of.
pub(super) fn convert(
    to: &ColumnType,
    from: Kind,
    values: &ArrayRef,
    number_texts: Option<&ArrayRef>,
) -> Result<ArrayRef, Refused> {
    let Some(kind) = to.kind() else { return Err(refuse(0, "the column's type holds no values".to_owned())) };
    match to {
        ColumnType::Text | ColumnType::Varchar(_) | ColumnType::Char(_) | ColumnType::Uuid => {
            texts(values, from, number_texts, |text| checked_text(to, text))
        }
        ColumnType::Json => texts(values, from, number_texts, |text| compact(text).map_err(|e| e.to_string())),
        ColumnType::Jsonb => texts(values, from, number_texts, |text| canonical(text).map_err(|e| e.to_string())),
        ColumnType::Timestamp | ColumnType::TimestampTz if from != Kind::Micros => {
            let nanos = moments(values, from)?;
            let micros = nanos.iter().map(|n| n.map(|n| n.div_euclid(1_000)));
            Ok(Arc::new(TimestampMicrosecondArray::from_iter(micros)))
        }
        ColumnType::TimestampNanos if from != Kind::Nanos => {
            Ok(Arc::new(TimestampNanosecondArray::from(moments(values, from)?)))
        }
        ColumnType::Date if from != Kind::Date => {
            let days = moments(values, from)?.into_iter().map(|n| n.map(|n| n.div_euclid(DAY_NANOS) as i32));
            Ok(Arc::new(Date32Array::from_iter(days)))
        }
        ColumnType::Bytes if from == Kind::Text => bytes(values),
        ColumnType::Numeric { precision, scale } => numeric(values, from, number_texts, *precision, *scale),
        ColumnType::Array(_) if from == Kind::Json => empty_lists(values, &kind.arrow()),
        ColumnType::Array(_) if !matches!(from, Kind::List(_)) => Err(first(values, |_| "is no array".to_owned())),
        _ if matches!(kind, Kind::List(_)) != matches!(from, Kind::List(_)) || from == Kind::Json => {
            Err(first(values, |_| format!("is an array, which {} cannot hold", name(to))))
        }
        ColumnType::Bool if !matches!(from, Kind::Bool | Kind::Text) => {
            Err(first(values, |text| format!("is {text}, no true or false")))
        }
        _ => {
            whole(to, from, values)?;
            cast(to, values, &kind.arrow())
        }
    }
}

/// The type's name in SQL.
fn name(column_type: &ColumnType) -> String {
    format!("{column_type:?}").to_uppercase()
}

/// Casts; a value that becomes null is refused.
fn cast(to: &ColumnType, values: &ArrayRef, wanted: &DataType) -> Result<ArrayRef, Refused> {
    if values.data_type() == wanted {
        return Ok(Arc::clone(values));
    }
    let options = CastOptions { safe: true, format_options: FormatOptions::default() };
    let cast = cast_with_options(values, wanted, &options)
        .map_err(|_| first(values, |text| format!("is {text}, which {} cannot hold", name(to))))?;
    let lost = |row: &usize| {
        let inside = |lists: Option<&ListArray>| lists.map_or(0, |l| l.value(*row).null_count());
        values.is_valid(*row) && (cast.is_null(*row) || inside(cast.as_list_opt()) > inside(values.as_list_opt()))
    };
    match (0..values.len()).find(lost) {
        Some(row) => Err(refuse(row, format!("{} does not fit {}", shown(values, row), name(to)))),
        None => Ok(cast),
    }
}

/// Refuses numbers with a fraction where the type has none.
fn whole(to: &ColumnType, from: Kind, values: &ArrayRef) -> Result<(), Refused> {
    let element = match to {
        ColumnType::Array(of) => of,
        _ => to,
    };
    if !matches!(element, ColumnType::Int2 | ColumnType::Int4 | ColumnType::Int8) {
        return Ok(());
    }
    let fraction = |floats: &Float64Array| floats.iter().flatten().any(|v| v.fract() != 0.0);
    let broken = |row: &usize| match from {
        Kind::Float64 => {
            let value = values.as_primitive_opt::<Float64Type>().filter(|v| v.is_valid(*row)).map(|v| v.value(*row));
            value.is_some_and(|v| v.fract() != 0.0)
        }
        Kind::List(ListKind::Float64) => {
            let list = values.as_list_opt::<i32>().filter(|l| l.is_valid(*row)).map(|l| l.value(*row));
            list.is_some_and(|l| l.as_primitive_opt::<Float64Type>().is_some_and(fraction))
        }
        _ => false,
    };
    match (0..values.len()).find(broken) {
        Some(row) => Err(refuse(row, format!("{} has a fraction, which {} cannot hold", shown(values, row), name(to)))),
        None => Ok(()),
    }
}

/// The values as texts, each checked or changed by `check`.
fn texts(
    values: &ArrayRef,
    from: Kind,
    number_texts: Option<&ArrayRef>,
    check: impl Fn(&str) -> Result<String, String>,
) -> Result<ArrayRef, Refused> {
    let texts = as_texts(values, from, number_texts)?;
    let mut out = StringViewBuilder::with_capacity(texts.len());
    for (row, text) in texts.iter().enumerate() {
        match text {
            None => out.append_null(),
            Some(text) => out.append_value(check(text).map_err(|reason| refuse(row, reason))?),
        }
    }
    Ok(Arc::new(out.finish()))
}

/// Scalars as texts; numbers as they were written.
fn as_texts(values: &ArrayRef, from: Kind, number_texts: Option<&ArrayRef>) -> Result<StringViewArray, Refused> {
    if matches!(from, Kind::List(_)) {
        return Err(first(values, |_| "is an array, which is no text".to_owned()));
    }
    let texts = cast(&ColumnType::Text, values, &DataType::Utf8View)?;
    let texts = texts.as_string_view_opt().cloned().unwrap_or_else(|| StringViewArray::new_null(values.len()));
    let written = number_texts.filter(|_| from == Kind::Float64).and_then(|texts| texts.as_string_view_opt());
    let Some(written) = written else { return Ok(texts) };
    let each = (0..texts.len()).map(|row| match (texts.is_valid(row), written.is_valid(row)) {
        (true, true) => Some(written.value(row)),
        (true, false) => Some(texts.value(row)),
        _ => None,
    });
    Ok(StringViewArray::from_iter(each))
}

fn checked_text(to: &ColumnType, text: &str) -> Result<String, String> {
    let (text, most) = match to {
        ColumnType::Varchar(most) => (text, *most),
        // Blanks at the end do not count in CHAR; they are not held.
        ColumnType::Char(most) => (text.trim_end_matches(' '), Some(*most)),
        ColumnType::Uuid => return uuid(text),
        _ => (text, None),
    };
    if text.contains('\0') {
        return Err("the text has a zero byte, which a text column cannot hold".to_owned());
    }
    match most {
        Some(most) if text.len() > most as usize && text.chars().count() > most as usize => {
            Err(format!("{:?} is longer than the {most} characters of the column", cut(text)))
        }
        _ => Ok(text.to_owned()),
    }
}

fn uuid(text: &str) -> Result<String, String> {
    let digits: String = text.chars().filter(|c| *c != '-').map(|c| c.to_ascii_lowercase()).collect();
    if digits.len() != 32 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(format!("{:?} is no UUID", cut(text)));
    }
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
    Ok(format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)))
}

/// The values as times in nanoseconds: texts and numbers as documents' times are read.
fn moments(values: &ArrayRef, from: Kind) -> Result<Vec<Option<i64>>, Refused> {
    let each = (0..values.len()).map(|row| {
        if values.is_null(row) {
            return Ok(None);
        }
        time_of(from, values, row).map(Some).ok_or_else(|| refuse(row, format!("{} is no time", shown(values, row))))
    });
    each.collect()
}

/// `\x` and hexadecimal digits.
fn bytes(values: &ArrayRef) -> Result<ArrayRef, Refused> {
    let Some(texts) = values.as_string_view_opt() else { return Err(first(values, |_| "is no text".to_owned())) };
    let mut all = Vec::with_capacity(texts.len());
    for (row, text) in texts.iter().enumerate() {
        let read = |text: &str| {
            let digits = text.strip_prefix("\\x")?.as_bytes();
            let pairs = digits.chunks(2).map(|pair| {
                let pair = std::str::from_utf8(pair).ok().filter(|p| p.len() == 2)?;
                pair.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u8::from_str_radix(pair, 16).ok())?
            });
            pairs.collect::<Option<Vec<u8>>>()
        };
        all.push(match text {
            None => None,
            Some(text) => {
                let reason = || format!("{:?} is no \\x with hexadecimal digits behind it", cut(text));
                Some(read(text).ok_or_else(|| refuse(row, reason()))?)
            }
        });
    }
    Ok(Arc::new(BinaryViewArray::from_iter(all)))
}

fn numeric(
    values: &ArrayRef,
    from: Kind,
    number_texts: Option<&ArrayRef>,
    precision: Option<u8>,
    scale: u8,
) -> Result<ArrayRef, Refused> {
    let to = ColumnType::Numeric { precision, scale };
    let wanted = DataType::Decimal128(precision.unwrap_or(38), scale as i8);
    let held = DataType::Decimal128(38, scale as i8);
    let numbers = match from {
        Kind::Bool | Kind::Json | Kind::List(_) => return Err(first(values, |text| format!("is {text}, no number"))),
        // The digits count, not the float that is nearest to them.
        Kind::Float64 => &(Arc::new(as_texts(values, from, number_texts)?) as ArrayRef),
        _ => values,
    };
    let checked = cast(&to, numbers, &wanted)?;
    cast(&to, &checked, &held)
}

/// `[]` as lists: the text says nothing of a kind, so it fits every one.
fn empty_lists(values: &ArrayRef, wanted: &DataType) -> Result<ArrayRef, Refused> {
    let other = |row: &usize| values.as_string_view_opt().is_none_or(|v| v.is_valid(*row) && v.value(*row) != "[]");
    if let Some(row) = (0..values.len()).find(other) {
        return Err(refuse(row, format!("{} is an array of values of several kinds", shown(values, row))));
    }
    let item = match wanted {
        DataType::List(item) => item.data_type().clone(),
        _ => DataType::Null,
    };
    let offsets = OffsetBuffer::from_lengths(std::iter::repeat_n(0, values.len()));
    let field = Arc::new(Field::new_list_field(item.clone(), true));
    let lists = ListArray::try_new(field, offsets, new_empty_array(&item), values.nulls().cloned());
    lists.map(|l| Arc::new(l) as ArrayRef).map_err(|e| refuse(0, e.to_string()))
}

fn refuse(row: usize, reason: String) -> Refused {
    Refused { row, reason }
}

/// Refuses the first value that there is.
fn first(values: &ArrayRef, reason: impl Fn(&str) -> String) -> Refused {
    let row = (0..values.len()).find(|row| values.is_valid(*row)).unwrap_or(0);
    let text = shown(values, row);
    refuse(row, format!("the value {}", reason(&text)))
}

/// A value for a message.
fn shown(values: &ArrayRef, row: usize) -> String {
    let options = FormatOptions::default();
    let text = ArrayFormatter::try_new(values, &options).map(|f| f.value(row).to_string()).unwrap_or_default();
    cut(&text)
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
