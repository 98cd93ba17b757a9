//! A session's settings: those that clients set and show, checked.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    clock::posix_name,
    error::{Result, SqlError},
    objects::{SessionInfo, Setting},
    session::Timeout,
    types::UTC,
    undo::Settings,
};

/// What a setting's value must be.
#[derive(Debug, Clone, Copy)]
enum Check {
    Text,
    Bool,
    Integer,
    Float,
    /// A time; a number counts milliseconds.
    Duration,
    Zone,
    /// One of these, in any case.
    OneOf(&'static [&'static str]),
    /// Only shown.
    Fixed,
}

/// The settings: name, value at the beginning, check, what it is for.
const KNOWN: &[(&str, &str, Check, &str)] = &[
    ("TimeZone", "UTC", Check::Zone, "Sets the time zone for displaying and interpreting time stamps."),
    ("application_name", "", Check::Text, "Sets the application name to be reported in statistics."),
    ("backslash_quote", "safe_encoding", Check::Text, "Sets whether \"\\'\" is allowed in string literals."),
    ("bytea_output", "hex", Check::OneOf(&["hex"]), "Sets the output format for bytea."),
    ("check_function_bodies", "on", Check::Bool, "Check routine bodies during CREATE FUNCTION."),
    (
        "client_encoding",
        "UTF8",
        Check::OneOf(&["utf8", "utf-8", "unicode"]),
        "Sets the client's character set encoding.",
    ),
    ("client_min_messages", "notice", Check::Text, "Sets the message levels that are sent to the client."),
    ("datestyle", "ISO, MDY", Check::Text, "Sets the display format for date and time values."),
    ("default_table_access_method", "heap", Check::Fixed, "Sets the default table access method for new tables."),
    ("default_tablespace", "", Check::Fixed, "Sets the default tablespace to create tables and indexes in."),
    ("default_transaction_deferrable", "off", Check::Bool, "Sets the default deferrable status of new transactions."),
    (
        "default_transaction_isolation",
        "read committed",
        Check::OneOf(&["read committed", "read uncommitted"]),
        "Sets the transaction isolation level of each new transaction.",
    ),
    ("default_transaction_read_only", "off", Check::Bool, "Sets the default read-only status of new transactions."),
    ("escape_string_warning", "on", Check::Bool, "Warn about backslash escapes in ordinary string literals."),
    ("extra_float_digits", "1", Check::Integer, "Sets the number of digits displayed for floating-point values."),
    ("geqo", "on", Check::Bool, "Enables genetic query optimization; has no effect here."),
    (
        "idle_in_transaction_session_timeout",
        "0",
        Check::Duration,
        "Sets the maximum allowed idle time in a transaction; has no effect here.",
    ),
    ("in_hot_standby", "off", Check::Fixed, "Shows whether hot standby is currently active."),
    ("integer_datetimes", "on", Check::Fixed, "Shows whether datetimes are integer based."),
    ("intervalstyle", "postgres", Check::OneOf(&["postgres"]), "Sets the display format for interval values."),
    ("is_superuser", "on", Check::Fixed, "Shows whether the current user is a superuser."),
    ("jit", "off", Check::Bool, "Allow JIT compilation; has no effect here."),
    ("lc_messages", "C", Check::Text, "Sets the language in which messages are displayed."),
    ("lc_monetary", "C", Check::Text, "Sets the locale for formatting monetary amounts."),
    ("lc_numeric", "C", Check::Text, "Sets the locale for formatting numbers."),
    ("lc_time", "C", Check::Text, "Sets the locale for formatting date and time values."),
    ("lock_timeout", "0", Check::Duration, "Sets the maximum allowed duration of any wait for a lock."),
    ("max_identifier_length", "63", Check::Fixed, "Shows the maximum identifier length."),
    ("max_index_keys", "32", Check::Fixed, "Shows the maximum number of index keys."),
    (
        "max_parallel_workers_per_gather",
        "2",
        Check::Integer,
        "Sets the maximum number of parallel processes; has no effect here.",
    ),
    ("random_page_cost", "4", Check::Float, "Sets the planner's estimate of a page's cost; has no effect here."),
    ("role", "none", Check::OneOf(&["none"]), "Sets the current role."),
    ("row_security", "on", Check::Bool, "Enable row security."),
    (
        "search_path",
        "\"$user\", public",
        Check::Text,
        "Sets the schema search order for names that are not schema-qualified.",
    ),
    ("server_encoding", "UTF8", Check::Fixed, "Shows the server (database) character set encoding."),
    ("server_version", "16.6 (Chronolith)", Check::Fixed, "Shows the server version."),
    ("server_version_num", "160006", Check::Fixed, "Shows the server version as an integer."),
    ("session_authorization", "", Check::Fixed, "Shows the session user name."),
    (
        "session_replication_role",
        "origin",
        Check::OneOf(&["origin"]),
        "Sets the session's behavior for triggers and rewrite rules.",
    ),
    (
        "standard_conforming_strings",
        "on",
        Check::OneOf(&["on", "true", "1"]),
        "Causes '...' strings to treat backslashes literally.",
    ),
    ("statement_timeout", "0", Check::Duration, "Sets the maximum allowed duration of any statement."),
    ("synchronous_commit", "on", Check::OneOf(&["on"]), "Sets the current transaction's synchronization level."),
    ("transaction_deferrable", "off", Check::Bool, "Whether a read-only transaction is deferred until it cannot fail."),
    (
        "transaction_isolation",
        "read committed",
        Check::OneOf(&["read committed", "read uncommitted"]),
        "Sets the current transaction's isolation level.",
    ),
    ("transaction_read_only", "off", Check::Bool, "Sets the current transaction's read-only status."),
    ("work_mem", "4MB", Check::Text, "Sets the memory of a query's workspace; has no effect here."),
    ("xmloption", "content", Check::Text, "Sets whether XML data is a document or content."),
];

