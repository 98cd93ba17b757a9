//! Rows as bytes.

use super::{
    arrays::{put_array, take_array},
    put_kind, take_kind, wrong,
};
use crate::{
    Result,
    encoding::{Reader, put_uvarint},
    table::{kind::ColumnKey, rows::Rows},
};

/// Most rows of one encoding.
pub(crate) const ROWS_MAX: usize = 1 << 24;
/// The fewest bytes of a column: length of its field, kind, presence, and one byte of presence or values.
const COLUMN_MIN: usize = 4;

/// Appends rows to `out`.
///
/// # Errors
/// When an array is not of its kind's type, or a list has a null as an element.
pub fn encode_rows(rows: &Rows, out: &mut Vec<u8>) -> Result<()> {
    put_uvarint(out, rows.len() as u64);
    put_uvarint(out, rows.columns().len() as u64);
    for (key, array) in rows.columns() {
        put_uvarint(out, key.field.len() as u64);
        out.extend_from_slice(key.field.as_bytes());
        put_kind(key.kind, out);
        put_array(key.kind, array, out)?;
    }
    Ok(())
}

/// The rows in these bytes.
///
/// # Errors
/// When they are not what [`encode_rows`] writes.
pub fn decode_rows(bytes: &[u8]) -> Result<Rows> {
    let mut reader = Reader::new(bytes);
    let len = reader.length(ROWS_MAX)?;
    let count = reader.length(reader.rest().len() / COLUMN_MIN)?;
    let mut columns: Vec<(ColumnKey, _)> = Vec::with_capacity(count);
    for _ in 0..count {
        let field = reader.text()?;
        let kind = take_kind(&mut reader)?;
        let key = ColumnKey::new(field, kind);
        if columns.last().is_some_and(|(before, _)| *before >= key) {
            return Err(wrong("columns are not sorted"));
        }
        columns.push((key, take_array(kind, len, &mut reader)?));
    }
    reader.finish("rows")?;
    Rows::new(len, columns)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{
        Array, ArrayRef, BinaryViewArray, BooleanArray, Decimal128Array, Float64Array, Int64Array,
        IntervalMonthDayNanoArray, ListArray, StringViewArray, TimestampNanosecondArray,
        types::{Int64Type, IntervalMonthDayNanoType},
    };
    use proptest::prelude::*;

    use super::*;
    use crate::table::{Kind, ListKind};

    fn column(field: &str, kind: Kind, array: impl Array + 'static) -> (ColumnKey, ArrayRef) {
        (ColumnKey::new(field, kind), Arc::new(array))
    }

    fn some_rows() -> Rows {
        let decimal = Decimal128Array::from(vec![Some(5), None, Some(-7)]).with_precision_and_scale(38, 2).unwrap();
        let interval = IntervalMonthDayNanoType::make_value(1, -2, 3);
        let list =
            ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1), Some(2)]), None, Some(vec![])]);
        let columns = vec![
            column("a", Kind::Int64, Int64Array::from(vec![Some(i64::MIN), None, Some(7)])),
            column("a", Kind::Text, StringViewArray::from(vec![None, Some("longer than twelve bytes"), Some("")])),
            column("b", Kind::Bool, BooleanArray::from(vec![true, false, true])),
            column("c", Kind::Float64, Float64Array::from(vec![f64::NAN, -0.0, f64::INFINITY])),
            column("d", Kind::Bytes, BinaryViewArray::from(vec![Some(&b"\xff"[..]), None, None])),
            column("e", Kind::Decimal(2), decimal),
            column("f", Kind::Interval, IntervalMonthDayNanoArray::from(vec![interval; 3])),
            column("g", Kind::List(ListKind::Int64), list),
            column("h", Kind::Nanos, TimestampNanosecondArray::from(vec![1, 2, 3])),
            column("i", Kind::Null, BooleanArray::from(vec![Some(true), None, None])),
        ];
        Rows::new(3, columns).unwrap()
    }

    fn encoded(rows: &Rows) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode_rows(rows, &mut bytes).unwrap();
        bytes
    }

    fn assert_same(a: &Rows, b: &Rows) {
        assert_eq!(a.len(), b.len());
        // Debug text, so that NaNs are equal.
        assert_eq!(format!("{:?}", a.columns()), format!("{:?}", b.columns()));
    }

    #[test]
    fn rows_come_back() {
        let rows = some_rows();
        assert_same(&rows, &decode_rows(&encoded(&rows)).unwrap());
        let part = rows.slice(1, 2);
        assert_same(&part, &decode_rows(&encoded(&part)).unwrap());
        let none = Rows::new(5, Vec::new()).unwrap();
        assert_same(&none, &decode_rows(&encoded(&none)).unwrap());
    }

    #[test]
    fn cut_bytes_are_refused() {
        let bytes = encoded(&some_rows());
        for len in 0..bytes.len() {
            assert!(decode_rows(&bytes[..len]).is_err(), "{len} of {} bytes", bytes.len());
        }
        assert!(decode_rows(&[&bytes[..], &[0]].concat()).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_rows_or_an_error(bytes: Vec<u8>, at: prop::sample::Index, byte: u8) {
            let _ = decode_rows(&bytes);
            let mut near = encoded(&some_rows());
            let at = at.index(near.len());
            near[at] = byte;
            if let Ok(rows) = decode_rows(&near) {
                assert_same(&rows, &decode_rows(&encoded(&rows)).unwrap());
            }
        }

        #[test]
        fn any_texts_come_back(texts: Vec<Option<String>>) {
            let array = StringViewArray::from_iter(texts.iter());
            let rows = Rows::new(texts.len(), vec![column("t", Kind::Text, array)]).unwrap();
            assert_same(&rows, &decode_rows(&encoded(&rows)).unwrap());
        }
    }
}
