//! The engine: one way in and one way out for samples, and the work behind them.
//!
//! Lock order, outermost first: `flushing`, `merging`, `setting_aside`, `persisting`, `rotation`, `reshaping`, the
//! memtable's index, the log,
//! `state`, `tables`, the memtable's data, `serials`, `metadata`, `catalog`.

mod appender;
mod background;
mod backup;
mod commit;
mod delete;
mod flush;
mod layout;
mod merge;
mod merge_samples;
mod metadata;
mod open;
mod options;
mod quarantine;
mod rebuild;
mod replay;
mod retention;
mod snapshot;
mod state;
mod stats;
mod tables;
mod transaction;
mod verify;

use std::sync::{
    Arc, Mutex, RwLock,
    atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
};

use siphasher::sip128::SipHasher13;

pub use appender::{Appender, SampleRejection, SeriesRef};
pub use options::{Durability, EngineOptions};
pub use snapshot::Snapshot;
pub use stats::{EngineStats, LabelCardinality};
pub use transaction::{OnConflict, Savepoint, Transaction};
pub use verify::{VerifiedFile, VerifyReport};

use crate::{
    Result, StorageError,
    catalog::{Catalog, CatalogEdit, QuarantineRecord, SegmentRecord},
    memtable::read_lock,
    model::{matcher::Matcher, metadata::MetricMetadata, time::TimeRange},
    segment::BlockCache,
    vfs::{VfsLock, at_path},
};

/// When samples in memory hold this many times the flush threshold, writers are told to come back later.
const BACKPRESSURE_FACTOR: usize = 3;
/// How often the free space is looked at, in milliseconds.
const SPACE_CHECK_MS: u64 = 1_000;

/// An open database. Clones are handles to the same one; it closes when the last is dropped.
#[derive(Debug, Clone)]
pub struct Engine {
    inner: Arc<Handle>,
}

/// Stops the threads when the last handle goes, though they hold references of their own now and then.
#[derive(Debug)]
struct Handle {
    inner: Arc<Inner>,
}

/// What the engine's rooms share.
#[derive(Debug)]
struct Inner {
    options: EngineOptions,
    layout: layout::Layout,
    state: RwLock<state::State>,
    /// Held for reading by appenders, for writing while a memtable replaces another.
    rotation: RwLock<()>,
    committer: commit::Committer,
    tables: RwLock<tables::Tables>,
    serials: tables::serials::Serials,
    catalog: Catalog,
    metadata: RwLock<metadata::MetadataTable>,
    cache: Arc<BlockCache>,
    quarantine: quarantine::Quarantine,
    background: background::Background,
    counters: stats::Counters,
    clock_guard: retention::ClockGuard,
    /// Key of the hash over label bytes; not known outside, so that nobody can choose bytes that collide.
    wire_hash_key: (u64, u64),
    flushing: Mutex<()>,
    merging: Mutex<()>,
    setting_aside: Mutex<()>,
    /// Held while the catalog and the tables in memory take the same change of where rows are.
    persisting: Mutex<()>,
    /// Held by the leader of the group commit, and while rows go away in another way than by a deletion.
    reshaping: Mutex<()>,
    next_segment_id: AtomicU64,
    next_sequence: AtomicU64,
    next_tombstone: AtomicU64,
    next_generation: AtomicU64,
    /// The lowest log generation that is needed once the sealed memtable is in segments.
    flush_floor: AtomicU64,
    memtable_bytes: AtomicUsize,
    disk_full: AtomicBool,
    space_checked_ms: AtomicU64,
    closed: AtomicBool,
    /// `None` when opened read-only. Last, so that the directory is let go after everything else.
    _lock: Option<Box<dyn VfsLock>>,
}

impl Engine {
    /// Opens a database, and makes it when the directory is empty. Samples that the log holds beyond the segments are
    /// read back into memory.
    ///
    /// # Errors
    /// When another process has the directory, a newer version wrote it, or the disk fails. Damaged files are no error:
    /// they are set aside and reported by [`Engine::quarantined`].
    pub fn open(options: EngineOptions) -> Result<Self> {
        let inner = open::open(options)?;
        Ok(Self { inner: Arc::new(Handle { inner }) })
    }

    fn inner(&self) -> &Arc<Inner> {
        &self.inner.inner
    }

