//! The table of every path that is served.

use hyper::Method;

#[cfg(feature = "sql")]
use super::sql;
use super::{
    events,
    prometheus::{
        admin, exemplars, federate, format_query, health, labels, metadata, own_metrics, parse_query, query, read,
        series, status, write,
    },
    router::{Accepts, Handler, Route},
    work::Class,
};

const GET: &[Method] = &[Method::GET];
const POST: &[Method] = &[Method::POST];
const GET_POST: &[Method] = &[Method::GET, Method::POST];
const POST_PUT: &[Method] = &[Method::POST, Method::PUT];

const fn route(path: &'static str, methods: &'static [Method], class: Class, handler: Handler) -> Route {
    Route { path, methods, class, accepts: Accepts::Form, handler }
}

/// A path whose body is a protocol's own bytes.
const fn raw(path: &'static str, class: Class, handler: Handler) -> Route {
    Route { path, methods: POST, class, accepts: Accepts::Raw, handler }
}

/// Every path; those that are asked for most stand first.
pub(crate) static ROUTES: &[Route] = &[
    raw("/api/v1/write", Class::Write, write::write),
    raw("/api/v1/events/:table", Class::Write, events::append),
    route("/api/v1/events/:table/export", GET, Class::Query, events::export),
    #[cfg(feature = "sql")]
    Route { methods: GET_POST, ..raw("/api/v1/sql", Class::Query, sql::answer) },
    route("/api/v1/query", GET_POST, Class::Query, query::instant),
    route("/api/v1/query_range", GET_POST, Class::Query, query::range),
    route("/api/v1/labels", GET_POST, Class::Query, labels::names),
    route("/api/v1/label/:name/values", GET, Class::Query, labels::values),
    route("/api/v1/series", GET_POST, Class::Query, series::series),
    route("/api/v1/metadata", GET, Class::Query, metadata::metadata),
    route("/api/v1/query_exemplars", GET_POST, Class::Query, exemplars::query_exemplars),
    route("/api/v1/format_query", GET_POST, Class::Query, format_query::format_query),
    route("/api/v1/parse_query", GET_POST, Class::Query, parse_query::parse_query),
    raw("/api/v1/read", Class::Query, read::read),
    route("/api/v1/status/buildinfo", GET, Class::Inline, status::buildinfo),
    route("/api/v1/status/runtimeinfo", GET, Class::Monitor, status::runtimeinfo),
    route("/api/v1/status/flags", GET, Class::Inline, status::flags),
    route("/api/v1/status/config", GET, Class::Inline, status::config),
    route("/api/v1/status/tsdb", GET, Class::Monitor, status::tsdb),
    route("/api/v1/admin/tsdb/delete_series", POST_PUT, Class::Admin, admin::delete_series),
    route("/api/v1/admin/tsdb/clean_tombstones", POST_PUT, Class::Admin, admin::clean_tombstones),
    route("/api/v1/admin/tsdb/snapshot", POST_PUT, Class::Admin, admin::snapshot),
    route("/api/v1/admin/tsdb/compact", POST_PUT, Class::Admin, admin::compact),
    route("/federate", GET, Class::Query, federate::federate),
    route("/metrics", GET, Class::Monitor, own_metrics::metrics),
    route("/-/healthy", GET, Class::Inline, health::healthy),
    route("/-/ready", GET, Class::Inline, health::ready),
    route("/version", GET, Class::Inline, health::version),
    route("/", GET, Class::Inline, health::index),
];
