//! Aggregates as a kernel over states: one state a group, saved as bytes when partial results travel.

use std::{
    fmt::{self, Debug},
    hash::{Hash, Hasher},
    sync::Arc,
};

use arrow::{
    array::{Array, ArrayRef, AsArray, BinaryArray, BinaryBuilder, BooleanArray, new_empty_array},
    datatypes::{DataType, Field, FieldRef},
    record_batch::RecordBatch,
};
use datafusion::{
    common::{Result, ScalarValue, exec_err, not_impl_err, plan_err},
    logical_expr::{
        Accumulator, AggregateUDF, AggregateUDFImpl, ColumnarValue, EmitTo, GroupsAccumulator, Signature, Volatility,
        function::{AccumulatorArgs, StateFieldsArgs},
        utils::AggregateOrderSensitivity,
    },
};

use super::scalar::{PG_TYPE, Shape, coerce};

/// What an aggregate computes.
pub(super) trait Kernel: Debug + Send + Sync + Sized + 'static {
    /// What it keeps of a group's rows.
    type State: Debug + Send + Sync;

    /// The kernel for a call, whose constant arguments it reads.
    fn make(args: &AccumulatorArgs<'_>) -> Result<Self>;

    /// The state of no rows.
    fn empty(&self) -> Self::State;

    /// Adds rows to the states of their groups: pairs of row and group. Returns how many bytes the states grew.
    fn update(&self, values: &[ArrayRef], rows: &[(usize, usize)], states: &mut [Self::State]) -> Result<usize>;

    /// Adds a saved state. Returns how many bytes the state grew.
    fn merge(&self, state: &mut Self::State, saved: &[u8]) -> Result<usize>;

    /// Writes a state.
    fn save(&self, state: &Self::State, out: &mut Vec<u8>);

    /// The result. More rows may follow.
    fn finish(&self, state: &mut Self::State) -> Result<ScalarValue>;
}

/// How an aggregate is called.
#[derive(Debug, Clone, Copy)]
pub(super) struct AggregateCall {
    /// Its name.
    pub(super) name: &'static str,
    /// Other names of it.
    pub(super) aliases: &'static [&'static str],
    /// The shapes of its arguments.
    pub(super) shapes: &'static [Shape],
    /// The type of its result, by the types of its arguments after they were cast.
    pub(super) returns: fn(&[DataType]) -> Result<DataType>,
    /// The PostgreSQL type of its result, where Arrow's does not tell it.
    pub(super) pg_type: Option<&'static str>,
    /// Whether it is called with WITHIN GROUP, which puts the value before the other arguments.
    pub(super) within_group: bool,
}

impl AggregateCall {
    /// A plain aggregate.
    pub(super) const fn new(
        name: &'static str,
        shapes: &'static [Shape],
        returns: fn(&[DataType]) -> Result<DataType>,
    ) -> Self {
        Self { name, aliases: &[], shapes, returns, pg_type: None, within_group: false }
    }

    /// As DataFusion has it.
    pub(super) fn udaf<K: Kernel>(self) -> AggregateUDF {
        AggregateUDF::new_from_impl(Aggregate::<K> {
            of: self,
            aliases: self.aliases.iter().map(|&a| a.to_owned()).collect(),
            signature: Signature::user_defined(Volatility::Immutable),
            kernel: std::marker::PhantomData,
        })
    }
}

/// The value of a constant argument.
pub(super) fn constant(args: &AccumulatorArgs<'_>, at: usize, what: &str) -> Result<ScalarValue> {
    let Some(expr) = args.exprs.get(at) else {
        return plan_err!("{} lacks its {what}", args.name);
    };
    let columns = args.schema.fields().iter().map(|f| new_empty_array(f.data_type())).collect();
    let none = RecordBatch::try_new_with_options(
        Arc::new(args.schema.clone()),
        columns,
        &arrow::record_batch::RecordBatchOptions::new().with_row_count(Some(0)),
    )?;
    match expr.evaluate(&none) {
        Ok(ColumnarValue::Scalar(value)) => Ok(value),
        _ => plan_err!("the {what} of {} must be the same for all rows: write a constant", args.name),
    }
}

struct Aggregate<K> {
    of: AggregateCall,
    aliases: Vec<String>,
    signature: Signature,
    kernel: std::marker::PhantomData<fn() -> K>,
}

impl<K> Debug for Aggregate<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.of.name)
    }
}

impl<K> PartialEq for Aggregate<K> {
    fn eq(&self, other: &Self) -> bool {
        self.of.name == other.of.name
    }
}

impl<K> Eq for Aggregate<K> {}

impl<K> Hash for Aggregate<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.of.name.hash(state);
    }
}

impl<K: Kernel> Aggregate<K> {
    fn make(&self, args: &AccumulatorArgs<'_>) -> Result<K> {
        if args.is_distinct {
            return not_impl_err!("DISTINCT in {}", self.of.name);
        }
        K::make(args)
    }
}

impl<K: Kernel> AggregateUDFImpl for Aggregate<K> {
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

    fn return_field(&self, args: &[FieldRef]) -> Result<FieldRef> {
        let types: Vec<DataType> = args.iter().map(|f| f.data_type().clone()).collect();
        let mut field = Field::new(self.of.name, (self.of.returns)(&types)?, true);
        if let Some(pg_type) = self.of.pg_type {
            field = field.with_metadata([(PG_TYPE.to_owned(), pg_type.to_owned())].into());
        }
        Ok(Arc::new(field))
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let kernel = self.make(&args)?;
        let state = kernel.empty();
        Ok(Box::new(One { kernel, state, bytes: 0 }))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(Field::new(format!("{}[state]", args.name), DataType::Binary, true))])
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        !args.is_distinct
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        let kernel = self.make(&args)?;
        let returns = args.return_field.data_type().clone();
        Ok(Box::new(Groups { kernel, states: Vec::new(), returns, bytes: 0 }))
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn supports_within_group_clause(&self) -> bool {
        self.of.within_group
    }
}