    /// Collects samples through an appender, then makes them durable and visible together. When `fill` fails, none is
    /// written. Blocks until the write is as durable as the options say.
    ///
    /// # Errors
    /// What `fill` returns, and the failures of the log: [`StorageError::Poisoned`], [`StorageError::DiskFull`],
    /// [`StorageError::Busy`].
    pub fn append<R>(&self, fill: impl FnOnce(&mut Appender<'_>) -> Result<R>) -> Result<R> {
        let inner = self.inner();
        inner.check_writable()?;
        inner.check_pressure()?;
        let _no_rotation = read_lock(&inner.rotation);
        let memtable = Arc::clone(&read_lock(&inner.state).active);
        let mut appender = Appender::new(inner, memtable.index());
        let filled = fill(&mut appender)?;
        let batch = appender.into_batch();
        inner.commit(batch, &memtable).map_err(commit::CommitFailure::into_error)?;
        Ok(filled)
    }

    /// A keyed 128-bit hash (SipHash-1-3) of a label set's bytes as a sender wrote them, for [`Appender::lookup`].
    #[must_use]
    pub fn wire_key(&self, bytes: &[u8]) -> u128 {
        let (k0, k1) = self.inner().wire_hash_key;
        SipHasher13::new_with_keys(k0, k1).hash(bytes).as_u128()
    }

    /// The database at this moment.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::new(self.inner())
    }

    /// What senders told about metric families, by name.
    #[must_use]
    pub fn metadata(&self) -> Vec<(String, MetricMetadata)> {
        read_lock(&self.inner().metadata).all()
    }

    /// Deletes the samples inside the range of all series that fulfil every matcher.
    ///
    /// # Errors
    /// When no matcher excludes the empty value, the range is empty, or the disk fails.
    pub fn delete_series(&self, matchers: &[Matcher], range: TimeRange) -> Result<()> {
        self.inner().delete_series(matchers, range)
    }

    /// Takes deleted samples off the disk.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn clean_tombstones(&self) -> Result<()> {
        self.inner().clean_tombstones()
    }

    /// Writes all samples in memory to segments.
    ///
    /// # Errors
    /// When the disk fails; the samples then stay in memory and in the log.
    pub fn flush(&self) -> Result<()> {
        self.inner().flush()
    }

    /// Merges segments where it pays.
    ///
    /// # Errors
    /// When the disk fails or is too full.
    pub fn merge(&self) -> Result<()> {
        self.inner().merge(merge::MergeGoal::Tidy)?;
        self.inner().merge_tables(merge::MergeGoal::Tidy)
    }

    /// Flushes, then merges all segments of each partition, and of each table, into one.
    ///
    /// # Errors
    /// When the disk fails or is too full.
    pub fn compact(&self) -> Result<()> {
        self.inner().flush()?;
        self.inner().merge(merge::MergeGoal::Full)?;
        self.inner().merge_tables(merge::MergeGoal::Full)
    }

    /// Drops what the retention does not keep.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn enforce_retention(&self) -> Result<()> {
        self.inner().enforce_retention()
    }

    /// Makes all writes durable that returned so far, whatever the durability.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn sync(&self) -> Result<()> {
        self.inner().check_writable()?;
        self.inner().committer.log().sync()
    }

    /// Makes a backup by hard links and returns its name under `snapshots/`.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn backup(&self) -> Result<String> {
        self.inner().backup()
    }

    /// Reads every block of every file and says which are damaged.
    ///
    /// # Errors
    /// When a directory cannot be listed.
    pub fn verify(&self) -> Result<VerifyReport> {
        self.inner().verify()
    }

    /// What a user should know about answers over a table: rows that were set aside as damaged.
    #[must_use]
    pub fn table_warnings(&self, table: &str) -> Vec<String> {
        self.inner().table_warnings(table)
    }

    /// What was set aside as damaged.
    #[must_use]
    pub fn quarantined(&self) -> Vec<QuarantineRecord> {
        self.inner().quarantine.items()
    }

    /// The live segments, in the order of their writes.
    #[must_use]
    pub fn segments(&self) -> Vec<SegmentRecord> {
        let mut all: Vec<SegmentRecord> =
            read_lock(&self.inner().state).segments.iter().map(|s| s.record.clone()).collect();
        all.extend(read_lock(&self.inner().tables).segments().map(|live| live.record.clone()));
        all.sort_by_key(|record| (record.sequence, record.id));
        all
    }

    /// Sizes and counts.
    #[must_use]
    pub fn stats(&self) -> EngineStats {
        self.inner().stats()
    }

    /// The names and values that most series have, for whoever looks for the cause of many series.
    #[must_use]
    pub fn cardinality(&self, limit: usize) -> LabelCardinality {
        self.inner().cardinality(limit)
    }

    /// How the engine was opened.
    #[must_use]
    pub fn options(&self) -> &EngineOptions {
        &self.inner().options
    }

    /// Why writes are refused now, if they are.
    ///
    /// # Errors
    /// The error that a write would get.
    pub fn check_writable(&self) -> Result<()> {
        let inner = self.inner();
        inner.check_writable()?;
        if let Some(reason) = inner.committer.log().poisoned() {
            return Err(StorageError::Poisoned { reason: reason.to_owned() });
        }
        inner.check_pressure()
    }

    /// Flushes and closes; writes through other handles are refused from here on.
    ///
    /// # Errors
    /// When the last flush fails; the log then still has all samples.
    pub fn close(&self) -> Result<()> {
        let inner = self.inner();
        inner.background.stop();
        if inner.options.read_only || inner.closed.load(Ordering::SeqCst) {
            return Ok(());
        }
        let flushed = inner.flush().and_then(|()| inner.committer.log().sync());
        inner.closed.store(true, Ordering::SeqCst);
        flushed
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.inner.background.stop();
    }
}

