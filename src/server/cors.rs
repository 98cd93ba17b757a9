//! Which origins' scripts may read the API's answers.

use chronolith_storage::{MatchOp, Matcher};
use hyper::{
    HeaderMap,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue, ORIGIN, VARY,
    },
};

use super::ServerError;

/// The rule for origins: a regular expression, anchored at both ends.
#[derive(Debug)]
pub(crate) struct Cors {
    origins: Matcher,
    any: bool,
}

impl Cors {
    pub(crate) fn new(pattern: &str) -> Result<Self, ServerError> {
        let origins = Matcher::new("origin", MatchOp::Regex, pattern)
            .map_err(|source| ServerError::CorsOrigin { pattern: pattern.to_owned(), source })?;
        Ok(Self { origins, any: pattern == ".*" })
    }

    /// Adds to a reply's headers what the request's origin may do.
    pub(crate) fn apply(&self, request: &HeaderMap, reply: &mut HeaderMap) {
        reply.append(VARY, HeaderValue::from_static("Origin"));
        let Some(origin) = request.get(ORIGIN).filter(|o| !o.is_empty()) else { return };
        reply.insert(
            ACCESS_CONTROL_ALLOW_HEADERS,
            HeaderValue::from_static("Accept, Authorization, Content-Type, Origin"),
        );
        reply.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, OPTIONS"));
        reply.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("Date"));
        if self.any {
            reply.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        } else if origin.to_str().is_ok_and(|o| self.origins.matches(o)) {
            reply.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        }
    }
}
