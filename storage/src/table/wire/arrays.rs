//! Columns of rows as bytes: which rows have a value, then the values of those that have one.

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, BinaryViewArray, BooleanArray, GenericByteViewArray, ListArray,
    PrimitiveArray, StringViewArray,
    builder::make_view,
    types::{
        ByteViewType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type,
        IntervalMonthDayNanoType, Time64MicrosecondType, TimestampMicrosecondType, TimestampNanosecondType,
    },
};
use arrow_buffer::{
    ArrowNativeType, BooleanBuffer, Buffer, IntervalMonthDayNano, NullBuffer, OffsetBuffer, ScalarBuffer,
};
use arrow_schema::{DataType, Field};

use super::wrong;
use crate::{
    Result, StorageError,
    encoding::{Reader, put_uvarint},
    table::kind::{DECIMAL_DIGITS, Kind},
};

/// Every row has a value.
const PRESENCE_ALL: u8 = 0;
/// A bit for each row says whether it has one.
const PRESENCE_BITS: u8 = 1;

/// A value of fixed length.
trait Fixed: ArrowNativeType {
    const WIDTH: usize;
    fn put(self, out: &mut Vec<u8>);
    /// The value in as many bytes as it is wide.
    fn of(bytes: &[u8]) -> Self;
}

macro_rules! fixed {
    ($($native:ty),*) => {$(
        impl Fixed for $native {
            const WIDTH: usize = size_of::<$native>();

            #[inline]
            fn put(self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }

            #[inline]
            fn of(bytes: &[u8]) -> Self {
                let mut array = [0; size_of::<$native>()];
                array.copy_from_slice(bytes);
                Self::from_le_bytes(array)
            }
        }
    )*};
}

fixed!(i16, i32, i64, i128, f32, f64);

impl Fixed for IntervalMonthDayNano {
    const WIDTH: usize = 16;

    fn put(self, out: &mut Vec<u8>) {
        self.months.put(out);
        self.days.put(out);
        self.nanoseconds.put(out);
    }

    fn of(bytes: &[u8]) -> Self {
        Self::new(i32::of(&bytes[..4]), i32::of(&bytes[4..8]), i64::of(&bytes[8..]))
    }
}

/// Appends a column.
pub(super) fn put_array(kind: Kind, array: &ArrayRef, out: &mut Vec<u8>) -> Result<()> {
    match array.nulls().filter(|nulls| nulls.null_count() > 0) {
        None => out.push(PRESENCE_ALL),
        Some(nulls) => {
            out.push(PRESENCE_BITS);
            put_bits(nulls.inner(), out);
        }
    }
    let other = || StorageError::Invalid(format!("rows: an array is {} where {kind:?} was told", array.data_type()));
    let any = array.as_any();
    match kind {
        Kind::Bool | Kind::Null | Kind::EmptyObject => put_bools(any.downcast_ref().ok_or_else(other)?, out),
        Kind::Int16 => put_fixed::<Int16Type>(any.downcast_ref().ok_or_else(other)?, out),
        Kind::Int32 => put_fixed::<Int32Type>(any.downcast_ref().ok_or_else(other)?, out),
        Kind::Int64 => put_fixed::<Int64Type>(any.downcast_ref().ok_or_else(other)?, out),
        Kind::Float32 => put_fixed::<Float32Type>(any.downcast_ref().ok_or_else(other)?, out),
        Kind::Float64 => put_fixed::<Float64Type>(any.downcast_ref().ok_or_else(other)?, out),
        Kind::Date => put_fixed::<Date32Type>(any.downcast_ref().ok_or_else(other)?, out),
        Kind::Time => put_fixed::<Time64MicrosecondType>(any.downcast_ref().ok_or_else(other)?, out),
        Kind::Micros => put_fixed::<TimestampMicrosecondType>(any.downcast_ref().ok_or_else(other)?, out),
        Kind::Nanos => put_fixed::<TimestampNanosecondType>(any.downcast_ref().ok_or_else(other)?, out),
        Kind::Interval => put_fixed::<IntervalMonthDayNanoType>(any.downcast_ref().ok_or_else(other)?, out),
        Kind::Decimal(_) => put_fixed::<Decimal128Type>(any.downcast_ref().ok_or_else(other)?, out),
        Kind::Text | Kind::Json | Kind::NumberText => {
            let texts: &StringViewArray = any.downcast_ref().ok_or_else(other)?;
            put_bytes(texts.iter().flatten().map(str::as_bytes), out);
        }
        Kind::Bytes => {
            let bytes: &BinaryViewArray = any.downcast_ref().ok_or_else(other)?;
            put_bytes(bytes.iter().flatten(), out);
        }
        Kind::List(of) => put_list(of.element(), any.downcast_ref().ok_or_else(other)?, out)?,
    }
    Ok(())
}

