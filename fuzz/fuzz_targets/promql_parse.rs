//! Parses any text as PromQL and as series notation: nothing panics, and what is printed parses to the same.

#![no_main]

use chronolith_promql::{parse, parse_selector, pretty, series_notation};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = parse_selector(text);
    let _ = series_notation::parse_series(text);
    let _ = series_notation::parse_load(text);
    let Ok(expr) = parse(text) else { return };
    let printed = expr.to_string();
    // Printing adds spaces and quotes, so a text near the limit may pass it.
    if printed.len() <= chronolith_promql::MAX_QUERY_LEN {
        let again = parse(&printed).expect("what is printed parses");
        assert_eq!(again.to_string(), printed);
        assert_eq!(pretty(&again), pretty(&expr));
    }
});
