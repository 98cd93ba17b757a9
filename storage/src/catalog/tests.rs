//! The catalog against a model: crashes and faults at every operation, bits flipped and files cut at every byte.

use super::*;
use crate::{
    model::{
        matcher::MatchOp,
        metadata::{MetricKind, MetricMetadata},
        time::TimeRange,
    },
    rng::Rng,
    vfs::{SimFs, create_dir_durable, sim::Fault},
};

fn dir() -> &'static Path {
    Path::new("/data")
}

fn segment(id: u64) -> SegmentRecord {
    SegmentRecord {
        id,
        sequence: id * 2,
        partition: TimeRange::new(0, 7_199_999),
        range: TimeRange::new(-5, i64::MAX),
        series: 10,
        samples: u64::MAX,
        file_len: 4096,
        kind: SegmentKind::Metrics,
        level: 3,
    }
}

fn tombstone(id: u64) -> TombstoneRecord {
    let matcher = |name: &str, op, value: &str| TombstoneMatcher { name: name.to_owned(), op, value: value.to_owned() };
    TombstoneRecord {
        id,
        matchers: vec![
            matcher("__name__", MatchOp::Equal, "up"),
            matcher("job", MatchOp::NotRegex, "a.*"),
            matcher("x", MatchOp::Regex, ""),
            matcher("y", MatchOp::NotEqual, "z"),
        ],
        range: TimeRange::ALL,
        sequence_bound: 77,
    }
}

fn quarantined(file: &str) -> QuarantineRecord {
    QuarantineRecord {
        file: file.to_owned(),
        what: "segment 17".to_owned(),
        range: Some(TimeRange::new(1, 2)),
        reason: "a checksum does not fit".to_owned(),
        at_ms: -1,
        table: None,
    }
}

fn metadata(help: &str) -> MetricMetadata {
    MetricMetadata { kind: MetricKind::Counter, help: help.to_owned(), unit: "seconds".to_owned() }
}

/// Ten edits that use every field.
fn edits() -> Vec<CatalogEdit> {
    (1..=10u64)
        .map(|n| CatalogEdit {
            add_segments: vec![segment(n)],
            remove_segments: if n % 3 == 0 { vec![n - 1] } else { vec![] },
            add_tombstones: if n % 2 == 0 { vec![tombstone(n)] } else { vec![] },
            remove_tombstones: if n == 5 { vec![2, 4] } else { vec![] },
            metadata: vec![(format!("metric_{}", n % 4), metadata(&format!("help {n}")))],
            remove_metadata: vec![format!("metric_{}", (n + 1) % 4)],
            wal_floor: Some(n),
            wal_head: (n % 3 == 0).then_some(n + 4),
            next_segment_id: Some(n + 1),
            next_sequence: (n % 2 == 0).then_some(n * 3),
            quarantine: vec![quarantined(&format!("file-{n}"))],
            release: if n == 7 { vec!["file-2".to_owned()] } else { vec![] },
            ..CatalogEdit::default()
        })
        .collect()
}

/// The state of a new catalog.
fn empty() -> CatalogState {
    CatalogState {
        segments: vec![],
        tombstones: vec![],
        metadata: Default::default(),
        wal_floor: 0,
        wal_head: 0,
        next_segment_id: 1,
        next_sequence: 1,
        quarantined: vec![],
        commits: 1,
        tables: vec![],
        deleted: vec![],
        entries: Default::default(),
        last_table: 0,
    }
}

/// What an edit does, told simply.
fn apply(state: &CatalogState, edit: &CatalogEdit) -> CatalogState {
    let mut s = state.clone();
    s.segments.retain(|x| !edit.remove_segments.contains(&x.id));
    s.segments.extend(edit.add_segments.iter().cloned());
    s.segments.sort_by_key(|x| x.id);
    s.tombstones.retain(|x| !edit.remove_tombstones.contains(&x.id));
    s.tombstones.extend(edit.add_tombstones.iter().cloned());
    s.metadata.retain(|name, _| !edit.remove_metadata.contains(name));
    s.metadata.extend(edit.metadata.iter().cloned());
    s.quarantined.retain(|x| !edit.release.contains(&x.file));
    s.quarantined.extend(edit.quarantine.iter().cloned());
    s.quarantined.sort_by(|a, b| a.file.cmp(&b.file));
    s.wal_floor = edit.wal_floor.unwrap_or(s.wal_floor);
    s.wal_head = s.wal_head.max(s.wal_floor).max(edit.wal_head.unwrap_or(0));
    s.next_segment_id = edit.next_segment_id.unwrap_or(s.next_segment_id);
    s.next_sequence = edit.next_sequence.unwrap_or(s.next_sequence);
    s.commits += 1;
    s
}

