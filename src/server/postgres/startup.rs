//! From the first byte of a connection to its session: TLS, cancel requests, versions, the login.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use super::{
    Postgres,
    channel::Channel,
    counters::count,
    failure::{Failure, Result},
    scram::{Exchange, MECHANISM, ScramError, Verifier},
    users::Users,
};
use crate::ingest::postgres::frontend::{Malformed, Message, Startup, sasl_initial};

/// Codes of authentication requests.
const AUTHENTICATION_OK: u32 = 0;
const AUTHENTICATION_SASL: u32 = 10;
const AUTHENTICATION_SASL_CONTINUE: u32 = 11;
const AUTHENTICATION_SASL_FINAL: u32 = 12;
/// Packets before the one that starts the session: a wish for GSSAPI, a wish for TLS.
const MAX_WISHES: usize = 2;

/// Who came, and what for.
#[derive(Debug, Clone)]
pub(crate) struct Login {
    pub(crate) user: String,
    pub(crate) database: String,
    /// Settings for the session.
    pub(crate) settings: Vec<(String, String)>,
}

/// Brings a connection to its session. `None`: it came to cancel another one's statement, which was done.
pub(crate) async fn open(server: &Postgres, channel: &mut Channel, is_full: bool) -> Result<Option<Login>> {
    let mut wishes = 0;
    let body = loop {
        let body = channel.startup_packet().await?;
        match Startup::decode(&body).map_err(fatal)? {
            Startup::Ssl if wishes < MAX_WISHES => start_tls(server, channel).await?,
            Startup::Gss if wishes < MAX_WISHES => answer(channel, b'N').await?,
            Startup::Ssl | Startup::Gss => return Err(Failure::fatal(b"08P01", "a start of the session was expected")),
            Startup::Cancel { process, secret } => {
                count(&server.app.postgres.cancel_requests);
                server.keys.cancel(process, secret);
                return Ok(None);
            }
            Startup::Start { .. } => break body,
        }
        wishes += 1;
    };
    let Startup::Start { minor, parameters } = Startup::decode(&body).map_err(fatal)? else { return Ok(None) };
    let unknown: Vec<&str> = parameters.iter().map(|(name, _)| *name).filter(|n| n.starts_with("_pq_.")).collect();
    if minor > 0 || !unknown.is_empty() {
        channel.out.negotiate_version(&unknown);
    }
    let login = read_login(&parameters)?;
    if is_full {
        count(&server.app.postgres.refused);
        return Err(Failure::fatal(b"53300", "sorry, too many clients already"));
    }
    if let Some(users) = &server.app.config.postgres.users {
        let checked = check_password(server, channel, users, &login.user).await;
        if let Err(Failure::Fatal(_)) = &checked {
            server.app.postgres.logins_failed.fetch_add(1, Relaxed);
        }
        checked?;
    }
    channel.out.authentication(AUTHENTICATION_OK, &[]);
    Ok(Some(login))
}

/// Before the login everything that is malformed ends the connection.
fn fatal(malformed: Malformed) -> Failure {
    match Failure::from(malformed) {
        Failure::Statement(error) => Failure::Fatal(error),
        other => other,
    }
}

async fn answer(channel: &mut Channel, byte: u8) -> Result<()> {
    channel.out.bytes.push(byte);
    channel.flush().await
}

async fn start_tls(server: &Postgres, channel: &mut Channel) -> Result<()> {
    let Some(tls) = server.app.config.postgres.tls.as_ref().filter(|_| !channel.is_encrypted()) else {
        return answer(channel, b'N').await;
    };
    // Bytes sent ahead in plain would be taken for the client's encrypted ones: whoever sits between could have put them.
    if channel.has_input() {
        return Err(Failure::fatal(b"08P01", "received unencrypted data after SSL request"));
    }
    answer(channel, b'S').await?;
    channel.start_tls(Arc::clone(&tls.0)).await
}

fn read_login(parameters: &[(&str, &str)]) -> Result<Login> {
    let get = |name: &str| parameters.iter().find(|(n, _)| *n == name).map(|(_, value)| *value);
    let user = get("user").filter(|user| !user.is_empty());
    let user = user.ok_or_else(|| Failure::fatal(b"28000", "no PostgreSQL user name specified in startup packet"))?;
    if get("replication").is_some_and(|r| !matches!(r, "false" | "off" | "no" | "0")) {
        return Err(Failure::fatal(b"0A000", "replication connections are not supported"));
    }
    let mut settings = Vec::new();
    for (name, value) in parameters {
        match *name {
            "user" | "database" | "replication" => {}
            "options" => settings.extend(read_options(value)?),
            name if name.starts_with("_pq_.") => {}
            name => settings.push((name.to_owned(), (*value).to_owned())),
        }
    }
    let database = get("database").filter(|database| !database.is_empty()).unwrap_or(user);
    Ok(Login { user: user.to_owned(), database: database.to_owned(), settings })
}

