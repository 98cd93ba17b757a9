//! PromQL for Chronolith: lexer, parser, printer and a columnar engine.
//!
//! It is not: a server, a storage engine, an async library. It reads series through
//! [`chronolith_storage::SeriesSource`] and knows neither HTTP nor JSON.

pub mod ast;
pub mod engine;
pub mod functions;
