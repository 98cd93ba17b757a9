//! Settings that clients are told of, at the start and whenever they change.

use chronolith_sql::{Session, clock::Zone};

use super::{
    backend::Output,
    cells::Style,
    failure::{Failure, Notice, Result},
};

/// The settings that are told, with their values where the session has none.
const REPORTED: [(&str, &str); 13] = [
    ("server_version", "16.6 (Chronolith)"),
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

/// What the client was told last.
pub(crate) struct Told {
    values: [String; REPORTED.len()],
    zone_name: String,
    style: Style,
}

impl Told {
    /// Tells everything for the first time.
    pub(crate) fn begin(session: &Session, out: &mut Output) -> Self {
        let values = REPORTED.map(|(name, default)| session.setting(name).unwrap_or_else(|| default.to_owned()));
        for ((name, _), value) in REPORTED.iter().zip(&values) {
            out.parameter_status(name, value);
        }
        let zone_name = session.setting("TimeZone").unwrap_or_else(|| "UTC".to_owned());
        let style = Style { zone: zone(&zone_name) };
        Self { values, zone_name, style }
    }

    /// Tells what changed since.
    pub(crate) fn report(&mut self, session: &Session, out: &mut Output) {
        for ((name, _), told) in REPORTED.iter().zip(&mut self.values) {
            if let Some(value) = session.setting(name).filter(|value| value != told) {
                out.parameter_status(name, &value);
                *told = value;
            }
        }
    }

    /// How texts are written now.
    pub(crate) fn style(&mut self, session: &Session) -> Style {
        if let Some(name) = session.setting("TimeZone").filter(|name| *name != self.zone_name) {
            self.style.zone = zone(&name);
            self.zone_name = name;
        }
        self.style.clone()
    }
}

/// The zone of a name that the session took, so there is one.
fn zone(name: &str) -> Zone {
    Zone::parse(name).unwrap_or(Zone::UTC)
}

/// Makes a setting of the startup packet the session's. One that does not exist is told of and left.
pub(crate) fn apply(session: &mut Session, name: &str, value: &str, out: &mut Output) -> Result<()> {
    if name == "client_encoding" && is_utf8(value) {
        return Ok(());
    }
    match session.set(name, value) {
        Ok(()) => Ok(()),
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
