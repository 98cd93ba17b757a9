//! How an engine is opened.

use std::{fmt, path::PathBuf, str::FromStr, sync::Arc, time::Duration};

use crate::{
    clock::{Clock, SystemClock},
    rng::Rng,
    vfs::{MemFs, RealFs, Vfs},
};

/// What a successful write survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// Loss of power: the log is synced before the write returns. One sync serves all writers that wait.
    #[default]
    Sync,
    /// The end of the process; loss of power costs at most the last interval.
    Interval(Duration),
    /// The end of the process; loss of power costs what the operating system had not written yet.
    Os,
}

impl FromStr for Durability {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "sync" => Ok(Self::Sync),
            "os" => Ok(Self::Os),
            _ => {
                let interval = text.strip_prefix("interval:").and_then(parse_interval);
                interval.map(Self::Interval).ok_or_else(|| {
                    format!(
                        "durability {text:?} is not known: use sync, interval:<duration> such as interval:1s, or os"
                    )
                })
            }
        }
    }
}

fn parse_interval(text: &str) -> Option<Duration> {
    let (number, unit_ms) = match text.strip_suffix("ms") {
        Some(number) => (number, 1),
        None => (text.strip_suffix('s')?, 1_000),
    };
    let number: u64 = number.parse().ok()?;
    (number > 0).then(|| Duration::from_millis(number.saturating_mul(unit_ms)))
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sync => f.write_str("sync"),
            Self::Interval(every) => write!(f, "interval:{}ms", every.as_millis()),
            Self::Os => f.write_str("os"),
        }
    }
}

/// How an engine is opened. [`EngineOptions::in_memory`] and [`EngineOptions::at`] give good defaults.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// The file system.
    pub vfs: Arc<dyn Vfs>,
    /// The data directory in that file system.
    pub dir: PathBuf,
    /// The source of time.
    pub clock: Arc<dyn Clock>,
    /// Seed for hash keys.
    pub seed: u64,
    /// What a successful write survives.
    pub durability: Durability,
    /// Memory, in bytes, for the index of recent series, their samples and cached blocks together. At the limit new
    /// series are refused; known ones go on.
    pub memory_budget: usize,
    /// Samples in memory, in bytes, at which they are flushed to segments.
    pub memtable_bytes: usize,
    /// Blocks of segments kept in memory, in bytes.
    pub cache_bytes: usize,
    /// Samples older than this many milliseconds are refused, and dropped with their segment. `None`: kept for good.
    pub retention_ms: Option<i64>,
    /// When segments of samples, and of tables with a time column, hold more bytes than this, the oldest are dropped.
    /// `None`: no limit.
    pub retention_bytes: Option<u64>,
    /// Samples further ahead of the clock than this many milliseconds are refused.
    pub future_limit_ms: i64,
    /// Free space, in bytes, below which writes are refused until there is more.
    pub reserved_space: u64,
    /// Open without changing a byte: no writes, no lock.
    pub read_only: bool,
    /// Whether threads of the engine flush, merge and drop on their own. Without them the caller does, by
    /// [`Engine::flush`](super::Engine::flush), [`Engine::merge`](super::Engine::merge) and
    /// [`Engine::enforce_retention`](super::Engine::enforce_retention): for tests that must be repeatable.
    pub background: bool,
}

impl EngineOptions {
    /// A database in memory: the same engine over a file system in memory.
    #[must_use]
    pub fn in_memory() -> Self {
        Self {
            vfs: Arc::new(MemFs::default()),
            dir: PathBuf::from("/memory"),
            durability: Durability::Os,
            reserved_space: 0,
            ..Self::at("")
        }
    }

    /// A database in this directory, which is made when it does not exist.
    #[must_use]
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        Self {
            vfs: Arc::new(RealFs),
            dir: dir.into(),
            clock: Arc::new(SystemClock::default()),
            seed: Rng::from_system().next_u64(),
            durability: Durability::default(),
            memory_budget: 1 << 30,
            memtable_bytes: 128 << 20,
            cache_bytes: 128 << 20,
            retention_ms: None,
            retention_bytes: None,
            future_limit_ms: 10 * 60 * 1_000,
            reserved_space: 32 << 20,
            read_only: false,
            background: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durability_reads_what_it_prints() {
        for text in ["sync", "os", "interval:250ms"] {
            assert_eq!(text.parse::<Durability>().unwrap().to_string(), text);
        }
        assert_eq!("interval:1s".parse(), Ok(Durability::Interval(Duration::from_secs(1))));
        for text in ["", "fsync", "interval:", "interval:0s", "interval:1h"] {
            assert!(text.parse::<Durability>().unwrap_err().contains("use sync"));
        }
    }
}
