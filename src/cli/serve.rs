//! `chronolith serve`: the server over a data directory, set up by options and a TOML file.

#[cfg(feature = "kafka")]
use std::sync::Arc;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    str::FromStr,
};

use serde::{Deserialize, Deserializer, de::Error as _};
use tracing_subscriber::EnvFilter;

use super::{
    error::CliError,
    open,
    size::ByteSize,
    stop::StopSignal,
    terminal::{note, stderr_is_terminal},
    time::HumanDuration,
};
#[cfg(feature = "sql")]
use crate::server::postgres::{DEFAULT_POSTGRES_LISTEN, PostgresConfig, Tls, Users};
use crate::{
    Db, Features, Standing,
    server::{Listen, Server, ServerConfig, config::DEFAULT_LISTEN},
    storage::engine::Durability,
};
#[cfg(feature = "kafka")]
use crate::{
    kafka::{Consumers, KafkaConfig, check_together},
    storage::{clock::SystemClock, engine::Engine, rng::Rng},
};

/// Examples and hints below the options.
pub(crate) const HELP: &str = "\
Examples:
  $ chronolith serve --data-dir ./data
  $ chronolith serve --data-dir ./data --retention-time 90d --durability interval:1s
  $ chronolith serve --config chronolith.toml

The file has the same names: every long option without its dashes is a key, such as
  data-dir = \"/var/lib/chronolith\"
  retention-time = \"30d\"
  enable-admin-api = true
An option on the command line wins over the file. Prometheus' names of these options
(--web.listen-address, --storage.tsdb.path and so on) are taken as well. Unknown keys are an error.
SIGTERM and SIGINT let running requests end, flush, and exit 0; a second one exits at once.
Exit codes: 0 stopped, 1 failed, 2 the options or the file make no sense.";

const DEFAULT_DATA_DIR: &str = "data";
/// How long samples are kept when nobody says.
pub(crate) const DEFAULT_RETENTION: &str = "15d";
const DEFAULT_LOG_LEVEL: &str = "info";

