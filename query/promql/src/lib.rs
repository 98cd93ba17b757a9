//! PromQL for Chronolith: lexer, parser, printer and a columnar engine.
//!
//! It is not: a server, a storage engine, an async library. It reads series through
//! [`chronolith_storage::SeriesSource`] and knows neither HTTP nor JSON.

pub mod ast;
pub mod duration;
pub mod engine;
mod error;
pub mod format;
pub mod functions;
mod lexer;
mod parser;
mod printer;
mod printer_pretty;
pub mod promqltest;
mod quote;
pub mod series_notation;

pub use error::ParseError;
pub use parser::{MAX_DEPTH, MAX_NESTING, MAX_QUERY_LEN, parse, parse_selector};
pub use printer_pretty::pretty;
