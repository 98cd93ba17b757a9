//! The binary as its users meet it: processes, signals, exit codes, files.

#![expect(clippy::unwrap_used, reason = "a test")]

mod demo;
mod directories;
mod harness;
mod help;
#[cfg(feature = "sql")]
mod sql;
#[cfg(feature = "sql")]
mod terminal;
mod testing;
mod transfers;