/// Options of `serve`; each is a key of the file as well.
#[derive(Debug, Clone, Default, clap::Args, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(crate) struct ServeArgs {
    /// Read options from this TOML file
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    config: Option<PathBuf>,
    /// The directory of the database, made when it does not exist [default: data]
    #[arg(long, value_name = "DIR", alias = "storage.tsdb.path")]
    data_dir: Option<PathBuf>,
    /// The address to listen on; may be repeated [default: 127.0.0.1:9090]
    #[arg(
        long,
        value_name = "HOST:PORT",
        env = "CHRONOLITH_LISTEN",
        value_delimiter = ',',
        alias = "web.listen-address"
    )]
    #[serde(deserialize_with = "one_or_more")]
    listen: Vec<String>,
    /// The address to speak PostgreSQL's protocol on, or none; may be repeated [default: 127.0.0.1:5432]
    #[cfg(feature = "sql")]
    #[arg(long, value_name = "HOST:PORT", env = "CHRONOLITH_POSTGRES_LISTEN", value_delimiter = ',')]
    #[serde(deserialize_with = "one_or_more")]
    postgres_listen: Vec<String>,
    /// Who may log in over PostgreSQL's protocol: a file with a name:password on each line, or a name and a SCRAM-SHA-256
    /// verifier [default: everybody on this machine, without a password]
    #[cfg(feature = "sql")]
    #[arg(long, value_name = "FILE")]
    postgres_users: Option<PathBuf>,
    /// A certificate in PEM, so that PostgreSQL clients may use TLS
    #[cfg(feature = "sql")]
    #[arg(long, value_name = "FILE", requires = "postgres_tls_key")]
    postgres_tls_cert: Option<PathBuf>,
    /// The certificate's key in PEM
    #[cfg(feature = "sql")]
    #[arg(long, value_name = "FILE", requires = "postgres_tls_cert")]
    postgres_tls_key: Option<PathBuf>,
    /// Keep samples this long [default: 15d]
    #[arg(long, value_name = "DURATION", alias = "storage.tsdb.retention.time")]
    retention_time: Option<HumanDuration>,
    /// Drop the oldest samples when the segments take more than this [default: no limit]
    #[arg(long, value_name = "SIZE", alias = "storage.tsdb.retention.size")]
    retention_size: Option<ByteSize>,
    /// What an acknowledged write survives: sync (loss of power), interval:1s, os (end of the process) [default: sync]
    #[arg(long, value_name = "MODE")]
    #[serde(deserialize_with = "durability")]
    durability: Option<Durability>,
    /// Memory for recent series, their samples and cached blocks [default: 1GB]
    #[arg(long, value_name = "SIZE")]
    memory_budget: Option<ByteSize>,
    /// Serve /api/v1/admin, which deletes data and makes snapshots
    #[arg(
        long,
        num_args = 0..=1,
        default_missing_value = "true",
        value_name = "BOOL",
        alias = "web.enable-admin-api"
    )]
    enable_admin_api: Option<bool>,
    /// Listen on addresses that others can reach although there is no login
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    insecure_no_auth: Option<bool>,
    /// How long a query may take [default: 2m]
    #[arg(long, value_name = "DURATION", alias = "query.timeout")]
    query_timeout: Option<HumanDuration>,
    /// How many queries run at once [default: 20]
    #[arg(long, value_name = "N", alias = "query.max-concurrency")]
    query_max_concurrency: Option<usize>,
    /// How many samples a query may hold in memory [default: 50000000]
    #[arg(long, value_name = "N", alias = "query.max-samples")]
    query_max_samples: Option<usize>,
    /// How old the newest sample of a series may be to count in a query [default: 5m]
    #[arg(long, value_name = "DURATION", alias = "query.lookback-delta")]
    query_lookback_delta: Option<HumanDuration>,
    /// Switch on a feature by Prometheus' name: promql-delayed-name-removal, use-start-timestamps, type-and-unit-labels;
    /// what else Prometheus hides behind one is always on. May be repeated
    #[arg(long, value_name = "FEATURE", value_delimiter = ',')]
    #[serde(deserialize_with = "one_or_more")]
    enable_feature: Vec<String>,
    /// Read a Kafka topic of JSON events into a table, such as brokers=127.0.0.1:9092,topic=events,table=events; more keys:
    /// name, start (earliest, latest), time-field, tls-ca, sasl (plain, scram-sha-256, scram-sha-512), user, password-file.
    /// May be repeated; in the file a [[kafka]] section with these keys
    #[cfg(feature = "kafka")]
    #[arg(long, value_name = "KEY=VALUE,...")]
    kafka: Vec<KafkaConfig>,
    /// What is logged: error, warn, info, debug, trace, or a filter such as chronolith=debug [default: info]
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    /// Prometheus' switch for what is always on here; taken so that its command lines go on working.
    #[arg(long = "web.enable-remote-write-receiver", hide = true)]
    #[serde(skip)]
    remote_write_receiver: bool,
    /// Keys of the file that are no option.
    #[arg(skip)]
    #[serde(flatten)]
    unknown: BTreeMap<String, toml::Value>,
}

/// Serves until a signal comes.
pub(crate) fn run(args: &ServeArgs) -> Result<(), CliError> {
    let settings = args.with_file()?;
    #[cfg(feature = "kafka")]
    settings.check_consumers()?;
    start_log(settings.log_level.as_deref().unwrap_or(DEFAULT_LOG_LEVEL))?;
    let stop = StopSignal::install()?;
    let dir = settings.data_dir.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_DATA_DIR));
    let db = settings.open(&dir)?;
    let server = Server::bind(settings.server_config(&dir)?, db.engine().clone())?;
    #[cfg(feature = "kafka")]
    let (server, consumers) = settings.start_consumers(server, db.engine())?;
    for address in server.local_addrs().map_err(|e| CliError::io("the listening socket", e))? {
        note(&format!("listening on http://{address}"));
    }
    #[cfg(feature = "sql")]
    for address in server.postgres_addrs().map_err(|e| CliError::io("the listening socket", e))? {
        note(&format!("listening on postgresql://{address}"));
    }
    tracing::info!(version = env!("CARGO_PKG_VERSION"), data_dir = %dir.display(), "ready");
    server.run_blocking(stop.told())?;
    #[cfg(feature = "kafka")]
    consumers.into_iter().for_each(Consumers::stop);
    tracing::info!("flushing");
    db.close()?;
    tracing::info!("stopped");
    Ok(())
}