/// The settings that a session begins with.
pub(crate) fn defaults(user: &str, timeout: Timeout) -> Settings {
    let mut settings: BTreeMap<String, Setting> = KNOWN
        .iter()
        .map(|(name, value, _, description)| {
            let value = (*value).to_owned();
            (name.to_ascii_lowercase(), Setting { value: value.clone(), reset: value, description })
        })
        .collect();
    let mut put = |name: &str, value: String| {
        if let Some(setting) = settings.get_mut(name) {
            setting.value.clone_from(&value);
            setting.reset = value;
        }
    };
    put("session_authorization", user.to_owned());
    put("statement_timeout", timeout.map_or_else(|| "0".to_owned(), |t| duration_text(t.as_millis())));
    Settings::new(settings)
}

/// The name of a setting as it is shown.
pub(crate) fn shown_name(name: &str) -> String {
    match KNOWN.iter().find(|known| known.0.eq_ignore_ascii_case(name)) {
        Some(("datestyle", ..)) => "DateStyle".to_owned(),
        Some(("intervalstyle", ..)) => "IntervalStyle".to_owned(),
        Some((name, ..)) => (*name).to_owned(),
        None => name.to_owned(),
    }
}

fn unknown(name: &str) -> SqlError {
    SqlError::new(b"42704", format!("unrecognized configuration parameter \"{name}\""))
}

/// Sets a setting, with `local` until the transaction ends. Names with a dot are the client's own.
///
/// # Errors
/// `42704` when there is none of this name, `22023` when the value is none of it, `55P02` when it cannot be set.
pub(crate) fn set(info: &SessionInfo, name: &str, value: &str, local: bool) -> Result<()> {
    let key = name.to_ascii_lowercase();
    if key.starts_with("datafusion.") {
        return Err(unknown(name));
    }
    if key.contains('.') {
        let own = Setting { value: value.to_owned(), reset: String::new(), description: "" };
        info.settings().change(local, |settings| {
            settings.entry(key.clone()).or_insert_with(|| own.clone()).value = value.to_owned();
        });
        return Ok(());
    }
    let Some((shown, _, check, _)) = KNOWN.iter().find(|known| known.0.eq_ignore_ascii_case(name)) else {
        return Err(unknown(name));
    };
    let value = checked(shown, value, *check)?;
    info.settings().change(local, |settings| {
        if let Some(setting) = settings.get_mut(&key) {
            setting.value.clone_from(&value);
        }
    });
    Ok(())
}

