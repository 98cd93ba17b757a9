//! JSON in SQL: operators, functions and rows out of JSON text.

mod build;
mod canonical;
mod operators;
mod scan;
mod value;

pub(super) use build::{of_list, of_pairs, pair, scalars as builders};
pub(super) use canonical::jsonb_comparable;
pub(crate) use canonical::{jsonb, jsonb_of_stored, member, text_of};
pub(super) use operators::{jsonb_in, operator, scalars as operators};
pub(super) use value::{Json, from_arrow};

/// Checks that a text is JSON; for fuzzing.
///
/// # Errors
/// When it is none.
#[doc(hidden)]
pub fn check(text: &str) -> datafusion::common::Result<()> {
    let tree = scan::parse(text)?;
    scan::check(text)?;
    scan::parse(&tree.to_string()).map(drop)
}
