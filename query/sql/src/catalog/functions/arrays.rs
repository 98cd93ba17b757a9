//! Functions over the catalog's arrays, and over names as lists of their parts.

use datafusion::error::Result;

use super::{Call, Spec, refuse};
use crate::{
    catalog::{cell::Cell, entries, shape::PG_TYPE},
    error::SqlError,
};

pub(super) const FUNCTIONS: [Spec; 5] = [
    // An array as its text, so that it compares with a literal such as '{0}'; a text as it is.
    Spec::new("array_text", (1, 1), "text", |call| Ok(call.arg(0).printed().into())),
    Spec::new("generate_subscripts", (2, 3), "_int4", subscripts),
    Spec::new("pg_partition_ancestors", (1, 1), "_oid", |_| Ok(Cell::List(Vec::new()))),
    Spec::new("_pg_expandarray", (1, 1), "_int4", expand).pairs(),
    Spec::new("parse_ident", (1, 2), "_text", parse_ident),
];

/// What others may know for more types than the catalog has.
pub(super) const SHARED: [Spec; 2] = [
    Spec::new("array_lower", (2, 2), "int4", |call| Ok(bound(call, |_| 1))),
    Spec::new("array_upper", (2, 2), "int4", |call| Ok(bound(call, |len| len))),
];

fn bound(call: &Call<'_>, of: fn(i32) -> i32) -> Cell {
    match (call.arg(0), call.arg(1).int()) {
        (Cell::List(items), Some(1)) if !items.is_empty() => i32::try_from(items.len()).ok().map(of).into(),
        _ => Cell::Null,
    }
}

/// `int2vector` and `oidvector` count from 0.
fn subscripts(call: &Call<'_>) -> Result<Cell> {
    let (Cell::List(items), Some(1)) = (call.arg(0), call.arg(1).int()) else { return Ok(Cell::List(Vec::new())) };
    let vector = call.fields.first().and_then(|f| f.metadata().get(PG_TYPE)).is_some_and(|t| t.ends_with("vector"));
    let first = i32::from(!vector);
    let mut places: Vec<i32> = (first..).take(items.len()).collect();
    if *call.arg(2) == Cell::Bool(true) {
        places.reverse();
    }
    Ok(places.into())
}

fn expand(call: &Call<'_>) -> Result<Cell> {
    let Cell::List(items) = call.arg(0) else { return Ok(Cell::Null) };
    let pair = |(item, place): (&Cell, i32)| Cell::List(vec![item.int().into(), place.into()]);
    Ok(Cell::List(items.iter().zip(1..).map(pair).collect()))
}

fn parse_ident(call: &Call<'_>) -> Result<Cell> {
    let text = call.text(0).unwrap_or_default();
    let parts = entries::split_name(text)
        .ok_or_else(|| refuse(SqlError::new(b"22023", format!("string is not a valid identifier: \"{text}\""))))?;
    Ok(parts.into())
}
