//! Statements that fail: PostgreSQL's codes, and the HTTP status that fits each.

use std::fmt;

use chronolith_sql::SqlError;
use hyper::{
    StatusCode,
    header::{HeaderValue, RETRY_AFTER},
};

use crate::server::{
    json,
    respond::{ApiError, JSON, RETRY_SECONDS, Reply},
};

/// Why a statement gave no answer.
pub(crate) enum Failure {
    /// SQL refused it.
    Sql(SqlError),
    /// The request is wrong, or came to an end before it was done.
    Api(ApiError),
}

impl From<SqlError> for Failure {
    fn from(error: SqlError) -> Self {
        Self::Sql(error)
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sql(error) => error.fmt(f),
            Self::Api(error) => f.write_str(error.message()),
        }
    }
}

/// The answer: the API's envelope with the code, and what else PostgreSQL tells.
pub(super) fn reply(error: &SqlError) -> Reply {
    let (status, kind) = status(error.state.as_str());
    let mut out = br#"{"status":"error","errorType":"#.to_vec();
    json::string(&mut out, kind);
    for (name, text) in [
        ("error", Some(error.message.as_str())),
        ("code", Some(error.state.as_str())),
        ("detail", error.detail.as_deref()),
        ("hint", error.hint.as_deref()),
    ] {
        if let Some(text) = text {
            out.push(b',');
            json::key(&mut out, name);
            json::string(&mut out, text);
        }
    }
    if let Some(position) = error.position {
        out.push(b',');
        json::key(&mut out, "position");
        json::unsigned(&mut out, position as u64);
    }
    out.push(b'}');
    let reply = Reply::new(status, JSON, out);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        return reply.with_header(RETRY_AFTER, HeaderValue::from(RETRY_SECONDS));
    }
    reply
}

/// By the class of the code.
fn status(code: &str) -> (StatusCode, &'static str) {
    match code.get(..2).unwrap_or_default() {
        // Integrity, and transactions that contradict each other.
        "23" | "40" => (StatusCode::CONFLICT, "conflict"),
        "28" => (StatusCode::FORBIDDEN, "forbidden"),
        // Resources; too complex is the statement's own fault.
        "53" | "57" => (StatusCode::SERVICE_UNAVAILABLE, if code == "57014" { "timeout" } else { "unavailable" }),
        "58" | "XX" => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        _ => (StatusCode::BAD_REQUEST, "bad_data"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_the_status_of_their_class() {
        for (code, expected) in [
            ("42601", 400),
            ("22012", 400),
            ("54001", 400),
            ("23505", 409),
            ("40001", 409),
            ("53200", 503),
            ("57014", 503),
            ("XX000", 500),
        ] {
            assert_eq!(status(code).0, expected, "{code}");
        }
    }
}
