//! sum and avg with PostgreSQL's types: exact numerics of what would overflow an integer or lose digits in a float.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, BooleanArray},
    compute::cast,
    datatypes::{DataType, Field, FieldRef},
};
use datafusion::{
    common::{Result, ScalarValue, plan_err},
    functions_aggregate::{average::avg_udaf, sum::sum_udaf},
    logical_expr::{
        Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, ReversedUDAF, Signature, Volatility,
        function::{AccumulatorArgs, StateFieldsArgs},
        utils::AggregateOrderSensitivity,
    },
};

use super::exact::DIGITS;

/// What DataFusion averages has so many places behind the point. It adds four of its own and cuts off there; the last of them
/// tells how the one before is rounded.
const AVERAGED_SCALE: i8 = 13;

/// The aggregates of this family.
pub(super) fn aggregates() -> Vec<AggregateUDF> {
    let total = |inner, kind, aliases: &[&str]| {
        let aliases = aliases.iter().map(|&a| a.to_owned()).collect();
        AggregateUDF::new_from_impl(Total {
            inner,
            kind,
            aliases,
            signature: Signature::user_defined(Volatility::Immutable),
        })
    };
    vec![total(sum_udaf(), Kind::Sum, &["sum"]), total(avg_udaf(), Kind::Average, &["mean"])]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Sum,
    Average,
}

/// DataFusion's aggregate over arguments of other types.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Total {
    inner: Arc<AggregateUDF>,
    kind: Kind,
    aliases: Vec<String>,
    signature: Signature,
}

impl Total {
    /// The type that an argument is cast to. A sum of integers of up to 32 bits is made one of 64 bits while it is summed, so
    /// that it can be told from a sum of larger ones.
    fn taken(&self, given: &DataType) -> Result<DataType> {
        use DataType as T;
        let numeric = |digits: u8| match self.kind {
            Kind::Sum => T::Decimal128(DIGITS, 0),
            Kind::Average => T::Decimal128(digits + AVERAGED_SCALE as u8, AVERAGED_SCALE),
        };
        Ok(match (self.kind, given) {
            (Kind::Sum, T::Null | T::Int8 | T::Int16 | T::UInt8 | T::UInt16 | T::Int32) => T::Int32,
            (Kind::Average, T::Null | T::Int8 | T::Int16 | T::UInt8 | T::UInt16 | T::Int32) => numeric(10),
            (_, T::UInt32 | T::Int64 | T::UInt64) => numeric(20),
            (Kind::Average, T::Decimal128(precision, scale)) if *scale < AVERAGED_SCALE => {
                let whole = i16::from(*precision) - i16::from(*scale) + i16::from(AVERAGED_SCALE);
                T::Decimal128(u8::try_from(whole).unwrap_or(DIGITS).min(DIGITS), AVERAGED_SCALE)
            }
            (_, of) if of.is_floating() => T::Float64,
            (_, of) if of.is_decimal() => of.clone(),
            (_, T::Duration(_)) | (Kind::Sum, T::Interval(_)) => given.clone(),
            _ => {
                let name = self.inner.name();
                return plan_err!(
                    "function {name}({given}) does not exist. No function matches the given name and argument types"
                );
            }
        })
    }

    /// The type of DataFusion's result.
    fn inner_type(&self, given: &DataType) -> Result<DataType> {
        let taken = match (self.kind, self.taken(given)?) {
            (Kind::Sum, DataType::Int32) => DataType::Int64,
            (_, taken) => taken,
        };
        self.inner.return_type(&[taken])
    }

    /// How DataFusion's aggregate is called.
    fn way(&self, given: &DataType) -> Result<(Way, FieldRef)> {
        let way = match (self.kind, given) {
            (Kind::Sum, DataType::Int32) => Way::Widened,
            (Kind::Average, DataType::Decimal128(..)) => Way::Rounded,
            _ => Way::Same,
        };
        Ok((way, Arc::new(Field::new(self.name(), self.inner_type(given)?, true))))
    }

