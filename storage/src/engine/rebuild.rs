//! Rebuilding a catalog that is damaged or lost, from the segment files and the log.
//!
//! Segments tell what they are to their database, so the live ones are known again, and every generation of the log that
//! exists is replayed. Not known any more are deletions that no merge had carried out, files that were about to be
//! removed, metadata that is in segments' times only, and what was set aside before.
//!
//! Nothing is changed before every file was looked at, so a directory of a newer version is refused untouched. The
//! damaged catalog is copied to the quarantine; the new one takes its name in one step. A crash leaves the old state,
//! which is rebuilt at the next start, or the new one.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use super::{
    flush::segment_record, layout::Layout, open::is_damage, options::EngineOptions, tables::rebuild::TableSurvey,
};
use crate::{
    Result, StorageError,
    catalog::{Catalog, CatalogEdit, QuarantineRecord, SegmentRecord},
    segment::{BlockCache, Segment},
    table::segment::EventSegment,
    vfs::{Vfs, at_path},
    wal::{LogReader, LogWriter, generation_of, logs, set_aside},
};

/// Opens the catalog; one that is damaged or missing is built anew unless the database is opened read-only.
pub(super) fn open_catalog(options: &EngineOptions, layout: &Layout) -> Result<Catalog> {
    let opened = match missing(options, layout)? {
        Some(error) => Err(error),
        None => Catalog::open(Arc::clone(&options.vfs), layout.root(), options.read_only),
    };
    match opened {
        Err(cause @ StorageError::Corrupt { .. }) if !options.read_only => rebuild(options, layout, &cause),
        other => other,
    }
}

/// The error for a catalog that is gone although there are segments or logs. To a new catalog they would be garbage.
fn missing(options: &EngineOptions, layout: &Layout) -> Result<Option<StorageError>> {
    let (vfs, path) = (&*options.vfs, Catalog::file_in(layout.root()));
    if vfs.exists(&path).map_err(at_path(&path))? || !has_data(vfs, layout)? {
        return Ok(None);
    }
    let reason = "the catalog is missing beside segments or logs".to_owned();
    Ok(Some(StorageError::Corrupt { path, offset: 0, reason }))
}

fn has_data(vfs: &dyn Vfs, layout: &Layout) -> Result<bool> {
    let in_wal = names(vfs, &layout.wal())?.iter().any(|n| generation_of(Path::new(n)).is_some());
    let in_segments = || names(vfs, &layout.segments());
    Ok(in_wal || in_segments()?.iter().any(|n| Layout::parse_segment_name(n).is_some()))
}

/// The names of the files in a directory; none when it does not exist.
fn names(vfs: &dyn Vfs, dir: &Path) -> Result<Vec<String>> {
    if !vfs.exists(dir).map_err(at_path(dir))? {
        return Ok(Vec::new());
    }
    let entries = vfs.list(dir).map_err(at_path(dir))?;
    Ok(entries.into_iter().filter(|e| !e.is_dir).map(|e| e.name).collect())
}

fn rebuild(options: &EngineOptions, layout: &Layout, cause: &StorageError) -> Result<Catalog> {
    let vfs = &*options.vfs;
    tracing::error!(%cause, "the catalog is built anew from the segments and the log");
    Catalog::check_format(vfs, layout.root())?;
    let mut tables = TableSurvey::default();
    let (segments, mut quarantine) = survey_segments(options, layout, &mut tables)?;
    let known: BTreeSet<String> = names(vfs, &layout.quarantine())?.into_iter().collect();
    let (wal_floor, wal_head) = survey_logs(vfs, layout, &known)?;
    let ids = segments.iter().map(|s| s.id);
    let damaged = quarantine.iter().map(|q| &q.file).chain(&known).filter_map(|n| Layout::parse_segment_name(n));
    let next_segment_id = ids.chain(damaged).max().unwrap_or(0).saturating_add(1);
    let next_sequence = segments.iter().map(|s| s.sequence).max().unwrap_or(0).saturating_add(1);
    quarantine.extend(known.iter().map(|file| QuarantineRecord {
        file: file.clone(),
        what: "set aside earlier".to_owned(),
        range: None,
        reason: "what was known of it was lost with the catalog".to_owned(),
        at_ms: options.clock.now_ms(),
        table: None,
    }));
    quarantine.push(keep_old_catalog(options, layout, &known, segments.len(), cause)?);
    let mut contents = CatalogEdit {
        add_segments: segments,
        wal_floor: Some(wal_floor),
        wal_head: Some(wal_head),
        next_segment_id: Some(next_segment_id),
        next_sequence: Some(next_sequence),
        quarantine,
        ..CatalogEdit::default()
    };
    tables.finish(&mut contents)?;
    Catalog::replace(Arc::clone(&options.vfs), layout.root(), &contents)
}