/// The places that have a value.
fn present(array: &dyn Array) -> impl Iterator<Item = usize> + '_ {
    let nulls = array.nulls();
    (0..array.len()).filter(move |at| nulls.is_none_or(|n| n.is_valid(*at)))
}

fn put_fixed<T: ArrowPrimitiveType<Native: Fixed>>(array: &PrimitiveArray<T>, out: &mut Vec<u8>) {
    let values = array.values();
    out.reserve((array.len() - array.null_count()) * T::Native::WIDTH);
    if array.null_count() == 0 {
        values.iter().for_each(|value| value.put(out));
    } else {
        present(array).for_each(|at| values[at].put(out));
    }
}

fn put_bools(array: &BooleanArray, out: &mut Vec<u8>) {
    if array.null_count() == 0 {
        return put_bits(array.values(), out);
    }
    put_bits(&present(array).map(|at| array.value(at)).collect(), out);
}

/// Bits, low ones first, in as many bytes as they need.
fn put_bits(bits: &BooleanBuffer, out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + bits.len().div_ceil(8), 0);
    for at in bits.set_indices() {
        out[start + at / 8] |= 1 << (at % 8);
    }
}

/// All lengths, then all bytes.
fn put_bytes<'a>(values: impl Iterator<Item = &'a [u8]> + Clone, out: &mut Vec<u8>) {
    values.clone().for_each(|value| put_uvarint(out, value.len() as u64));
    values.for_each(|value| out.extend_from_slice(value));
}

/// All lengths, then the elements of all lists as one column.
fn put_list(element: Kind, lists: &ListArray, out: &mut Vec<u8>) -> Result<()> {
    let offsets = lists.value_offsets();
    let mut parts = Vec::new();
    for at in present(lists) {
        let (start, end) = (offsets[at] as usize, offsets[at + 1] as usize);
        put_uvarint(out, (end - start) as u64);
        match parts.last_mut() {
            Some((_, last)) if *last == start => *last = end,
            _ => parts.push((start, end)),
        }
    }
    let slices: Vec<ArrayRef> = parts.iter().map(|(start, end)| lists.values().slice(*start, end - start)).collect();
    let elements = match slices.as_slice() {
        [] => lists.values().slice(0, 0),
        [one] => Arc::clone(one),
        many => {
            let many: Vec<&dyn Array> = many.iter().map(|a| &**a).collect();
            arrow_select::concat::concat(&many).map_err(|e| StorageError::Invalid(format!("rows: {e}")))?
        }
    };
    if elements.null_count() > 0 {
        return Err(StorageError::Invalid(
            "rows: a list has a null as an element; such lists are not taken".to_owned(),
        ));
    }
    put_array(element, &elements, out)
}

/// Takes a column of `len` rows.
pub(super) fn take_array(kind: Kind, len: usize, reader: &mut Reader<'_>) -> Result<ArrayRef> {
    let nulls = take_presence(len, reader)?;
    let plain = Plain { len, nulls };
    Ok(match kind {
        Kind::Bool | Kind::Null | Kind::EmptyObject => plain.bools(reader)?,
        Kind::Int16 => Arc::new(plain.fixed::<Int16Type>(reader)?),
        Kind::Int32 => Arc::new(plain.fixed::<Int32Type>(reader)?),
        Kind::Int64 => Arc::new(plain.fixed::<Int64Type>(reader)?),
        Kind::Float32 => Arc::new(plain.fixed::<Float32Type>(reader)?),
        Kind::Float64 => Arc::new(plain.fixed::<Float64Type>(reader)?),
        Kind::Date => Arc::new(plain.fixed::<Date32Type>(reader)?),
        Kind::Time => Arc::new(plain.fixed::<Time64MicrosecondType>(reader)?),
        Kind::Micros => Arc::new(plain.fixed::<TimestampMicrosecondType>(reader)?),
        Kind::Nanos => Arc::new(plain.fixed::<TimestampNanosecondType>(reader)?),
        Kind::Interval => Arc::new(plain.fixed::<IntervalMonthDayNanoType>(reader)?),
        Kind::Decimal(scale) => {
            let decimals = plain.fixed::<Decimal128Type>(reader)?;
            let typed = decimals.with_precision_and_scale(DECIMAL_DIGITS, scale as i8);
            Arc::new(typed.map_err(|e| wrong(e.to_string()))?)
        }
        Kind::Text | Kind::Json | Kind::NumberText => plain.views::<arrow_array::types::StringViewType>(reader)?,
        Kind::Bytes => plain.views::<arrow_array::types::BinaryViewType>(reader)?,
        Kind::List(of) => plain.lists(of.element(), reader)?,
    })
}

fn take_presence(len: usize, reader: &mut Reader<'_>) -> Result<Option<NullBuffer>> {
    match reader.u8()? {
        PRESENCE_ALL => Ok(None),
        PRESENCE_BITS => Ok(Some(NullBuffer::new(take_bits(len, reader)?))),
        other => Err(wrong(format!("presence {other} is unknown"))),
    }
}