    fn inner_args<'a>(&self, mut args: AccumulatorArgs<'a>) -> Result<(Way, AccumulatorArgs<'a>)> {
        let Some(field) = args.expr_fields.first() else { return plan_err!("{} takes one argument", self.name()) };
        let (way, returns) = self.way(field.data_type())?;
        args.return_field = returns;
        Ok((way, args))
    }
}

/// What is done to the arguments or the result of DataFusion's aggregate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Same,
    /// Integers of 32 bits are summed in 64.
    Widened,
    /// An average loses the last of its digits.
    Rounded,
}

impl Way {
    fn taken(self, values: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
        match self {
            Self::Widened => Ok(values.iter().map(|v| cast(v, &DataType::Int64)).collect::<Result<_, _>>()?),
            Self::Same | Self::Rounded => Ok(values.to_vec()),
        }
    }

    fn given(self, result: ArrayRef) -> Result<ArrayRef> {
        match (self, result.data_type()) {
            (Self::Rounded, DataType::Decimal128(_, scale)) => {
                Ok(cast(&result, &DataType::Decimal128(DIGITS, scale - 1))?)
            }
            _ => Ok(result),
        }
    }
}

impl AggregateUDFImpl for Total {
    fn name(&self) -> &str {
        match self.kind {
            // By the name `sum`, DataFusion would sum sums beside a DISTINCT, whose types are others here.
            Kind::Sum => "exact_sum",
            Kind::Average => "avg",
        }
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        match given {
            [one] => Ok(vec![self.taken(one)?]),
            _ => plan_err!("{} takes one argument, not {}", self.name(), given.len()),
        }
    }

    fn return_type(&self, args: &[DataType]) -> Result<DataType> {
        match args {
            [one] => Ok(match (self.kind, self.inner_type(one)?) {
                (Kind::Average, DataType::Decimal128(_, scale)) => DataType::Decimal128(DIGITS, scale - 1),
                (_, of) => of,
            }),
            _ => plan_err!("{} takes one argument, not {}", self.name(), args.len()),
        }
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let (way, args) = self.inner_args(args)?;
        Ok(Box::new(One { way, inner: self.inner.accumulator(args)? }))
    }

    fn state_fields(&self, mut args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        if let Some(field) = args.input_fields.first() {
            args.return_field = self.way(field.data_type())?.1;
        }
        self.inner.state_fields(args)
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        self.inner_args(args).is_ok_and(|(_, args)| self.inner.groups_accumulator_supported(args))
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        let (way, args) = self.inner_args(args)?;
        Ok(Box::new(Groups { way, inner: self.inner.create_groups_accumulator(args)? }))
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let (way, args) = self.inner_args(args)?;
        Ok(Box::new(One { way, inner: self.inner.create_sliding_accumulator(args)? }))
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }
}

/// An aggregate of one group.
#[derive(Debug)]
struct One {
    way: Way,
    inner: Box<dyn Accumulator>,
}

impl Accumulator for One {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.inner.update_batch(&self.way.taken(values)?)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let result = self.way.given(self.inner.evaluate()?.to_array()?)?;
        ScalarValue::try_from_array(&result, 0)
    }

    fn size(&self) -> usize {
        self.inner.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.inner.state()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.inner.merge_batch(states)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.inner.retract_batch(&self.way.taken(values)?)
    }

    fn supports_retract_batch(&self) -> bool {
        self.inner.supports_retract_batch()
    }
}

/// The same of many groups.
struct Groups {
    way: Way,
    inner: Box<dyn GroupsAccumulator>,
}

impl GroupsAccumulator for Groups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> Result<()> {
        self.inner.update_batch(&self.way.taken(values)?, groups, filter, total)
    }

    fn evaluate(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        self.way.given(self.inner.evaluate(emit)?)
    }

    fn state(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        self.inner.state(emit)
    }

    fn merge_batch(&mut self, values: &[ArrayRef], groups: &[usize], total: usize) -> Result<()> {
        self.inner.merge_batch(values, groups, total)
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        self.inner.convert_to_state(&self.way.taken(values)?, filter)
    }

    fn size(&self) -> usize {
        self.inner.size()
    }
}
