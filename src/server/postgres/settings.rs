//! Settings that clients are told of, at the start and whenever they change.

use chronolith_sql::Session;

use super::{
    backend::Output,
    calendar::Zone,
    cells::Style,
    failure::{Failure, Notice, Result},
    startup::Login,
};

/// What clients take for the server's version: they choose what they ask by it.
pub(crate) const SERVER_VERSION: &str = concat!("16.6 (Chronolith ", env!("CARGO_PKG_VERSION"), ")");

/// The settings that are told, with their values unless the session says otherwise.
const REPORTED: [(&str, &str); 13] = [
    ("server_version", SERVER_VERSION),
    ("server_encoding", "UTF8"),
    ("client_encoding", "UTF8"),
    ("application_name", ""),
    ("default_transaction_read_only", "off"),
    ("in_hot_standby", "off"),
    ("is_superuser", "on"),
    ("session_authorization", ""),
    ("DateStyle", "ISO, MDY"),
    ("IntervalStyle", "postgres"),
    ("TimeZone", "UTC"),
    ("integer_datetimes", "on"),
    ("standard_conforming_strings", "on"),
];
/// Settings that hold for the server or the connection, whatever the session says.
const FIXED: [&str; 6] = [
    "server_version",
    "server_encoding",
    "in_hot_standby",
    "is_superuser",
    "session_authorization",
    "integer_datetimes",
];

/// What the client was told last.
pub(crate) struct Told {
    values: [String; REPORTED.len()],
    style: Style,
}

impl Told {
    /// Tells everything for the first time.
    pub(crate) fn begin(session: &Session, login: &Login, out: &mut Output) -> Self {
        let values = REPORTED.map(|(name, default)| match name {
            "session_authorization" => login.user.clone(),
            name if FIXED.contains(&name) => default.to_owned(),
            name => session.setting(name).unwrap_or_else(|| default.to_owned()),
        });
        for ((name, _), value) in REPORTED.iter().zip(&values) {
            out.parameter_status(name, value);
        }
        let zone = session.setting("TimeZone").unwrap_or_else(|| "UTC".to_owned());
        Self { values, style: Style { zone: Zone::named(&zone) } }
    }

    /// Tells what changed since.
    pub(crate) fn report(&mut self, session: &Session, out: &mut Output) {
        for ((name, _), told) in REPORTED.iter().zip(&mut self.values).filter(|((name, _), _)| !FIXED.contains(name)) {
            if let Some(value) = session.setting(name).filter(|value| value != told) {
                out.parameter_status(name, &value);
                *told = value;
            }
        }
    }

    /// How texts are written now.
    pub(crate) fn style(&mut self, session: &Session) -> Style {
        let zone = session.setting("TimeZone");
        if let Some(zone) = zone.filter(|zone| *zone != self.style.zone.name) {
            self.style.zone = Zone::named(&zone);
        }
        self.style.clone()
    }
}

/// Makes a setting of the startup packet the session's. One that does not exist is told of and left.
pub(crate) async fn apply(session: &mut Session, name: &str, value: &str, out: &mut Output) -> Result<()> {
    if name == "client_encoding" && is_utf8(value) {
        return Ok(());
    }
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
    if name.is_empty() || !name.chars().all(is_name) {
        return Err(Failure::fatal(b"42704", format!("unrecognized configuration parameter \"{name}\"")));
    }
    // With quotes each of these is one list's element, not the list.
    let is_list = name.eq_ignore_ascii_case("DateStyle") || name.eq_ignore_ascii_case("search_path");
    let plain = is_list && value.chars().all(|c| is_name(c) || matches!(c, ',' | ' ')) && !value.trim().is_empty();
    let value = if plain { value.to_owned() } else { format!("'{}'", value.replace('\'', "''")) };
    match session.run(&format!("SET {name} TO {value}")).await {
        Ok(_) => Ok(()),
        Err(error) if error.state.as_str() == "42704" => {
            out.notice(&Notice::warning("42704", format!("{error}; it is ignored")));
            Ok(())
        }
        Err(error) => Err(Failure::Fatal(Box::new(error))),
    }
}

/// Whether a client's encoding is UTF-8, or one that has no other bytes than those it sends.
fn is_utf8(encoding: &str) -> bool {
    let plain: String = encoding.chars().filter(char::is_ascii_alphanumeric).collect();
    matches!(plain.to_ascii_lowercase().as_str(), "utf8" | "unicode" | "sqlascii")
}