/// The segments that can be opened, and what to say of the files that cannot. Those are moved when the catalog names
/// them as set aside.
fn survey_segments(
    options: &EngineOptions,
    layout: &Layout,
    tables: &mut TableSurvey,
) -> Result<(Vec<SegmentRecord>, Vec<QuarantineRecord>)> {
    let (mut whole, mut damaged) = (Vec::new(), Vec::new());
    for name in names(&*options.vfs, &layout.segments())? {
        let Some(id) = Layout::parse_segment_name(&name) else { continue };
        let path = layout.segment(id);
        let holds_events = EventSegment::is_one(&*options.vfs, &path)?;
        let record =
            if holds_events { tables.take(&options.vfs, &path, id) } else { survey_metrics(options, &path, id) };
        let reason = match record {
            Ok(record) => {
                whole.push(record);
                continue;
            }
            Err(error) if is_damage(&error) => error.to_string(),
            Err(error) => return Err(error),
        };
        let kind = if holds_events { "event" } else { "metric" };
        damaged.push(QuarantineRecord {
            file: name,
            what: format!("{kind} segment, found while the catalog was built anew"),
            range: None,
            reason,
            at_ms: options.clock.now_ms(),
            table: None,
        });
    }
    Ok((whole, damaged))
}

fn survey_metrics(options: &EngineOptions, path: &Path, id: u64) -> Result<SegmentRecord> {
    let segment = Segment::open(&options.vfs, path, BlockCache::new(0))?;
    let found = segment.summary().identity.id;
    if found != id {
        let reason = format!("the file is that of segment {found}");
        return Err(StorageError::Corrupt { path: path.to_owned(), offset: 0, reason });
    }
    Ok(segment_record(segment.summary()))
}

/// The oldest and the newest generation of the log. When there is none, one is begun above all that were set aside, so
/// that the names of damaged ranges stay unique.
fn survey_logs(vfs: &dyn Vfs, layout: &Layout, known: &BTreeSet<String>) -> Result<(u64, u64)> {
    let found = logs(vfs, &layout.wal())?;
    for (_, path) in &found {
        match LogReader::open(vfs, path) {
            Err(error) if !is_damage(&error) => return Err(error),
            _ => {}
        }
    }
    if let (Some((oldest, _)), Some((newest, _))) = (found.first(), found.last()) {
        return Ok((*oldest, *newest));
    }
    let set_aside = known.iter().filter_map(|n| n.split_once(".log.")?.0.parse::<u64>().ok()).max().unwrap_or(0);
    let generation = set_aside.saturating_add(1);
    LogWriter::create(vfs, &layout.wal(), generation)?;
    Ok((generation, generation))
}

/// Copies what is left of the old catalog and its mark to the quarantine, and says what is lost with it.
fn keep_old_catalog(
    options: &EngineOptions,
    layout: &Layout,
    known: &BTreeSet<String>,
    segments: usize,
    cause: &StorageError,
) -> Result<QuarantineRecord> {
    let vfs = &*options.vfs;
    let dir = layout.quarantine();
    vfs.create_dir_all(&dir).map_err(at_path(&dir))?;
    vfs.sync_dir(layout.root()).map_err(at_path(layout.root()))?;
    let unique = |name: &str| {
        let numbered = (1..).map(|n: u64| format!("{name}.{n}"));
        std::iter::once(name.to_owned()).chain(numbered).find(|n| !known.contains(n)).unwrap_or_default()
    };
    let copy = |name: &str| -> Result<String> {
        let (from, to) = (layout.root().join(name), unique(name));
        if !vfs.exists(&from).map_err(at_path(&from))? {
            return Ok(format!("{to} (missing)"));
        }
        set_aside(vfs, &from, 0, u64::MAX, &dir.join(&to)).map(|()| to)
    };
    let [catalog, mark] = Catalog::FILES;
    copy(mark)?;
    Ok(QuarantineRecord {
        file: copy(catalog)?,
        what: "catalog".to_owned(),
        range: None,
        reason: format!(
            "{cause}. It was built anew from {segments} segments and the log; what was deleted since the last merges \
             may be there again, metadata of metrics may be missing until it is sent again, and tables without rows, \
             changes of tables without new rows, and views may be missing"
        ),
        at_ms: options.clock.now_ms(),
        table: None,
    })
}
