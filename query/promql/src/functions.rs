//! The table of functions: names, argument types, what they return.

use crate::ast::ValueType;

/// The signature of a function.
#[derive(Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: &'static str,
    /// The types of its arguments. When `variadic` is not 0 the last ones are optional or repeat.
    pub args: &'static [ValueType],
    /// 0: exactly `args`; n > 0: the last may be left out and up to n - 1 further are allowed, -1: any number of the last.
    /// As Prometheus' `parser.Function.Variadic`.
    pub variadic: i32,
    /// The type of its result.
    pub returns: ValueType,
    /// Whether Prometheus hides it behind `promql-experimental-functions`.
    pub experimental: bool,
}
