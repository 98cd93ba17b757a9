//! Scalar functions as a name, the shapes of their arguments and a function over columns.

use std::{
    fmt::{self, Debug},
    hash::{Hash, Hasher},
    sync::Arc,
};

use arrow::{
    array::{ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, IntervalMonthDayNanoArray, StringViewArray},
    datatypes::{DataType, Field, FieldRef, Float64Type, Int64Type, IntervalUnit, TimeUnit},
};
use datafusion::{
    common::{Result, ScalarValue, exec_err, plan_err},
    logical_expr::{
        ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
    },
};

use super::interval;
use crate::{clock, types::UTC};

/// The key of a field's metadata that names its PostgreSQL type where Arrow's does not tell it.
pub(super) const PG_TYPE: &str = "pg_type";

/// What an argument has to be, and so what it is cast to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Arg {
    /// Of any type, as it is.
    Any,
    /// True or false.
    Bool,
    /// An integer; 64 bits.
    Int,
    /// A number; a float of 64 bits.
    Float,
    /// Text.
    Text,
    /// Bytes.
    Bytes,
    /// A point in time, of any unit; dates and text become nanoseconds.
    Time,
    /// A timestamp as it is; dates and text become moments of microseconds.
    Moment,
    /// A date as it is.
    Date,
    /// An interval, or its text.
    Interval,
    /// An interval or the time between two times, as it is.
    Span,
    /// A list of floats.
    Floats,
    /// A list of texts.
    Texts,
}

impl Arg {
    /// The type that a value of type `given` is cast to, or none when it cannot stand here.
    fn accept(self, given: &DataType) -> Option<DataType> {
        use DataType as T;
        let text = matches!(given, T::Utf8 | T::LargeUtf8 | T::Utf8View | T::Null);
        let list = |of: DataType| T::List(Arc::new(Field::new_list_field(of, true)));
        match self {
            Self::Any => Some(given.clone()),
            Self::Bool => matches!(given, T::Boolean | T::Null).then_some(T::Boolean),
            Self::Int => (given.is_integer() || given.is_null()).then_some(T::Int64),
            Self::Float => (given.is_numeric() || given.is_null()).then_some(T::Float64),
            Self::Text => text.then_some(T::Utf8View),
            Self::Bytes => {
                matches!(given, T::Binary | T::LargeBinary | T::BinaryView | T::FixedSizeBinary(_) | T::Null)
                    .then_some(T::BinaryView)
            }
            Self::Time => match given {
                T::Timestamp(..) => Some(given.clone()),
                T::Date32 | T::Date64 => Some(T::Timestamp(TimeUnit::Nanosecond, None)),
                _ => text.then_some(T::Timestamp(TimeUnit::Nanosecond, None)),
            },
            Self::Moment => match given {
                T::Timestamp(..) => Some(given.clone()),
                _ => (text || matches!(given, T::Date32))
                    .then_some(T::Timestamp(TimeUnit::Microsecond, Some(UTC.into()))),
            },
            Self::Date => matches!(given, T::Date32).then_some(T::Date32),
            Self::Interval => (text || matches!(given, T::Interval(_) | T::Duration(_))).then_some(if text {
                T::Utf8View
            } else {
                T::Interval(IntervalUnit::MonthDayNano)
            }),
            Self::Span => match given {
                T::Duration(_) => Some(given.clone()),
                _ => matches!(given, T::Interval(_)).then_some(T::Interval(IntervalUnit::MonthDayNano)),
            },
            Self::Floats => match given {
                T::List(of) | T::LargeList(of) | T::FixedSizeList(of, _)
                    if of.data_type().is_numeric() || of.data_type().is_null() =>
                {
                    Some(list(T::Float64))
                }
                T::Null => Some(list(T::Float64)),
                _ => None,
            },
            Self::Texts => match given {
                T::List(of) | T::LargeList(of) | T::FixedSizeList(of, _)
                    if matches!(of.data_type(), T::Utf8 | T::LargeUtf8 | T::Utf8View | T::Null) =>
                {
                    Some(list(T::Utf8View))
                }
                T::Null => Some(list(T::Utf8View)),
                _ => None,
            },
        }
    }

