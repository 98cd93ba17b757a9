//! Arithmetic of numbers as PostgreSQL has it: its types, and errors for overflows and divisions by zero.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray},
    compute::{CastOptions, cast_with_options, kernels::numeric},
    datatypes::{DataType, Decimal128Type, Field, Float32Type, Float64Type},
    error::ArrowError,
};
use datafusion::{
    common::{DFSchema, DataFusionError, Result, ScalarValue, exec_err, plan_err},
    logical_expr::{
        ColumnarValue, Expr, ExprSchemable, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, cast,
        expr::Placeholder,
    },
    sql::sqlparser::ast::BinaryOperator,
};

use super::exact::{self, DIGITS, Exact, Fault};
use crate::error::{SqlError, to_plan};

/// An operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Op {
    Plus,
    Minus,
    Multiply,
    Divide,
    Modulo,
}

impl Op {
    const fn of(op: &BinaryOperator) -> Option<Self> {
        Some(match op {
            BinaryOperator::Plus => Self::Plus,
            BinaryOperator::Minus => Self::Minus,
            BinaryOperator::Multiply => Self::Multiply,
            BinaryOperator::Divide => Self::Divide,
            BinaryOperator::Modulo => Self::Modulo,
            _ => return None,
        })
    }

    const fn sign(self) -> &'static str {
        match self {
            Self::Plus => "+",
            Self::Minus => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Modulo => "%",
        }
    }
}

/// What became of an operator.
pub(super) enum Outcome {
    Planned(Expr),
    /// It is another one: the operands are given back.
    Other(Expr, Expr),
}

/// An operator between numbers, or between a number and what has no type of its own.
///
/// A chain such as `a + b - c` becomes one call with all operands: were it one call in another, finding the types of a long
/// chain would take the square of its length.
pub(super) fn plan(op: &BinaryOperator, left: Expr, right: Expr, schema: &DFSchema) -> Result<Outcome> {
    let Some(op) = Op::of(op) else { return Ok(Outcome::Other(left, right)) };
    let of_left = match chain(&left) {
        Some(chain) => chain.of.clone(),
        None => type_of(&left, schema)?,
    };
    let of_right = type_of(&right, schema)?;
    let (left, right) = match (of_left.is_numeric(), of_right.is_numeric()) {
        (true, true) => (narrowed(left)?, narrowed(right)?),
        (true, false) => match like(right, &of_left)? {
            Ok(right) => (narrowed(left)?, right),
            Err(right) => return unknown(op, &of_left, &of_right).map(|()| Outcome::Other(left, right)),
        },
        (false, true) => match like(left, &of_right)? {
            Ok(left) => (left, narrowed(right)?),
            Err(left) => return unknown(op, &of_left, &of_right).map(|()| Outcome::Other(left, right)),
        },
        (false, false) => return Ok(Outcome::Other(left, right)),
    };
    let of_left = if chain(&left).is_some() { of_left } else { left.get_type(schema)? };
    let of = result(op, &of_left, &right.get_type(schema)?)?;
    let (mut ops, mut args) = match left {
        Expr::ScalarFunction(call) => match call.func.inner().downcast_ref::<Arithmetic>() {
            Some(chain) => (chain.ops.clone(), call.args),
            None => (Vec::new(), vec![Expr::ScalarFunction(call)]),
        },
        other => (Vec::new(), vec![other]),
    };
    ops.push(op);
    args.push(right);
    let signature = Signature::user_defined(Volatility::Immutable);
    Ok(Outcome::Planned(ScalarUDF::new_from_impl(Arithmetic { ops, of, signature }).call(args)))
}

/// The chain that an operand is.
fn chain(expr: &Expr) -> Option<&Arithmetic> {
    match expr {
        Expr::ScalarFunction(call) => call.func.inner().downcast_ref::<Arithmetic>(),
        _ => None,
    }
}

/// The type of an operand: a constant's is that of PostgreSQL.
fn type_of(expr: &Expr, schema: &DFSchema) -> Result<DataType> {
    match expr {
        Expr::Literal(ScalarValue::Int64(Some(value)), None) if i32::try_from(*value).is_ok() => Ok(DataType::Int32),
        other => other.get_type(schema),
    }
}

