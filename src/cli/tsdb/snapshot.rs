//! `chronolith tsdb snapshot`: a copy of a data directory by hard links.

use std::path::PathBuf;

use serde::Deserialize;

use crate::{
    Db,
    cli::{
        answer::{ApiError, read_api},
        error::CliError,
        open, source,
        terminal::print,
    },
};

/// Examples and hints below the options.
pub(super) const HELP: &str = "\
Examples:
  $ chronolith tsdb snapshot ./data

Prints the path of the copy: a data directory that serves, queries and exports as the original does. It takes hardly any \
space until the original drops what the copy still holds. While a server has the directory open, ask the server by --url \
instead; it must have been started with --enable-admin-api.";

/// Options of `tsdb snapshot`.
#[derive(Debug, clap::Args)]
pub(super) struct SnapshotArgs {
    /// The data directory; no server may have it open
    #[arg(value_name = "DIR", required_unless_present = "url", conflicts_with = "url")]
    data_dir: Option<PathBuf>,
    /// Ask this server to make the snapshot
    #[arg(long, value_name = "URL")]
    url: Option<String>,
}

#[derive(Deserialize)]
struct Made {
    name: String,
}

/// Makes the copy and prints where it is.
pub(super) fn run(args: &SnapshotArgs) -> Result<(), CliError> {
    let Some(dir) = &args.data_dir else { return ask(args.url.as_deref()) };
    // Nothing is made where nothing is.
    drop(open::read_only(dir)?);
    let db = open::writable(Db::builder(), dir)?;
    let name = db.engine().backup()?;
    db.close()?;
    print(&format!("{}\n", dir.join("snapshots").join(name).display()))
}

fn ask(url: Option<&str>) -> Result<(), CliError> {
    let client = source::client(url)?;
    match read_api::<Made>(client.post_form("/api/v1/admin/tsdb/snapshot", &[])?) {
        Ok((made, _)) => print(&format!("snapshots/{} in the server's data directory\n", made.name)),
        Err(ApiError::Http(error)) => Err(error.into()),
        Err(ApiError::Refused(failure)) => Err(failure.into()),
    }
}