    /// What errors call it.
    const fn name(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Bool => "boolean",
            Self::Int => "integer",
            Self::Float => "number",
            Self::Text => "text",
            Self::Bytes => "bytea",
            Self::Time | Self::Moment => "timestamp",
            Self::Date => "date",
            Self::Interval | Self::Span => "interval",
            Self::Floats => "number[]",
            Self::Texts => "text[]",
        }
    }
}

/// One way to call a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Shape {
    /// Arguments that must be there.
    pub(super) needed: &'static [Arg],
    /// Arguments that may follow.
    pub(super) optional: &'static [Arg],
    /// What any number of further arguments are.
    pub(super) rest: Option<Arg>,
}

/// A call with exactly these arguments.
pub(super) const fn exactly(needed: &'static [Arg]) -> Shape {
    Shape { needed, optional: &[], rest: None }
}

/// A call with these arguments, and perhaps some of those.
pub(super) const fn with(needed: &'static [Arg], optional: &'static [Arg]) -> Shape {
    Shape { needed, optional, rest: None }
}

/// A call with these arguments and any number of that.
pub(super) const fn many(needed: &'static [Arg], rest: Arg) -> Shape {
    Shape { needed, optional: &[], rest: Some(rest) }
}

impl Shape {
    fn accept(&self, given: &[DataType]) -> Option<Vec<DataType>> {
        if given.len() < self.needed.len() {
            return None;
        }
        let mut kinds = self.needed.iter().chain(self.optional).copied();
        given.iter().map(|t| kinds.next().or(self.rest)?.accept(t)).collect()
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts: Vec<String> = self.needed.iter().map(|a| a.name().to_owned()).collect();
        parts.extend(self.optional.iter().map(|a| format!("[{}]", a.name())));
        parts.extend(self.rest.iter().map(|a| format!("{} ...", a.name())));
        write!(f, "({})", parts.join(", "))
    }
}

/// The types that arguments of types `given` are cast to, by the first shape that they fit.
pub(super) fn coerce(name: &str, shapes: &[Shape], given: &[DataType]) -> Result<Vec<DataType>> {
    for shape in shapes {
        if let Some(types) = shape.accept(given) {
            return Ok(types);
        }
    }
    let given: Vec<String> = given.iter().map(ToString::to_string).collect();
    let takes: Vec<String> = shapes.iter().map(|s| format!("{name}{s}")).collect();
    plan_err!("function {name}({}) does not exist; it is called as {}", given.join(", "), takes.join(" or "))
}

/// One call of a function on a batch.
pub(super) struct Call<'a> {
    /// The function's name.
    pub(super) name: &'static str,
    args: &'a [ColumnarValue],
    /// What the arguments are declared to be.
    pub(super) fields: &'a [FieldRef],
    /// How many rows the result has.
    pub(super) rows: usize,
    /// The type of the result.
    pub(super) returns: &'a DataType,
}

impl Call<'_> {
    /// How many arguments there are.
    pub(super) fn len(&self) -> usize {
        self.args.len()
    }

    /// An argument's value when it is the same in all rows.
    pub(super) fn constant(&self, at: usize) -> Option<&ScalarValue> {
        match self.args.get(at) {
            Some(ColumnarValue::Scalar(value)) => Some(value),
            _ => None,
        }
    }

    /// An argument as a column.
    pub(super) fn array(&self, at: usize) -> Result<ArrayRef> {
        match self.args.get(at) {
            Some(ColumnarValue::Array(array)) => Ok(Arc::clone(array)),
            Some(ColumnarValue::Scalar(value)) => value.to_array_of_size(self.rows),
            None => exec_err!("{} has no argument {}", self.name, at + 1),
        }
    }

    /// A text argument.
    pub(super) fn text(&self, at: usize) -> Result<StringViewArray> {
        match self.array(at)?.as_string_view_opt() {
            Some(array) => Ok(array.clone()),
            None => self.wrong(at),
        }
    }

    /// A float argument.
    pub(super) fn float(&self, at: usize) -> Result<Float64Array> {
        match self.array(at)?.as_primitive_opt::<Float64Type>() {
            Some(array) => Ok(array.clone()),
            None => self.wrong(at),
        }
    }

    /// An integer argument.
    pub(super) fn int(&self, at: usize) -> Result<Int64Array> {
        match self.array(at)?.as_primitive_opt::<Int64Type>() {
            Some(array) => Ok(array.clone()),
            None => self.wrong(at),
        }
    }

    /// An interval argument, which may be written as text.
    pub(super) fn spans(&self, at: usize) -> Result<IntervalMonthDayNanoArray> {
        let array = self.array(at)?;
        match array.as_string_view_opt() {
            Some(texts) => texts.iter().map(|text| text.map(interval::parse).transpose()).collect(),
            None => Ok(clock::spans(&array)?),
        }
    }

    /// A boolean argument.
    pub(super) fn bool(&self, at: usize) -> Result<BooleanArray> {
        match self.array(at)?.as_boolean_opt() {
            Some(array) => Ok(array.clone()),
            None => self.wrong(at),
        }
    }

    /// The error that an argument came with a type it was not cast to.
    pub(super) fn wrong<T>(&self, at: usize) -> Result<T> {
        exec_err!("argument {} of {} has a type that it cannot have", at + 1, self.name)
    }
}

