//! Functions that tell of the session and the server: versions, users, settings.

use std::time::UNIX_EPOCH;

use datafusion::error::Result;

use super::{Call, Spec, refuse};
use crate::{catalog::cell::Cell, error::SqlError, settings};

/// The version of PostgreSQL whose catalog this is.
pub(in crate::catalog) const SERVER_VERSION: &str = "16.6";

pub(super) const FUNCTIONS: [Spec; 30] = [
    Spec::new("version", (0, 0), "text", version),
    Spec::new("current_database", (0, 0), "name", database),
    Spec::new("current_catalog", (0, 0), "name", database),
    Spec::new("current_user", (0, 0), "name", user),
    Spec::new("session_user", (0, 0), "name", user),
    Spec::new("current_role", (0, 0), "name", user),
    Spec::new("user", (0, 0), "name", user),
    Spec::new("current_schema", (0, 0), "name", |call| Ok(call.scope.search_path(false).first().cloned().into())),
    Spec::new("current_schemas", (1, 1), "_name", |call| {
        Ok(call.scope.search_path(*call.arg(0) == Cell::Bool(true)).into())
    }),
    Spec::new("current_setting", (1, 2), "text", current_setting),
    Spec::new("set_config", (3, 3), "text", set_config).lenient().volatile(),
    Spec::new("pg_backend_pid", (0, 0), "int4", |call| Ok(call.scope.session.pid.into())),
    Spec::new("pg_postmaster_start_time", (0, 0), "timestamptz", started),
    Spec::new("pg_conf_load_time", (0, 0), "timestamptz", started),
    Spec::new("pg_is_in_recovery", (0, 0), "bool", no),
    Spec::new("pg_is_other_temp_schema", (1, 1), "bool", no),
    Spec::new("pg_my_temp_schema", (0, 0), "oid", |_| Ok(Cell::Int(0))),
    Spec::new("pg_client_encoding", (0, 0), "name", encoding),
    Spec::new("getdatabaseencoding", (0, 0), "name", encoding),
    Spec::new("pg_encoding_to_char", (1, 1), "name", |call| {
        Ok(if call.arg(0).int() == Some(6) { "UTF8" } else { "" }.into())
    }),
    Spec::new("pg_char_to_encoding", (1, 1), "int4", |call| {
        let name = call.text(0).unwrap_or_default().to_ascii_lowercase();
        Ok(if matches!(name.as_str(), "utf8" | "utf-8" | "unicode") { 6 } else { -1 }.into())
    }),
    Spec::new("inet_server_addr", (0, 0), "text", |_| Ok(Cell::Null)),
    Spec::new("inet_server_port", (0, 0), "int4", |_| Ok(Cell::Null)),
    Spec::new("inet_client_addr", (0, 0), "text", |_| Ok(Cell::Null)),
    Spec::new("inet_client_port", (0, 0), "int4", |_| Ok(Cell::Null)),
    // There are no advisory locks; a client's pool lets go of all of them whether it took any or not.
    Spec::new("pg_advisory_unlock_all", (0, 0), "void", |_| Ok(Cell::Text(String::new()))),
    Spec::new("pg_listening_channels", (0, 0), "_text", |_| Ok(Cell::List(Vec::new()))),
    Spec::new("txid_current", (0, 0), "int8", transaction),
    Spec::new("txid_current_if_assigned", (0, 0), "int8", |_| Ok(Cell::Null)),
    Spec::new("pg_current_xact_id", (0, 0), "int8", transaction),
];

fn version(_: &Call<'_>) -> Result<Cell> {
    let (own, arch, os) = (env!("CARGO_PKG_VERSION"), std::env::consts::ARCH, std::env::consts::OS);
    Ok(format!("PostgreSQL {SERVER_VERSION} (Chronolith {own}) on {arch}-{os}, 64-bit").into())
}

fn database(call: &Call<'_>) -> Result<Cell> {
    Ok(call.scope.session.database.as_str().into())
}

fn user(call: &Call<'_>) -> Result<Cell> {
    Ok(call.scope.session.user.as_str().into())
}

fn encoding(_: &Call<'_>) -> Result<Cell> {
    Ok("UTF8".into())
}

fn no(_: &Call<'_>) -> Result<Cell> {
    Ok(false.into())
}

fn started(call: &Call<'_>) -> Result<Cell> {
    let since = call.scope.session.started.duration_since(UNIX_EPOCH).ok();
    Ok(since.and_then(|d| i64::try_from(d.as_micros()).ok()).map_or(Cell::Null, Cell::Time))
}

/// Transactions have no numbers; a session's own stands for them, which is different in each.
fn transaction(call: &Call<'_>) -> Result<Cell> {
    Ok(i64::from(call.scope.session.pid).into())
}

/// What is no setting of the session but asked for like one.
fn fixed(name: &str) -> Option<&'static str> {
    Some(match name {
        "server_version" => SERVER_VERSION,
        "server_version_num" => "160006",
        "server_encoding" => "UTF8",
        "integer_datetimes" => "on",
        "block_size" => "8192",
        "max_identifier_length" => "63",
        "max_index_keys" => "32",
        _ => return None,
    })
}

fn unknown(name: &str) -> SqlError {
    SqlError::new(b"42704", format!("unrecognized configuration parameter \"{name}\""))
}

fn current_setting(call: &Call<'_>) -> Result<Cell> {
    let name = call.text(0).unwrap_or_default();
    let missing_ok = *call.arg(1) == Cell::Bool(true);
    let found = call.scope.session.setting(name);
    match found.or_else(|| fixed(&name.to_ascii_lowercase()).map(str::to_owned)) {
        Some(value) => Ok(value.into()),
        None if missing_ok => Ok(Cell::Null),
        None => Err(refuse(unknown(name))),
    }
}

fn set_config(call: &Call<'_>) -> Result<Cell> {
    let Some(name) = call.text(0) else {
        return Err(refuse(SqlError::new(b"22004", "set_config needs the name of a setting")));
    };
    let local = *call.arg(2) == Cell::Bool(true);
    let session = &call.scope.session;
    let set = match call.arg(1).printed() {
        Some(value) => settings::set(session, name, &value, local),
        None => settings::reset(session, Some(name), local),
    };
    set.map_err(refuse)?;
    Ok(session.setting(name).into())
}