/// A text beside a number is refused here; what else may stand there, such as a date, is for others.
fn unknown(op: Op, left: &DataType, right: &DataType) -> Result<()> {
    let name = |of: &DataType| match of {
        DataType::Boolean => "boolean",
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "text",
        of if of.is_integer() => "integer",
        of if of.is_decimal() => "numeric",
        of if of.is_floating() => "double precision",
        _ => "",
    };
    match (name(left), name(right)) {
        ("", _) | (_, "") => Ok(()),
        (left, right) => Err(to_plan(
            SqlError::new(b"42883", format!("operator does not exist: {left} {} {right}", op.sign())).with_hint(
                "No operator matches the given name and argument types. You might need to add explicit type casts.",
            ),
        )),
    }
}

/// What has no type of its own beside a number; or the operand as it was.
fn like(expr: Expr, number: &DataType) -> Result<Result<Expr, Expr>> {
    Ok(match expr {
        Expr::Placeholder(Placeholder { id, field: None }) => {
            let field = Arc::new(Field::new("", number.clone(), true));
            Ok(Expr::Placeholder(Placeholder::new_with_field(id, Some(field))))
        }
        Expr::Literal(ScalarValue::Null, _) => Ok(cast(expr, number.clone())),
        Expr::Literal(ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text)), None) => {
            Ok(Expr::Literal(text_as(&text, number)?, None))
        }
        other => Err(other),
    })
}

/// The number of a type that a constant's text stands for.
fn text_as(text: &str, number: &DataType) -> Result<ScalarValue> {
    let (name, kind) = match number {
        DataType::Int8 | DataType::Int16 => ("smallint", DataType::Int16),
        DataType::Int32 => ("integer", DataType::Int32),
        of if of.is_integer() => ("bigint", DataType::Int64),
        DataType::Float32 => ("real", DataType::Float32),
        of if of.is_floating() => ("double precision", DataType::Float64),
        _ => ("numeric", DataType::Decimal128(DIGITS, crate::types::NUMERIC_SCALE as i8)),
    };
    ScalarValue::try_from_string(text.trim().to_owned(), &kind)
        .map_err(|_| to_plan(SqlError::new(b"22P02", format!("invalid input syntax for type {name}: \"{text}\""))))
}

/// A constant in the type that PostgreSQL gives it: `integer` where it fits, and what [`super::numbers`] says of a numeric.
fn narrowed(expr: Expr) -> Result<Expr> {
    Ok(match expr {
        Expr::Literal(ScalarValue::Int64(Some(value)), None) => match i32::try_from(value) {
            Ok(small) => Expr::Literal(ScalarValue::Int32(Some(small)), None),
            Err(_) => Expr::Literal(ScalarValue::Int64(Some(value)), None),
        },
        Expr::ScalarFunction(call) if call.name() == "arrow_cast" => match call.args.as_slice() {
            [Expr::Literal(value, None), Expr::Literal(ScalarValue::Utf8(Some(of)), None)] => {
                match of.parse::<DataType>() {
                    Ok(of) => Expr::Literal(value.cast_to(&of)?, None),
                    Err(_) => Expr::ScalarFunction(call),
                }
            }
            _ => Expr::ScalarFunction(call),
        },
        other => other,
    })
}

/// Operators one after another: between the first two operands, between what they give and the third, and so on.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Arithmetic {
    ops: Vec<Op>,
    /// The type of the result, as far as it was known when the chain was made.
    of: DataType,
    signature: Signature,
}

/// How wide an integer is; none is an integer of 64 bits that has no sign.
const fn bits(of: &DataType) -> Option<u8> {
    Some(match of {
        DataType::Int8 | DataType::UInt8 | DataType::Int16 => 16,
        DataType::UInt16 | DataType::Int32 => 32,
        DataType::UInt32 | DataType::Int64 | DataType::UInt64 => 64,
        _ => return None,
    })
}

