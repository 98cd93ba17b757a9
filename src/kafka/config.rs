//! What a consumer is told: brokers, topic, table, and how to reach them. Every mistake is named by its key.

use std::{path::PathBuf, str::FromStr};

use serde::{Deserialize, Deserializer, de::Error as _};

use super::{
    sasl,
    tables::{OFFSETS, REJECTED},
    tls,
};

/// The name that offsets are kept under when none is given.
pub const DEFAULT_NAME: &str = "chronolith";
/// The longest name of a topic, as Kafka has it.
const MAX_TOPIC_BYTES: usize = 249;

/// A topic to read, and where to.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Keys {
    brokers: Vec<String>,
    topic: String,
    table: String,
    name: Option<String>,
    #[serde(default)]
    start: Start,
    #[serde(alias = "time_field")]
    time_field: Option<String>,
    tls: Option<bool>,
    tls_ca: Option<PathBuf>,
    sasl: Option<Mechanism>,
    user: Option<String>,
    password_file: Option<PathBuf>,
}

/// A topic to read, and where to. Made from a table of the configuration file or from the text of an option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaConfig {
    /// Brokers to ask first, each as `host:port`; the others are found through them.
    pub brokers: Vec<String>,
    /// The topic.
    pub topic: String,
    /// The table that its messages become rows of; made when it does not exist.
    pub table: String,
    /// The name that offsets are kept under.
    pub name: String,
    /// Where to begin when no offset is kept.
    pub start: Start,
    /// The field that tells a message's time; otherwise `_time`, `@timestamp` or `timestamp`, then the time that Kafka has.
    pub time_field: Option<String>,
    /// Certificates to trust, as a PEM file, when connections are encrypted.
    pub tls_ca: Option<PathBuf>,
    /// How to log in.
    pub login: Option<Login>,
}

/// Where to begin when no offset is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// With the oldest message that the broker has.
    #[default]
    Earliest,
    /// With the messages that come from now on.
    Latest,
}

/// A mechanism of SASL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mechanism {
    /// The password as it is.
    Plain,
    /// A proof that one knows the password, with SHA-256.
    #[serde(rename = "scram-sha-256")]
    ScramSha256,
    /// A proof that one knows the password, with SHA-512.
    #[serde(rename = "scram-sha-512")]
    ScramSha512,
}

/// Who to log in as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// How.
    pub mechanism: Mechanism,
    /// As whom.
    pub user: String,
    /// The file that has the password; a newline at its end does not count.
    pub password_file: PathBuf,
}

impl TryFrom<Keys> for KafkaConfig {
    type Error = String;

    fn try_from(keys: Keys) -> Result<Self, String> {
        if keys.brokers.is_empty() {
            return Err("brokers: name at least one, such as 127.0.0.1:9092".to_owned());
        }
        for broker in &keys.brokers {
            check_broker(broker)?;
        }
        check_topic(&keys.topic)?;
        if keys.table.is_empty() || keys.table == OFFSETS || keys.table == REJECTED {
            return Err(format!("table: {:?} cannot be the table of the messages; name another one", keys.table));
        }
        let name = keys.name.unwrap_or_else(|| DEFAULT_NAME.to_owned());
        if name.is_empty() {
            return Err("name: it is empty; leave the key out or give a name".to_owned());
        }
        if keys.time_field.as_deref() == Some("") {
            return Err("time-field: it is empty; leave the key out or name a field".to_owned());
        }
        let tls_ca = match (keys.tls, keys.tls_ca) {
            (Some(true), None) => {
                return Err("tls-ca: name the PEM file of certificates to trust, such as \
                            /etc/ssl/certs/ca-certificates.crt"
                    .to_owned());
            }
            (Some(false), Some(_)) => return Err("tls-ca: it has no meaning with tls = false".to_owned()),
            (_, ca) => ca,
        };
        let login = match (keys.sasl, keys.user, keys.password_file) {
            (None, None, None) => None,
            (Some(mechanism), Some(user), Some(password_file)) => Some(Login { mechanism, user, password_file }),
            (None, ..) => return Err("sasl: say plain, scram-sha-256 or scram-sha-512 to log in".to_owned()),
            (_, None, _) => return Err("user: name the user to log in as".to_owned()),
            (.., None) => return Err("password-file: name the file that has the password".to_owned()),
        };
        let Keys { brokers, topic, table, start, time_field, .. } = keys;
        Ok(Self { brokers, topic, table, name, start, time_field, tls_ca, login })
    }
}

