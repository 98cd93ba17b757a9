//! window_funnel and retention, as ClickHouse has them, and histogram.

use std::{fmt::Debug, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, Int32Array, ListArray},
    buffer::OffsetBuffer,
    compute::cast,
    datatypes::{DataType, Field, Float64Type, Int64Type, TimeUnit},
};
use datafusion::{
    common::{Result, ScalarValue, exec_err, plan_err},
    logical_expr::{AggregateUDF, function::AccumulatorArgs},
};

use super::{
    aggregate::{AggregateCall, Kernel, Saved, constant},
    interval,
    scalar::{Arg, Shape, exactly, many},
};

/// Conditions that a funnel or a retention has at most.
const MAX_CONDITIONS: usize = 32;

const FUNNEL: &[Shape] = &[
    many(&[Arg::Int, Arg::Int, Arg::Bool], Arg::Bool),
    many(&[Arg::Interval, Arg::Time, Arg::Bool], Arg::Bool),
    many(&[Arg::Int, Arg::Time, Arg::Bool], Arg::Bool),
    many(&[Arg::Int, Arg::Text, Arg::Int, Arg::Bool], Arg::Bool),
    many(&[Arg::Interval, Arg::Text, Arg::Time, Arg::Bool], Arg::Bool),
    many(&[Arg::Int, Arg::Text, Arg::Time, Arg::Bool], Arg::Bool),
];

/// The aggregates of this family.
pub(super) fn aggregates() -> Vec<AggregateUDF> {
    let retention = AggregateCall::new("retention", const { &[many(&[Arg::Bool], Arg::Bool)] }, |_| Ok(ints()));
    let histogram =
        AggregateCall::new("histogram", const { &[exactly(&[Arg::Float, Arg::Float, Arg::Float, Arg::Int])] }, |_| {
            Ok(ints())
        });
    vec![
        AggregateCall::new("window_funnel", FUNNEL, |_| Ok(DataType::Int32)).udaf::<Funnel>(),
        retention.udaf::<Retention>(),
        histogram.udaf::<Histogram>(),
    ]
}

/// A list of integers.
fn ints() -> DataType {
    DataType::List(Arc::new(Field::new_list_field(DataType::Int32, true)))
}

fn int_list(values: impl IntoIterator<Item = i32>) -> ScalarValue {
    let values = Int32Array::from_iter_values(values);
    let offsets = OffsetBuffer::from_lengths([values.len()]);
    let element = Arc::new(Field::new_list_field(DataType::Int32, true));
    ScalarValue::List(Arc::new(ListArray::new(element, offsets, Arc::new(values), None)))
}

/// How far along a chain of events a group came within a window of time.
#[derive(Debug)]
struct Funnel {
    /// In the units of the times.
    window: i64,
    /// Which argument the time is; the conditions follow it.
    time: usize,
    steps: usize,
    /// Other events between the steps end the chain.
    strict_order: bool,
    /// A step that comes again ends the chain.
    strict_deduplication: bool,
    /// Steps must be at later times than the step before.
    strict_increase: bool,
}

/// Events of a group: the time, and the step from 1, or 0 for an event that is no step.
#[derive(Debug, Default)]
struct Events {
    events: Vec<(i64, u8)>,
    unsorted: bool,
}

impl Events {
    fn push(&mut self, event: (i64, u8)) {
        self.unsorted |= self.events.last().is_some_and(|last| *last > event);
        self.events.push(event);
    }
}

/// A span of time in the units of a column of times. A plain number is seconds, or the unit of plain numbers.
fn window(args: &AccumulatorArgs<'_>, of: &DataType) -> Result<i64> {
    let nanos = match constant(args, 0, "window")? {
        ScalarValue::Int64(Some(number)) if of.is_integer() => Some(i128::from(number)),
        ScalarValue::Int64(Some(number)) => Some(i128::from(number) * 1_000_000_000),
        ScalarValue::Utf8View(Some(text)) => interval::fixed_nanos(interval::parse(&text)?),
        ScalarValue::IntervalMonthDayNano(Some(span)) => interval::fixed_nanos(span),
        _ => return plan_err!("the window of {} is null", args.name),
    };
    let unit = match of {
        DataType::Timestamp(TimeUnit::Second, _) => 1_000_000_000,
        DataType::Timestamp(TimeUnit::Millisecond, _) => 1_000_000,
        DataType::Timestamp(TimeUnit::Microsecond, _) => 1000,
        _ => 1,
    };
    match nanos.and_then(|nanos| i64::try_from(nanos / unit).ok()) {
        Some(window) if window >= 0 => Ok(window),
        _ => plan_err!("the window of {} must be of fixed length (no months) and not negative", args.name),
    }
}

