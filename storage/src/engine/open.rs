//! Opening: lock, catalog, segments, log, in this order; what is damaged is set aside, what nobody names is removed.

use std::{
    collections::BTreeSet,
    ops::Range,
    path::Path,
    sync::{
        Arc, Mutex, RwLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use super::{
    Inner,
    background::Background,
    commit::Committer,
    flush::segment_record,
    layout::Layout,
    metadata::MetadataTable,
    options::EngineOptions,
    quarantine::Quarantine,
    rebuild::open_catalog,
    replay::Replay,
    retention::ClockGuard,
    state::{LiveSegment, LiveTombstone, State},
    stats::Counters,
    tables::{replay::TableReplay, serials::Serials},
};
use crate::{
    Result, StorageError,
    catalog::{
        Catalog, CatalogEdit, CatalogState, QuarantineRecord, SegmentKind, SegmentRecord, TombstoneMatcher,
        TombstoneRecord,
    },
    memtable::{Index, Memtable, write_lock},
    rng::Rng,
    segment::{BlockCache, Segment},
    vfs::{Vfs, VfsLock, at_path},
    wal::{LogEnd, LogReader, LogWriter},
};

/// How often a read-only open begins again because the directory's owner changed it meanwhile.
const READ_ONLY_TRIES: usize = 20;

/// Opens the database that the options describe.
pub(super) fn open(options: EngineOptions) -> Result<Arc<Inner>> {
    let layout = Layout::new(&options.dir);
    let lock = prepare_directory(&options, &layout)?;
    if options.read_only {
        return open_beside_owner(&options);
    }
    let catalog = open_catalog(&options, &layout)?;
    let saved = catalog.state()?;
    open_at(options, layout, lock, catalog, &saved)
}

/// Opens without the lock. Another process may flush or merge meanwhile: then files are gone that the catalog named when
/// it was read, and samples would be missing, or damage told of that is none. So what was opened counts only if the
/// catalog is the same afterwards.
fn open_beside_owner(options: &EngineOptions) -> Result<Arc<Inner>> {
    for _ in 0..READ_ONLY_TRIES {
        let layout = Layout::new(&options.dir);
        let catalog = open_catalog(options, &layout)?;
        let saved = catalog.state()?;
        let opened = open_at(options.clone(), layout, None, catalog, &saved);
        if open_catalog(options, &Layout::new(&options.dir))?.state()?.commits == saved.commits {
            return opened;
        }
    }
    Err(StorageError::Invalid(format!(
        "{} is changed by another process faster than it can be read; ask that process",
        options.dir.display()
    )))
}

/// Opens what the catalog said at one moment.
fn open_at(
    options: EngineOptions,
    layout: Layout,
    lock: Option<Box<dyn VfsLock>>,
    catalog: Catalog,
    saved: &CatalogState,
) -> Result<Arc<Inner>> {
    let mut log = read_log(&options, &layout, saved)?;
    let writer = if options.read_only { None } else { Some(begin_log(&options, &layout, saved, &catalog, &log)?) };
    let damage = std::mem::take(&mut log.damage);
    let unsettled = std::mem::take(&mut log.tables.unsettled);
    let inner = Arc::new(assemble(options, layout, lock, catalog, saved, log, writer)?);
    inner.open_segments(&saved.segments)?;
    inner.settle_opened(unsettled)?;
    for item in damage {
        inner.report_damage(item)?;
    }
    if !inner.options.read_only {
        inner.remove_garbage(saved)?;
        if inner.options.background {
            inner.background.start(&inner).map_err(at_path(inner.layout.root()))?;
        }
        inner.note_memtable_bytes(inner.memtable_bytes.load(Ordering::Relaxed));
    }
    Ok(inner)
}

fn prepare_directory(options: &EngineOptions, layout: &Layout) -> Result<Option<Box<dyn VfsLock>>> {
    let vfs = &options.vfs;
    if options.read_only {
        if !vfs.exists(layout.root()).map_err(at_path(layout.root()))? {
            return Err(StorageError::Invalid(format!(
                "{} does not exist; a database that is opened read-only must be there",
                layout.root().display()
            )));
        }
        let marks = [Catalog::file_in(layout.root()), layout.wal(), layout.segments()];
        let there = marks.iter().map(|mark| vfs.exists(mark).map_err(at_path(mark)));
        if !there.collect::<Result<Vec<bool>>>()?.contains(&true) {
            return Err(StorageError::Invalid(format!(
                "{} holds no database: it has neither a catalog nor segments nor a log; is it the right directory?",
                layout.root().display()
            )));
        }
        return Ok(None);
    }
    create_root(&**vfs, layout.root())?;
    let lock = vfs.lock(&layout.lock()).map_err(|error| {
        if error.kind() == std::io::ErrorKind::WouldBlock {
            StorageError::Locked { path: layout.root().to_owned() }
        } else {
            at_path(&layout.lock())(error)
        }
    })?;
    for dir in [layout.wal(), layout.segments(), layout.snapshots()] {
        vfs.create_dir_all(&dir).map_err(at_path(&dir))?;
    }
    vfs.sync_dir(layout.root()).map_err(at_path(layout.root()))?;
    Ok(Some(lock))
}

/// Makes the data directory with all that leads to it, and makes their names durable. The directory's own name is synced
/// even if it was there: a start before this one may have failed between making and syncing it.
fn create_root(vfs: &dyn Vfs, root: &Path) -> Result<()> {
    let mut parents = Vec::new();
    let mut dir = root;
    while let Some(parent) = dir.parent() {
        let was_there = vfs.exists(dir).map_err(at_path(dir))?;
        // The parent of a plain name is the current directory.
        dir = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        parents.push(dir);
        if was_there {
            break;
        }
    }
    vfs.create_dir_all(root).map_err(at_path(root))?;
    parents.into_iter().try_for_each(|dir| match vfs.sync_dir(dir) {
        // A directory that this process may not open is not one that it made names in.
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Ok(()),
        other => other.map_err(at_path(dir)),
    })
}

/// Begins a generation of the log and has the catalog note it, so that its file is missed when it goes.
fn begin_log(
    options: &EngineOptions,
    layout: &Layout,
    saved: &CatalogState,
    catalog: &Catalog,
    log: &ReadLog,
) -> Result<LogWriter> {
    let (vfs, wal) = (&*options.vfs, layout.wal());
    // A generation whose making failed left a gap in the numbers: filled, so that only a lost file is one.
    let present: BTreeSet<u64> = crate::wal::logs(vfs, &wal)?.into_iter().map(|(generation, _)| generation).collect();
    if let Some(first) = present.range(saved.wal_head + 1..).next() {
        for gap in (*first..log.next_generation).filter(|g| !present.contains(g)) {
            LogWriter::create(vfs, &wal, gap)?;
        }
    }
    let writer = LogWriter::create(vfs, &wal, log.next_generation)?;
    match catalog.commit(&CatalogEdit { wal_head: Some(log.next_generation), ..CatalogEdit::default() }) {
        // Without the note this log is as good as any; the disk is mended sooner than two things break.
        Err(error @ StorageError::DiskFull { .. }) => tracing::warn!(%error, "the new log is not noted"),
        noted => noted?,
    }
    Ok(writer)
}

/// What the log gave.
struct ReadLog {
    memtable: Memtable,
    metadata: MetadataTable,
    tables: TableReplay,
    next_generation: u64,
    replayed: u64,
    damage: Vec<QuarantineRecord>,
}

fn read_log(options: &EngineOptions, layout: &Layout, saved: &CatalogState) -> Result<ReadLog> {
    let mut index = Index::new(options.seed);
    let shared = Arc::new(RwLock::new(Index::new(options.seed)));
    let memtable = Memtable::new(Arc::clone(&shared));
    let mut metadata = MetadataTable::saved(saved.metadata.clone());
    let mut tables = TableReplay::saved(saved);
    let mut next_generation = saved.wal_floor.max(saved.wal_head + 1);
    let (mut replayed, mut damage) = (0, Vec::new());
    let mut expected = saved.wal_floor.max(1);
    for (generation, path) in crate::wal::logs(&*options.vfs, &layout.wal())? {
        next_generation = next_generation.max(generation + 1);
        if generation < saved.wal_floor {
            continue;
        }
        damage.extend(missing_logs(options, saved, expected..generation.min(saved.wal_head + 1)));
        expected = generation + 1;
        let mut data = memtable.write();
        let mut replay = Replay::new(&mut index, &mut data, &mut metadata, &mut tables);
        let mut reader = match LogReader::open(&*options.vfs, &path) {
            Ok(reader) => reader,
            Err(error @ StorageError::Corrupt { .. }) => {
                damage.extend(log_damage(options, layout, saved, &path, 0..u64::MAX, &error.to_string())?);
                continue;
            }
            Err(error) => return Err(error),
        };
        let mut reasons = Vec::new();
        let mut start = reader.position();
        while let Some(payload) = reader.next()? {
            match replay.frame(payload) {
                // Its checksum fits, so this is not rot: whatever wrote it, the rest of the log is read.
                Err(error @ StorageError::Malformed { .. }) => {
                    reasons.push((start..reader.position(), error.to_string()))
                }
                taken => taken?,
            }
            start = reader.position();
        }
        replayed += replay.taken;
        if generation <= saved.wal_head && reader.len() < crate::wal::LOG_HEADER_LEN as u64 {
            reasons.push((0..reader.len(), "the log is cut off inside its header".to_owned()));
        } else {
            let orphans = replay.orphans + std::mem::take(&mut replay.tables.orphans);
            reasons.extend(damage_of(reader.end(), orphans));
        }
        for (range, reason) in reasons {
            damage.extend(log_damage(options, layout, saved, &path, range, &reason)?);
        }
    }
    damage.extend(missing_logs(options, saved, expected..saved.wal_head + 1));
    *write_lock(&shared) = index;
    Ok(ReadLog { memtable, metadata, tables, next_generation, replayed, damage })
}

/// The damaged ranges of a log, and what to say of each.
fn damage_of(end: &LogEnd, orphans: u64) -> Vec<(Range<u64>, String)> {
    let mut found: Vec<_> = end
        .damaged
        .iter()
        .map(|d| {
            let frames = d.lost.end - d.lost.start;
            let reason =
                format!("{frames} frames of the log are damaged; {orphans} samples behind them lost their series");
            (d.offset..d.offset + d.len, reason)
        })
        .collect();
    if let Some(torn) = end.torn.clone().filter(|r| !r.is_empty()) {
        let reason =
            "the log ends inside a frame: a write that was never confirmed was cut off, or its bytes are damaged";
        found.push((torn, reason.to_owned()));
    }
    found
}

/// What to say of generations that the catalog knows were made and whose files are not there.
fn missing_logs(options: &EngineOptions, saved: &CatalogState, generations: Range<u64>) -> Vec<QuarantineRecord> {
    let records = generations.map(|generation| QuarantineRecord {
        file: format!("{generation:020}.log (missing)"),
        what: "write-ahead log".to_owned(),
        range: None,
        reason: "the file is missing; samples in it that were not yet in segments are lost".to_owned(),
        at_ms: options.clock.now_ms(),
        table: None,
    });
    records.filter(|record| !is_told(saved, &record.file)).collect()
}

fn is_told(saved: &CatalogState, file: &str) -> bool {
    saved.quarantined.iter().any(|told| told.file == file)
}

/// Copies damaged bytes of a log to the quarantine and describes them. Which times were in them is not known.
fn log_damage(
    options: &EngineOptions,
    layout: &Layout,
    saved: &CatalogState,
    path: &Path,
    range: Range<u64>,
    reason: &str,
) -> Result<Option<QuarantineRecord>> {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let file = format!("{name}.{}", range.start);
    if is_told(saved, &file) {
        return Ok(None); // at an earlier start; the log was not flushed since
    }
    if !options.read_only {
        let (vfs, dir) = (&*options.vfs, layout.quarantine());
        vfs.create_dir_all(&dir).map_err(at_path(&dir))?;
        vfs.sync_dir(layout.root()).map_err(at_path(layout.root()))?;
        let to = dir.join(&file);
        if vfs.exists(&to).map_err(at_path(&to))? {
            // The copy of a start that did not come as far as telling it.
            vfs.remove(&to).map_err(at_path(&to))?;
        }
        crate::wal::set_aside(vfs, path, range.start, range.end - range.start, &to)?;
    }
    Ok(Some(QuarantineRecord {
        file,
        what: "write-ahead log".to_owned(),
        range: None,
        reason: reason.to_owned(),
        at_ms: options.clock.now_ms(),
        table: None,
    }))
}

fn assemble(
    options: EngineOptions,
    layout: Layout,
    lock: Option<Box<dyn VfsLock>>,
    catalog: Catalog,
    saved: &CatalogState,
    log: ReadLog,
    writer: Option<LogWriter>,
) -> Result<Inner> {
    let mut rng = Rng::new(options.seed);
    let bytes = log.memtable.heap_size() + log.tables.tables.memory();
    let counters = Counters::default();
    counters.replayed_samples.store(log.replayed, Ordering::Relaxed);
    counters.replayed_rows.store(log.tables.taken, Ordering::Relaxed);
    Ok(Inner {
        state: RwLock::new(State {
            active: Arc::new(log.memtable),
            flushing: None,
            segments: Arc::default(),
            tombstones: Arc::new(saved.tombstones.iter().map(live_tombstone).collect::<Result<_>>()?),
        }),
        rotation: RwLock::new(()),
        committer: Committer::new(writer),
        tables: RwLock::new(log.tables.tables),
        serials: Serials::new(log.tables.serials, log.tables.last_table),
        catalog,
        metadata: RwLock::new(log.metadata),
        cache: BlockCache::new(options.cache_bytes),
        quarantine: Quarantine::new(saved.quarantined.clone()),
        background: Background::default(),
        counters,
        clock_guard: ClockGuard::new(&*options.clock),
        wire_hash_key: (rng.next_u64(), rng.next_u64()),
        flushing: Mutex::new(()),
        merging: Mutex::new(()),
        setting_aside: Mutex::new(()),
        persisting: Mutex::new(()),
        reshaping: Mutex::new(()),
        next_segment_id: AtomicU64::new(saved.next_segment_id),
        next_sequence: AtomicU64::new(saved.next_sequence),
        next_tombstone: AtomicU64::new(saved.tombstones.iter().map(|t| t.id + 1).max().unwrap_or(1)),
        next_generation: AtomicU64::new(log.next_generation + 1),
        flush_floor: AtomicU64::new(saved.wal_floor),
        memtable_bytes: AtomicUsize::new(bytes),
        disk_full: AtomicBool::new(false),
        space_checked_ms: AtomicU64::new(0),
        closed: AtomicBool::new(false),
        _lock: lock,
        options,
        layout,
    })
}

fn live_tombstone(record: &TombstoneRecord) -> Result<Arc<LiveTombstone>> {
    let matchers = record.matchers.iter().map(TombstoneMatcher::matcher);
    Ok(Arc::new(LiveTombstone { record: record.clone(), matchers: matchers.collect::<Result<_, _>>()? }))
}

impl Inner {
    /// Opens the file of a segment and checks that it is the one that the catalog means.
    pub(super) fn open_segment(&self, record: &SegmentRecord) -> Result<Segment> {
        let path = self.layout.segment(record.id);
        let segment = Segment::open(&self.options.vfs, &path, Arc::clone(&self.cache))?;
        if segment_record(segment.summary()) != *record {
            let reason = "the file is not the one that the catalog names".to_owned();
            return Err(StorageError::Corrupt { path, offset: 0, reason });
        }
        Ok(segment)
    }

    fn open_segments(self: &Arc<Self>, records: &[SegmentRecord]) -> Result<()> {
        let mut live = Vec::with_capacity(records.len());
        for record in records {
            if let SegmentKind::Events(table) = record.kind {
                self.open_table_segment(table, record)?;
                continue;
            }
            match self.open_segment(record) {
                Ok(segment) => live.push(Arc::new(LiveSegment { record: record.clone(), segment })),
                // A file that is gone is damage as well; a disk that fails to read is not.
                Err(error) if is_damage(&error) => self.set_aside(record, &error.to_string())?,
                Err(error) => return Err(error),
            }
        }
        write_lock(&self.state).replace_segments(&[], live);
        Ok(())
    }

    /// Removes segment and log files that the catalog does not name, and unfinished backups.
    fn remove_garbage(&self, saved: &CatalogState) -> Result<()> {
        let vfs = &self.options.vfs;
        let dir = self.layout.segments();
        for entry in vfs.list(&dir).map_err(at_path(&dir))? {
            let Some(id) = Layout::parse_segment_name(&entry.name) else { continue };
            // Numbers are not used again while a file of that number is there.
            self.next_segment_id.fetch_max(id + 1, Ordering::SeqCst);
            if self.quarantine.items().iter().any(|q| q.file == entry.name) {
                // A crash came between the record and the move, or the catalog was built anew.
                self.move_to_quarantine(&dir.join(&entry.name))?;
            } else if !saved.segments.iter().any(|s| s.id == id) {
                let path = dir.join(&entry.name);
                vfs.remove(&path).map_err(at_path(&path))?;
                tracing::info!(file = %path.display(), "removed a segment file that the catalog does not name");
            }
        }
        let backups = self.layout.snapshots();
        for entry in vfs.list(&backups).map_err(at_path(&backups))? {
            if entry.is_dir && entry.name.ends_with(".tmp") {
                let path = backups.join(&entry.name);
                vfs.remove_dir_all(&path).map_err(at_path(&path))?;
            }
        }
        self.remove_old_logs();
        Ok(())
    }
}

/// Whether an error tells of bytes that are not what was written, a file that is gone included.
pub(super) fn is_damage(error: &StorageError) -> bool {
    match error {
        StorageError::Corrupt { .. } | StorageError::Malformed { .. } => true,
        StorageError::Io { source, .. } => {
            matches!(source.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::UnexpectedEof)
        }
        _ => false,
    }
}