/// Sends the log to standard error.
pub(crate) fn start_log(level: &str) -> Result<(), CliError> {
    let usage = |e: &dyn std::fmt::Display| {
        CliError::Usage(format!("--log-level {level:?} is no level: use error, warn, info, debug or trace ({e})"))
    };
    let filter = EnvFilter::from_str(level).map_err(|e| usage(&e))?;
    let color = stderr_is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(color);
    log.try_init().map_err(|e| usage(&e))
}

impl ServeArgs {
    /// These options, with those of the file where there is none here.
    fn with_file(&self) -> Result<Self, CliError> {
        let Some(path) = &self.config else { return Ok(self.clone()) };
        let text = std::fs::read_to_string(path).map_err(|e| CliError::io(path.display().to_string(), e))?;
        Ok(self.clone().or(read_file(path, &text)?))
    }

    fn or(self, file: Self) -> Self {
        Self {
            config: self.config,
            data_dir: self.data_dir.or(file.data_dir),
            listen: if self.listen.is_empty() { file.listen } else { self.listen },
            #[cfg(feature = "sql")]
            postgres_listen: if self.postgres_listen.is_empty() { file.postgres_listen } else { self.postgres_listen },
            #[cfg(feature = "sql")]
            postgres_users: self.postgres_users.or(file.postgres_users),
            #[cfg(feature = "sql")]
            postgres_tls_cert: self.postgres_tls_cert.or(file.postgres_tls_cert),
            #[cfg(feature = "sql")]
            postgres_tls_key: self.postgres_tls_key.or(file.postgres_tls_key),
            retention_time: self.retention_time.or(file.retention_time),
            retention_size: self.retention_size.or(file.retention_size),
            durability: self.durability.or(file.durability),
            memory_budget: self.memory_budget.or(file.memory_budget),
            enable_admin_api: self.enable_admin_api.or(file.enable_admin_api),
            insecure_no_auth: self.insecure_no_auth.or(file.insecure_no_auth),
            query_timeout: self.query_timeout.or(file.query_timeout),
            query_max_concurrency: self.query_max_concurrency.or(file.query_max_concurrency),
            query_max_samples: self.query_max_samples.or(file.query_max_samples),
            query_lookback_delta: self.query_lookback_delta.or(file.query_lookback_delta),
            enable_feature: if self.enable_feature.is_empty() { file.enable_feature } else { self.enable_feature },
            remote_write_receiver: self.remote_write_receiver,
            #[cfg(feature = "kafka")]
            kafka: if self.kafka.is_empty() { file.kafka } else { self.kafka },
            log_level: self.log_level.or(file.log_level),
            unknown: BTreeMap::new(),
        }
    }

    fn retention(&self) -> Result<HumanDuration, CliError> {
        match self.retention_time {
            Some(time) if time.as_millis() == 0 => Err(CliError::Usage(
                "--retention-time is zero: everything would be dropped. Name a time such as 15d".to_owned(),
            )),
            Some(time) => Ok(time),
            None => DEFAULT_RETENTION.parse().map_err(CliError::Usage),
        }
    }

    fn open(&self, dir: &Path) -> Result<Db, CliError> {
        let mut builder = Db::builder().retention(self.retention()?.0).durability(self.durability.unwrap_or_default());
        if let Some(ByteSize(bytes)) = self.retention_size {
            builder = builder.retention_bytes(bytes);
        }
        if let Some(ByteSize(bytes)) = self.memory_budget {
            builder = builder.memory_budget(usize::try_from(bytes).unwrap_or(usize::MAX));
        }
        open::writable(builder, dir)
    }

