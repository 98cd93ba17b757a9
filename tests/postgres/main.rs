//! PostgreSQL's protocol by its bytes: logins, both ways to run statements, COPY, cancelling, hostile clients, limits.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, helpers included")]

mod client;
mod copying;
mod extended;
mod harness;
mod hostile;
mod login;
mod simple;
mod tls;
