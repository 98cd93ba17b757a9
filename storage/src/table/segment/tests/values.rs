//! Columns of all kinds, made from a seed.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, ArrowPrimitiveType, BinaryViewArray, BooleanArray, ListArray, PrimitiveArray, StringViewArray,
    cast::AsArray,
    types::{
        Date32Type, Decimal128Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type, IntervalMonthDayNano,
        IntervalMonthDayNanoType, Time64MicrosecondType, TimestampMicrosecondType, TimestampNanosecondType,
    },
};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::Field;
use proptest::prelude::*;

use crate::{
    rng::Rng,
    table::{Kind, ListKind, kind::DECIMAL_DIGITS},
};

pub(super) const KINDS: [Kind; 28] = [
    Kind::Bool,
    Kind::Int16,
    Kind::Int32,
    Kind::Int64,
    Kind::Float32,
    Kind::Float64,
    Kind::Text,
    Kind::Bytes,
    Kind::Date,
    Kind::Time,
    Kind::Micros,
    Kind::Nanos,
    Kind::Interval,
    Kind::Decimal(2),
    Kind::Decimal(0),
    Kind::List(ListKind::Bool),
    Kind::List(ListKind::Int16),
    Kind::List(ListKind::Int32),
    Kind::List(ListKind::Int64),
    Kind::List(ListKind::Float32),
    Kind::List(ListKind::Float64),
    Kind::List(ListKind::Text),
    Kind::List(ListKind::Date),
    Kind::List(ListKind::Micros),
    Kind::Json,
    Kind::Null,
    Kind::EmptyObject,
    Kind::NumberText,
];

/// How a column's values and nulls are made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Recipe {
    pub(super) seed: u64,
    /// Bits of the numbers and of the choice of texts.
    pub(super) bits: u32,
    /// Which of the text makers.
    pub(super) style: u8,
    /// Of 256 values so many are null.
    pub(super) nulls: u64,
    /// Nulls come in runs of this length.
    pub(super) run: usize,
}

pub(super) fn recipes() -> impl Strategy<Value = Recipe> {
    (any::<u64>(), 0u32..=64, 0u8..10, prop_oneof![Just(0u64), Just(3), Just(128), Just(253), Just(256)], 1usize..300)
        .prop_map(|(seed, bits, style, nulls, run)| Recipe { seed, bits, style, nulls, run })
}

fn number(rng: &mut Rng, bits: u32) -> u64 {
    if bits == 0 { 42 } else { rng.next_u64() >> (64 - bits) }
}

fn text(rng: &mut Rng, recipe: &Recipe) -> String {
    let n = number(rng, recipe.bits);
    match recipe.style {
        0 => format!("v{n}"),
        1 => format!("{:08x}-{:04x}-4000-8000-{:012x}", n as u32, n >> 48, n & 0xffff_ffff_ffff),
        2 => format!("{:016x}{n:016x}", n.rotate_left(7)),
        3 => format!(
            "20{:02}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
            n % 100,
            n % 12 + 1,
            n % 28 + 1,
            n % 24,
            n % 60,
            n % 59,
            n % 1000
        ),
        4 => format!("User {n} did \u{c4}RGER-{} of things with_{} and more", n % 7, n % 1000),
        5 => ["", "a", "\u{fc}ber\u{df}", "info", "warn"][(n % 5) as usize].to_owned(),
        6 => "x".repeat((n % 70) as usize),
        7 => format!("{}", n >> 8),
        8 => format!("/api/v1/items/{n}/\u{1f600}{}", "\u{10ffff}".repeat((n % 9) as usize)),
        _ => {
            if n.is_multiple_of(3) {
                "...  ---".to_owned()
            } else {
                format!("Foo-{}", n % 50)
            }
        }
    }
}

pub(super) fn nulls(recipe: &Recipe, len: usize) -> Option<NullBuffer> {
    let mut rng = Rng::new(recipe.seed ^ 1);
    let mut bits = Vec::with_capacity(len);
    while bits.len() < len {
        let run = (1 + rng.below(recipe.run as u64) as usize).min(len - bits.len());
        let there = rng.below(256) >= recipe.nulls;
        bits.extend(std::iter::repeat_n(there, run));
    }
    (recipe.nulls > 0).then(|| NullBuffer::from(bits))
}