/// A scalar function.
pub(super) struct Scalar {
    /// Its name.
    pub(super) name: &'static str,
    /// Other names of it.
    pub(super) aliases: &'static [&'static str],
    /// How it is called.
    pub(super) shapes: &'static [Shape],
    /// The type of its result, by the types of its arguments after they were cast.
    pub(super) returns: fn(&[DataType]) -> Result<DataType>,
    /// The PostgreSQL type of its result, where Arrow's does not tell it.
    pub(super) pg_type: Option<&'static str>,
    /// Whether it depends on nothing but its arguments.
    pub(super) volatility: Volatility,
    /// Its value.
    pub(super) eval: fn(&Call<'_>) -> Result<ArrayRef>,
}

impl Scalar {
    /// An immutable function without other names.
    pub(super) const fn new(
        name: &'static str,
        shapes: &'static [Shape],
        returns: fn(&[DataType]) -> Result<DataType>,
        eval: fn(&Call<'_>) -> Result<ArrayRef>,
    ) -> Self {
        Self { name, aliases: &[], shapes, returns, pg_type: None, volatility: Volatility::Immutable, eval }
    }

    /// The same with other names.
    pub(super) const fn alias(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    /// The same with a PostgreSQL type.
    pub(super) const fn typed(mut self, pg_type: &'static str) -> Self {
        self.pg_type = Some(pg_type);
        self
    }

    /// The same, to be called anew for each row or statement.
    pub(super) const fn volatile(mut self, volatility: Volatility) -> Self {
        self.volatility = volatility;
        self
    }

    /// As DataFusion has it.
    pub(super) fn udf(self) -> ScalarUDF {
        let signature = Signature::user_defined(self.volatility);
        let aliases = self.aliases.iter().map(|&a| a.to_owned()).collect();
        ScalarUDF::new_from_impl(ScalarFunction { of: self, aliases, signature })
    }
}

struct ScalarFunction {
    of: Scalar,
    aliases: Vec<String>,
    signature: Signature,
}

impl Debug for ScalarFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.of.name)
    }
}

impl PartialEq for ScalarFunction {
    fn eq(&self, other: &Self) -> bool {
        self.of.name == other.of.name
    }
}

impl Eq for ScalarFunction {}

impl Hash for ScalarFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.of.name.hash(state);
    }
}

impl ScalarUDFImpl for ScalarFunction {
    fn name(&self) -> &str {
        self.of.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        coerce(self.of.name, self.of.shapes, given)
    }

    fn return_type(&self, args: &[DataType]) -> Result<DataType> {
        (self.of.returns)(args)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let types: Vec<DataType> = args.arg_fields.iter().map(|f| f.data_type().clone()).collect();
        let mut field = Field::new(self.of.name, (self.of.returns)(&types)?, true);
        if let Some(pg_type) = self.of.pg_type {
            field = field.with_metadata([(PG_TYPE.to_owned(), pg_type.to_owned())].into());
        }
        Ok(Arc::new(field))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constant = self.of.volatility != Volatility::Volatile
            && args.args.iter().all(|a| matches!(a, ColumnarValue::Scalar(_)));
        let call = Call {
            name: self.of.name,
            args: &args.args,
            fields: &args.arg_fields,
            rows: if constant { 1 } else { args.number_rows },
            returns: args.return_field.data_type(),
        };
        let array = (self.of.eval)(&call)?;
        if constant {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?));
        }
        Ok(ColumnarValue::Array(array))
    }
}