/// Settings in the form of a command line: `-c name=value --name=value`; a backslash keeps a space.
fn read_options(text: &str) -> Result<Vec<(String, String)>> {
    let mut words = vec![String::new()];
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (character, words.last_mut()) {
            ('\\', Some(word)) => word.extend(characters.next()),
            (c, _) if c.is_ascii_whitespace() => words.push(String::new()),
            (c, Some(word)) => word.push(c),
            (_, None) => {}
        }
    }
    let mut settings = Vec::new();
    let mut words = words.into_iter().filter(|word| !word.is_empty());
    while let Some(word) = words.next() {
        let setting = match (word.strip_prefix("--"), word.strip_prefix("-c")) {
            (Some(setting), _) => Some(setting.to_owned()),
            (None, Some("")) => words.next(),
            (None, Some(setting)) => Some(setting.to_owned()),
            (None, None) => None,
        };
        let Some((name, value)) = setting.as_deref().and_then(|setting| setting.split_once('=')) else {
            return Err(Failure::fatal(b"42601", format!("invalid command-line argument for server process: {word}")));
        };
        settings.push((name.replace('-', "_"), value.to_owned()));
    }
    Ok(settings)
}

/// The data of the next message, which must be one of the login.
async fn password_message(channel: &mut Channel) -> Result<super::channel::RawMessage> {
    channel.flush().await?;
    let message = channel.message().await?;
    if message.kind != b'p' {
        return Err(Failure::fatal(b"08P01", format!("expected SASL response, got message type {}", message.kind)));
    }
    Ok(message)
}

async fn check_password(server: &Postgres, channel: &mut Channel, users: &Users, user: &str) -> Result<()> {
    let wrong = |e: ScramError| Failure::fatal(b"08P01", e.to_string());
    let verifier = users.get(user).cloned().unwrap_or_else(|| Verifier::of_nobody(user, &server.secret));
    channel.out.authentication(AUTHENTICATION_SASL, format!("{MECHANISM}\0\0").as_bytes());
    let first = password_message(channel).await?;
    let (mechanism, data) = sasl_initial(&first.body).map_err(fatal)?;
    if mechanism != MECHANISM {
        return Err(Failure::fatal(b"08P01", "client selected an invalid SASL authentication mechanism"));
    }
    let exchange = Exchange::begin(data, verifier).map_err(wrong)?;
    channel.out.authentication(AUTHENTICATION_SASL_CONTINUE, exchange.server_first().as_bytes());
    let last = password_message(channel).await?;
    let Message::Password(data) = Message::decode(last.kind, &last.body).map_err(fatal)? else {
        return Err(Failure::fatal(b"08P01", "expected SASL response"));
    };
    match exchange.finish(data).map_err(wrong)? {
        Some(proof) => {
            channel.out.authentication(AUTHENTICATION_SASL_FINAL, proof.as_bytes());
            Ok(())
        }
        None => Err(Failure::fatal(b"28P01", format!("password authentication failed for user \"{user}\""))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_come_with_the_startup_packet() {
        let login = read_login(&[
            ("user", "ana"),
            ("application_name", "psql"),
            ("options", "-c a=1 -cb=2 --search-path=x\\ y "),
            ("_pq_.new", "1"),
        ])
        .unwrap();
        assert_eq!((login.user.as_str(), login.database.as_str()), ("ana", "ana"));
        let settings: Vec<_> = login.settings.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(settings, [("application_name", "psql"), ("a", "1"), ("b", "2"), ("search_path", "x y")]);
        for (parameters, state) in [
            (vec![], "28000"),
            (vec![("user", "")], "28000"),
            (vec![("user", "a"), ("replication", "true")], "0A000"),
            (vec![("user", "a"), ("options", "-x")], "42601"),
            (vec![("user", "a"), ("options", "-c")], "42601"),
        ] {
            let Err(Failure::Fatal(error)) = read_login(&parameters) else { panic!("{parameters:?}") };
            assert_eq!(error.state.as_str(), state, "{parameters:?}");
        }
    }
}