impl KafkaConfig {
    /// Reads the files that it names, to find mistakes before the first connection.
    ///
    /// # Errors
    /// Names the key and the file.
    pub fn check_files(&self) -> Result<(), String> {
        if let Some(ca) = &self.tls_ca {
            tls::client_config(ca).map_err(|e| format!("tls-ca: {e}"))?;
        }
        if let Some(login) = &self.login {
            sasl::read_password(login).map_err(|e| format!("password-file: {e}"))?;
        }
        Ok(())
    }
}

fn check_broker(broker: &str) -> Result<(), String> {
    let wrong = || format!("brokers: {broker:?} is no host and port; write it as 127.0.0.1:9092 or [::1]:9092");
    let (host, port) = broker.rsplit_once(':').ok_or_else(wrong)?;
    let bare_v6 = host.contains(':') && !(host.starts_with('[') && host.ends_with(']'));
    if host.is_empty() || bare_v6 || port.parse::<u16>().is_ok_and(|p| p == 0) || port.parse::<u16>().is_err() {
        return Err(wrong());
    }
    Ok(())
}

fn check_topic(topic: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if topic.is_empty() || topic.len() > MAX_TOPIC_BYTES || topic == "." || topic == ".." || !topic.chars().all(allowed)
    {
        return Err(format!(
            "topic: {topic:?} is no topic's name: those have 1 to {MAX_TOPIC_BYTES} letters, digits, dots, underscores and dashes"
        ));
    }
    Ok(())
}

impl FromStr for KafkaConfig {
    type Err = String;

    /// Reads `key=value` pairs with commas between them; what has no `=` is one more broker.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut keys = toml::Table::new();
        let mut last = "";
        for item in text.split(',') {
            let (key, value) = item.split_once('=').map_or((last, item), |(key, value)| (key.trim(), value));
            let value = value.trim();
            match (key, item.contains('=')) {
                ("brokers", _) => {
                    let brokers = keys.entry("brokers").or_insert_with(|| toml::Value::Array(Vec::new()));
                    brokers.as_array_mut().into_iter().for_each(|b| b.push(value.into()));
                }
                (_, false) => return Err(format!("{item:?} is no key=value")),
                ("tls", _) => {
                    let value =
                        value.parse::<bool>().map_err(|_| format!("tls: {value:?} is neither true nor false"))?;
                    keys.insert(key.to_owned(), value.into());
                }
                _ if keys.insert(key.to_owned(), value.into()).is_some() => {
                    return Err(format!("{key}: it is there twice"));
                }
                _ => {}
            }
            last = key;
        }
        let keys: Keys = keys.try_into().map_err(|e: toml::de::Error| e.message().to_owned())?;
        keys.try_into()
    }
}

impl<'de> Deserialize<'de> for KafkaConfig {
    /// A table of keys, or a text as the option has it.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match toml::Value::deserialize(from)? {
            toml::Value::String(text) => text.parse().map_err(D::Error::custom),
            other => {
                let keys: Keys = other.try_into().map_err(|e: toml::de::Error| D::Error::custom(e.message()))?;
                keys.try_into().map_err(D::Error::custom)
            }
        }
    }
}