/// The type of numbers that operands of these types are calculated in; numerics keep their scales.
fn common(left: &DataType, right: &DataType) -> Option<DataType> {
    use DataType as T;
    if let (Some(left), Some(right)) = (bits(left), bits(right)) {
        return Some(match left.max(right) {
            16 => T::Int16,
            32 => T::Int32,
            _ => T::Int64,
        });
    }
    let number = |of: &T| of.is_numeric() || of.is_null();
    match (left, right) {
        (T::Float32 | T::Float16, T::Float32 | T::Float16 | T::Null) | (T::Null, T::Float32 | T::Float16) => {
            Some(T::Float32)
        }
        (left, right) if !number(left) || !number(right) => None,
        (T::Null, T::Null) => Some(T::Int32),
        (T::Null, one) | (one, T::Null) if bits(one).is_some() => common(one, one),
        (left, right) if left.is_floating() || right.is_floating() => Some(T::Float64),
        _ => Some(T::Decimal128(DIGITS, 0)),
    }
}

/// The numeric that an operand becomes beside another numeric.
fn as_numeric(of: &DataType) -> (u8, i8) {
    match of {
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale) => (*precision, (*scale).max(0)),
        DataType::Decimal256(_, scale) => (DIGITS, (*scale).clamp(0, DIGITS as i8)),
        DataType::Int8 | DataType::UInt8 | DataType::Int16 => (5, 0),
        DataType::UInt16 | DataType::Int32 => (10, 0),
        _ => (20, 0),
    }
}

/// The type of the result of one operator.
fn result(op: Op, left: &DataType, right: &DataType) -> Result<DataType> {
    match common(left, right) {
        None => plan_err!("operator does not exist: {left} {} {right}", op.sign()),
        Some(DataType::Decimal128(..)) => {
            Ok(DataType::Decimal128(DIGITS, exact::scale(op, as_numeric(left).1, as_numeric(right).1)))
        }
        Some(of) => Ok(of),
    }
}

/// A value in the type that an operator is calculated in.
fn operand(value: &ArrayRef, common: &DataType) -> Result<ArrayRef> {
    let of = match common {
        DataType::Decimal128(..) => {
            let (precision, scale) = as_numeric(value.data_type());
            DataType::Decimal128(precision, scale)
        }
        other => other.clone(),
    };
    if value.data_type() == &of {
        return Ok(Arc::clone(value));
    }
    let options = CastOptions { safe: false, ..CastOptions::default() };
    Ok(cast_with_options(value, &of, &options)?)
}

impl Arithmetic {
    fn text(&self, args: Vec<String>) -> String {
        let mut args = args.into_iter();
        let mut text = format!("({}", args.next().unwrap_or_default());
        for (op, arg) in self.ops.iter().zip(args) {
            text.push_str(&format!(" {} {arg}", op.sign()));
        }
        text.push(')');
        text
    }
}

impl ScalarUDFImpl for Arithmetic {
    fn name(&self) -> &str {
        "arithmetic"
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        Ok(self.text(args.iter().map(|arg| arg.schema_name().to_string()).collect()))
    }

    fn display_name(&self, args: &[Expr]) -> Result<String> {
        Ok(self.text(args.iter().map(ToString::to_string).collect()))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let number = |of: &DataType| match of {
            DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) | DataType::Decimal256(..) => {
                let (precision, scale) = as_numeric(of);
                DataType::Decimal128(precision, scale)
            }
            DataType::Null => DataType::Int16,
            of => common(of, of).unwrap_or_else(|| of.clone()),
        };
        Ok(given.iter().map(number).collect())
    }

    fn return_type(&self, args: &[DataType]) -> Result<DataType> {
        let mut args = args.iter();
        let Some(first) = args.next() else { return plan_err!("arithmetic of nothing") };
        self.ops.iter().zip(args).try_fold(first.clone(), |left, (op, right)| result(*op, &left, right))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let mut arrays = arrays.iter();
        let Some(first) = arrays.next() else { return plan_err!("arithmetic of nothing") };
        let mut value = Arc::clone(first);
        for (op, right) in self.ops.iter().zip(arrays) {
            let returns = result(*op, value.data_type(), right.data_type())?;
            let Some(common) = common(value.data_type(), right.data_type()) else { continue };
            value = calculated(*op, &operand(&value, &common)?, &operand(right, &common)?, &returns)?;
        }
        if constant {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&value, 0)?));
        }
        Ok(ColumnarValue::Array(value))
    }
}