impl Kernel for Funnel {
    type State = Events;

    fn make(args: &AccumulatorArgs<'_>) -> Result<Self> {
        let mode = args.expr_fields[1].data_type() == &DataType::Utf8View;
        let time = if mode { 2 } else { 1 };
        let steps = args.exprs.len() - time - 1;
        if steps > MAX_CONDITIONS {
            return plan_err!("window_funnel takes at most {MAX_CONDITIONS} conditions, not {steps}");
        }
        let window = window(args, args.expr_fields[time].data_type())?;
        let [mut strict_order, mut strict_deduplication, mut strict_increase] = [false; 3];
        if mode {
            let modes = constant(args, 1, "mode")?;
            let ScalarValue::Utf8View(Some(modes)) = modes else {
                return plan_err!("the mode of window_funnel is null");
            };
            for mode in modes.split(',').map(str::trim).filter(|m| !m.is_empty()) {
                match mode {
                    "default" => {}
                    "strict_order" => strict_order = true,
                    "strict_deduplication" => strict_deduplication = true,
                    "strict_increase" => strict_increase = true,
                    other => {
                        return plan_err!(
                            "window_funnel has no mode '{other}'; it has default, strict_order, strict_deduplication and \
                             strict_increase"
                        );
                    }
                }
            }
        }
        Ok(Self { window, time, steps, strict_order, strict_deduplication, strict_increase })
    }

    fn empty(&self) -> Events {
        Events::default()
    }

    fn update(&self, values: &[ArrayRef], rows: &[(usize, usize)], states: &mut [Events]) -> Result<usize> {
        let times = cast(&values[self.time], &DataType::Int64)?;
        let times = times.as_primitive::<Int64Type>();
        let steps = values[self.time + 1..].iter().map(|v| v.as_boolean_opt());
        let Some(steps) = steps.collect::<Option<Vec<_>>>() else {
            return exec_err!("the conditions of window_funnel are not boolean");
        };
        let mut grown = 0;
        for &(row, group) in rows {
            if times.is_null(row) {
                continue;
            }
            let before = states[group].events.capacity();
            let mut any = false;
            // From the last step to the first, as ClickHouse does; the order matters to nobody after sorting.
            for (step, holds) in steps.iter().enumerate().rev() {
                if holds.is_valid(row) && holds.value(row) {
                    states[group].push((times.value(row), step as u8 + 1));
                    any = true;
                }
            }
            if !any && self.strict_order {
                states[group].push((times.value(row), 0));
            }
            grown += (states[group].events.capacity() - before) * size_of::<(i64, u8)>();
        }
        Ok(grown)
    }

    fn merge(&self, state: &mut Events, saved: &[u8]) -> Result<usize> {
        let mut rest = Saved(saved);
        while !rest.is_empty() {
            let time = i64::from_le_bytes(rest.u64()?.to_le_bytes());
            let step = rest.u8()?;
            if usize::from(step) > self.steps {
                return exec_err!("a partial state of window_funnel is damaged");
            }
            state.push((time, step));
        }
        Ok(saved.len() * 2)
    }

    fn save(&self, state: &Events, out: &mut Vec<u8>) {
        for (time, step) in &state.events {
            out.extend(time.to_le_bytes());
            out.push(*step);
        }
    }

    fn finish(&self, state: &mut Events) -> Result<ScalarValue> {
        if state.unsorted {
            state.events.sort_unstable();
            state.unsorted = false;
        }
        Ok(ScalarValue::Int32(Some(self.level(&state.events) as i32)))
    }
}

impl Funnel {
    /// The longest chain. Follows ClickHouse's `getEventLevel`, for each step the latest chain that reached it.
    fn level(&self, events: &[(i64, u8)]) -> usize {
        // For each step: when its chain began, and when the step itself came.
        let mut reached: Vec<Option<(i64, i64)>> = vec![None; self.steps];
        let mut before = 0;
        for &(time, step) in events {
            let previous_step = before;
            before = usize::from(step);
            let Some(at) = usize::from(step).checked_sub(1) else {
                if reached[0].is_some() {
                    break;
                }
                continue;
            };
            if at == 0 {
                reached[0] = Some((time, time));
                if self.steps == 1 {
                    return 1;
                }
            } else if self.strict_deduplication && reached[at].is_some() {
                return previous_step;
            } else if let Some((start, previous)) = reached[at - 1] {
                let within = time <= start.saturating_add(self.window);
                if within && (!self.strict_increase || previous < time) {
                    reached[at] = Some((start, time));
                    if at + 1 == self.steps {
                        return self.steps;
                    }
                }
            } else if self.strict_order && reached[0].is_some() {
                return reached.iter().position(Option::is_none).unwrap_or(self.steps);
            }
        }
        reached.iter().rposition(Option::is_some).map_or(0, |at| at + 1)
    }
}