    /// Finds mistakes in what consumers of Kafka are told before anything is opened.
    #[cfg(feature = "kafka")]
    fn check_consumers(&self) -> Result<(), CliError> {
        check_together(&self.kafka).map_err(CliError::Usage)?;
        self.kafka.iter().try_for_each(KafkaConfig::check_files).map_err(CliError::Usage)
    }

    /// Starts the consumers of Kafka, if any, whose counts the server shows.
    #[cfg(feature = "kafka")]
    fn start_consumers(&self, server: Server, engine: &Engine) -> Result<(Server, Option<Consumers>), CliError> {
        if self.kafka.is_empty() {
            return Ok((server, None));
        }
        let clock = Arc::new(SystemClock::default());
        let consumers = Consumers::start(self.kafka.clone(), engine, clock, Rng::from_system())
            .map_err(|e| CliError::io("the thread of Kafka's consumers", e))?;
        Ok((server.with_kafka(consumers.status()), Some(consumers)))
    }

    fn server_config(&self, dir: &Path) -> Result<ServerConfig, CliError> {
        let mut config = ServerConfig { retention_text: self.retention()?.to_string(), ..ServerConfig::default() };
        if !self.listen.is_empty() {
            config.listen = self.listen.iter().map(Listen::asked).collect();
        }
        if let Some(timeout) = self.query_timeout {
            config.query_timeout = timeout.0;
        }
        if let Some(lookback) = self.query_lookback_delta {
            if lookback.as_millis() == 0 {
                return Err(CliError::Usage(
                    "--query-lookback-delta is zero: no sample would count. Name a time such as 5m".to_owned(),
                ));
            }
            config.lookback = lookback.0;
        }
        config.query_concurrency = self.query_max_concurrency.unwrap_or(config.query_concurrency).max(1);
        config.max_samples = self.query_max_samples.unwrap_or(config.max_samples);
        config.enable_admin_api = self.enable_admin_api.unwrap_or(false);
        config.insecure_no_auth = self.insecure_no_auth.unwrap_or(false);
        #[cfg(feature = "sql")]
        {
            config.postgres = self.postgres_config()?;
            config.sql.statement_timeout = Some(config.query_timeout);
            config.sql.spill_dir = Some(dir.join("sql-spill"));
        }
        config.features = features(&self.enable_feature)?;
        config.flags = self.flags(dir, &config);
        Ok(config)
    }

    /// The addresses, users and TLS of PostgreSQL's protocol.
    #[cfg(feature = "sql")]
    fn postgres_config(&self) -> Result<PostgresConfig, CliError> {
        let listen = match self.postgres_listen.as_slice() {
            [] => vec![Listen::default_port(DEFAULT_POSTGRES_LISTEN)],
            [none] if none == "none" => Vec::new(),
            addresses => addresses.iter().map(Listen::asked).collect(),
        };
        let usage = |option: &str, what: String| CliError::Usage(format!("{option} {what}"));
        let users = self.postgres_users.as_deref().map(Users::read).transpose();
        let tls = match (&self.postgres_tls_cert, &self.postgres_tls_key) {
            (Some(certificates), Some(key)) => {
                Some(Tls::read(certificates, key).map_err(|e| usage("--postgres-tls-cert", e))?)
            }
            (None, None) => None,
            _ => return Err(usage("--postgres-tls-cert", "and --postgres-tls-key go together: name both".to_owned())),
        };
        let users = users.map_err(|e| usage("--postgres-users", e))?;
        Ok(PostgresConfig { listen, users, tls, ..PostgresConfig::default() })
    }

