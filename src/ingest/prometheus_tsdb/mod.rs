//! Reads a Prometheus data directory, for `chronolith import`: its blocks, one after the other, series by series.
//!
//! The head (the WAL and the out-of-order WBL) is not read: Prometheus writes it to a block when it is asked for a
//! snapshot, and [`DataDir::open`] says so where it matters.

mod block;
mod chunks;
mod cursor;
pub mod index;
pub mod tombstones;

#[cfg(test)]
mod tests;

use std::{
    collections::HashSet,
    fs, io,
    path::{Path, PathBuf},
};

pub use block::Block;
use serde::Deserialize;

use super::prometheus_chunk::ChunkError;

/// Why a data directory cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TsdbError {
    /// The file system said no.
    #[error("cannot read {path}: {source}")]
    Io {
        /// What was read.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// A file holds something else than it should.
    #[error("{path} is damaged at byte {offset}: {what}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// What is wrong.
        what: String,
    },
    /// A chunk cannot be decoded.
    #[error("a chunk of {series} at byte {offset} of {path} cannot be read: {source}")]
    Chunk {
        /// The series.
        series: String,
        /// The segment file.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// Why not.
        source: ChunkError,
    },
    /// The directory holds neither blocks nor a WAL.
    #[error("{0} is no Prometheus data directory: it holds no block (a directory with a meta.json) and no wal")]
    NotADataDir(PathBuf),
    /// The directory holds nothing but a WAL.
    #[error(
        "{0} holds only a write-ahead log, which is not read. Take a snapshot first, which writes it to a block: start \
         Prometheus with --web.enable-admin-api, then `curl -XPOST http://localhost:9090/api/v1/admin/tsdb/snapshot`, \
         and import the directory that it makes under snapshots/"
    )]
    OnlyWal(PathBuf),
}

impl TsdbError {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        move |source| Self::Io { path: path.to_owned(), source }
    }

    fn damaged(path: &Path, offset: u64, what: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_owned(), offset, what: what.into() }
    }
}

/// The blocks of a data directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataDir {
    /// The blocks that are in force, in order of their first timestamp.
    pub blocks: Vec<BlockMeta>,
    /// Whether there is a WAL beside them, whose samples (the last two to three hours) are not in any block.
    pub has_wal: bool,
}

/// What a block's `meta.json` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockMeta {
    /// The block's directory.
    pub dir: PathBuf,
    /// Its name.
    pub ulid: String,
    /// First timestamp in it.
    pub min_time: i64,
    /// First timestamp after it.
    pub max_time: i64,
    /// How many samples it has.
    pub samples: u64,
    /// How many series it has.
    pub series: u64,
}

impl DataDir {
    /// Lists the blocks of a data directory, or of a single block's directory.
    ///
    /// # Errors
    /// When it is no data directory, holds only a WAL, or a `meta.json` cannot be read.
    pub fn open(dir: &Path) -> Result<Self, TsdbError> {
        if dir.join(META).is_file() {
            let (meta, _) = read_meta(dir)?;
            return Ok(Self { blocks: vec![meta], has_wal: false });
        }
        let mut blocks = Vec::new();
        let mut superseded = HashSet::new();
        for entry in fs::read_dir(dir).map_err(TsdbError::io(dir))? {
            let path = entry.map_err(TsdbError::io(dir))?.path();
            // Blocks that are being written or deleted have a longer name.
            let is_ulid = path.file_name().is_some_and(|n| n.len() == 26 && n.to_string_lossy().is_ascii());
            if is_ulid && path.join(META).is_file() {
                let (meta, parents) = read_meta(&path)?;
                superseded.extend(parents);
                blocks.push(meta);
            }
        }
        let has_wal = ["wal", "chunks_head", "wbl"].iter().any(|name| dir.join(name).is_dir());
        if blocks.is_empty() {
            return Err(if has_wal { TsdbError::OnlyWal(dir.into()) } else { TsdbError::NotADataDir(dir.into()) });
        }
        // A block that was made from others replaces them, also when they were not deleted yet.
        blocks.retain(|block| !superseded.contains(&block.ulid));
        blocks.sort_by(|a, b| (a.min_time, &a.ulid).cmp(&(b.min_time, &b.ulid)));
        Ok(Self { blocks, has_wal })
    }
}

const META: &str = "meta.json";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MetaJson {
    version: u32,
    ulid: String,
    min_time: i64,
    max_time: i64,
    #[serde(default)]
    stats: Stats,
    #[serde(default)]
    compaction: Compaction,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Stats {
    num_samples: u64,
    num_series: u64,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Compaction {
    parents: Vec<Parent>,
}

#[derive(Deserialize)]
struct Parent {
    ulid: String,
}

/// A block's meta data, and the names of the blocks that it replaces.
fn read_meta(dir: &Path) -> Result<(BlockMeta, Vec<String>), TsdbError> {
    let path = dir.join(META);
    let text = fs::read(&path).map_err(TsdbError::io(&path))?;
    let json: MetaJson = serde_json::from_slice(&text).map_err(|e| TsdbError::damaged(&path, 0, e.to_string()))?;
    if json.version != 1 {
        let what = format!("block version {} is not known, only version 1 is", json.version);
        return Err(TsdbError::damaged(&path, 0, what));
    }
    let meta = BlockMeta {
        dir: dir.to_owned(),
        ulid: json.ulid,
        min_time: json.min_time,
        max_time: json.max_time,
        samples: json.stats.num_samples,
        series: json.stats.num_series,
    };
    Ok((meta, json.compaction.parents.into_iter().map(|p| p.ulid).collect()))
}
