//! Logging in at a broker: SASL with PLAIN and SCRAM (RFC 5802, RFC 7677).

use std::num::NonZeroU32;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use kafka_protocol::messages::{
    ApiKey, SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest, SaslHandshakeResponse,
};
use ring::{digest, hmac, pbkdf2, rand::SecureRandom};

use super::{
    config::{Login, Mechanism},
    connection::{Api, Connection},
    error::KafkaError,
};

const HANDSHAKE: Api = Api { key: ApiKey::SaslHandshake, name: "SaslHandshake", min: 1, max: 1 };
const AUTHENTICATE: Api = Api { key: ApiKey::SaslAuthenticate, name: "SaslAuthenticate", min: 0, max: 2 };

/// Fewer rounds of hashing than this protect no password.
const MIN_ROUNDS: u32 = 4_096;
/// More rounds than this only keep us busy.
const MAX_ROUNDS: u32 = 10_000_000;
const NONCE_BYTES: usize = 24;
/// No channel is bound: `n,,` in Base64.
const NO_BINDING: &str = "biws";

impl Mechanism {
    const fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

/// Logs in on a connection that knows the broker's versions.
pub(super) async fn log_in(connection: &mut Connection, login: &Login) -> Result<(), KafkaError> {
    let address = connection.address().to_owned();
    let refused = |reason: String| KafkaError::Login { address: address.clone(), reason };
    let password = read_password(login)?;
    let name = login.mechanism.name();
    let (answer, _): (SaslHandshakeResponse, _) =
        connection.call(HANDSHAKE, &SaslHandshakeRequest::default().with_mechanism(name.into())).await?;
    if answer.error_code != 0 {
        let theirs: Vec<&str> = answer.mechanisms.iter().map(|m| &**m).collect();
        return Err(refused(format!("it does not offer {name}, only {}", theirs.join(", "))));
    }
    match login.mechanism {
        Mechanism::Plain => {
            let proof = format!("\0{}\0{password}", login.user);
            send(connection, proof.into_bytes()).await.map(|_| ())
        }
        mechanism => {
            let mut nonce = [0; NONCE_BYTES];
            let filled = ring::rand::SystemRandom::new().fill(&mut nonce);
            filled.map_err(|_| refused("the system gives no random bytes".to_owned()))?;
            let scram = Scram::new(mechanism, &login.user, &BASE64.encode(nonce));
            let first = send(connection, format!("n,,{}", scram.first).into_bytes()).await?;
            let (last, signature) = scram.prove(&password, &first).map_err(refused)?;
            let verdict = send(connection, last.into_bytes()).await?;
            Scram::check_server(&verdict, &signature).map_err(refused)
        }
    }
}

/// The password in the file.
pub(super) fn read_password(login: &Login) -> Result<String, KafkaError> {
    let file = |reason| KafkaError::File { path: login.password_file.clone(), reason };
    let text = std::fs::read_to_string(&login.password_file).map_err(|e| file(e.to_string()))?;
    let password = text.strip_suffix('\n').unwrap_or(&text);
    let password = password.strip_suffix('\r').unwrap_or(password);
    if password.is_empty() {
        return Err(file("there is no password in it".to_owned()));
    }
    Ok(password.to_owned())
}

/// Sends a message and returns the broker's.
async fn send(connection: &mut Connection, message: Vec<u8>) -> Result<String, KafkaError> {
    let address = connection.address().to_owned();
    let request = SaslAuthenticateRequest::default().with_auth_bytes(message.into());
    let (answer, _): (SaslAuthenticateResponse, _) = connection.call(AUTHENTICATE, &request).await?;
    if answer.error_code != 0 {
        let reason = answer.error_message.map_or_else(|| format!("error {}", answer.error_code), |m| m.to_string());
        return Err(KafkaError::Login { address, reason });
    }
    String::from_utf8(answer.auth_bytes.to_vec())
        .map_err(|_| KafkaError::Login { address, reason: "its message is no UTF-8".to_owned() })
}

/// One login with SCRAM.
struct Scram {
    hash: hmac::Algorithm,
    rounds_hash: pbkdf2::Algorithm,
    digest: &'static digest::Algorithm,
    nonce: String,
    /// Our first message, without what says that no channel is bound.
    first: String,
}

impl Scram {
    fn new(mechanism: Mechanism, user: &str, nonce: &str) -> Self {
        let (hash, rounds_hash, digest) = match mechanism {
            Mechanism::ScramSha512 => (hmac::HMAC_SHA512, pbkdf2::PBKDF2_HMAC_SHA512, &digest::SHA512),
            _ => (hmac::HMAC_SHA256, pbkdf2::PBKDF2_HMAC_SHA256, &digest::SHA256),
        };
        let user = user.replace('=', "=3D").replace(',', "=2C");
        Self { hash, rounds_hash, digest, nonce: nonce.to_owned(), first: format!("n={user},r={nonce}") }
    }

