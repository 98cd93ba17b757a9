//! The binary as its users meet it: processes, signals, exit codes, files.

#![expect(clippy::unwrap_used, reason = "a test")]

mod demo;
mod directories;
mod harness;
mod help;
mod sql;
mod terminal;
mod testing;
mod transfers;
