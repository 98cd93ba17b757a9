//! Casts between texts and dates, times and intervals, which are read and written as PostgreSQL does and not as Arrow does.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, PrimitiveArray, StringViewArray, StringViewBuilder},
    compute::cast,
    datatypes::{
        ArrowPrimitiveType, DataType, Date32Type, Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType,
        Time64MicrosecondType, TimeUnit,
    },
};
use datafusion::{
    common::{Result, ScalarValue, exec_err},
    logical_expr::{Expr, ScalarUDF, lit},
};

use super::scalar::{Arg, Call, Scalar, Shape, exactly};
use crate::{
    clock::{self, Wrong, Zone, out_of_range, unit_nanos},
    error::SqlError,
};

/// A text, a zone, and a null of the type that the text is read as.
const READ: &[Shape] = &[exactly(&[Arg::Text, Arg::Text, Arg::Any])];
const WRITE: &[Shape] = &[exactly(&[Arg::Any, Arg::Text])];
const ROUND: &[Shape] = &[exactly(&[Arg::Any, Arg::Any])];

/// The functions that casts become.
pub(super) fn scalars() -> Vec<ScalarUDF> {
    vec![read().udf(), write().udf(), round().udf()]
}

const fn read() -> Scalar {
    Scalar::new("time_of_text", READ, |args| Ok(args[2].clone()), read_texts)
}

const fn write() -> Scalar {
    Scalar::new("text_of_time", WRITE, |_| Ok(DataType::Utf8View), write_texts)
}

const fn round() -> Scalar {
    Scalar::new("time_rounded", ROUND, |args| Ok(args[1].clone()), |call| rounded(&call.array(0)?, call.returns))
}

/// Whether values of a type are read and written here.
pub(super) const fn is_time(of: &DataType) -> bool {
    matches!(
        of,
        DataType::Timestamp(..)
            | DataType::Date32
            | DataType::Time64(TimeUnit::Microsecond)
            | DataType::Interval(_)
            | DataType::Duration(_)
    )
}

/// What a cast between a text and a time becomes in a zone: the whole of it.
///
/// # Errors
/// When a constant is no time.
pub(super) fn converted(expr: &Expr, from: &DataType, to: &DataType, zone: &Expr) -> Result<Option<Expr>> {
    if from.is_string() && is_time(to) && !matches!(to, DataType::Duration(_)) {
        let zone_name = written(zone).unwrap_or_default();
        if let Some(text) = written(expr) {
            return Ok(Some(lit(value(text, to, &known(zone_name)?)?)));
        }
        let of = lit(ScalarValue::try_from(to)?);
        let text = match from {
            DataType::Utf8View => expr.clone(),
            _ => datafusion::logical_expr::cast(expr.clone(), DataType::Utf8View),
        };
        return Ok(Some(read().udf().call(vec![text, zone.clone(), of])));
    }
    if is_time(from) && to.is_string() {
        let text = write().udf().call(vec![expr.clone(), zone.clone()]);
        return Ok(Some(if to == &DataType::Utf8View {
            text
        } else {
            datafusion::logical_expr::cast(text, to.clone())
        }));
    }
    if let (DataType::Timestamp(finer, _), DataType::Timestamp(unit, _)) = (from, to)
        && unit_nanos(*finer) < unit_nanos(*unit)
        && unit_nanos(*unit) > unit_nanos(TimeUnit::Microsecond)
    {
        return Ok(Some(round().udf().call(vec![expr.clone(), lit(ScalarValue::try_from(to)?)])));
    }
    Ok(None)
}

/// The text of a constant.
pub(super) fn written(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Literal(ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text)), _) => Some(text),
        _ => None,
    }
}

/// The zone of a name in a statement.
pub(super) fn known(name: &str) -> Result<Zone> {
    Zone::named(name)
        .ok_or_else(|| SqlError::new(b"22023", format!("time zone \"{}\" not recognized", name.escape_debug())).into())
}

/// The time of a type that a text names in a zone.
fn value(text: &str, of: &DataType, zone: &Zone) -> Result<ScalarValue> {
    let texts = StringViewArray::from_iter_values([text]);
    ScalarValue::try_from_array(&read_all(&texts, of, |_| Ok(Some(*zone)))?, 0)
}

fn read_texts(call: &Call<'_>) -> Result<ArrayRef> {
    let (texts, zones) = (call.text(0)?, call.text(1)?);
    let mut zones = Zones::new(&zones);
    read_all(&texts, call.returns, |row| zones.of(row))
}

/// The zones of rows, looked up once where one follows its like.
pub(super) struct Zones<'a> {
    names: &'a StringViewArray,
    last: Option<(&'a str, Zone)>,
}

impl<'a> Zones<'a> {
    pub(super) const fn new(names: &'a StringViewArray) -> Self {
        Self { names, last: None }
    }

    /// The zone of a row; none where it is null.
    pub(super) fn of(&mut self, row: usize) -> Result<Option<Zone>> {
        if self.names.is_null(row) {
            return Ok(None);
        }
        let name = self.names.value(row);
        match self.last {
            Some((last, zone)) if last == name => Ok(Some(zone)),
            _ => {
                let zone = known(name)?;
                self.last = Some((name, zone));
                Ok(Some(zone))
            }
        }
    }
}

