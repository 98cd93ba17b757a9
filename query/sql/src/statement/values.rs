//! VALUES of an INSERT that need no planner: literals, parameters and a few constants become columns at once.

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use arrow::array::{ArrayRef, StringViewArray};
use chronolith_storage::table::ColumnType;
use datafusion::{
    common::ScalarValue,
    sql::sqlparser::ast::{Expr, UnaryOperator, Value, Values},
};

use super::by_key::is_constant;
use crate::{
    error::{Result, SqlError},
    types::{assign, decimal, parse_texts, type_text},
};

/// A value of a row.
#[derive(Debug, Clone)]
pub(crate) enum Cell {
    Null,
    /// The column's default.
    Default,
    /// The text of a literal, which means what the column's type reads in it.
    Text(String),
    /// A number as it is written.
    Number(String),
    /// A truth value.
    Bool(bool),
    /// A parameter's value.
    Value(ScalarValue),
    /// The value of one of the constants.
    Constant(usize),
}

/// Most constants that are computed one by one; a plan is made of more.
const MOST_CONSTANTS: usize = 16;

/// Rows of VALUES.
#[derive(Default)]
pub(crate) struct Literals {
    pub(crate) columns: Vec<Vec<Cell>>,
    /// Expressions that give the same in all rows, such as `now()`.
    pub(crate) constants: Vec<Expr>,
    known: HashMap<String, usize>,
}

/// Rows of literals and constants, or `None` when something else is among them.
///
/// # Errors
/// `42601` when rows differ in length, `08P01` when a parameter has no value.
pub(crate) fn literals(values: &Values, parameters: &[ScalarValue]) -> Result<Option<Literals>> {
    let mut literals = Literals::default();
    let width = values.rows.first().map_or(0, |row| row.content.len());
    literals.columns = vec![Vec::with_capacity(values.rows.len()); width];
    for row in &values.rows {
        if row.content.len() != width {
            return Err(SqlError::new(b"42601", "VALUES lists must all be the same length"));
        }
        for (at, expr) in row.content.iter().enumerate() {
            let cell = match cell(expr, parameters)? {
                Some(cell) => cell,
                None => match literals.constant(expr) {
                    Some(constant) => constant,
                    None => return Ok(None),
                },
            };
            literals.columns[at].push(cell);
        }
    }
    Ok(Some(literals))
}

impl Literals {
    /// A constant, unless there are too many.
    fn constant(&mut self, expr: &Expr) -> Option<Cell> {
        let name = if is_constant(expr) { expr.to_string() } else { return None };
        if let Some(known) = self.known.get(&name) {
            return Some(Cell::Constant(*known));
        }
        let next = self.constants.len();
        if next == MOST_CONSTANTS {
            return None;
        }
        self.constants.push(expr.clone());
        self.known.insert(name, next);
        Some(Cell::Constant(next))
    }

    /// Puts the constants' values in their places.
    pub(crate) fn put(&mut self, values: &[ScalarValue]) {
        for cell in self.columns.iter_mut().flatten() {
            if let Cell::Constant(at) = cell {
                *cell = match values.get(*at) {
                    Some(value) if !value.is_null() => Cell::Value(value.clone()),
                    _ => Cell::Null,
                };
            }
        }
    }
}

fn cell(expr: &Expr, parameters: &[ScalarValue]) -> Result<Option<Cell>> {
    Ok(match expr {
        Expr::Value(value) => match &value.value {
            Value::Null => Some(Cell::Null),
            Value::Boolean(value) => Some(Cell::Bool(*value)),
            Value::Number(number, _) => Some(Cell::Number(number.clone())),
            Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) => Some(Cell::Text(text.clone())),
            Value::DollarQuotedString(text) => Some(Cell::Text(text.value.clone())),
            Value::Placeholder(name) => Some(parameter(name, parameters)?),
            _ => None,
        },
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => match &**expr {
            Expr::Value(value) => match &value.value {
                Value::Number(number, _) => Some(Cell::Number(format!("-{number}"))),
                _ => None,
            },
            _ => None,
        },
        Expr::Identifier(name) if name.quote_style.is_none() && name.value.eq_ignore_ascii_case("default") => {
            Some(Cell::Default)
        }
        _ => None,
    })
}

/// The value of a parameter by its name, such as `$1`.
///
/// # Errors
/// `08P01` when there is none.
pub(crate) fn parameter(name: &str, parameters: &[ScalarValue]) -> Result<Cell> {
    let value =
        name.strip_prefix('$').and_then(|n| n.parse::<usize>().ok()).and_then(|n| parameters.get(n.checked_sub(1)?));
    match value {
        None => Err(SqlError::new(b"42P02", format!("there is no parameter {name}"))),
        Some(value) if value.is_null() => Ok(Cell::Null),
        Some(value) => Ok(Cell::Value(value.clone())),
    }
}

