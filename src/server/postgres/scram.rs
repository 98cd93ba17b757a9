//! SCRAM-SHA-256 (RFC 5802, RFC 7677), the server's side: the password itself never travels.

use std::num::NonZeroU32;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::{
    digest, hmac, pbkdf2,
    rand::{SecureRandom as _, SystemRandom},
};

/// The mechanism's name.
pub(crate) const MECHANISM: &str = "SCRAM-SHA-256";
/// Bytes of a key.
pub(crate) const KEY_BYTES: usize = digest::SHA256_OUTPUT_LEN;
/// Rounds for passwords that come in plain, as PostgreSQL has them.
const ITERATIONS: u32 = 4096;
const SALT_BYTES: usize = 16;
const NONCE_BYTES: usize = 18;

/// What a password is checked by. The password cannot be found from it.
#[derive(Debug, Clone)]
pub(crate) struct Verifier {
    pub(crate) iterations: u32,
    pub(crate) salt: Vec<u8>,
    pub(crate) stored_key: [u8; KEY_BYTES],
    pub(crate) server_key: [u8; KEY_BYTES],
}

/// Why a login does not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ScramError {
    /// The message is not one of the mechanism.
    #[error("malformed SCRAM message: {0}")]
    Malformed(&'static str),
    /// The client insists on what is not offered.
    #[error("the client requires SCRAM channel binding, which is not offered")]
    ChannelBinding,
    /// The system has no random numbers.
    #[error("the system gives no random numbers")]
    Random,
}

/// Random bytes.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], ScramError> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| ScramError::Random)?;
    Ok(bytes)
}

fn mac(key: &[u8], message: &[u8]) -> [u8; KEY_BYTES] {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message);
    let mut bytes = [0; KEY_BYTES];
    bytes.copy_from_slice(tag.as_ref());
    bytes
}

fn hash(message: &[u8]) -> [u8; KEY_BYTES] {
    let mut bytes = [0; KEY_BYTES];
    bytes.copy_from_slice(digest::digest(&digest::SHA256, message).as_ref());
    bytes
}

impl Verifier {
    /// The verifier of a password, with a new salt.
    pub(crate) fn of_password(password: &str) -> Result<Self, ScramError> {
        Ok(Self::salted(password, &random::<SALT_BYTES>()?))
    }

    fn salted(password: &str, salt: &[u8]) -> Self {
        // What cannot be prepared is taken as it is, as PostgreSQL does.
        let prepared = stringprep::saslprep(password).unwrap_or(password.into());
        let rounds = NonZeroU32::new(ITERATIONS).unwrap_or(NonZeroU32::MIN);
        let mut salted = [0; KEY_BYTES];
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, salt, prepared.as_bytes(), &mut salted);
        Self {
            iterations: ITERATIONS,
            salt: salt.to_vec(),
            stored_key: hash(&mac(&salted, b"Client Key")),
            server_key: mac(&salted, b"Server Key"),
        }
    }

    /// A verifier that no password fits, for a user that does not exist: always the same salt for the same name, so that
    /// nobody learns which names exist.
    pub(crate) fn of_nobody(name: &str, secret: &[u8; KEY_BYTES]) -> Self {
        let derived = mac(secret, name.as_bytes());
        Self {
            iterations: ITERATIONS,
            salt: derived.iter().copied().take(SALT_BYTES).collect(),
            // The preimage of this is not known, so no proof leads to it.
            stored_key: hash(&mac(secret, &derived)),
            server_key: mac(secret, b"server key"),
        }
    }
}

/// A login under way, after the server's first message.
pub(crate) struct Exchange {
    verifier: Verifier,
    gs2_header: String,
    first_bare: String,
    server_first: String,
    nonce: String,
}

impl Exchange {
    /// Takes the client's first message; [`Exchange::server_first`] answers it.
    pub(crate) fn begin(message: &[u8], verifier: Verifier) -> Result<Self, ScramError> {
        let nonce = STANDARD.encode(random::<NONCE_BYTES>()?);
        Self::with_nonce(message, verifier, &nonce)
    }

