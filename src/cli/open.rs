//! Opens data directories.

use std::path::Path;

use super::error::CliError;
use crate::{Builder, Db};

/// Opens a data directory that must exist, without changing a byte of it.
pub(crate) fn read_only(dir: &Path) -> Result<Db, CliError> {
    if !dir.is_dir() {
        let hint = "--data-dir is the directory that `chronolith serve` was told";
        return Err(CliError::Failed(format!("{}: there is no such directory; {hint}", dir.display())));
    }
    Ok(Db::open_read_only(dir)?)
}

/// Opens a data directory for writing.
pub(crate) fn writable(builder: Builder, dir: &Path) -> Result<Db, CliError> {
    Ok(builder.open(dir)?)
}
