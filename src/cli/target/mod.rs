//! Where samples are written to: a server by remote write, or a data directory opened in this process.

mod directory;
mod remote;

use std::path::{Path, PathBuf};

use chronolith_storage::{Labels, MetricMetadata, read::HistogramSample};

pub(crate) use directory::{Directory, while_busy};
pub(crate) use remote::{Remote, send_patiently};

use super::error::CliError;
use crate::ingest::remote_write::Sample;

/// Samples that are written together.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) series: Vec<BatchSeries>,
    /// What is known about metric families, by name.
    pub(crate) metadata: Vec<(String, MetricMetadata)>,
}

/// The samples of one series, in order of time.
#[derive(Debug)]
pub(crate) struct BatchSeries {
    pub(crate) labels: Labels,
    pub(crate) samples: Vec<Sample>,
    pub(crate) histograms: Vec<HistogramSample>,
}

impl Batch {
    /// How many samples there are.
    pub(crate) fn len(&self) -> u64 {
        self.series.iter().map(|s| (s.samples.len() + s.histograms.len()) as u64).sum()
    }

    /// Whether there is nothing to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.series.is_empty() && self.metadata.is_empty()
    }
}

/// What became of samples.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Written {
    /// Samples that are stored now; those that were there before count as well.
    pub(crate) samples: u64,
    /// Samples older than the retention.
    pub(crate) too_old: u64,
    /// Samples that were refused for another reason.
    pub(crate) refused: u64,
    /// What was said about the first refusal.
    pub(crate) reason: Option<String>,
}

impl Written {
    /// Adds what became of further samples.
    pub(crate) fn add(&mut self, more: Self) {
        self.samples += more.samples;
        self.too_old += more.too_old;
        self.refused += more.refused;
        self.reason = self.reason.take().or(more.reason);
    }
}

/// A place to write to.
pub(crate) enum Target {
    Server(Box<Remote>),
    Directory(Directory),
}

impl Target {
    /// Writes samples; those that are refused are counted. Returns when the others are stored for good.
    pub(crate) fn write(&mut self, batch: &Batch) -> Result<Written, CliError> {
        match self {
            Self::Server(remote) => remote.write(batch),
            Self::Directory(directory) => directory.write(batch),
        }
    }

    /// The data directory, if it is one.
    pub(crate) fn data_dir(&self) -> Option<&Path> {
        match self {
            Self::Server(_) => None,
            Self::Directory(directory) => Some(directory.path()),
        }
    }

    /// Ends writing.
    pub(crate) fn close(self) -> Result<(), CliError> {
        match self {
            Self::Server(_) => Ok(()),
            Self::Directory(directory) => directory.close(),
        }
    }
}

/// Opens a data directory for imports. Without a retention everything is kept.
pub(crate) fn open_directory(path: PathBuf, keep: Option<std::time::Duration>) -> Result<Target, CliError> {
    Ok(Target::Directory(Directory::open(path, keep)?))
}
