//! The table of every path that is served.

use hyper::Method;

use super::{
    prometheus::health,
    router::{Accepts, Handler, Route},
    work::Class,
};

const GET: &[Method] = &[Method::GET];

const fn route(path: &'static str, methods: &'static [Method], class: Class, handler: Handler) -> Route {
    Route { path, methods, class, accepts: Accepts::Form, handler }
}

/// Every path.
pub(crate) static ROUTES: &[Route] = &[
    route("/-/healthy", GET, Class::Inline, health::healthy),
    route("/-/ready", GET, Class::Inline, health::ready),
    route("/version", GET, Class::Inline, health::version),
];
