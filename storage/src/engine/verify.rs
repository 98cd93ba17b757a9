//! Verification: every byte that has a checksum is read and checked, nothing is changed but damaged segments set aside.

use std::path::PathBuf;

use super::{Inner, open::is_damage};
use crate::{Result, StorageError, memtable::read_lock, wal::LogReader};

/// One file that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedFile {
    /// The file.
    pub path: PathBuf,
    /// Its length in bytes.
    pub len: u64,
    /// What is wrong with it; empty when nothing is.
    pub damage: Vec<String>,
}

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VerifyReport {
    /// Every file that was read.
    pub files: Vec<VerifiedFile>,
    /// What was set aside before, as text.
    pub quarantined: Vec<String>,
}

impl VerifyReport {
    /// Whether every file is whole and nothing was set aside.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.quarantined.is_empty() && self.files.iter().all(|f| f.damage.is_empty())
    }
}

impl Inner {
    pub(super) fn verify(&self) -> Result<VerifyReport> {
        let mut report = VerifyReport::default();
        let segments = std::sync::Arc::clone(&read_lock(&self.state).segments);
        for live in segments.iter() {
            let path = self.layout.segment(live.record.id);
            let (damage, is_lasting): (Vec<String>, bool) = match live.segment.verify() {
                Ok(found) => (found.into_iter().map(|d| d.reason).collect(), true),
                // A disk that fails to read for once is told, and the file stays.
                Err(error) => (vec![error.to_string()], is_damage(&error)),
            };
            if let (Some(first), true) = (damage.first(), is_lasting) {
                self.set_aside_segment(live, first);
            }
            report.files.push(VerifiedFile { path, len: live.record.file_len, damage });
        }
        let events: Vec<_> = read_lock(&self.tables).segments().cloned().collect();
        for live in events {
            let path = self.layout.segment(live.record.id);
            let (damage, is_lasting): (Vec<String>, bool) = match live.segment.verify() {
                Ok(found) => (found.into_iter().map(|d| d.reason).collect(), true),
                Err(error) => (vec![error.to_string()], is_damage(&error)),
            };
            if let (Some(first), true) = (damage.first(), is_lasting) {
                self.set_aside_events(&live, first);
            }
            report.files.push(VerifiedFile { path, len: live.record.file_len, damage });
        }
        for (_, path) in crate::wal::logs(&*self.options.vfs, &self.layout.wal())? {
            report.files.push(self.verify_log(path)?);
        }
        report.files.push(self.verify_catalog());
        report.quarantined = self
            .quarantine
            .items()
            .iter()
            .map(|q| {
                let range = q.range.map_or(String::new(), |r| format!(", {} to {} ms", r.start, r.end));
                format!("{} ({}{range}): {}", q.file, q.what, q.reason)
            })
            .collect();
        Ok(report)
    }

    /// Reads a log while it may be written: the frames up to where it ends now.
    fn verify_log(&self, path: PathBuf) -> Result<VerifiedFile> {
        let mut damage = Vec::new();
        let mut len = 0;
        match LogReader::open(&*self.options.vfs, &path) {
            Ok(mut reader) => {
                while let Some(payload) = reader.next()? {
                    len += payload.len() as u64;
                }
                let end = reader.end();
                if let Some(torn) = end.torn.clone().filter(|r| !r.is_empty()) {
                    damage.push(format!("ends inside a frame: {} bytes at {}", torn.end - torn.start, torn.start));
                }
                damage.extend(end.damaged.iter().map(|d| {
                    let frames = d.lost.end - d.lost.start;
                    format!("{} bytes at {} are damaged, {frames} frames lost", d.len, d.offset)
                }));
            }
            Err(error @ (StorageError::Corrupt { .. } | StorageError::Malformed { .. })) => {
                damage.push(error.to_string())
            }
            Err(error) => return Err(error),
        }
        Ok(VerifiedFile { path, len, damage })
    }

    fn verify_catalog(&self) -> VerifiedFile {
        let damage = self.catalog.verify().err().map(|e| e.to_string()).into_iter().collect();
        VerifiedFile { path: self.catalog.path().to_owned(), len: self.catalog.file_len(), damage }
    }
}
