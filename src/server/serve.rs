//! The way of a request: limits, route, body, a place in its pool, handler, compression, headers.

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Instant,
};

use hyper::{
    Method, Response, StatusCode,
    body::Incoming,
    header::{
        ALLOW, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, VARY,
        X_CONTENT_TYPE_OPTIONS,
    },
};

use super::{
    app::App,
    body::{self, Body, Producer, ReceivedBody},
    compress,
    params::Params,
    request::Request,
    respond::{ApiError, ErrorType, RETRY_SECONDS, Reply, ReplyBody},
    router::{self, Accepts, Found, Route},
    routes::ROUTES,
    work::{CancelOnDrop, Class, NoPlace},
};

/// The paths whose errors are told in the API's envelope, and which scripts of other origins may read.
const API: &str = "/api/";

/// A request without its body.
struct Head {
    method: Method,
    query: String,
    headers: HeaderMap,
    received: Instant,
}

/// What is left of an answer once it was made and compressed.
struct Finished {
    status: StatusCode,
    headers: HeaderMap,
    body: FinishedBody,
}

enum FinishedBody {
    Whole(Vec<u8>),
    Streamed(Producer),
}

/// Answers a request.
pub(crate) async fn answer(app: Arc<App>, request: hyper::Request<Incoming>) -> Response<Body> {
    let received = Instant::now();
    let (parts, incoming) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let api = path.starts_with(API);
    let is_head = parts.method == Method::HEAD;
    let head = Head {
        query: parts.uri.query().unwrap_or("").to_owned(),
        method: parts.method,
        headers: parts.headers,
        received,
    };
    let origin = api.then(|| head.headers.clone());
    let target_bytes = path.len() + head.query.len();
    let (found, finished) = Box::pin(dispatch(&app, head, &path, target_bytes, incoming)).await;
    let mut response = respond(finished, is_head);
    if let Some(headers) = origin {
        app.cors.apply(&headers, response.headers_mut());
    }
    app.counters.request(found, response.status().as_u16(), received.elapsed());
    response
}

/// Finds the route and lets it answer; gives back the route's place in the table.
async fn dispatch(
    app: &Arc<App>,
    head: Head,
    path: &str,
    target_bytes: usize,
    incoming: Incoming,
) -> (Option<usize>, Finished) {
    let api = path.starts_with(API);
    let limit = app.config.limits.max_target_bytes;
    if target_bytes > limit {
        let error = ApiError::bad_data(format!("the request's target is over the limit of {limit} bytes; use POST"));
        return (None, finish(error.with_status(StatusCode::URI_TOO_LONG).into_reply(api), &head.headers));
    }
    if head.method == Method::OPTIONS && api {
        return (None, finish(Reply::no_content(), &head.headers));
    }
    let (route, place, open) = match router::find(ROUTES, &head.method, path) {
        Found::Route(route, place, open) => (route, place, open.unwrap_or_default()),
        Found::WrongMethod(route, place) => {
            return (Some(place), finish(wrong_method(route, &head.method, api), &head.headers));
        }
        Found::Nothing => {
            let error = ApiError::new(ErrorType::NotFound, format!("there is nothing at {path:?}"));
            return (None, finish(error.into_reply(api), &head.headers));
        }
    };
    let headers = head.headers.clone();
    let finished = match run(app, route, head, open, incoming).await {
        Ok(finished) => finished,
        Err(error) => finish(error.into_reply(api), &headers),
    };
    (Some(place), finished)
}

fn wrong_method(route: &Route, method: &Method, api: bool) -> Reply {
    let mut allowed = String::new();
    for (i, method) in route.methods.iter().enumerate() {
        allowed.push_str(if i > 0 { ", " } else { "" });
        allowed.push_str(method.as_str());
    }
    let error = ApiError::bad_data(format!("{} does not take {method}; use {allowed}", route.path))
        .with_status(StatusCode::METHOD_NOT_ALLOWED)
        .into_reply(api);
    match HeaderValue::from_str(&allowed) {
        Ok(value) => error.with_header(ALLOW, value),
        Err(_) => error,
    }
}

