//! `chronolith tsdb verify`: checks every file of a data directory.

use std::{fmt::Write as _, path::Path};

use chronolith_storage::engine::VerifyReport;

use crate::cli::{error::CliError, open, size::ByteSize, terminal::print};

/// Examples and hints below the options.
pub(super) const HELP: &str = "\
Examples:
  $ chronolith tsdb verify ./data

Reads every block of every segment, the write-ahead log and the catalog, and compares the checksums. What was set aside \
before is listed as well. Exit codes: 0 all is whole, 1 damage was found or the directory cannot be read.";

/// Checks and reports.
pub(super) fn run(dir: &Path) -> Result<(), CliError> {
    let db = open::read_only(dir)?;
    let report = db.engine().verify()?;
    print(&text(&report))?;
    let damaged = report.files.iter().filter(|f| !f.damage.is_empty()).count();
    if report.is_clean() {
        return Ok(());
    }
    Err(CliError::Damage(format!(
        "{}: {damaged} damaged files, {} set aside before. What they held is missing from answers; a copy made by \
         `chronolith tsdb snapshot`, or the senders' own logs, can bring it back",
        dir.display(),
        report.quarantined.len()
    )))
}

fn text(report: &VerifyReport) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    for file in &report.files {
        let state = if file.damage.is_empty() { "ok     " } else { "DAMAGED" };
        let _ = writeln!(out, "{state}  {:>9}  {}", ByteSize(file.len).to_string(), file.path.display());
        for damage in &file.damage {
            let _ = writeln!(out, "         {damage}");
        }
    }
    for item in &report.quarantined {
        let _ = writeln!(out, "SET ASIDE  {item}");
    }
    let _ = writeln!(out, "{} files checked", report.files.len());
    out
}

#[cfg(test)]
mod tests {
    use chronolith_storage::engine::VerifiedFile;

    use super::*;

    #[test]
    fn every_file_and_every_damage_is_listed() {
        let file = |path: &str, damage: &[&str]| VerifiedFile {
            path: path.into(),
            len: 2048,
            damage: damage.iter().map(|d| (*d).to_owned()).collect(),
        };
        let files = vec![file("a.seg", &[]), file("b.seg", &["block 1", "block 2"])];
        let report = VerifyReport { files, quarantined: vec!["c.seg (gone)".into()] };
        let want = "ok             2KB  a.seg\nDAMAGED        2KB  b.seg\n         block 1\n         block 2\nSET ASIDE  c.seg (gone)\n2 files checked\n";
        assert_eq!(text(&report), want);
    }
}
