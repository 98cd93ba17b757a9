//! Damage to files of tables: flipped bits and cuts in event segments and in the log.
//!
//! Whatever is done to a file, no row ever has another value, the rows of the other files are answered, and what is lost
//! is reported.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use chronolith_storage::{
    StorageError,
    engine::{Engine, OnConflict},
    rng::Rng,
    vfs::{MemFs, OpenMode, Vfs},
};

use crate::world::{definition, options, read, rows};

const FLIPS: usize = if cfg!(debug_assertions) { 150 } else { 3_000 };
const CUTS: usize = if cfg!(debug_assertions) { 25 } else { 500 };

type Image = BTreeMap<PathBuf, Vec<u8>>;

fn image(vfs: &dyn Vfs, dir: &Path) -> Image {
    let mut files = Image::new();
    for entry in vfs.list(dir).unwrap() {
        let path = dir.join(&entry.name);
        if entry.is_dir {
            files.extend(image(vfs, &path));
        } else {
            let file = vfs.open(&path, OpenMode::Read).unwrap();
            let mut bytes = vec![0; file.len().unwrap() as usize];
            file.read_exact_at(&mut bytes, 0).unwrap();
            files.insert(path, bytes);
        }
    }
    files
}

fn restore(files: &Image) -> Arc<dyn Vfs> {
    let fs = MemFs::new();
    for (path, bytes) in files {
        fs.create_dir_all(path.parent().unwrap()).unwrap();
        fs.open(path, OpenMode::CreateNew).unwrap().write_all_at(bytes, 0).unwrap();
    }
    Arc::new(fs)
}

fn insert(engine: &Engine, of: &[(i64, String)], on_conflict: OnConflict) {
    let mut t = engine.begin();
    let id = t.tables().table("keyed").unwrap().definition.id;
    t.insert(id, rows(of), on_conflict).unwrap();
    t.commit().unwrap();
}

fn text(n: i64) -> String {
    format!("the text of row {n}, which is long enough not to be held in a view")
}

/// Three segments of 100 rows and a log with 100 more, in commits of ten; the numbers of each file.
fn filled() -> (Image, BTreeMap<PathBuf, BTreeSet<i64>>) {
    let vfs: Arc<dyn Vfs> = Arc::new(MemFs::new());
    let engine = Engine::open(options(Arc::clone(&vfs))).unwrap();
    let mut t = engine.begin();
    t.create_table(definition("keyed", true)).unwrap();
    t.commit().unwrap();
    for file in 0..4 {
        for ten in 0..10 {
            let first = file * 100 + ten * 10;
            insert(&engine, &(first..first + 10).map(|n| (n, text(n))).collect::<Vec<_>>(), OnConflict::Refuse);
        }
        if file < 3 {
            engine.flush().unwrap();
        }
    }
    // Replaced rows of the first two segments, whose deletions are in the log.
    insert(&engine, &[(5, text(5)), (105, text(105))], OnConflict::Replace);
    drop(engine);
    let files = image(&*vfs, Path::new("/data"));
    let of = files.keys().filter(|path| path.extension().is_some_and(|e| e == "seg"));
    let segments = of.zip(0i64..).map(|(path, n)| (path.clone(), (n * 100..n * 100 + 100).collect()));
    let segments: BTreeMap<PathBuf, BTreeSet<i64>> = segments.collect();
    assert_eq!(segments.len(), 3);
    (files, segments)
}

/// Asks until no damage is found any more. Every answer must be true.
fn numbers_shown(engine: &Engine, context: &str) -> BTreeSet<i64> {
    for _ in 0..10 {
        match read(engine.tables().table("keyed").unwrap()) {
            Ok(all) => {
                for (n, held, _) in &all {
                    assert_eq!(*held, text(*n), "{context}: a wrong answer");
                }
                return all.into_iter().map(|(n, _, _)| n).collect();
            }
            Err(StorageError::Corrupt { .. }) => {}
            Err(other) => panic!("{context}: {other}"),
        }
    }
    panic!("{context}: damage is found again and again");
}

