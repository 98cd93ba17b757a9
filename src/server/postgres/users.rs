//! Who may log in: a file of names with passwords, or with what a password can be checked by.

use std::{collections::BTreeMap, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::scram::{KEY_BYTES, Verifier};

/// The form that PostgreSQL keeps in `pg_authid`.
const SCRAM_PREFIX: &str = "SCRAM-SHA-256$";
/// More rounds than this would only be there to keep the server busy.
const MAX_ITERATIONS: u32 = 10_000_000;

/// The users of a file.
#[derive(Debug, Clone, Default)]
pub struct Users(BTreeMap<String, Verifier>);

impl Users {
    /// Reads a file with a `name:password` on each line. In place of the password there may be its verifier, as
    /// PostgreSQL keeps it: `SCRAM-SHA-256$4096:salt$stored-key:server-key`. Empty lines and those that begin with `#`
    /// do not count.
    ///
    /// # Errors
    /// When the file cannot be read, or a line is wrong.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        Self::parse(&text).map_err(|what| format!("{}: {what}", path.display()))
    }

    /// Reads the file's text.
    ///
    /// # Errors
    /// Names the line that is wrong, and not what is in it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut users = BTreeMap::new();
        for (number, line) in text.lines().enumerate().map(|(at, line)| (at + 1, line.trim_end_matches('\r'))) {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, secret) = line
                .split_once(':')
                .filter(|(name, secret)| !name.is_empty() && !secret.is_empty())
                .ok_or_else(|| format!("line {number} is not name:password"))?;
            let verifier = match secret.strip_prefix(SCRAM_PREFIX) {
                Some(kept) => {
                    parse_verifier(kept).ok_or_else(|| format!("line {number}: the verifier is malformed"))?
                }
                None => Verifier::of_password(secret).map_err(|e| format!("line {number}: {e}"))?,
            };
            if users.insert(name.to_owned(), verifier).is_some() {
                return Err(format!("line {number} names a user again: {name}"));
            }
        }
        if users.is_empty() {
            return Err("there is no user in it: a line is name:password".to_owned());
        }
        Ok(Self(users))
    }

    /// What the user's password is checked by.
    pub(crate) fn get(&self, name: &str) -> Option<&Verifier> {
        self.0.get(name)
    }
}

fn parse_verifier(kept: &str) -> Option<Verifier> {
    let (salting, keys) = kept.split_once('$')?;
    let (iterations, salt) = salting.split_once(':')?;
    let (stored, server) = keys.split_once(':')?;
    let key = |text: &str| -> Option<[u8; KEY_BYTES]> { STANDARD.decode(text).ok()?.try_into().ok() };
    Some(Verifier {
        iterations: iterations.parse().ok().filter(|n| (1..=MAX_ITERATIONS).contains(n))?,
        salt: STANDARD.decode(salt).ok()?,
        stored_key: key(stored)?,
        server_key: key(server)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_names_users_and_its_errors_no_passwords() {
        let kept = "SCRAM-SHA-256$4096:c2FsdHNhbHRzYWx0c2FsdA==$CiZpvDNsUCUa5q3iDCmFB3lJQtAjM8qgTeSDvTFKaUk=:\
                    K0gUpu6KHzHMFhNxvTS9VEPiCu0AIQGdWAPNWpBvQ6U=";
        let users = Users::parse(&format!("# who\n\nana:pass:word\nbob:{kept}\r\n")).unwrap();
        assert!(users.get("ana").is_some() && users.get("eve").is_none());
        assert_eq!(users.get("bob").unwrap().iterations, 4096);
        for (text, what) in [
            ("", "no user"),
            ("ana", "line 1"),
            (":secret", "line 1"),
            ("a:secret\na:secret", "line 2"),
            ("a:SCRAM-SHA-256$secret", "line 1"),
            ("a:SCRAM-SHA-256$99999999999:c2FsdA==$QQ==:QQ==", "line 1"),
        ] {
            let error = Users::parse(text).unwrap_err();
            assert!(error.contains(what) && !error.contains("secret"), "{error}");
        }
        assert!(Users::read(Path::new("/nowhere/users")).unwrap_err().contains("/nowhere/users"));
    }
}