/// Gives a setting its first value again, with `local` until the transaction ends; all of them when no name is given.
///
/// # Errors
/// `42704` when there is none of this name.
pub(crate) fn reset(info: &SessionInfo, name: Option<&str>, local: bool) -> Result<()> {
    let mut all = info.settings();
    let Some(name) = name else {
        all.change(local, |settings| {
            settings.retain(|name, _| !name.contains('.'));
            for setting in settings.values_mut() {
                setting.value.clone_from(&setting.reset);
            }
        });
        return Ok(());
    };
    let key = name.to_ascii_lowercase();
    if !all.contains_key(&key) {
        return Err(unknown(name));
    }
    all.change(local, |settings| {
        if let Some(setting) = settings.get_mut(&key) {
            setting.value.clone_from(&setting.reset);
        }
    });
    Ok(())
}

/// A setting's value to show.
///
/// # Errors
/// `42704` when there is none of this name.
pub(crate) fn show(info: &SessionInfo, name: &str) -> Result<String> {
    info.setting(name).ok_or_else(|| unknown(name))
}

/// How long a statement of the session may take.
pub(crate) fn statement_timeout(info: &SessionInfo) -> Timeout {
    let millis = parse_duration(&info.setting("statement_timeout")?)?;
    (millis > 0).then(|| Duration::from_millis(millis))
}

fn checked(name: &str, value: &str, check: Check) -> Result<String> {
    let invalid = || SqlError::new(b"22023", format!("invalid value for parameter \"{name}\": \"{value}\""));
    let value = value.trim();
    match check {
        Check::Text => Ok(value.to_owned()),
        Check::Fixed => Err(SqlError::new(b"55P02", format!("parameter \"{name}\" cannot be changed"))),
        Check::Bool => match value.to_ascii_lowercase().as_str() {
            "on" | "true" | "yes" | "1" | "t" | "y" => Ok("on".to_owned()),
            "off" | "false" | "no" | "0" | "f" | "n" => Ok("off".to_owned()),
            _ => Err(invalid()),
        },
        Check::Integer => value.parse::<i64>().map(|v| v.to_string()).map_err(|_| invalid()),
        Check::Float => value.parse::<f64>().map(|v| v.to_string()).map_err(|_| invalid()),
        Check::Duration => parse_duration(value).map(|millis| duration_text(millis.into())).ok_or_else(invalid),
        Check::Zone => zone_name(value).ok_or_else(invalid),
        Check::OneOf(allowed) => {
            let found = allowed
                .iter()
                .find(|allowed| allowed.eq_ignore_ascii_case(value))
                .ok_or_else(|| invalid().with_hint(format!("Available values: {}.", allowed.join(", "))))?;
            Ok(match *found {
                "utf8" | "utf-8" | "unicode" => "UTF8".to_owned(),
                "true" | "1" => "on".to_owned(),
                other => other.to_owned(),
            })
        }
    }
}

/// A zone's name as it is kept: those of UTC that clients use are one, the case does not count, and offsets are hours and
/// minutes east of Greenwich.
fn zone_name(value: &str) -> Option<String> {
    match value.to_ascii_lowercase().as_str() {
        "utc" | "gmt" | "zulu" | "etc/utc" | "universal" | "default" | "local" | "z" | "0" => {
            return Some(UTC.to_owned());
        }
        _ => {}
    }
    if let Some(place) = chrono_tz::TZ_VARIANTS.iter().find(|place| place.name().eq_ignore_ascii_case(value)) {
        return Some(place.name().to_owned());
    }
    // In names such as `GMT-2` or `+05:30`, as POSIX has them, the offset counts to the west. Numbers count to the east.
    let number = value.trim_start_matches(['+', '-']);
    let is_number = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    let flipped = match value.strip_prefix('-') {
        Some(digits) if is_number => digits.to_owned(),
        _ if is_number => format!("-{number}"),
        _ => value.to_owned(),
    };
    posix_name(&flipped).map(|name| if name == "+00:00" { UTC.to_owned() } else { name })
}

/// Milliseconds of a text such as `30s`, `500` or `2min`.
fn parse_duration(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().ok()?;
    let factor = match text[digits..].trim() {
        "" | "ms" => 1,
        "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(factor)
}

fn duration_text(millis: u128) -> String {
    match millis {
        0 => "0".to_owned(),
        m if m.is_multiple_of(60_000) => format!("{}min", m / 60_000),
        m if m.is_multiple_of(1_000) => format!("{}s", m / 1_000),
        m => format!("{m}ms"),
    }
}