impl Inner {
    fn check_writable(&self) -> Result<()> {
        if self.options.read_only {
            return Err(StorageError::ReadOnly);
        }
        if self.closed.load(Ordering::SeqCst) {
            return Err(StorageError::Closed);
        }
        Ok(())
    }

    /// Refuses writes while flushes do not keep up.
    fn check_pressure(&self) -> Result<()> {
        let bytes = self.memtable_bytes.load(Ordering::Relaxed);
        if bytes < self.options.memtable_bytes.saturating_mul(BACKPRESSURE_FACTOR) {
            return Ok(());
        }
        self.background.wake_flush();
        Err(StorageError::Busy { bytes, limit: self.options.memtable_bytes.saturating_mul(BACKPRESSURE_FACTOR) })
    }

    /// Refuses writes while the disk is nearly full, so that there is room left to flush, merge and delete.
    fn check_space(&self) -> Result<()> {
        if self.options.reserved_space == 0 {
            return Ok(());
        }
        let now = u64::try_from(self.options.clock.monotonic().as_millis()).unwrap_or(u64::MAX);
        let due = self.space_checked_ms.load(Ordering::Relaxed);
        if now >= due {
            self.space_checked_ms.store(now + SPACE_CHECK_MS, Ordering::Relaxed);
            let root = self.layout.root();
            let free = self.options.vfs.available_space(root).map_err(at_path(root))?;
            self.disk_full.store(free < self.options.reserved_space, Ordering::Relaxed);
        }
        if self.disk_full.load(Ordering::Relaxed) {
            let reason = format!("less than the reserved {} bytes are free", self.options.reserved_space);
            return Err(StorageError::DiskFull { path: self.layout.root().to_owned(), reason });
        }
        Ok(())
    }

    /// Notes how much the active memtable holds, and wakes the flush when it is enough.
    fn note_memtable_bytes(&self, bytes: usize) {
        self.memtable_bytes.store(bytes, Ordering::Relaxed);
        if self.memtable_is_full() {
            self.background.wake_flush();
        }
    }

    fn memtable_is_full(&self) -> bool {
        self.memtable_bytes.load(Ordering::Relaxed) >= self.options.memtable_bytes
    }

    fn wake_merges(&self) {
        self.background.wake_merge();
    }

    /// The number and the sequence of a segment to be written.
    fn next_segment(&self) -> (u64, u64) {
        (self.next_segment_id.fetch_add(1, Ordering::SeqCst), self.next_sequence.fetch_add(1, Ordering::SeqCst))
    }

    /// Commits an edit, with the numbers that are used up by now.
    fn edit_catalog(&self, edit: CatalogEdit) -> Result<()> {
        self.catalog.commit(&CatalogEdit {
            next_segment_id: Some(self.next_segment_id.load(Ordering::SeqCst)),
            next_sequence: Some(self.next_sequence.load(Ordering::SeqCst)),
            ..edit
        })
    }
}