fn read_all(
    texts: &StringViewArray,
    of: &DataType,
    mut zone: impl FnMut(usize) -> Result<Option<Zone>>,
) -> Result<ArrayRef> {
    match of {
        DataType::Timestamp(unit, to) => {
            let name = if to.is_some() { "timestamp with time zone" } else { "timestamp" };
            let factor = unit_nanos(*unit) / 1000;
            let read = |text: &str, zone: &Zone| match (to, *unit) {
                (Some(_), TimeUnit::Nanosecond) => clock::parse_moment_nanos(text, zone),
                (None, TimeUnit::Nanosecond) => {
                    clock::parse_timestamp(text, zone)?.checked_mul(1000).ok_or(Wrong::Range)
                }
                (Some(_), _) => Ok(coarser(clock::parse_moment(text, zone)?, factor)),
                (None, _) => Ok(coarser(clock::parse_timestamp(text, zone)?, factor)),
            };
            // Of integers nothing is looked at but their bits.
            Ok(cast(&each::<Int64Type>(texts, name, read, &mut zone)?, of)?)
        }
        DataType::Date32 => each::<Date32Type>(texts, "date", clock::parse_date, &mut zone),
        DataType::Time64(TimeUnit::Microsecond) => {
            each::<Time64MicrosecondType>(texts, "time", |text, _| clock::parse_time(text), &mut zone)
        }
        DataType::Interval(_) => {
            let read = |text: &str, _: &Zone| clock::parse_interval(text).ok_or(Wrong::Syntax);
            Ok(cast(&each::<IntervalMonthDayNanoType>(texts, "interval", read, &mut zone)?, of)?)
        }
        other => exec_err!("no text is read as {other}"),
    }
}

fn each<T: ArrowPrimitiveType>(
    texts: &StringViewArray,
    name: &str,
    read: impl Fn(&str, &Zone) -> Result<T::Native, Wrong>,
    zone: &mut dyn FnMut(usize) -> Result<Option<Zone>>,
) -> Result<ArrayRef> {
    let row = |(row, text): (usize, Option<&str>)| {
        let Some((text, zone)) = text.zip(zone(row)?) else { return Ok(None) };
        read(text, &zone).map(Some).map_err(|why| why.error(text, name).into())
    };
    Ok(Arc::new(texts.iter().enumerate().map(row).collect::<Result<PrimitiveArray<T>>>()?))
}

/// Times in a coarser unit, rounded to the nearest.
fn rounded(times: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    let (DataType::Timestamp(unit, _), DataType::Timestamp(coarse, _)) = (times.data_type(), to) else {
        return exec_err!("{} is not rounded to {to}", times.data_type());
    };
    let factor = unit_nanos(*coarse) / unit_nanos(*unit).min(unit_nanos(*coarse));
    let plain = cast(times, &DataType::Int64)?;
    let whole = plain.as_primitive::<Int64Type>().unary::<_, Int64Type>(|time| coarser(time, factor));
    Ok(cast(&whole, to)?)
}

/// A time in a unit that is so many times coarser. The ends of the range stand for infinity.
const fn coarser(time: i64, factor: i64) -> i64 {
    if factor <= 1 || matches!(time, i64::MAX | i64::MIN) {
        return time;
    }
    time.saturating_add(factor / 2).div_euclid(factor)
}

fn write_texts(call: &Call<'_>) -> Result<ArrayRef> {
    Ok(Arc::new(texts(&call.array(0)?, &call.text(1)?)?))
}

/// The texts of times, in the zone of each row where they are moments.
pub(super) fn texts(times: &ArrayRef, zones: &StringViewArray) -> Result<StringViewArray> {
    let mut zones = Zones::new(zones);
    let mut out = StringViewBuilder::with_capacity(times.len());
    let mut text = Vec::new();
    let mut put = |row: usize, write: &mut dyn FnMut(&mut Vec<u8>, &Zone)| -> Result<()> {
        match zones.of(row)?.filter(|_| times.is_valid(row)) {
            None => out.append_null(),
            Some(zone) => {
                text.clear();
                write(&mut text, &zone);
                out.append_value(String::from_utf8_lossy(&text));
            }
        }
        Ok(())
    };
    match times.data_type() {
        DataType::Timestamp(unit, to) => {
            let plain = cast(times, &DataType::Int64)?;
            let plain = plain.as_primitive::<Int64Type>();
            let nanos = i128::from(unit_nanos(*unit));
            for row in 0..times.len() {
                let time = plain.value(row);
                // Microseconds, as clients are shown.
                let micros = match time {
                    i64::MAX | i64::MIN => time,
                    time => i64::try_from((i128::from(time) * nanos).div_euclid(1000)).map_err(|_| out_of_range())?,
                };
                put(row, &mut |text, zone| clock::write_timestamp(text, micros, to.as_ref().map(|_| zone)))?;
            }
        }
        DataType::Date32 => {
            let days = times.as_primitive::<Date32Type>();
            (0..times.len()).try_for_each(|row| put(row, &mut |text, _| clock::write_date(text, days.value(row))))?;
        }
        DataType::Time64(TimeUnit::Microsecond) => {
            let micros = times.as_primitive::<Time64MicrosecondType>();
            (0..times.len()).try_for_each(|row| put(row, &mut |text, _| clock::write_time(text, micros.value(row))))?;
        }
        _ => {
            let spans = clock::spans(times)?;
            for row in 0..times.len() {
                put(row, &mut |text, _| clock::write_interval(text, spans.value(row)))?;
            }
        }
    }
    Ok(out.finish())
}

/// An interval in the words that DataFusion's planner reads.
pub(super) fn canonical(span: IntervalMonthDayNano) -> String {
    format!("{} months {} days {} nanoseconds", span.months, span.days, span.nanoseconds)
}