/// Refuses two entries that would keep their offsets under one name.
///
/// # Errors
/// Names the topic and the name.
pub fn check_together(configs: &[KafkaConfig]) -> Result<(), String> {
    for (i, config) in configs.iter().enumerate() {
        if configs[..i].iter().any(|c| (&c.topic, &c.name) == (&config.topic, &config.name)) {
            return Err(format!(
                "two entries of kafka read the topic {:?} under the name {:?}; give one of them another name",
                config.topic, config.name
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_file(text: &str) -> Result<Vec<KafkaConfig>, String> {
        #[derive(Deserialize)]
        struct File {
            kafka: Vec<KafkaConfig>,
        }
        toml::from_str::<File>(text).map(|f| f.kafka).map_err(|e| e.to_string())
    }

    #[test]
    fn the_option_and_the_file_mean_the_same() {
        let option = "brokers=a:9092,[::1]:2, topic=chatsphere-events,table=events,start=latest,time-field=sent_at,\
                      tls=true,tls-ca=/ca.pem,sasl=scram-sha-512,user=u,password-file=/p";
        let file = "[[kafka]]\nbrokers = [\"a:9092\", \"[::1]:2\"]\ntopic = \"chatsphere-events\"\ntable = \"events\"\n\
                    start = \"latest\"\ntime_field = \"sent_at\"\ntls = true\ntls-ca = \"/ca.pem\"\n\
                    sasl = \"scram-sha-512\"\nuser = \"u\"\npassword-file = \"/p\"\n";
        let config: KafkaConfig = option.parse().unwrap();
        assert_eq!(from_file(file).unwrap(), std::slice::from_ref(&config));
        assert_eq!(from_file(&format!("kafka = [{option:?}]")).unwrap(), std::slice::from_ref(&config));
        assert_eq!((config.start, config.name.as_str()), (Start::Latest, DEFAULT_NAME));
        assert!(check_together(&[config.clone(), config.clone()]).unwrap_err().contains("chatsphere-events"));
        assert!(config.check_files().unwrap_err().starts_with("tls-ca: /ca.pem: "));
        let without_tls = KafkaConfig { tls_ca: None, ..config.clone() };
        assert!(without_tls.check_files().unwrap_err().starts_with("password-file: /p: "));
        let other = KafkaConfig { name: "b".to_owned(), ..config.clone() };
        check_together(&[config, other]).unwrap();
    }

    #[test]
    fn a_mistake_is_named_by_its_key() {
        let good = "brokers=a:1,topic=t,table=e";
        good.parse::<KafkaConfig>().unwrap();
        for (text, word) in [
            ("topic=t,table=e", "brokers"),
            ("brokers=a:1,table=e", "topic"),
            ("brokers=a:1,topic=t", "table"),
            ("brokers=a,topic=t,table=e", "brokers: \"a\""),
            ("brokers=a:x,topic=t,table=e", "a:x"),
            ("brokers=::1:9,topic=t,table=e", "[::1]"),
            ("brokers=a:1,topic=a b,table=e", "topic: \"a b\""),
            ("brokers=a:1,topic=t,table=kafka_offsets", "kafka_offsets"),
            ("brokers=a:1,topic=t,table=e,sart=latest", "sart"),
            ("brokers=a:1,topic=t,table=e,start=newest", "newest"),
            ("brokers=a:1,topic=t,table=e,table=f", "table: it is there twice"),
            ("brokers=a:1,topic=t,table=e,f", "\"f\" is no key=value"),
            ("brokers=a:1,topic=t,table=e,tls=true", "tls-ca"),
            ("brokers=a:1,topic=t,table=e,tls=maybe", "maybe"),
            ("brokers=a:1,topic=t,table=e,user=u", "sasl"),
            ("brokers=a:1,topic=t,table=e,sasl=plain,user=u", "password-file"),
            ("brokers=a:1,topic=t,table=e,sasl=md5", "md5"),
            ("brokers=a:1,topic=t,table=e,name=", "name: it is empty"),
        ] {
            let error = text.parse::<KafkaConfig>().unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
        let error = from_file("[[kafka]]\nbrokers = \"a:1\"\ntopic = \"t\"\ntable = \"e\"").unwrap_err();
        assert!(error.contains("string") && error.contains("sequence"), "{error}");
    }
}
