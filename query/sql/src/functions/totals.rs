//! sum and avg with PostgreSQL's types: exact numerics of what would overflow an integer or lose digits in a float.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, BooleanArray},
    compute::cast,
    datatypes::{DataType, FieldRef},
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

/// What an average of numerics has behind the point, less the four places that DataFusion adds.
const AVERAGED_SCALE: i8 = 12;

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
    vec![total(sum_udaf(), Kind::Sum, &[]), total(avg_udaf(), Kind::Average, &["mean"])]
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

    fn inner_type(&self, given: &DataType) -> Result<DataType> {
        Ok(match (self.kind, self.taken(given)?) {
            (Kind::Sum, DataType::Int32) => DataType::Int64,
            (_, taken) => taken,
        })
    }

    fn widens(&self, args: &AccumulatorArgs<'_>) -> bool {
        self.kind == Kind::Sum && args.expr_fields.first().is_some_and(|field| field.data_type() == &DataType::Int32)
    }
}

impl AggregateUDFImpl for Total {
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
        match given {
            [one] => Ok(vec![self.taken(one)?]),
            _ => plan_err!("{} takes one argument, not {}", self.name(), given.len()),
        }
    }

    fn return_type(&self, args: &[DataType]) -> Result<DataType> {
        match args {
            [one] => self.inner.return_type(&[self.inner_type(one)?]),
            _ => plan_err!("{} takes one argument, not {}", self.name(), args.len()),
        }
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let widens = self.widens(&args);
        let inner = self.inner.accumulator(args)?;
        Ok(if widens { Box::new(Widened(inner)) } else { inner })
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        self.inner.state_fields(args)
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        self.inner.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        let widens = self.widens(&args);
        let inner = self.inner.create_groups_accumulator(args)?;
        Ok(if widens { Box::new(WidenedGroups(inner)) } else { inner })
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let widens = self.widens(&args);
        let inner = self.inner.create_sliding_accumulator(args)?;
        Ok(if widens { Box::new(Widened(inner)) } else { inner })
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }
}

fn widened(values: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
    Ok(values.iter().map(|v| cast(v, &DataType::Int64)).collect::<Result<_, _>>()?)
}

/// Sums integers of 32 bits in 64.
#[derive(Debug)]
struct Widened(Box<dyn Accumulator>);

impl Accumulator for Widened {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.0.update_batch(&widened(values)?)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.0.evaluate()
    }

    fn size(&self) -> usize {
        self.0.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.0.state()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.0.merge_batch(states)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.0.retract_batch(&widened(values)?)
    }

    fn supports_retract_batch(&self) -> bool {
        self.0.supports_retract_batch()
    }
}

/// The same for groups.
struct WidenedGroups(Box<dyn GroupsAccumulator>);

impl GroupsAccumulator for WidenedGroups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> Result<()> {
        self.0.update_batch(&widened(values)?, groups, filter, total)
    }

    fn evaluate(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        self.0.evaluate(emit)
    }

    fn state(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        self.0.state(emit)
    }

    fn merge_batch(&mut self, values: &[ArrayRef], groups: &[usize], total: usize) -> Result<()> {
        self.0.merge_batch(values, groups, total)
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        self.0.convert_to_state(&widened(values)?, filter)
    }

    fn size(&self) -> usize {
        self.0.size()
    }
}