/// Which conditions held somewhere in a group; all but the first count only if the first held too.
#[derive(Debug)]
struct Retention {
    conditions: usize,
}

impl Kernel for Retention {
    type State = u32;

    fn make(args: &AccumulatorArgs<'_>) -> Result<Self> {
        let conditions = args.exprs.len();
        if conditions > MAX_CONDITIONS {
            return plan_err!("retention takes at most {MAX_CONDITIONS} conditions, not {conditions}");
        }
        Ok(Self { conditions })
    }

    fn empty(&self) -> u32 {
        0
    }

    fn update(&self, values: &[ArrayRef], rows: &[(usize, usize)], states: &mut [u32]) -> Result<usize> {
        for (at, values) in values.iter().enumerate() {
            let Some(holds) = values.as_boolean_opt() else {
                return exec_err!("the conditions of retention are not boolean");
            };
            for &(row, group) in rows {
                states[group] |= u32::from(holds.is_valid(row) && holds.value(row)) << at;
            }
        }
        Ok(0)
    }

    fn merge(&self, state: &mut u32, saved: &[u8]) -> Result<usize> {
        *state |= Saved(saved).u32()?;
        Ok(0)
    }

    fn save(&self, state: &u32, out: &mut Vec<u8>) {
        out.extend(state.to_le_bytes());
    }

    fn finish(&self, state: &mut u32) -> Result<ScalarValue> {
        let first = *state & 1;
        Ok(int_list((0..self.conditions).map(|at| (first & (*state >> at)) as i32)))
    }
}

/// Counts of equally wide buckets between two bounds, with one bucket below and one above.
#[derive(Debug)]
struct Histogram {
    low: f64,
    high: f64,
    buckets: usize,
}

impl Kernel for Histogram {
    type State = Vec<u32>;

    fn make(args: &AccumulatorArgs<'_>) -> Result<Self> {
        let float = |at, what| match constant(args, at, what)? {
            ScalarValue::Float64(Some(value)) if value.is_finite() => Ok(value),
            other => plan_err!("the {what} of histogram is a finite number, not {other}"),
        };
        let (low, high) = (float(1, "lower bound")?, float(2, "upper bound")?);
        if low >= high {
            return plan_err!("the lower bound of histogram, {low}, is not below the upper bound, {high}");
        }
        match constant(args, 3, "number of buckets")? {
            ScalarValue::Int64(Some(buckets @ 1..=10_000)) => Ok(Self { low, high, buckets: buckets as usize }),
            other => plan_err!("histogram has 1 to 10000 buckets, not {other}"),
        }
    }

    fn empty(&self) -> Vec<u32> {
        Vec::new()
    }

    fn update(&self, values: &[ArrayRef], rows: &[(usize, usize)], states: &mut [Vec<u32>]) -> Result<usize> {
        let Some(values) = values[0].as_primitive_opt::<Float64Type>() else {
            return exec_err!("histogram is of numbers");
        };
        let width = (self.high - self.low) / self.buckets as f64;
        let mut grown = 0;
        for &(row, group) in rows {
            if values.is_null(row) {
                continue;
            }
            if states[group].is_empty() {
                states[group] = vec![0; self.buckets + 2];
                grown += states[group].len() * size_of::<u32>();
            }
            let value = values.value(row);
            let at = if value < self.low {
                0
            } else if value < self.high {
                1 + (((value - self.low) / width) as usize).min(self.buckets - 1)
            } else {
                self.buckets + 1
            };
            states[group][at] = states[group][at].saturating_add(1);
        }
        Ok(grown)
    }

    fn merge(&self, state: &mut Vec<u32>, saved: &[u8]) -> Result<usize> {
        let mut rest = Saved(saved);
        if rest.is_empty() {
            return Ok(0);
        }
        state.resize(self.buckets + 2, 0);
        for count in state {
            *count = count.saturating_add(rest.u32()?);
        }
        Ok(saved.len())
    }

    fn save(&self, state: &Vec<u32>, out: &mut Vec<u8>) {
        out.extend(state.iter().flat_map(|count| count.to_le_bytes()));
    }

    fn finish(&self, state: &mut Vec<u32>) -> Result<ScalarValue> {
        if state.is_empty() {
            return ScalarValue::try_from(&ints());
        }
        Ok(int_list(state.iter().map(|&count| i32::try_from(count).unwrap_or(i32::MAX))))
    }
}