    /// Every option with its value, as `/api/v1/status/flags` shows them.
    fn flags(&self, dir: &Path, config: &ServerConfig) -> BTreeMap<String, String> {
        let listen = if self.listen.is_empty() { DEFAULT_LISTEN.to_owned() } else { self.listen.join(",") };
        let path = |p: Option<&PathBuf>| p.map_or_else(String::new, |p| p.display().to_string());
        #[cfg(feature = "sql")]
        let postgres_listen = if self.postgres_listen.is_empty() {
            DEFAULT_POSTGRES_LISTEN.to_owned()
        } else {
            self.postgres_listen.join(",")
        };
        let size = |s: Option<ByteSize>, none: &str| s.map_or_else(|| none.to_owned(), |s| s.to_string());
        let flags = [
            ("config", path(self.config.as_ref())),
            ("data-dir", dir.display().to_string()),
            ("listen", listen),
            #[cfg(feature = "sql")]
            ("postgres-listen", postgres_listen),
            #[cfg(feature = "sql")]
            ("postgres-users", path(self.postgres_users.as_ref())),
            #[cfg(feature = "sql")]
            ("postgres-tls-cert", path(self.postgres_tls_cert.as_ref())),
            #[cfg(feature = "sql")]
            ("postgres-tls-key", path(self.postgres_tls_key.as_ref())),
            ("retention-time", config.retention_text.clone()),
            ("retention-size", size(self.retention_size, "0")),
            ("durability", self.durability.unwrap_or_default().to_string()),
            ("memory-budget", size(self.memory_budget, "1GB")),
            ("enable-admin-api", config.enable_admin_api.to_string()),
            ("insecure-no-auth", config.insecure_no_auth.to_string()),
            ("query-timeout", HumanDuration(config.query_timeout).to_string()),
            ("query-max-concurrency", config.query_concurrency.to_string()),
            ("query-max-samples", config.max_samples.to_string()),
            ("query-lookback-delta", HumanDuration(config.lookback).to_string()),
            ("enable-feature", self.enable_feature.join(",")),
            ("log-level", self.log_level.clone().unwrap_or_else(|| DEFAULT_LOG_LEVEL.to_owned())),
        ];
        flags.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

/// What the names switch on. A name that Prometheus has and that has no meaning here is noted; one that nobody has is
/// more likely a slip than a wish.
pub(super) fn features(names: &[String]) -> Result<Features, CliError> {
    let mut features = Features::default();
    for name in names.iter().map(|n| n.trim()).filter(|n| !n.is_empty()) {
        match features.enable(name) {
            Standing::SwitchedOn | Standing::AlwaysOn => {}
            Standing::NoMeaning => note(&format!("note: the feature {name} has no meaning here and changes nothing")),
            Standing::Unknown => {
                return Err(CliError::Usage(format!(
                    "--enable-feature {name:?} is no feature: promql-delayed-name-removal, use-start-timestamps and \
                     type-and-unit-labels can be switched on"
                )));
            }
        }
    }
    Ok(features)
}

/// Reads the file's text; unknown keys are named.
fn read_file(path: &Path, text: &str) -> Result<ServeArgs, CliError> {
    let usage = |what: String| CliError::Usage(format!("{}: {what}", path.display()));
    let file: ServeArgs = toml::from_str(text).map_err(|e| usage(e.to_string()))?;
    if file.unknown.is_empty() {
        return Ok(file);
    }
    let names: Vec<&str> = file.unknown.keys().map(String::as_str).collect();
    let hint = "the keys are the long options of `chronolith serve --help`";
    Err(usage(format!("unknown {}: {}; {hint}", if names.len() == 1 { "key" } else { "keys" }, names.join(", "))))
}

/// A text or a list of texts.
fn one_or_more<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMore {
        One(String),
        More(Vec<String>),
    }
    Ok(match OneOrMore::deserialize(from)? {
        OneOrMore::One(one) => vec![one],
        OneOrMore::More(more) => more,
    })
}

fn durability<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Durability>, D::Error> {
    String::deserialize(from)?.parse().map(Some).map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ServeArgs, String> {
        read_file(Path::new("c.toml"), text).map_err(|e| e.to_string())
    }

    #[test]
    fn every_option_is_a_key() {
        let mut command = <ServeArgs as clap::Args>::augment_args(clap::Command::new("serve"));
        command.build();
        let mut keys = 0;
        for option in command
            .get_arguments()
            .filter_map(|a| a.get_long())
            .filter(|l| !matches!(*l, "config" | "help" | "web.enable-remote-write-receiver"))
        {
            let value = match option {
                "enable-admin-api" | "insecure-no-auth" => "true",
                "query-max-concurrency" | "query-max-samples" => "7",
                "durability" => "\"os\"",
                "retention-size" | "memory-budget" => "\"64MB\"",
                "enable-feature" => "[\"use-start-timestamps\"]",
                "retention-time" | "query-timeout" | "query-lookback-delta" => "\"30d\"",
                "kafka" => "[\"brokers=a:1,topic=t,table=e\"]",
                _ => "\"x\"",
            };
            read(&format!("{option} = {value}")).unwrap();
            keys += 1;
        }
        let (sql, kafka) = (usize::from(cfg!(feature = "sql")), usize::from(cfg!(feature = "kafka")));
        assert_eq!(keys, 14 + 4 * sql + kafka);
    }

    #[test]
    fn the_flags_of_prometheus_mean_the_same() {
        let command = <ServeArgs as clap::Args>::augment_args(clap::Command::new("serve"));
        let read = |line: &str| {
            let matches = command.clone().try_get_matches_from(["serve"].into_iter().chain(line.split(' '))).unwrap();
            let args = <ServeArgs as clap::FromArgMatches>::from_arg_matches(&matches).unwrap();
            let config = args.server_config(Path::new("d")).unwrap();
            (format!("{:?} {:?}", args.data_dir, args.retention_size), config.lookback.as_secs(), config.flags)
        };
        let theirs = read(
            "--web.listen-address=127.0.0.1:1 --storage.tsdb.path=p --storage.tsdb.retention.time=3d \
             --storage.tsdb.retention.size=1GB --web.enable-admin-api --web.enable-remote-write-receiver \
             --query.timeout=9s --query.max-concurrency=3 --query.max-samples=4 --query.lookback-delta=1m \
             --enable-feature=use-start-timestamps,native-histograms",
        );
        let ours = read(
            "--listen 127.0.0.1:1 --data-dir p --retention-time 3d --retention-size 1GB --enable-admin-api \
             --query-timeout 9s --query-max-concurrency 3 --query-max-samples 4 --query-lookback-delta 1m \
             --enable-feature use-start-timestamps --enable-feature native-histograms",
        );
        assert_eq!(theirs, ours);
        assert_eq!(ours.1, 60);
    }

    #[test]
    fn unknown_keys_and_bad_values_are_named() {
        let error = read("data-dir = \"x\"\nretentoin = 1\n[rules]\na = 1").unwrap_err();
        assert!(error.contains("c.toml") && error.contains("keys: retentoin, rules"), "{error}");
        for (text, word) in
            [("retention-time = \"soon\"", "soon"), ("durability = \"never\"", "never"), ("=", "c.toml")]
        {
            let error = read(text).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
        assert!(read("config = \"x\"").unwrap_err().contains("key: config"));
    }

    #[test]
    fn the_command_line_wins_over_the_file() {
        let file = read("listen = [\"a:1\", \"b:2\"]\nretention-time = \"1d\"\nquery-max-samples = 5").unwrap();
        let args = ServeArgs { query_max_samples: Some(6), ..ServeArgs::default() };
        let config = args.or(file).server_config(Path::new("d")).unwrap();
        assert_eq!(config.listen, [Listen::asked("a:1"), Listen::asked("b:2")]);
        assert_eq!((config.max_samples, config.retention_text.as_str()), (6, "1d"));
        assert_eq!(config.flags.get("data-dir").map(String::as_str), Some("d"));
        assert_eq!(config.query_concurrency, ServerConfig::default().query_concurrency);
    }
}
