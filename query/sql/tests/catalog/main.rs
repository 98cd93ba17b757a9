//! The catalog as clients read it: every statement that they send runs, and the answers are right.

#![expect(clippy::unwrap_used, reason = "a test")]

mod answers;
mod clients;
mod database;