    fn with_nonce(message: &[u8], verifier: Verifier, own: &str) -> Result<Self, ScramError> {
        let text = std::str::from_utf8(message).map_err(|_| ScramError::Malformed("it is not UTF-8"))?;
        let (binding, rest) = text.split_once(',').ok_or(ScramError::Malformed("no channel binding flag"))?;
        let (identity, bare) = rest.split_once(',').ok_or(ScramError::Malformed("no authorization identity"))?;
        match binding {
            "n" | "y" => {}
            _ if binding.starts_with("p=") => return Err(ScramError::ChannelBinding),
            _ => return Err(ScramError::Malformed("unexpected channel binding flag")),
        }
        if !identity.is_empty() {
            return Err(ScramError::Malformed("authorization identities are not supported"));
        }
        // The name in it is ignored, as PostgreSQL does: the one of the startup packet counts.
        let mut attributes = bare.split(',');
        let named = attributes.next().is_some_and(|a| a.starts_with("n="));
        let client = attributes.next().and_then(|a| a.strip_prefix("r=")).filter(|n| !n.is_empty());
        let (true, Some(client)) = (named, client) else { return Err(ScramError::Malformed("no name or no nonce")) };
        let nonce = format!("{client}{own}");
        let server_first = format!("r={nonce},s={},i={}", STANDARD.encode(&verifier.salt), verifier.iterations);
        let gs2_header = format!("{binding},{identity},");
        Ok(Self { verifier, gs2_header, first_bare: bare.to_owned(), server_first, nonce })
    }

    /// The server's first message.
    pub(crate) fn server_first(&self) -> &str {
        &self.server_first
    }

    /// Takes the client's final message. Returns the server's if the password is right, `None` if not.
    pub(crate) fn finish(&self, message: &[u8]) -> Result<Option<String>, ScramError> {
        let text = std::str::from_utf8(message).map_err(|_| ScramError::Malformed("it is not UTF-8"))?;
        let (without_proof, proof) = text.rsplit_once(",p=").ok_or(ScramError::Malformed("no proof"))?;
        let mut attributes = without_proof.split(',');
        let binding = attributes.next().and_then(|a| a.strip_prefix("c=")).and_then(|c| STANDARD.decode(c).ok());
        if binding.as_deref() != Some(self.gs2_header.as_bytes()) {
            return Err(ScramError::Malformed("the channel binding is another"));
        }
        if attributes.next().and_then(|a| a.strip_prefix("r=")) != Some(self.nonce.as_str()) {
            return Err(ScramError::Malformed("the nonce is another"));
        }
        let proof: [u8; KEY_BYTES] = STANDARD
            .decode(proof)
            .ok()
            .and_then(|p| p.try_into().ok())
            .ok_or(ScramError::Malformed("the proof is malformed"))?;
        let signed = format!("{},{},{without_proof}", self.first_bare, self.server_first);
        let signature = mac(&self.verifier.stored_key, signed.as_bytes());
        let client_key: Vec<u8> = proof.iter().zip(signature).map(|(p, s)| p ^ s).collect();
        // Every byte is looked at, so that the time tells nothing.
        let difference = hash(&client_key).iter().zip(self.verifier.stored_key).fold(0, |d, (a, b)| d | (a ^ b));
        let server = mac(&self.verifier.server_key, signed.as_bytes());
        Ok((difference == 0).then(|| format!("v={}", STANDARD.encode(server))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The exchange of RFC 7677, section 3.
    #[test]
    fn the_example_of_the_rfc_passes_and_a_wrong_proof_does_not() {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let begin = || {
            let verifier = Verifier::salted("pencil", &salt);
            let first = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
            Exchange::with_nonce(first, verifier, "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0").unwrap()
        };
        let nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        assert_eq!(begin().server_first(), format!("r={nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"));
        let last = format!("c=biws,r={nonce},p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
        let answer = begin().finish(last.as_bytes()).unwrap();
        assert_eq!(answer.as_deref(), Some("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="));
        let wrong = last.replace("p=d", "p=e");
        assert_eq!(begin().finish(wrong.as_bytes()), Ok(None));
        for malformed in ["", "c=biws", "c=biws,r=x,p=", &last.replace("biws", "eSws"), &last.replace("VQ=", "V")] {
            assert!(matches!(begin().finish(malformed.as_bytes()), Err(ScramError::Malformed(_))), "{malformed}");
        }
    }

    #[test]
    fn first_messages_that_ask_for_more_are_refused() {
        let verifier = || Verifier::of_nobody("x", &[7; KEY_BYTES]);
        let begin = |message: &str| Exchange::begin(message.as_bytes(), verifier()).err();
        assert_eq!(begin("p=tls-server-end-point,,n=,r=a"), Some(ScramError::ChannelBinding));
        assert_eq!(begin("y,,n=,r=a"), None);
        for malformed in ["", "n", "n,", "n,,", "n,,n=", "n,,n=,r=", "n,,r=a", "x,,n=,r=a", "n,a=b,n=,r=a"] {
            assert!(matches!(begin(malformed), Some(ScramError::Malformed(_))), "{malformed}");
        }
    }
}
