//! `/api/v1/labels` and `/api/v1/label/<name>/values`.

use crate::server::{
    json,
    request::Request,
    respond::{ApiError, Reply, Success},
};

use super::{TRUNCATED, selectors::matcher_sets, storage_error};

/// The names of all labels, or of those of selected series.
pub(crate) fn names(request: &Request<'_>) -> Result<Reply, ApiError> {
    let limit = request.params.limit()?;
    let range = request.params.range()?;
    let sets = matcher_sets(request.params).map_err(ApiError::bad_data)?;
    let snapshot = request.app.engine.snapshot();
    let names = snapshot.label_names(&sets, range).map_err(storage_error)?;
    Ok(list(&names, limit, snapshot.warnings(range)))
}

/// The values of one label, of all series or of selected ones.
pub(crate) fn values(request: &Request<'_>) -> Result<Reply, ApiError> {
    let name = unescape(request.open_segment).unwrap_or_else(|| request.open_segment.to_owned());
    if name.is_empty() {
        return Err(ApiError::bad_data(format!("invalid label name: {name:?}")));
    }
    let limit = request.params.limit()?;
    let range = request.params.range()?;
    let sets = matcher_sets(request.params).map_err(ApiError::bad_data)?;
    let snapshot = request.app.engine.snapshot();
    let values = snapshot.label_values(&name, &sets, range).map_err(storage_error)?;
    Ok(list(&values, limit, snapshot.warnings(range)))
}

fn list(texts: &[String], limit: Option<usize>, mut warnings: Vec<String>) -> Reply {
    let shown = texts.get(..limit.unwrap_or(texts.len())).unwrap_or(texts);
    if shown.len() < texts.len() {
        warnings.push(TRUNCATED.to_owned());
    }
    let mut success = Success::new();
    json::strings(success.data(), shown);
    success.finish_with(&warnings, &[])
}

/// Undoes `U__` escaping of names that are no legacy names: `__` is an underscore, `_2e_` the character U+2E. `None`
/// when the text is not escaped, or not well: then it stands for itself.
fn unescape(text: &str) -> Option<String> {
    let mut rest = text.strip_prefix("U__")?;
    let mut name = String::with_capacity(rest.len());
    while let Some((plain, tail)) = rest.split_once('_') {
        name.push_str(plain);
        let (code, tail) = tail.split_once('_')?;
        if code.is_empty() {
            name.push('_');
        } else if code.len() <= 5 && code.bytes().all(|b| b.is_ascii_hexdigit()) {
            name.push(char::from_u32(u32::from_str_radix(code, 16).ok()?)?);
        } else {
            return None;
        }
        rest = tail;
    }
    name.push_str(rest);
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_names_are_unescaped() {
        for (escaped, name) in [
            ("U__a_2e_b", Some("a.b")),
            ("U__a__b", Some("a_b")),
            ("U___1f600_", Some("\u{1f600}")),
            ("U__plain", Some("plain")),
            ("U__", Some("")),
            ("job", None),
            ("U__a_", None),
            ("U__a_zz_b", None),
            ("U__a_d800_", None),
            ("U__a_1234567_", None),
        ] {
            assert_eq!(unescape(escaped).as_deref(), name, "{escaped}");
        }
    }
}