fn numbers<T: ArrowPrimitiveType>(
    recipe: &Recipe,
    len: usize,
    nulls: Option<NullBuffer>,
    of: impl Fn(u64) -> T::Native,
) -> ArrayRef {
    let mut rng = Rng::new(recipe.seed);
    let values: Vec<T::Native> = (0..len).map(|_| of(number(&mut rng, recipe.bits))).collect();
    Arc::new(PrimitiveArray::<T>::new(values.into(), nulls))
}

fn floats(n: u64, style: u8) -> f64 {
    match style % 4 {
        0 => n as f64 / 100.0,
        1 => f64::from_bits(n),
        2 => [0.0, -0.0, f64::NAN, f64::INFINITY, -1.5][(n % 5) as usize],
        _ => (n % 1000) as f64,
    }
}

pub(super) fn array(kind: Kind, recipe: &Recipe, len: usize, nulls: Option<NullBuffer>) -> ArrayRef {
    let mut rng = Rng::new(recipe.seed);
    match kind {
        Kind::Bool => {
            let values: Vec<bool> = (0..len).map(|_| number(&mut rng, recipe.bits).is_multiple_of(5)).collect();
            Arc::new(BooleanArray::new(values.into(), nulls))
        }
        Kind::Null | Kind::EmptyObject => Arc::new(BooleanArray::new(vec![true; len].into(), nulls)),
        Kind::Int16 => numbers::<Int16Type>(recipe, len, nulls, |n| n as i16),
        Kind::Int32 => numbers::<Int32Type>(recipe, len, nulls, |n| n as i32),
        Kind::Int64 => numbers::<Int64Type>(recipe, len, nulls, |n| n as i64),
        Kind::Float32 => numbers::<Float32Type>(recipe, len, nulls, |n| match recipe.style % 4 {
            1 => f32::from_bits(n as u32),
            style => floats(n, style) as f32,
        }),
        Kind::Float64 => numbers::<Float64Type>(recipe, len, nulls, |n| floats(n, recipe.style)),
        Kind::Date => numbers::<Date32Type>(recipe, len, nulls, |n| n as i32),
        Kind::Time => numbers::<Time64MicrosecondType>(recipe, len, nulls, |n| n as i64),
        Kind::Micros => numbers::<TimestampMicrosecondType>(recipe, len, nulls, |n| n as i64),
        Kind::Nanos => numbers::<TimestampNanosecondType>(recipe, len, nulls, |n| n as i64),
        Kind::Interval => numbers::<IntervalMonthDayNanoType>(recipe, len, nulls, |n| {
            IntervalMonthDayNano::new(n as i32, (n >> 32) as i32, n as i64)
        }),
        Kind::Decimal(scale) => {
            let wide = i128::from(recipe.style) << 64;
            let array = numbers::<Decimal128Type>(recipe, len, nulls, |n| i128::from(n as i64) + wide);
            let array = array.as_primitive::<Decimal128Type>().clone();
            Arc::new(array.with_precision_and_scale(DECIMAL_DIGITS, scale as i8).unwrap())
        }
        Kind::Text | Kind::Json | Kind::NumberText => {
            let values = (0..len).map(|at| {
                let text = text(&mut rng, recipe);
                nulls.as_ref().is_none_or(|n| n.is_valid(at)).then_some(text)
            });
            Arc::new(values.collect::<StringViewArray>())
        }
        Kind::Bytes => {
            let values = (0..len).map(|at| {
                let mut bytes = text(&mut rng, recipe).into_bytes();
                bytes.push(0xff);
                nulls.as_ref().is_none_or(|n| n.is_valid(at)).then_some(bytes)
            });
            Arc::new(values.collect::<BinaryViewArray>())
        }
        Kind::List(of) => {
            let lengths: Vec<usize> = (0..len).map(|_| rng.below(4) as usize).collect();
            let total = lengths.iter().sum();
            let elements = array(of.element(), recipe, total, None);
            let field = Arc::new(Field::new_list_field(of.element().arrow(), true));
            Arc::new(ListArray::new(field, OffsetBuffer::from_lengths(lengths), elements, nulls))
        }
    }
}