fn saved(states: &[ArrayRef]) -> Result<&BinaryArray> {
    match states.first().and_then(|s| s.as_binary_opt::<i32>()) {
        Some(saved) => Ok(saved),
        None => exec_err!("the state of an aggregate is not of bytes"),
    }
}

#[derive(Debug)]
struct One<K: Kernel> {
    kernel: K,
    state: K::State,
    bytes: usize,
}

impl<K: Kernel> Accumulator for One<K> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let rows: Vec<(usize, usize)> = (0..values.first().map_or(0, |v| v.len())).map(|row| (row, 0)).collect();
        self.bytes += self.kernel.update(values, &rows, std::slice::from_mut(&mut self.state))?;
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.kernel.finish(&mut self.state)
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.bytes
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let mut out = Vec::new();
        self.kernel.save(&self.state, &mut out);
        Ok(vec![ScalarValue::Binary(Some(out))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for state in saved(states)?.iter().flatten() {
            self.bytes += self.kernel.merge(&mut self.state, state)?;
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Groups<K: Kernel> {
    kernel: K,
    states: Vec<K::State>,
    returns: DataType,
    bytes: usize,
}

impl<K: Kernel> Groups<K> {
    fn grow(&mut self, groups: usize) {
        let kernel = &self.kernel;
        self.states.resize_with(groups.max(self.states.len()), || kernel.empty());
    }

    fn take(&mut self, emit: EmitTo) -> Vec<K::State> {
        let before = self.states.len().max(1);
        let taken = emit.take_needed(&mut self.states);
        // Which bytes were whose is not known; groups are taken to be of one size.
        self.bytes -= (self.bytes as f64 * (taken.len() as f64 / before as f64)) as usize;
        taken
    }
}

fn filtered(rows: usize, filter: Option<&BooleanArray>, group: impl Fn(usize) -> usize) -> Vec<(usize, usize)> {
    let kept = |row: &usize| filter.is_none_or(|f| f.is_valid(*row) && f.value(*row));
    (0..rows).filter(kept).map(|row| (row, group(row))).collect()
}

impl<K: Kernel> GroupsAccumulator for Groups<K> {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> Result<()> {
        self.grow(total);
        let rows = filtered(groups.len(), filter, |row| groups[row]);
        self.bytes += self.kernel.update(values, &rows, &mut self.states)?;
        Ok(())
    }

    fn evaluate(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        let mut states = self.take(emit);
        if states.is_empty() {
            return Ok(new_empty_array(&self.returns));
        }
        let values: Result<Vec<ScalarValue>> = states.iter_mut().map(|s| self.kernel.finish(s)).collect();
        ScalarValue::iter_to_array(values?)
    }

    fn state(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        let (mut builder, mut out) = (BinaryBuilder::new(), Vec::new());
        for state in self.take(emit) {
            out.clear();
            self.kernel.save(&state, &mut out);
            builder.append_value(&out);
        }
        Ok(vec![Arc::new(builder.finish())])
    }

    fn merge_batch(&mut self, values: &[ArrayRef], groups: &[usize], total: usize) -> Result<()> {
        self.grow(total);
        for (state, &group) in saved(values)?.iter().zip(groups) {
            if let Some(state) = state {
                self.bytes += self.kernel.merge(&mut self.states[group], state)?;
            }
        }
        Ok(())
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let count = values.first().map_or(0, |v| v.len());
        let mut states: Vec<K::State> = (0..count).map(|_| self.kernel.empty()).collect();
        self.kernel.update(values, &filtered(count, filter, |row| row), &mut states)?;
        let (mut builder, mut out) = (BinaryBuilder::new(), Vec::new());
        for state in &states {
            out.clear();
            self.kernel.save(state, &mut out);
            builder.append_value(&out);
        }
        Ok(vec![Arc::new(builder.finish())])
    }

    fn size(&self) -> usize {
        self.states.capacity() * size_of::<K::State>() + self.bytes
    }
}

/// Reads saved states: fixed numbers and runs of bytes, each checked against what is left.
#[derive(Debug)]
pub(super) struct Saved<'a>(pub(super) &'a [u8]);

impl<'a> Saved<'a> {
    /// The next bytes.
    pub(super) fn bytes(&mut self, count: usize) -> Result<&'a [u8]> {
        match self.0.split_at_checked(count) {
            Some((head, rest)) => {
                self.0 = rest;
                Ok(head)
            }
            None => exec_err!("a sketch or partial state ends too early"),
        }
    }

    /// The next byte.
    pub(super) fn u8(&mut self) -> Result<u8> {
        Ok(self.bytes(1)?[0])
    }

    /// The next 4 bytes as a number.
    pub(super) fn u32(&mut self) -> Result<u32> {
        let mut raw = [0; 4];
        raw.copy_from_slice(self.bytes(4)?);
        Ok(u32::from_le_bytes(raw))
    }

    /// The next 8 bytes as a number.
    pub(super) fn u64(&mut self) -> Result<u64> {
        let mut raw = [0; 8];
        raw.copy_from_slice(self.bytes(8)?);
        Ok(u64::from_le_bytes(raw))
    }

    /// The next 8 bytes as a float.
    pub(super) fn f64(&mut self) -> Result<f64> {
        Ok(f64::from_bits(self.u64()?))
    }

    /// Whether all was read.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