fn check(files: &Image, damaged: &Path, safe: &BTreeSet<i64>, context: &str) {
    let vfs = restore(files);
    let engine = Engine::open(options(Arc::clone(&vfs))).unwrap_or_else(|e| panic!("{context}: {e}"));
    let shown = numbers_shown(&engine, context);
    let lost: Vec<_> = safe.difference(&shown).collect();
    assert!(lost.is_empty(), "{context}: rows of whole files are gone: {lost:?}");
    if shown.len() < 400 {
        let told: Vec<_> = engine.quarantined();
        assert!(!told.is_empty(), "{context}: {} rows are gone and nothing is told", 400 - shown.len());
        let of_table = damaged.extension().is_some_and(|e| e == "seg");
        assert!(!of_table || !engine.table_warnings("keyed").is_empty(), "{context}: no warning");
    }
    let clean = engine.verify().unwrap().is_clean();
    assert!(!clean || shown.len() == 400, "{context}: verified clean with rows missing");
    insert(&engine, &[(1_000, text(1_000))], OnConflict::Refuse);
    engine.compact().unwrap_or_else(|e| panic!("{context}: {e}"));
    let shown = numbers_shown(&engine, context);
    drop(engine);
    let engine = Engine::open(options(vfs)).unwrap_or_else(|e| panic!("{context}: opened again: {e}"));
    assert_eq!(numbers_shown(&engine, context), shown, "{context}: opened again");
    assert!(shown.contains(&1_000));
    assert_eq!(engine.tables().table("keyed").unwrap().len(), shown.len() as u64, "{context}: the count");
}

#[test]
fn damage_to_an_event_segment_is_set_aside_and_the_rest_goes_on() {
    let (files, segments) = filled();
    let mut rng = Rng::new(3);
    for (path, mine) in &segments {
        let safe: BTreeSet<i64> = (0..400).filter(|n| !mine.contains(n)).collect();
        let len = files[path].len();
        for case in 0..FLIPS + CUTS {
            let mut damaged = files.clone();
            let bytes = damaged.get_mut(path).unwrap();
            let at = rng.next_u64() as usize % len;
            let context = if case < FLIPS {
                bytes[at] ^= 1 << (rng.next_u64() % 8);
                format!("{} with a bit flipped at {at}", path.display())
            } else {
                bytes.truncate(at);
                format!("{} cut at {at}", path.display())
            };
            check(&damaged, path, &safe, &context);
        }
        let mut damaged = files.clone();
        damaged.remove(path);
        check(&damaged, path, &safe, &format!("{} removed", path.display()));
    }
}

#[test]
fn damage_to_the_log_costs_the_rows_of_the_damaged_frames_only() {
    let (files, _) = filled();
    let mut rng = Rng::new(4);
    // The newest log has the definition of nothing: the table is in the catalog.
    let path = files.keys().rfind(|path| path.extension().is_some_and(|e| e == "log")).unwrap();
    let len = files[path].len();
    // Rows that the log replaced may be gone with it: deletion and new row are in one frame.
    let safe: BTreeSet<i64> = (0..300).filter(|n| ![5, 105].contains(n)).collect();
    for _ in 0..FLIPS {
        let mut damaged = files.clone();
        let at = rng.next_u64() as usize % len;
        damaged.get_mut(path).unwrap()[at] ^= 1 << (rng.next_u64() % 8);
        check_log(&damaged, &safe, &format!("{} with a bit flipped at {at}", path.display()));
    }
}

fn check_log(files: &Image, safe: &BTreeSet<i64>, context: &str) {
    let engine = Engine::open(options(restore(files))).unwrap_or_else(|e| panic!("{context}: {e}"));
    let shown = numbers_shown(&engine, context);
    assert!(safe.is_subset(&shown), "{context}: rows of segments are gone");
    assert!([5, 105].iter().all(|n| shown.contains(n)), "{context}: a frame was taken in part");
    let lost = 400 - shown.len();
    assert!(lost.is_multiple_of(10), "{context}: {lost} rows are gone: a transaction was taken in part");
    assert!(lost == 0 || !engine.quarantined().is_empty(), "{context}: {lost} rows are gone and nothing is told");
}
