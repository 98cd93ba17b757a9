//! PostgreSQL's frontend/backend protocol, version 3.0, over SQL sessions.
//!
//! A connection is a task. [`crate::ingest::postgres`] decodes what comes, `backend` writes what goes, `channel` moves the
//! bytes within limits of size and time; `simple` and `extended` are the two ways to run statements. Nothing here knows SQL
//! beyond the first word of a statement.

mod accept;
mod backend;
mod cancel;
mod cells;
mod channel;
pub mod config;
mod connection;
mod copy;
mod counters;
mod extended;
mod failure;
mod parameters;
mod rows;
mod scram;
mod settings;
mod simple;
mod startup;
mod types;
mod users;

use std::sync::Arc;

use chronolith_sql::SqlEngine;

pub(crate) use accept::accept;
pub use config::{DEFAULT_POSTGRES_LISTEN, PostgresConfig, Tls};
pub(crate) use counters::PostgresCounters;
pub use users::Users;

use super::app::App;

/// What the connections share.
pub(crate) struct Postgres {
    app: Arc<App>,
    sql: SqlEngine,
    keys: cancel::CancelKeys,
    /// What salts of users that do not exist are made of.
    secret: [u8; scram::KEY_BYTES],
}

impl Postgres {
    pub(crate) fn new(app: Arc<App>) -> Result<Self, scram::ScramError> {
        let sql = app.sql.clone();
        Ok(Self { app, sql, keys: cancel::CancelKeys::default(), secret: scram::random()? })
    }
}