fn calculated(op: Op, left: &ArrayRef, right: &ArrayRef, returns: &DataType) -> Result<ArrayRef> {
    match returns {
        DataType::Int16 => integers(op, left, right, "smallint"),
        DataType::Int32 => integers(op, left, right, "integer"),
        DataType::Int64 => integers(op, left, right, "bigint"),
        DataType::Float32 => {
            let checked = |left: f32, right: f32| {
                let value = float(op, f64::from(left), f64::from(right))? as f32;
                in_range(f64::from(value), left.is_infinite() || right.is_infinite())?;
                Ok(value)
            };
            floats::<Float32Type>(left, right, checked)
        }
        DataType::Float64 => floats::<Float64Type>(left, right, |left, right| {
            let value = float(op, left, right)?;
            in_range(value, left.is_infinite() || right.is_infinite())?;
            Ok(value)
        }),
        DataType::Decimal128(precision, scale) => {
            let numeric = |of: &ArrayRef| match of.data_type() {
                DataType::Decimal128(_, scale) => Ok((of.as_primitive::<Decimal128Type>().clone(), *scale)),
                other => exec_err!("{other} is no numeric"),
            };
            let ((left, of_left), (right, of_right)) = (numeric(left)?, numeric(right)?);
            let exact = Exact::new(op, of_left, of_right);
            let value = |left, right| exact.of(left, right).map_err(|fault| to_arrow(told(fault)));
            let values: PrimitiveArray<Decimal128Type> = arrow::compute::try_binary(&left, &right, value)?;
            Ok(Arc::new(values.with_precision_and_scale(*precision, *scale)?))
        }
        other => exec_err!("there is no {} of {other}", op.sign()),
    }
}

/// What a fault is called.
fn told(fault: Fault) -> SqlError {
    match fault {
        Fault::Zero => SqlError::new(b"22012", "division by zero"),
        Fault::Range => SqlError::new(b"22003", "value overflows numeric format")
            .with_detail(format!("A numeric has at most {DIGITS} digits here.")),
    }
}

fn to_arrow(error: SqlError) -> ArrowError {
    ArrowError::ExternalError(Box::new(error))
}

fn integers(op: Op, left: &ArrayRef, right: &ArrayRef, name: &str) -> Result<ArrayRef> {
    let result = match op {
        Op::Plus => numeric::add(left, right),
        Op::Minus => numeric::sub(left, right),
        Op::Multiply => numeric::mul(left, right),
        Op::Divide => numeric::div(left, right),
        Op::Modulo => numeric::rem(left, right),
    };
    result.map_err(|error| match error {
        ArrowError::ArithmeticOverflow(_) => to_plan(SqlError::new(b"22003", format!("{name} out of range"))),
        other => DataFusionError::from(other),
    })
}

fn floats<T: ArrowPrimitiveType>(
    left: &ArrayRef,
    right: &ArrayRef,
    of: impl Fn(T::Native, T::Native) -> Result<T::Native, ArrowError>,
) -> Result<ArrayRef> {
    let (Some(left), Some(right)) = (left.as_primitive_opt::<T>(), right.as_primitive_opt::<T>()) else {
        return exec_err!("these are no numbers of one type");
    };
    let values: PrimitiveArray<T> = arrow::compute::try_binary(left, right, of)?;
    Ok(Arc::new(values))
}

fn float(op: Op, left: f64, right: f64) -> Result<f64, ArrowError> {
    if right == 0.0 && !left.is_nan() && matches!(op, Op::Divide | Op::Modulo) {
        return Err(to_arrow(told(Fault::Zero)));
    }
    Ok(match op {
        Op::Plus => left + right,
        Op::Minus => left - right,
        Op::Multiply => left * right,
        Op::Divide => left / right,
        Op::Modulo => left % right,
    })
}

fn in_range(value: f64, from_infinity: bool) -> Result<(), ArrowError> {
    if value.is_infinite() && !from_infinity {
        return Err(to_arrow(SqlError::new(b"22003", "value out of range: overflow")));
    }
    Ok(())
}
