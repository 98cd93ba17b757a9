//! The table of paths: which method of which path is answered by which handler, and in which pool.

use hyper::Method;

use super::{
    request::Request,
    respond::{ApiError, Reply},
    work::Class,
};

/// Answers a request. It may block, so it never runs on the network's threads (but for [`Class::Inline`]).
pub(crate) type Handler = fn(&Request<'_>) -> Result<Reply, ApiError>;

/// What kind of body a route reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Accepts {
    /// Form fields.
    Form,
    /// A protocol's own bytes.
    Raw,
}

/// One path. A segment that begins with `:` takes any text; there is at most one.
pub(crate) struct Route {
    pub(crate) path: &'static str,
    pub(crate) methods: &'static [Method],
    pub(crate) class: Class,
    pub(crate) accepts: Accepts,
    pub(crate) handler: Handler,
}

/// What a path and method lead to.
pub(crate) enum Found {
    /// A route, its place in the table, and the text of its open segment.
    Route(&'static Route, usize, Option<String>),
    /// The path exists, the method does not: these do.
    WrongMethod(&'static Route, usize),
    /// There is no such path.
    Nothing,
}

/// Finds a route. HEAD is answered wherever GET is.
pub(crate) fn find(routes: &'static [Route], method: &Method, path: &str) -> Found {
    for (i, route) in routes.iter().enumerate() {
        if let Some(open) = matches(route.path, path) {
            let asked = if method == Method::HEAD { &Method::GET } else { method };
            return if route.methods.contains(asked) {
                Found::Route(route, i, open.map(decode))
            } else {
                Found::WrongMethod(route, i)
            };
        }
    }
    Found::Nothing
}

/// Whether a path follows a pattern, and the raw text of its open segment.
fn matches<'a>(pattern: &str, path: &'a str) -> Option<Option<&'a str>> {
    let Some(colon) = pattern.find(':') else { return (pattern == path).then_some(None) };
    let (before, rest) = pattern.split_at(colon);
    let after = rest.find('/').map_or("", |slash| &rest[slash..]);
    let open = path.strip_prefix(before)?.strip_suffix(after)?;
    (!open.is_empty() && !open.contains('/')).then_some(Some(open))
}

/// Undoes percent-encoding; bytes that are no UTF-8 become replacement characters.
fn decode(segment: &str) -> String {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let hex = |b: u8| char::from(b).to_digit(16).map(|d| d as u8);
        rest = match (byte, tail) {
            (b'%', [high, low, after @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    bytes.push(high << 4 | low);
                    after
                }
                _ => {
                    bytes.push(byte);
                    tail
                }
            },
            _ => {
                bytes.push(byte);
                tail
            }
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_segments_take_one_segment() {
        let pattern = "/api/v1/label/:name/values";
        assert_eq!(matches(pattern, "/api/v1/label/job/values"), Some(Some("job")));
        for path in ["/api/v1/label//values", "/api/v1/label/a/b/values", "/api/v1/label/values", "/api/v1/label/a"] {
            assert_eq!(matches(pattern, path), None, "{path}");
        }
        assert_eq!(matches("/x", "/x"), Some(None));
        assert_eq!(matches("/x", "//x"), None);
    }

    #[test]
    fn segments_are_decoded_once() {
        assert_eq!(decode("a%2Fb%25c%"), "a/b%c%");
        assert_eq!(decode("%ff%zz"), "\u{fffd}%zz");
    }
}