fn mem() -> Arc<dyn Vfs> {
    let vfs = MemFs::new();
    create_dir_durable(&vfs, dir()).unwrap();
    Arc::new(vfs)
}

fn read_file(vfs: &dyn Vfs, name: &str) -> Vec<u8> {
    let file = vfs.open(&dir().join(name), OpenMode::Read).unwrap();
    let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

fn write_file(vfs: &dyn Vfs, name: &str, bytes: &[u8]) {
    let file = vfs.open(&dir().join(name), OpenMode::CreateOrOpen).unwrap();
    file.set_len(0).unwrap();
    file.write_all_at(bytes, 0).unwrap();
}

/// A directory in memory with these two files.
fn with_files(catalog: &[u8], mark: &[u8]) -> Arc<dyn Vfs> {
    let vfs = mem();
    write_file(&*vfs, CATALOG_FILE, catalog);
    write_file(&*vfs, "catalog.mark", mark);
    vfs
}

/// A catalog with all edits, closed in order or as a killed process leaves it: its state and its files.
fn full(closed: bool) -> (CatalogState, Vec<u8>, Vec<u8>) {
    let vfs = mem();
    let catalog = Catalog::open(Arc::clone(&vfs), dir(), false).unwrap();
    for edit in edits() {
        catalog.commit(&edit).unwrap();
    }
    let state = catalog.state().unwrap();
    if closed {
        drop(catalog);
    }
    (state, read_file(&*vfs, CATALOG_FILE), read_file(&*vfs, "catalog.mark"))
}

#[test]
fn edits_are_kept_over_a_restart() {
    let vfs = mem();
    let mut expected = empty();
    let mut catalog = Catalog::open(Arc::clone(&vfs), dir(), false).unwrap();
    assert_eq!(catalog.state().unwrap(), expected);
    for edit in edits() {
        catalog.commit(&edit).unwrap();
        expected = apply(&expected, &edit);
        assert_eq!(catalog.state().unwrap(), expected);
        catalog.verify().unwrap();
        drop(catalog);
        catalog = Catalog::open(Arc::clone(&vfs), dir(), false).unwrap();
        assert_eq!(catalog.state().unwrap(), expected);
    }
    let m = &expected.tombstones[0].matchers[1];
    assert!(m.matcher().unwrap().matches("b"));
}

#[test]
fn an_edit_that_does_not_fit_changes_nothing() {
    let catalog = Catalog::open(mem(), dir(), false).unwrap();
    catalog.commit(&edits()[0]).unwrap();
    let before = catalog.state().unwrap();
    let wrong = [
        CatalogEdit { add_segments: vec![segment(1)], ..Default::default() },
        CatalogEdit { wal_floor: Some(9), remove_segments: vec![2], ..Default::default() },
        CatalogEdit { remove_tombstones: vec![1], ..Default::default() },
        CatalogEdit { release: vec!["none".to_owned()], ..Default::default() },
        CatalogEdit { add_tombstones: vec![tombstone(1), tombstone(1)], ..Default::default() },
    ];
    for edit in wrong {
        assert!(matches!(catalog.commit(&edit), Err(StorageError::Invalid(_))));
        assert_eq!(catalog.state().unwrap(), before);
    }
    catalog.commit(&edits()[1]).unwrap();
}

#[test]
fn a_read_only_catalog_changes_no_byte() {
    let vfs = mem();
    assert!(matches!(Catalog::open(Arc::clone(&vfs), dir(), true), Err(StorageError::Io { .. })));
    assert!(vfs.list(dir()).unwrap().is_empty());
    let writer = Catalog::open(Arc::clone(&vfs), dir(), false).unwrap();
    writer.commit(&edits()[0]).unwrap();
    let state = writer.state().unwrap();
    // The writer is still open, so the file says that it was not closed: it would be repaired when opened for writing.
    let before = (read_file(&*vfs, CATALOG_FILE), read_file(&*vfs, "catalog.mark"));
    let reader = Catalog::open(Arc::clone(&vfs), dir(), true).unwrap();
    assert_eq!(reader.state().unwrap(), state);
    assert!(matches!(reader.commit(&edits()[1]), Err(StorageError::ReadOnly)));
    drop(reader);
    assert_eq!((read_file(&*vfs, CATALOG_FILE), read_file(&*vfs, "catalog.mark")), before);
}

/// Opens a catalog and commits all edits until an error; returns the states that may be on disk.
fn script(vfs: &Arc<dyn Vfs>) -> (Option<CatalogState>, Option<CatalogState>) {
    if create_dir_durable(&**vfs, dir()).is_err() {
        return (None, Some(empty()));
    }
    let Ok(catalog) = Catalog::open(Arc::clone(vfs), dir(), false) else { return (None, Some(empty())) };
    let mut sure = empty();
    for edit in edits() {
        let next = apply(&sure, &edit);
        match catalog.commit(&edit) {
            Ok(()) => sure = next,
            Err(StorageError::DiskFull { .. }) => match catalog.commit(&edit) {
                Ok(()) => sure = next,
                Err(_) => return (Some(sure), Some(next)),
            },
            Err(_) => {
                assert!(catalog.commit(&edit).is_err(), "a failed catalog took a commit");
                return (Some(sure), Some(next));
            }
        }
    }
    (Some(sure), None)
}

/// After a recovery the catalog opens, and says what was committed last, or what was about to be.
fn check_recovered(vfs: SimFs, (sure, maybe): &(Option<CatalogState>, Option<CatalogState>), what: &str) {
    create_dir_durable(&vfs, dir()).unwrap();
    let catalog = Catalog::open(Arc::new(vfs), dir(), false).unwrap_or_else(|e| panic!("{what}: {e}"));
    let state = catalog.state().unwrap();
    let known = Some(&state) == sure.as_ref() || Some(&state) == maybe.as_ref();
    assert!(known, "{what}: {state:?} is neither {sure:?} nor {maybe:?}");
    catalog.commit(&CatalogEdit { wal_floor: Some(99), ..Default::default() }).unwrap();
}

fn operations() -> u64 {
    let calm = SimFs::new(0);
    let (sure, maybe) = script(&(Arc::new(calm.clone()) as Arc<dyn Vfs>));
    assert_eq!((sure.unwrap().commits, maybe), (11, None));
    calm.operations()
}

#[test]
fn a_crash_at_every_operation_keeps_what_was_committed() {
    for at in 1..=operations() + 1 {
        for seed in 0..5 {
            let vfs = SimFs::new(seed);
            vfs.crash_at(at);
            let told = script(&(Arc::new(vfs.clone()) as Arc<dyn Vfs>));
            let what = format!("crash at {at}, seed {seed}");
            let once = vfs.recover(seed);
            // A second crash while the first is being recovered from.
            once.crash_at(1 + (at * 7 + seed) % 60);
            let again = Catalog::open(Arc::new(once.clone()), dir(), false);
            drop(again);
            check_recovered(once.recover(seed + 1), &told, &what);
        }
    }
}

#[test]
fn every_fault_at_every_operation_keeps_what_was_committed() {
    for at in 1..=operations() {
        for fault in Fault::ALL {
            for sticky in [false, true] {
                let vfs = SimFs::new(at);
                vfs.inject(at, fault, sticky);
                let told = script(&(Arc::new(vfs.clone()) as Arc<dyn Vfs>));
                let what = format!("{fault:?} at {at}, sticky {sticky}");
                vfs.clear_fault();
                check_recovered(vfs.recover(at), &told, &what);
            }
        }
    }
}

/// Opens the catalog with these bytes: it is as it was, or the damage is told and the file untouched.
fn found_or_harmless(catalog: &[u8], mark: &[u8], state: &CatalogState, what: &str) -> bool {
    let vfs = with_files(catalog, mark);
    match Catalog::open(Arc::clone(&vfs), dir(), false).and_then(|c| c.state()) {
        Ok(got) => {
            assert_eq!(got, *state, "{what}");
            false
        }
        Err(e) => {
            assert!(matches!(e, StorageError::Corrupt { .. } | StorageError::Catalog(_)), "{what}: {e:?}");
            assert_eq!(read_file(&*vfs, CATALOG_FILE), catalog, "{what}: a damaged file was touched");
            true
        }
    }
}

fn flip_bits(closed: bool) {
    let (state, catalog, mark) = full(closed);
    let mut rng = Rng::new(1);
    let mut found = 0;
    for at in 0..catalog.len() {
        // Most of the file is free or empty: of its zeros only some are tried. The header is tried bit by bit.
        if at >= 512 && rng.below(if catalog[at] == 0 { 128 } else { 4 }) != 0 {
            continue;
        }
        let bits = if at < 320 {
            0..8
        } else {
            let bit = rng.below(8);
            bit..bit + 1
        };
        for bit in bits {
            let mut damaged = catalog.clone();
            damaged[at] ^= 1 << bit;
            found += u32::from(found_or_harmless(&damaged, &mark, &state, &format!("byte {at} bit {bit}")));
        }
    }
    assert!(found > 100, "only {found} flips were found");
}

#[test]
fn a_flipped_bit_is_found_or_does_no_harm() {
    flip_bits(true);
}

#[test]
fn a_flipped_bit_in_a_catalog_that_was_not_closed_is_found_or_does_no_harm() {
    flip_bits(false);
}

#[test]
fn a_page_lost_or_swapped_is_found_or_does_no_harm() {
    for closed in [true, false] {
        let (state, catalog, mark) = full(closed);
        let pages = catalog.len() / 4096;
        for page in 0..pages {
            let at = page * 4096..(page + 1) * 4096;
            for fill in [0x00, 0xff] {
                let mut damaged = catalog.clone();
                damaged[at.clone()].fill(fill);
                found_or_harmless(&damaged, &mark, &state, &format!("page {page} filled with {fill}"));
            }
            let mut damaged = catalog.clone();
            let other = (page + 1) % pages * 4096;
            for i in 0..4096 {
                damaged.swap(at.start + i, other + i);
            }
            found_or_harmless(&damaged, &mark, &state, &format!("page {page} swapped"));
        }
    }
}

#[test]
fn a_flipped_bit_in_the_mark_does_no_harm() {
    let (state, catalog, mark) = full(true);
    for at in (0..24).chain((24..512).step_by(50)).chain(512..mark.len()) {
        let mut damaged = mark.clone();
        damaged[at] ^= 4;
        let reopened = Catalog::open(with_files(&catalog, &damaged), dir(), false).unwrap();
        assert_eq!(reopened.state().unwrap(), state);
    }
    for len in (0..mark.len()).step_by(5) {
        let reopened = Catalog::open(with_files(&catalog, &mark[..len]), dir(), false).unwrap();
        assert_eq!(reopened.state().unwrap(), state);
    }
}

#[test]
fn a_catalog_cut_anywhere_is_found() {
    for closed in [true, false] {
        let (state, catalog, mark) = full(closed);
        let mut rng = Rng::new(2);
        let mut len = 0;
        while len < catalog.len() {
            found_or_harmless(&catalog[..len], &mark, &state, &format!("cut at {len}"));
            len += 1 + rng.below(if len < 512 { 4 } else { 1024 }) as usize;
        }
    }
}

#[test]
fn a_catalog_works_on_the_real_file_system() {
    let dir = tempfile::tempdir().unwrap();
    let vfs: Arc<dyn Vfs> = Arc::new(crate::vfs::RealFs);
    let mut expected = empty();
    for edit in edits() {
        let catalog = Catalog::open(Arc::clone(&vfs), dir.path(), false).unwrap();
        catalog.commit(&edit).unwrap();
        catalog.verify().unwrap();
        expected = apply(&expected, &edit);
    }
    assert_eq!(Catalog::open(vfs, dir.path(), true).unwrap().state().unwrap(), expected);
    let names: Vec<String> =
        std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
}

#[test]
fn an_old_or_missing_catalog_is_refused() {
    let vfs = mem();
    let catalog = Catalog::open(Arc::clone(&vfs), dir(), false).unwrap();
    catalog.commit(&edits()[0]).unwrap();
    drop(catalog);
    let old = read_file(&*vfs, CATALOG_FILE);
    let catalog = Catalog::open(Arc::clone(&vfs), dir(), false).unwrap();
    catalog.commit(&edits()[1]).unwrap();
    write_file(&*vfs, CATALOG_FILE, &old);
    assert!(matches!(catalog.verify(), Err(StorageError::Corrupt { .. })));
    drop(catalog);
    write_file(&*vfs, CATALOG_FILE, &old);
    for read_only in [true, false] {
        let e = Catalog::open(Arc::clone(&vfs), dir(), read_only).unwrap_err();
        assert!(e.to_string().contains("old state"), "{e}");
        assert_eq!(read_file(&*vfs, CATALOG_FILE), old);
    }
    vfs.remove(&dir().join(CATALOG_FILE)).unwrap();
    let e = Catalog::open(Arc::clone(&vfs), dir(), false).unwrap_err();
    assert!(e.to_string().contains("missing"), "{e}");
    assert!(!vfs.exists(&dir().join(CATALOG_FILE)).unwrap());
}

#[test]
fn a_newer_format_is_refused_untouched() {
    let (_, catalog, mut mark) = full(true);
    for slot in [0, 512] {
        mark[slot + 8] = 3;
        let crc = crc32c::crc32c(&mark[slot..slot + 20]);
        mark[slot + 20..slot + 24].copy_from_slice(&crc.to_le_bytes());
        let vfs = with_files(&catalog, &mark);
        let e = Catalog::open(Arc::clone(&vfs), dir(), false).unwrap_err();
        assert!(matches!(e, StorageError::NewerFormat { found: 3, supported: 2, .. }), "{e}");
        assert_eq!((read_file(&*vfs, CATALOG_FILE), read_file(&*vfs, "catalog.mark")), (catalog.clone(), mark.clone()));
    }
}

#[test]
fn a_full_disk_is_told_and_commits_go_on_when_there_is_space() {
    let sim = SimFs::new(1);
    let vfs: Arc<dyn Vfs> = Arc::new(sim.clone());
    create_dir_durable(&sim, dir()).unwrap();
    let catalog = Catalog::open(Arc::clone(&vfs), dir(), false).unwrap();
    catalog.commit(&edits()[0]).unwrap();
    let mut expected = apply(&empty(), &edits()[0]);
    sim.inject(0, Fault::NoSpace, true);
    let edit = &edits()[1];
    assert!(matches!(catalog.commit(edit), Err(StorageError::DiskFull { .. })));
    assert!(matches!(catalog.commit(edit), Err(StorageError::DiskFull { .. })));
    sim.clear_fault();
    assert_eq!(catalog.state().unwrap(), expected);
    catalog.commit(edit).unwrap();
    expected = apply(&expected, edit);
    assert_eq!(catalog.state().unwrap(), expected);
    drop(catalog);
    assert_eq!(Catalog::open(Arc::new(sim.recover(1)), dir(), false).unwrap().state().unwrap(), expected);
}

#[test]
fn a_failed_sync_stops_the_catalog() {
    let sim = SimFs::new(1);
    create_dir_durable(&sim, dir()).unwrap();
    let catalog = Catalog::open(Arc::new(sim.clone()), dir(), false).unwrap();
    sim.inject(0, Fault::SyncFails, false);
    assert!(matches!(catalog.commit(&edits()[0]), Err(StorageError::Io { .. })));
    assert!(matches!(catalog.commit(&edits()[0]), Err(StorageError::Catalog(_))));
    assert!(matches!(catalog.state(), Err(StorageError::Catalog(_))));
}
