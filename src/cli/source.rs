//! Where data is read from: a server by HTTP, or a data directory opened in this process.

use std::path::PathBuf;

use super::{error::CliError, http_client::HttpClient, open};
use crate::Db;

/// The environment variable that names the server.
pub(crate) const URL_VARIABLE: &str = "CHRONOLITH_URL";
/// The server when nothing names one.
const DEFAULT_URL: &str = "http://127.0.0.1:9090";

/// Options that name a source.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct SourceArgs {
    /// The server to ask [default: $CHRONOLITH_URL, else http://127.0.0.1:9090]
    #[arg(long, value_name = "URL", conflicts_with = "data_dir")]
    url: Option<String>,
    /// Read this data directory instead, without a server and without changing it
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

/// A source of data.
pub(crate) enum Source {
    Server(Box<HttpClient>),
    Directory(Db),
}

impl SourceArgs {
    /// Opens what was named.
    pub(crate) fn open(&self) -> Result<Source, CliError> {
        match &self.data_dir {
            Some(dir) => Ok(Source::Directory(open::read_only(dir)?)),
            None => Ok(Source::Server(Box::new(client(self.url.as_deref())?))),
        }
    }
}

/// A client of the server that was named, by option, by environment, or not at all.
pub(crate) fn client(url: Option<&str>) -> Result<HttpClient, CliError> {
    let from_environment = || std::env::var(URL_VARIABLE).ok().filter(|u| !u.is_empty());
    let url = url.map(str::to_owned).or_else(from_environment);
    Ok(HttpClient::new(url.as_deref().unwrap_or(DEFAULT_URL))?)
}
