//! The `match[]` parameter.

use chronolith_promql::parse_selector;
use chronolith_storage::Matcher;

use crate::server::params::Params;

/// The field that holds selectors.
pub(crate) const FIELD: &str = "match[]";

/// Reads every selector of a request; each must exclude series that have none of its labels.
pub(crate) fn matcher_sets(params: &Params) -> Result<Vec<Vec<Matcher>>, String> {
    params
        .all(FIELD)
        .map(|text| {
            let set = parse_selector(text).map_err(|e| e.to_string())?;
            if set.iter().all(Matcher::matches_empty) {
                return Err("match[] must contain at least one non-empty matcher".to_owned());
            }
            Ok(set)
        })
        .collect()
}