fn take_bits(len: usize, reader: &mut Reader<'_>) -> Result<BooleanBuffer> {
    let bytes = reader.bytes(len.div_ceil(8))?;
    if !len.is_multiple_of(8) && bytes.last().is_some_and(|last| last >> (len % 8) != 0) {
        return Err(wrong("bits behind the last row are set"));
    }
    Ok(BooleanBuffer::new(Buffer::from(bytes), 0, len))
}

/// A column whose presence is known.
struct Plain {
    len: usize,
    nulls: Option<NullBuffer>,
}

impl Plain {
    /// How many values there are.
    fn present(&self) -> usize {
        self.len - self.nulls.as_ref().map_or(0, NullBuffer::null_count)
    }

    /// The values spread over all rows. Memory is taken for all rows: there are at least a bit's bytes for each.
    fn spread<V: Copy + Default>(&self, values: impl Iterator<Item = V>) -> Vec<V> {
        match &self.nulls {
            None => values.collect(),
            Some(nulls) => {
                let mut all = vec![V::default(); self.len];
                nulls.valid_indices().zip(values).for_each(|(at, value)| all[at] = value);
                all
            }
        }
    }

    fn fixed<T: ArrowPrimitiveType<Native: Fixed>>(self, reader: &mut Reader<'_>) -> Result<PrimitiveArray<T>> {
        // No overflow: there are at most `ROWS_MAX` rows, or as many elements as bytes.
        let bytes = reader.bytes(self.present() * T::Native::WIDTH)?;
        let values = self.spread(bytes.chunks_exact(T::Native::WIDTH).map(T::Native::of));
        Ok(PrimitiveArray::new(ScalarBuffer::from(values), self.nulls))
    }

    fn bools(self, reader: &mut Reader<'_>) -> Result<ArrayRef> {
        let values = take_bits(self.present(), reader)?;
        let bits = match &self.nulls {
            None => values,
            Some(_) => BooleanBuffer::from(self.spread(values.iter())),
        };
        Ok(Arc::new(BooleanArray::new(bits, self.nulls)))
    }

    /// The lengths of all values; each has a byte at least, so that no more are read than there can be.
    fn lengths(&self, reader: &mut Reader<'_>) -> Result<Vec<u32>> {
        let count = self.present();
        if count > reader.rest().len() {
            return Err(wrong("values are missing"));
        }
        (0..count).map(|_| reader.id()).collect()
    }

    fn views<T: ByteViewType>(self, reader: &mut Reader<'_>) -> Result<ArrayRef>
    where
        GenericByteViewArray<T>: Array + 'static,
    {
        let lengths = self.lengths(reader)?;
        let total: u64 = lengths.iter().map(|len| u64::from(*len)).sum();
        let total = u32::try_from(total).map_err(|_| wrong("texts are longer than 4 GiB"))?;
        let bytes = reader.bytes(total as usize)?;
        let mut offset = 0u32;
        let views = self.spread(lengths.into_iter().map(|len| {
            let view = make_view(&bytes[offset as usize..(offset + len) as usize], 0, offset);
            offset += len;
            view
        }));
        let buffers = vec![Buffer::from(bytes)];
        let array = GenericByteViewArray::<T>::try_new(ScalarBuffer::from(views), buffers, self.nulls);
        Ok(Arc::new(array.map_err(|e| wrong(e.to_string()))?))
    }

    fn lists(self, element: Kind, reader: &mut Reader<'_>) -> Result<ArrayRef> {
        let lengths = self.lengths(reader)?;
        let total: u64 = lengths.iter().map(|len| u64::from(*len)).sum();
        // An element takes a bit at least.
        let total = usize::try_from(total).ok().filter(|n| n / 8 <= reader.rest().len());
        let total = total.filter(|n| i32::try_from(*n).is_ok()).ok_or_else(|| wrong("elements are missing"))?;
        let offsets = OffsetBuffer::from_lengths(self.spread(lengths.into_iter().map(|len| len as usize)));
        let elements = take_array(element, total, reader)?;
        if elements.null_count() > 0 {
            return Err(wrong("a list has a null as an element"));
        }
        let field: Arc<Field> = match Kind::List(list_kind(element)?).arrow() {
            DataType::List(field) => field,
            other => return Err(wrong(format!("a list is {other}"))),
        };
        let list = ListArray::try_new(field, offsets, elements, self.nulls);
        Ok(Arc::new(list.map_err(|e| wrong(e.to_string()))?))
    }
}

fn list_kind(element: Kind) -> Result<crate::table::kind::ListKind> {
    let found = super::LIST_KIND_TABLE.iter().find(|of| of.element() == element);
    found.copied().ok_or_else(|| wrong(format!("lists of {element:?} cannot be")))
}
