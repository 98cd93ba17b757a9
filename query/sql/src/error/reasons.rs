//! PostgreSQL's codes for what DataFusion and Arrow tell in words only.

use super::SqlError;

/// What a reason has in it, and its code.
const CODES: &[(&str, &[u8; 5])] = &[
    ("Invalid function", b"42883"),
    ("No function matches the given name and argument types", b"42883"),
    ("operator does not exist", b"42883"),
    ("must be in the GROUP BY clause", b"42803"),
    ("must appear in the GROUP BY clause", b"42803"),
    ("Aggregate functions are not allowed", b"42803"),
    ("Aggregate function calls cannot be nested", b"42803"),
    ("Cannot coerce arithmetic", b"42883"),
    ("Cannot infer common argument type", b"42883"),
    ("Cannot coerce", b"42804"),
    ("The subquery should only return one column", b"42601"),
    ("queries have different number of columns", b"42601"),
    ("Order by column out of bounds", b"42P10"),
    ("For SELECT DISTINCT, ORDER BY", b"42P10"),
    ("LIMIT must be >= 0", b"2201W"),
    ("OFFSET must be >= 0", b"2201X"),
    ("Scalar subquery returned more than one row", b"21000"),
    ("negative count not allowed", b"22011"),
    ("cannot take square root of a negative number", b"2201F"),
    ("zero raised to a negative power", b"2201F"),
    ("yields a complex result", b"2201F"),
    ("is too large to store in a Decimal", b"22003"),
    ("is too small to store in a Decimal", b"22003"),
    ("rithmetic overflow", b"22003"),
    ("rithmetic Overflow", b"22003"),
    ("overflow on abs", b"22003"),
    ("out of range", b"22003"),
    ("division by zero", b"22012"),
    ("Divide by zero", b"22012"),
];

/// The error for a reason; `otherwise` is its code when the words tell none.
pub(super) fn of(reason: String, otherwise: [u8; 5]) -> SqlError {
    let reason = reason.strip_prefix("Execution error: ").map_or(reason.clone(), str::to_owned);
    if let Some(error) = no_function(&reason) {
        return error;
    }
    let code = CODES.iter().find(|(words, _)| reason.contains(words)).map_or(&otherwise, |(_, code)| code);
    if reason.contains("to store in a Decimal") {
        return SqlError::new(code, "numeric field overflow").with_detail(reason);
    }
    SqlError::new(code, reason)
}

/// The error that no function takes these arguments, without what DataFusion tells of itself.
fn no_function(reason: &str) -> Option<SqlError> {
    const WORDS: &str = "No function matches the given name and argument types";
    let (_, call) = reason.split_once(WORDS).and_then(|_| reason.rsplit_once(&format!("{WORDS} '")))?;
    let (call, _) = call.split_once("'. You might")?;
    let own = reason.split_once("user-defined coercion failed with: Error during planning: ");
    let message = match own.and_then(|(_, own)| own.split(WORDS).next()) {
        Some(own) => own.trim().trim_end_matches('.').to_owned(),
        None => format!("function {call} does not exist"),
    };
    Some(SqlError::new(b"42883", message).with_hint(format!("{WORDS}. You might need to add explicit type casts.")))
}

/// PostgreSQL's names of the types that Arrow names in errors of casts.
const TYPES: &[(&str, &str, i128)] = &[
    ("Int16", "smallint", i16::MAX as i128),
    ("Int32", "integer", i32::MAX as i128),
    ("Int64", "bigint", i64::MAX as i128),
    ("Float32", "real", 0),
    ("Float64", "double precision", 0),
    ("Decimal128", "numeric", 0),
    ("Boolean", "boolean", 0),
    ("Date32", "date", 0),
    ("Timestamp", "timestamp", 0),
];

/// The error of a cast, from words such as `Cannot cast string 'a' to value of Int32 type`.
pub(super) fn cast(reason: String) -> SqlError {
    let named = |text: &str| TYPES.iter().find(|(arrow, ..)| text.starts_with(arrow));
    if let Some(rest) = reason.strip_prefix("Cannot cast string '")
        && let Some((text, rest)) = rest.rsplit_once("' to value of ")
        && let Some((_, name, most)) = named(rest)
    {
        let text: String = text.chars().take(100).collect();
        let beyond = *most > 0 && text.trim().parse::<i128>().is_ok_and(|v| v > *most || v < -*most - 1);
        return match *name {
            _ if beyond => SqlError::new(b"22003", format!("value \"{text}\" is out of range for type {name}")),
            "date" | "timestamp" => {
                SqlError::new(b"22007", format!("invalid input syntax for type {name}: \"{text}\""))
            }
            _ => SqlError::new(b"22P02", format!("invalid input syntax for type {name}: \"{text}\"")),
        };
    }
    if let Some(rest) = reason.strip_prefix("Can't cast value ")
        && let Some((_, rest)) = rest.split_once(" to type ")
        && let Some((_, name, 1..)) = named(rest)
    {
        return SqlError::new(b"22003", format!("{name} out of range"));
    }
    if let Some(rest) = reason.strip_prefix("Error parsing timestamp from '")
        && let Some((text, _)) = rest.split_once("': ")
    {
        return SqlError::new(b"22007", format!("invalid input syntax for type timestamp: \"{text}\""));
    }
    of(reason, *b"22P02")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_no_function_takes_is_told_without_what_it_is_planned_with() {
        let wrong = "No function matches the given name and argument types 'f(Utf8, Date32)'. You might need to add explicit \
                     type casts.\n\tCandidate functions:\n\tf(Any)";
        for (before, message) in [
            (
                "Internal error: Function 'f' failed to match any signature, errors: ..",
                "function f(Utf8, Date32) does not exist",
            ),
            (
                "Execution error: Function 'f' user-defined coercion failed with: Error during planning: function f(text, \
                 date) does not exist; it is called as f(text).",
                "function f(text, date) does not exist; it is called as f(text)",
            ),
        ] {
            let error = of(format!("{before} {wrong}"), *b"42000");
            assert_eq!((error.state.as_str(), error.message.as_str()), ("42883", message));
            assert!(error.hint.is_some_and(|hint| hint.contains("explicit type casts")));
        }
    }

    #[test]
    fn words_of_casts_become_postgres_errors() {
        for (reason, code, message) in [
            ("Cannot cast string 'a' to value of Int32 type", "22P02", "invalid input syntax for type integer: \"a\""),
            (
                "Cannot cast string '99999999999' to value of Int32 type",
                "22003",
                "value \"99999999999\" is out of range for type integer",
            ),
            ("Can't cast value 70000 to type Int16", "22003", "smallint out of range"),
            ("Cannot cast string 'x' to value of Date32 type", "22007", "invalid input syntax for type date: \"x\""),
            ("something else", "22P02", "something else"),
        ] {
            let error = cast(reason.to_owned());
            assert_eq!((error.state.as_str(), error.message.as_str()), (code, message));
        }
    }
}
