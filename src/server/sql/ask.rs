//! What a request asks: the statement, and the format of the answer.

use hyper::{
    StatusCode,
    header::{ACCEPT, CONTENT_TYPE},
};

use super::format::Format;
use crate::server::{params::Params, request::Request, respond::ApiError};

const FORM: &str = "application/x-www-form-urlencoded";
/// Parameters, of the target or of a form.
const PARAMETERS: [&str; 2] = ["query", "format"];

/// A statement and how its rows are wanted.
pub(super) struct Ask {
    pub(super) query: String,
    pub(super) format: Format,
    /// Whether it may only read.
    pub(super) read_only: bool,
}

/// A body of JSON.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonBody {
    query: String,
    #[serde(default)]
    format: String,
}

impl Ask {
    /// The statement is the parameter `query`, of the target or of a form; the field `query` of a JSON object; or a body of
    /// any other type as a whole. A form that begins with none of the parameters is a statement, too: curl calls whatever
    /// it is given by `-d` a form.
    pub(super) fn of(request: &Request<'_>) -> Result<Self, ApiError> {
        let limit = request.app.config.limits.max_form_bytes;
        if request.body.len() > limit {
            return Err(ApiError::bad_data(format!("the statement is over the limit of {limit} bytes"))
                .with_status(StatusCode::PAYLOAD_TOO_LARGE));
        }
        let content_type = request.header(&CONTENT_TYPE).unwrap_or("").to_ascii_lowercase();
        let name = content_type.split(';').next().unwrap_or("").trim();
        let is_form = name == FORM && begins_with_parameter(request.body);
        let form = Params::parse(if is_form { request.body } else { &[] }, "")?;
        for params in [&form, request.params] {
            params.allow(&PARAMETERS)?;
        }
        let mut query = request.params.get("query").to_owned();
        let mut format = request.params.get("format").to_owned();
        match name {
            FORM if is_form => {
                query = first(form.get("query"), query);
                format = first(form.get("format"), format);
            }
            "application/json" => {
                let body: JsonBody = serde_json::from_slice(request.body).map_err(|e| {
                    ApiError::bad_data(format!("the body is no object such as {{\"query\": \"SELECT 1\"}}: {e}"))
                })?;
                query = body.query;
                format = first(&body.format, format);
            }
            _ if !request.body.is_empty() => {
                query = std::str::from_utf8(request.body)
                    .map_err(|e| ApiError::bad_data(format!("the statement is no UTF-8: {e}")))?
                    .to_owned();
            }
            _ => {}
        }
        if query.trim().is_empty() {
            return Err(ApiError::invalid("query", "there is no statement; send it as the body or as this parameter"));
        }
        let format = match format.as_str() {
            "" => Format::accepted(request.header(&ACCEPT).unwrap_or("")),
            name => Format::named(name).ok_or_else(|| {
                ApiError::invalid("format", format!("{name:?} is not known; it is json, ndjson, csv or arrow"))
            })?,
        };
        Ok(Self { query, format, read_only: request.is_get })
    }
}

fn begins_with_parameter(body: &[u8]) -> bool {
    let name = body.split(|byte| *byte == b'=').next().unwrap_or_default();
    PARAMETERS.iter().any(|parameter| parameter.as_bytes() == name)
}

fn first(one: &str, other: String) -> String {
    if one.is_empty() { other } else { one.to_owned() }
}