/// Reads the body, waits for a place in the route's pool and runs the handler there.
async fn run(
    app: &Arc<App>,
    route: &'static Route,
    head: Head,
    open_segment: String,
    incoming: Incoming,
) -> Result<Finished, ApiError> {
    let Head { method, query, headers, received } = head;
    let limits = &app.config.limits;
    let limit = match route.accepts {
        Accepts::Form => limits.max_form_bytes,
        Accepts::Raw => limits.max_body_bytes,
    };
    let received_body = if method == Method::POST || method == Method::PUT {
        body::receive(incoming, limit, limits.body_timeout, &app.work.bodies).await?
    } else {
        ReceivedBody::default()
    };
    let is_form = headers
        .get(CONTENT_TYPE)
        .and_then(|t| t.to_str().ok())
        .is_some_and(|t| t.trim_start().to_ascii_lowercase().starts_with("application/x-www-form-urlencoded"));
    let form = if route.accepts == Accepts::Form && is_form { &*received_body.bytes } else { &[] };
    let params = Params::parse(form, &query)?;

    let flag = Arc::new(AtomicBool::new(false));
    let app = Arc::clone(app);
    let guard = CancelOnDrop::new(Arc::clone(&flag));
    let handle = {
        let app = Arc::clone(&app);
        move || {
            let body = if route.accepts == Accepts::Raw { &*received_body.bytes } else { &[] };
            let (headers, params, cancel) = (&headers, &params, &flag);
            let is_get = method == Method::GET || method == Method::HEAD;
            let request =
                Request { app: &app, headers, is_get, params, body, open_segment: &open_segment, received, cancel };
            (route.handler)(&request).map(|reply| finish(reply, headers))
        }
    };
    let Some(pool) = app.work.pool(route.class) else {
        let finished = handle();
        guard.disarm();
        return finished;
    };
    let place = pool.enter().await.map_err(|why| no_place(route.class, why))?;
    let done = tokio::task::spawn_blocking(move || {
        let mut finished = handle();
        if let Ok(Finished { body: FinishedBody::Streamed(producer), .. }) = &mut finished {
            // The place in the pool is kept until the last part is made.
            let inner = std::mem::replace(producer, Box::new(|_| {}));
            *producer = Box::new(move |sender| {
                let _place = place;
                inner(sender);
            });
        }
        finished
    })
    .await;
    guard.disarm();
    done.unwrap_or_else(|panic| {
        tracing::error!(route = route.path, %panic, "a handler panicked");
        Err(ApiError::internal("the server failed on this request; its log says more"))
    })
}

fn no_place(class: Class, why: NoPlace) -> ApiError {
    match (class, why) {
        (Class::Query, NoPlace::TimedOut) => ApiError::new(ErrorType::Timeout, "query timed out in query queue"),
        (Class::Query, NoPlace::Full) => {
            ApiError::new(ErrorType::Unavailable, "too many queries wait already; try again later")
        }
        (Class::Write, _) => {
            ApiError::new(ErrorType::Unavailable, "more writes than the server can take; try again later")
        }
        (Class::Admin, _) => {
            ApiError::new(ErrorType::Unavailable, "other administrative requests are still running; try again later")
        }
        (Class::Monitor | Class::Inline, _) => {
            ApiError::new(ErrorType::Unavailable, "too many such requests wait already; try again later")
        }
    }
    .with_status(StatusCode::SERVICE_UNAVAILABLE)
    .with_retry_after(RETRY_SECONDS)
}

/// Compresses a reply and gathers its headers.
fn finish(reply: Reply, request: &HeaderMap) -> Finished {
    let mut headers = HeaderMap::new();
    if !reply.content_type.is_empty() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    }
    for (name, value) in reply.headers {
        headers.append(name, value);
    }
    let body = match reply.body {
        ReplyBody::Streamed(producer) => FinishedBody::Streamed(producer),
        ReplyBody::Whole(bytes) if headers.contains_key(CONTENT_ENCODING) => FinishedBody::Whole(bytes),
        ReplyBody::Whole(bytes) => {
            headers.append(VARY, HeaderValue::from_static("Accept-Encoding"));
            let encoding = compress::negotiate(request);
            match encoding.and_then(|e| Some((e, compress::compress(&bytes, e)?))) {
                Some((encoding, compressed)) => {
                    headers.insert(CONTENT_ENCODING, encoding.header());
                    FinishedBody::Whole(compressed)
                }
                None => FinishedBody::Whole(bytes),
            }
        }
    };
    // A body that was not read to its end cannot be skipped when it is too large or too slow: the connection ends.
    if matches!(reply.status, StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT) {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Finished { status: reply.status, headers, body }
}

fn respond(finished: Finished, is_head: bool) -> Response<Body> {
    let mut headers = finished.headers;
    let body = match finished.body {
        FinishedBody::Whole(bytes) => {
            if finished.status != StatusCode::NO_CONTENT {
                headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
            }
            Body::whole(if is_head { Vec::new() } else { bytes })
        }
        FinishedBody::Streamed(_) if is_head => Body::whole(Vec::new()),
        FinishedBody::Streamed(producer) => {
            let (sender, body) = Body::streamed();
            tokio::task::spawn_blocking(move || producer(sender));
            body
        }
    };
    let mut response = Response::new(body);
    *response.status_mut() = finished.status;
    *response.headers_mut() = headers;
    response
}