    /// Our last message, and the signature that the broker must answer with.
    fn prove(&self, password: &str, theirs: &str) -> Result<(String, Vec<u8>), String> {
        let wrong = || format!("its message {theirs:?} makes no sense");
        let part = |name: &str| theirs.split(',').find_map(|p| p.strip_prefix(name));
        let nonce = part("r=").filter(|n| n.starts_with(&self.nonce)).ok_or_else(wrong)?;
        let salt = part("s=").and_then(|s| BASE64.decode(s).ok()).ok_or_else(wrong)?;
        let rounds = part("i=").and_then(|i| i.parse::<u32>().ok()).ok_or_else(wrong)?;
        let Some(rounds) = NonZeroU32::new(rounds).filter(|r| (MIN_ROUNDS..=MAX_ROUNDS).contains(&r.get())) else {
            return Err(format!("it asks for {rounds} rounds of hashing; {MIN_ROUNDS} to {MAX_ROUNDS} are done"));
        };
        let mut salted = vec![0; self.digest.output_len()];
        pbkdf2::derive(self.rounds_hash, rounds, &salt, password.as_bytes(), &mut salted);
        let client_key = self.sign(&salted, b"Client Key");
        let stored_key = digest::digest(self.digest, &client_key);
        let without_proof = format!("c={NO_BINDING},r={nonce}");
        let signed = format!("{},{theirs},{without_proof}", self.first);
        let signature = self.sign(stored_key.as_ref(), signed.as_bytes());
        let proof: Vec<u8> = client_key.iter().zip(&signature).map(|(k, s)| k ^ s).collect();
        let server_key = self.sign(&salted, b"Server Key");
        Ok((format!("{without_proof},p={}", BASE64.encode(proof)), self.sign(&server_key, signed.as_bytes())))
    }

    /// Whether the broker knows the password too.
    fn check_server(verdict: &str, signature: &[u8]) -> Result<(), String> {
        match verdict.split(',').next().and_then(|v| v.strip_prefix("v=")).map(|v| BASE64.decode(v)) {
            Some(Ok(theirs)) if theirs == signature => Ok(()),
            _ => Err(format!("it does not prove that it knows the password: {verdict:?}")),
        }
    }

    fn sign(&self, key: &[u8], message: &[u8]) -> Vec<u8> {
        hmac::sign(&hmac::Key::new(self.hash, key), message).as_ref().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_7677() {
        let scram = Scram::new(Mechanism::ScramSha256, "user", "rOprNGfwEbeRWgbNEkqO");
        assert_eq!(scram.first, "n=user,r=rOprNGfwEbeRWgbNEkqO");
        let theirs = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let (last, signature) = scram.prove("pencil", theirs).unwrap();
        assert_eq!(
            last,
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        Scram::check_server("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", &signature).unwrap();
        assert!(Scram::check_server("v=AAAA", &signature).is_err());
        assert!(Scram::check_server("e=other-error", &signature).is_err());
    }

    #[test]
    fn a_brokers_message_is_checked() {
        let scram = Scram::new(Mechanism::ScramSha512, "a,b=c", "mine");
        assert_eq!(scram.first, "n=a=2Cb=3Dc,r=mine");
        for bad in
            ["", "r=theirs,s=AA==,i=4096", "r=mine1,s=?,i=4096", "r=mine1,s=AA==,i=1", "r=mine1,s=AA==,i=4294967295"]
        {
            assert!(scram.prove("p", bad).is_err(), "{bad}");
        }
        assert!(scram.prove("p", "r=mine1,s=AA==,i=4096").is_ok());
    }
}