/// The cells of one column as values of its type. Defaults are taken from `defaults`, one for each row.
///
/// # Errors
/// When a value does not fit the type.
pub(crate) fn cells_as(
    cells: &[Cell],
    column_type: &ColumnType,
    zone: &str,
    defaults: Option<&ArrayRef>,
) -> Result<ArrayRef> {
    let literals = cells.iter().map(|cell| literal(cell, column_type)).collect::<Result<Vec<_>>>()?;
    let only_literals = cells.iter().all(|cell| !matches!(cell, Cell::Value(_) | Cell::Default));
    if only_literals {
        return parse_texts(literals.iter().map(Option::as_deref), column_type, zone);
    }
    if let Some((Cell::Value(first), rest)) = cells.split_first()
        && rest.iter().all(|cell| matches!(cell, Cell::Value(value) if value == first))
    {
        return assign(&first.to_array_of_size(cells.len())?, column_type, zone);
    }
    let mut out: Vec<ArrayRef> = Vec::with_capacity(cells.len());
    for (row, cell) in cells.iter().enumerate() {
        out.push(match cell {
            Cell::Null | Cell::Constant(_) | Cell::Text(_) | Cell::Number(_) | Cell::Bool(_) => {
                parse_texts(std::iter::once(literals[row].as_deref()), column_type, zone)?
            }
            Cell::Value(value) => assign(&value.to_array_of_size(1)?, column_type, zone)?,
            Cell::Default => match defaults {
                Some(defaults) => defaults.slice(row, 1),
                None => parse_texts(std::iter::once(None), column_type, zone)?,
            },
        });
    }
    let out: Vec<&dyn arrow::array::Array> = out.iter().map(|array| &**array).collect();
    Ok(arrow::compute::concat(&out)?)
}

/// The text that a column of a type reads for a literal.
///
/// # Errors
/// `42804` when the literal is of a type that cannot be assigned to the column's, `22003` when it is too large for it.
fn literal<'c>(cell: &'c Cell, column_type: &ColumnType) -> Result<Option<Cow<'c, str>>> {
    let wrong = |is: &str| {
        let message = format!("column is of type {} but expression is of type {is}", type_text(column_type));
        Err(SqlError::new(b"42804", message).with_hint("You will need to rewrite or cast the expression."))
    };
    match cell {
        Cell::Text(text) => Ok(Some(Cow::Borrowed(text))),
        Cell::Bool(value) => match column_type {
            ColumnType::Bool | ColumnType::Text | ColumnType::Varchar(_) | ColumnType::Char(_) => {
                Ok(Some(Cow::Borrowed(if *value { "true" } else { "false" })))
            }
            _ => wrong("boolean"),
        },
        Cell::Number(number) => {
            let is_whole = number.bytes().all(|b| b.is_ascii_digit() || b == b'-');
            match column_type {
                // A number with a fraction is rounded as numerics are.
                ColumnType::Int2 | ColumnType::Int4 | ColumnType::Int8 if !is_whole => {
                    let whole = decimal(number, None, 0);
                    let out_of_range = || SqlError::new(b"22003", format!("{} out of range", type_text(column_type)));
                    Ok(Some(Cow::Owned(whole.map_err(|_| out_of_range())?.to_string())))
                }
                ColumnType::Int2
                | ColumnType::Int4
                | ColumnType::Int8
                | ColumnType::Float4
                | ColumnType::Float8
                | ColumnType::Numeric { .. }
                | ColumnType::Text
                | ColumnType::Varchar(_)
                | ColumnType::Char(_) => Ok(Some(Cow::Borrowed(number))),
                _ => wrong(if is_whole { "integer" } else { "numeric" }),
            }
        }
        Cell::Null | Cell::Constant(_) | Cell::Value(_) | Cell::Default => Ok(None),
    }
}

/// The cells of a field that is not declared: numbers and truth values are what they look like.
///
/// # Errors
/// None: what is nothing else is a text.
pub(crate) fn cells_of_field(cells: &[Cell], zone: &str) -> Result<ArrayRef> {
    // What a literal looks like counts, quoted or not.
    let cells = cells.iter().map(|cell| match cell {
        Cell::Number(number) => Cell::Text(number.clone()),
        Cell::Bool(value) => Cell::Text(value.to_string()),
        other => other.clone(),
    });
    let cells = cells.collect::<Vec<_>>();
    for column_type in [ColumnType::Bool, ColumnType::Int8, ColumnType::Float8] {
        let named_bool = |cell: &Cell| !matches!(cell, Cell::Text(t) if !matches!(t.as_str(), "true" | "false"));
        if column_type == ColumnType::Bool && !cells.iter().all(named_bool) {
            continue;
        }
        if let Ok(values) = cells_as(&cells, &column_type, zone, None) {
            return Ok(values);
        }
    }
    let texts: Vec<Option<String>> = cells
        .iter()
        .map(|cell| match cell {
            Cell::Text(text) | Cell::Number(text) => Some(text.clone()),
            Cell::Bool(value) => Some(value.to_string()),
            Cell::Value(value) => Some(value.to_string()),
            Cell::Null | Cell::Constant(_) | Cell::Default => None,
        })
        .collect();
    Ok(Arc::new(StringViewArray::from_iter(texts)))
}
