//! round, trunc, ceil and floor: of numerics they are numerics, and floats round to the even neighbour, as in PostgreSQL.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, PrimitiveArray},
    datatypes::{DataType, Decimal128Type, Field, FieldRef, Float64Type, Int64Type},
};
use datafusion::{
    common::{Result, ScalarValue, exec_err, plan_err},
    functions::math,
    logical_expr::{
        ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
    },
};

use super::exact::{DIGITS, rounded};
use crate::error::{SqlError, to_plan};

/// The functions of this family.
pub(super) fn scalars() -> Vec<ScalarUDF> {
    let all: [(_, _, &[&str]); 4] = [
        (Way::Round, math::round(), &[]),
        (Way::Trunc, math::trunc(), &[]),
        (Way::Ceil, math::ceil(), &["ceiling"]),
        (Way::Floor, math::floor(), &[]),
    ];
    let function = |(way, inner, aliases): (Way, Arc<ScalarUDF>, &[&str])| {
        let aliases = aliases.iter().map(|&a| a.to_owned()).collect();
        ScalarUDF::new_from_impl(Rounding {
            way,
            inner,
            aliases,
            signature: Signature::user_defined(Volatility::Immutable),
        })
    };
    all.map(function).into()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Way {
    Round,
    Trunc,
    Ceil,
    Floor,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Rounding {
    way: Way,
    /// DataFusion's function, for floats.
    inner: Arc<ScalarUDF>,
    aliases: Vec<String>,
    signature: Signature,
}

impl ScalarUDFImpl for Rounding {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let unknown = || {
            let types: Vec<String> = given.iter().map(ToString::to_string).collect();
            let types = types.join(", ");
            plan_err!(
                "function {}({types}) does not exist. No function matches the given name and argument types",
                self.name()
            )
        };
        let text = |of: &DataType| matches!(of, DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8);
        let first = |of: &DataType, places: bool| match of {
            DataType::Decimal128(..) => Some(of.clone()),
            DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => {
                Some(DataType::Decimal128(*precision, *scale))
            }
            of if of.is_integer() && places => Some(DataType::Decimal128(20, 0)),
            of if of.is_numeric() || of.is_null() || text(of) => Some(DataType::Float64),
            _ => None,
        };
        match given {
            [of] => first(of, false).map_or_else(unknown, |of| Ok(vec![of])),
            [of, places]
                if matches!(self.way, Way::Round | Way::Trunc) && (places.is_integer() || places.is_null()) =>
            {
                first(of, true).map_or_else(unknown, |of| Ok(vec![of, DataType::Int64]))
            }
            _ => unknown(),
        }
    }

    fn return_type(&self, args: &[DataType]) -> Result<DataType> {
        Ok(match args.first() {
            Some(DataType::Decimal128(_, scale)) => {
                DataType::Decimal128(DIGITS, if args.len() > 1 { *scale } else { 0 })
            }
            _ => DataType::Float64,
        })
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let types: Vec<DataType> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let mut of = self.return_type(&self.coerce_types(&types)?)?;
        if let DataType::Decimal128(_, scale) = &mut of {
            let places = args.scalar_arguments.get(1).copied().flatten();
            if let Some(places) = places.and_then(|places| places.cast_to(&DataType::Int64).ok())
                && let ScalarValue::Int64(Some(places)) = places
            {
                *scale = places.clamp(0, i64::from(*scale).max(16)) as i8;
            }
        }
        Ok(Arc::new(Field::new(self.name(), of, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let of = args.args.first().map(ColumnarValue::data_type);
        let constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let values: ArrayRef = match (of, args.return_field.data_type()) {
            (Some(DataType::Decimal128(_, from)), DataType::Decimal128(_, to)) => {
                let arrays = ColumnarValue::values_to_arrays(&args.args)?;
                Arc::new(numerics(self.way, &arrays, from, *to)?)
            }
            (Some(DataType::Float64), _) if self.way == Way::Round && args.args.len() == 1 => {
                let arrays = ColumnarValue::values_to_arrays(&args.args)?;
                let even = arrays[0].as_primitive::<Float64Type>().unary::<_, Float64Type>(f64::round_ties_even);
                Arc::new(even)
            }
            _ => return self.inner.invoke_with_args(args),
        };
        if constant {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&values, 0)?));
        }
        Ok(ColumnarValue::Array(values))
    }
}

/// Numerics of a scale, rounded at a place, in another scale.
fn numerics(way: Way, args: &[ArrayRef], from: i8, to: i8) -> Result<PrimitiveArray<Decimal128Type>> {
    let (Some(of), from) = (args.first().and_then(|a| a.as_primitive_opt::<Decimal128Type>()), i64::from(from)) else {
        return exec_err!("these are no numerics");
    };
    let places = args.get(1).and_then(|places| places.as_primitive_opt::<Int64Type>());
    let value = |row: usize| -> Result<Option<i128>> {
        if of.is_null(row) || places.is_some_and(|places| places.is_null(row)) {
            return Ok(None);
        }
        let places = places.map_or(0, |places| places.value(row)).clamp(-i64::from(DIGITS), from);
        let moved = at_place(way, of.value(row), from - places).and_then(|whole| {
            let up = i64::from(to) - places;
            let power = 10_i128.checked_pow(u32::try_from(up.abs()).ok()?)?;
            if up >= 0 { whole.checked_mul(power) } else { rounded(whole, power) }
        });
        let fits = moved.filter(|value| value.unsigned_abs() < 10_u128.pow(u32::from(DIGITS)));
        let fault = || to_plan(SqlError::new(b"22003", "value overflows numeric format"));
        fits.ok_or_else(fault).map(Some)
    };
    let values = (0..of.len()).map(value).collect::<Result<PrimitiveArray<Decimal128Type>>>()?;
    Ok(values.with_precision_and_scale(DIGITS, to)?)
}

/// A number without its last digits.
fn at_place(way: Way, value: i128, digits: i64) -> Option<i128> {
    let Some(power) = 10_i128.checked_pow(u32::try_from(digits).ok()?) else { return Some(0) };
    match way {
        Way::Round => rounded(value, power),
        Way::Trunc => value.checked_div(power),
        Way::Floor => value.checked_div_euclid(power),
        Way::Ceil => value.checked_neg()?.checked_div_euclid(power)?.checked_neg(),
    }
}
