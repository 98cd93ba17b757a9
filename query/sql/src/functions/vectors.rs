//! Similarity of vectors: cosine_similarity, cosine_distance, l2_distance, inner_product, and what their operators do.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, Float64Array, Float64Builder, ListBuilder},
    datatypes::{DataType, Field, Float64Type},
};
use datafusion::{
    common::{Result, exec_err},
    logical_expr::ScalarUDF,
};

use super::scalar::{Arg, Call, Scalar, Shape, exactly};

const PAIR: &[Shape] = &[exactly(&[Arg::Floats, Arg::Floats])];

/// The functions of this family. A null vector, or a vector with a null in it, has no similarity; nor has the zero vector
/// an angle.
pub(super) fn scalars() -> Vec<ScalarUDF> {
    vec![cosine_similarity(), cosine_distance(), l2_distance(), inner_product(), negative_inner_product(), of_text()]
}

/// Reads vectors that are written as text: `[1,2,3]`, or `{1,2,3}` as an array is written.
pub(super) fn of_text() -> ScalarUDF {
    let list = |_: &[DataType]| Ok(DataType::List(Arc::new(Field::new_list_field(DataType::Float64, true))));
    Scalar::new("vector_of_text", const { &[exactly(&[Arg::Text])] }, list, |call| {
        let mut builder = ListBuilder::new(Float64Builder::new());
        for text in &call.text(0)? {
            let Some(text) = text else {
                builder.append(false);
                continue;
            };
            let inner = text.trim();
            let inner = inner
                .strip_prefix('[')
                .and_then(|t| t.strip_suffix(']'))
                .or_else(|| inner.strip_prefix('{').and_then(|t| t.strip_suffix('}')));
            let numbers =
                inner.filter(|t| !t.trim().is_empty()).map(|t| t.split(',').map(|n| n.trim().parse()).collect());
            match numbers {
                Some(Ok(numbers)) => {
                    let numbers: Vec<f64> = numbers;
                    builder.values().append_slice(&numbers);
                    builder.append(true);
                }
                _ => return exec_err!("invalid input syntax for a vector: \"{text}\"; write [1,2,3]"),
            }
        }
        Ok(Arc::new(builder.finish()))
    })
    .udf()
}

fn float(_: &[DataType]) -> Result<DataType> {
    Ok(DataType::Float64)
}

fn cosine_similarity() -> ScalarUDF {
    Scalar::new("cosine_similarity", PAIR, float, |call| pairs(call, cosine)).udf()
}

/// What `<=>` computes.
pub(super) fn cosine_distance() -> ScalarUDF {
    Scalar::new("cosine_distance", PAIR, float, |call| pairs(call, |a, b| cosine(a, b).map(|c| 1.0 - c))).udf()
}

/// What `<->` computes.
pub(super) fn l2_distance() -> ScalarUDF {
    Scalar::new("l2_distance", PAIR, float, |call| pairs(call, |a, b| Some(sum(a, b, |x, y| (x - y) * (x - y)).sqrt())))
        .alias(&["array_distance"])
        .udf()
}

fn inner_product() -> ScalarUDF {
    Scalar::new("inner_product", PAIR, float, |call| pairs(call, |a, b| Some(sum(a, b, |x, y| x * y))))
        .alias(&["dot_product"])
        .udf()
}

/// What `<#>` computes: negative, so that the most similar sorts first.
pub(super) fn negative_inner_product() -> ScalarUDF {
    Scalar::new("negative_inner_product", PAIR, float, |call| pairs(call, |a, b| Some(-sum(a, b, |x, y| x * y)))).udf()
}

fn sum(a: &[f64], b: &[f64], of: impl Fn(f64, f64) -> f64) -> f64 {
    a.iter().zip(b).map(|(&x, &y)| of(x, y)).sum()
}

fn cosine(a: &[f64], b: &[f64]) -> Option<f64> {
    let lengths = sum(a, a, |x, y| x * y).sqrt() * sum(b, b, |x, y| x * y).sqrt();
    (lengths > 0.0).then(|| (sum(a, b, |x, y| x * y) / lengths).clamp(-1.0, 1.0))
}

fn pairs(call: &Call<'_>, of: impl Fn(&[f64], &[f64]) -> Option<f64>) -> Result<ArrayRef> {
    let (left, right) = (call.array(0)?, call.array(1)?);
    let (Some(left), Some(right)) = (left.as_list_opt::<i32>(), right.as_list_opt::<i32>()) else {
        return call.wrong(0);
    };
    let row = |row: usize| {
        if left.is_null(row) || right.is_null(row) {
            return Ok(None);
        }
        let (a, b) = (left.value(row), right.value(row));
        let (a, b) = (a.as_primitive::<Float64Type>(), b.as_primitive::<Float64Type>());
        if a.len() != b.len() {
            return exec_err!("{} of vectors of {} and {} dimensions", call.name, a.len(), b.len());
        }
        if a.null_count() + b.null_count() > 0 {
            return Ok(None);
        }
        Ok(of(a.values(), b.values()))
    };
    let found: Result<Float64Array> = (0..call.rows).map(row).collect();
    Ok(Arc::new(found?))
}
