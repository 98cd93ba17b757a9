//! Damage to every kind of file: a flipped bit, a cut, a lost file, overwritten ranges, files that changed places.
//!
//! Whatever is done to a file, opening does not panic, no sample ever has another value, what the other files hold is
//! answered, and what is lost is reported. In the dev profile large files are sampled by a seeded stride; optimised
//! builds try more.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test stops where it fails and tells what it tried")]

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
};

use chronolith_storage::{
    Buckets, Exemplar, Histogram, Labels, Matcher, MetricKind, MetricMetadata, ResetHint, SampleBuffer, SeriesSource,
    Span, StorageError, TimeRange,
    clock::VirtualClock,
    engine::{Engine, EngineOptions},
    rng::Rng,
    vfs::{MemFs, OpenMode, SimFs, Vfs},
};

const DAY: i64 = 24 * 60 * 60 * 1_000;
/// Flips and cuts of one file.
const FLIPS: usize = if cfg!(debug_assertions) { 260 } else { 3_000 };
const CUTS: usize = if cfg!(debug_assertions) { 50 } else { 600 };
/// Series of a batch.
const SERIES: u64 = 14;
/// Every so many cases are followed by writing on and by a read-only start.
const AFTERLIFE: usize = 5;

fn options(vfs: &Arc<dyn Vfs>, dir: &Path) -> EngineOptions {
    EngineOptions {
        vfs: Arc::clone(vfs),
        dir: dir.to_owned(),
        clock: Arc::new(VirtualClock::at(20 * DAY)),
        seed: 1,
        reserved_space: 0,
        background: false,
        ..EngineOptions::in_memory()
    }
}

/// All files of a directory with their bytes.
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

/// What each series has, by its labels as text; samples and exemplars as text with every bit of them.
type BySeries = BTreeMap<String, BTreeSet<String>>;

/// Everything a database answers; what failed is in `errors`.
#[derive(Debug, Default, Clone, PartialEq)]
struct Answers {
    samples: BySeries,
    exemplars: BySeries,
    series: BTreeSet<String>,
    values: BTreeSet<(String, String)>,
    errors: Vec<String>,
}

impl Answers {
    fn ask(engine: &Engine) -> Self {
        let mut answers = Self::default();
        let mut errors = Vec::new();
        let snapshot = engine.snapshot();
        match snapshot.select(&[], TimeRange::ALL) {
            Ok(set) => {
                for i in 0..set.len() {
                    let mut buffer = SampleBuffer::default();
                    match set.read(i, TimeRange::ALL, &mut buffer) {
                        Ok(()) => answers.take(set.labels(i), &buffer),
                        Err(e) => errors.push(e.to_string()),
                    }
                }
            }
            Err(e) => errors.push(e.to_string()),
        }
        match engine.snapshot().exemplars(&[vec![]], TimeRange::ALL) {
            Ok(found) => {
                for (labels, exemplars) in found {
                    answers.exemplars.insert(labels.to_string(), exemplars.iter().map(|e| format!("{e:?}")).collect());
                }
            }
            Err(e) => errors.push(e.to_string()),
        }
        match engine.snapshot().series(&[vec![Matcher::equal("job", "j1")], vec![]], TimeRange::ALL) {
            Ok(found) => answers.series.extend(found.iter().map(Labels::to_string)),
            Err(e) => errors.push(e.to_string()),
        }
        let snapshot = engine.snapshot();
        let names = snapshot.label_names(&[], TimeRange::ALL).unwrap_or_else(|e| {
            errors.push(e.to_string());
            Vec::new()
        });
        for name in names {
            match engine.snapshot().label_values(&name, &[], TimeRange::ALL) {
                Ok(values) => answers.values.extend(values.into_iter().map(|v| (name.clone(), v))),
                Err(e) => errors.push(e.to_string()),
            }
        }
        answers.errors = errors;
        answers
    }

    fn take(&mut self, labels: &Labels, buffer: &SampleBuffer) {
        let samples = self.samples.entry(labels.to_string()).or_default();
        for (i, (t, v)) in buffer.timestamps.iter().zip(&buffer.values).enumerate() {
            let start = buffer.start_timestamps.get(i).copied().unwrap_or(0);
            samples.insert(format!("{t} {:x} {start}", v.to_bits()));
        }
        for h in &buffer.histograms {
            samples.insert(format!("{} {} {:?}", h.timestamp, h.start_timestamp, h.histogram));
        }
    }

    /// Panics when something is here that is not there.
    fn must_be_in(&self, other: &Self, context: &str) {
        fn inside<T: Ord + std::fmt::Debug>(ours: &BTreeSet<T>, theirs: &BTreeSet<T>, context: &str) {
            if let Some(more) = ours.difference(theirs).next() {
                panic!("{context}: {more:?}");
            }
        }
        for (ours, theirs) in [(&self.samples, &other.samples), (&self.exemplars, &other.exemplars)] {
            for (labels, ours) in ours {
                inside(ours, theirs.get(labels).unwrap_or(&BTreeSet::new()), &format!("{context}: {labels}"));
            }
        }
        inside(&self.series, &other.series, context);
        inside(&self.values, &other.values, context);
    }

    fn count(&self) -> usize {
        self.samples.values().map(BTreeSet::len).sum()
    }

    fn union(&self, other: &Self) -> Self {
        let both = |a: &BySeries, b: &BySeries| {
            let mut all = a.clone();
            b.iter().for_each(|(labels, more)| all.entry(labels.clone()).or_default().extend(more.iter().cloned()));
            all
        };
        Self {
            samples: both(&self.samples, &other.samples),
            exemplars: both(&self.exemplars, &other.exemplars),
            series: &self.series | &other.series,
            values: &self.values | &other.values,
            errors: Vec::new(),
        }
    }
}

fn histogram(n: u64) -> Histogram {
    Histogram {
        schema: 3,
        zero_threshold: 0.001,
        sum: n as f64,
        reset_hint: ResetHint::Unknown,
        positive_spans: vec![Span { offset: 1, length: 2 }],
        negative_spans: vec![],
        custom_values: vec![],
        buckets: Buckets::Integer { count: 5 + n, zero_count: 1 + n, positive: vec![1, 2], negative: vec![] },
    }
}

/// Writes one batch of all kinds of samples, with times of its own.
fn write(engine: &Engine, batch: i64) {
    let mut rng = Rng::new(batch as u64);
    engine
        .append(|appender| {
            for n in 0..SERIES {
                let (n_text, job) = (n.to_string(), format!("j{}", n % 3));
                let instance = format!("an-instance-with-a-long-name-{}.example:9090", n % 8);
                let pairs = [("__name__", "requests"), ("instance", &*instance), ("job", &*job), ("n", &*n_text)];
                let id = appender.series(&pairs, None)?;
                for i in 0..6i64 {
                    // Some batches cross the border of a day.
                    let t = 18 * DAY - 30_000 + batch * 100_000 + i * 10_000;
                    let start = if n % 4 == 1 { t - 5_000 } else { 0 };
                    if n % 6 == 5 {
                        appender.histogram(id, t, histogram(rng.below(100)), start).unwrap();
                    } else {
                        let value = if n % 2 == 0 { i as f64 } else { f64::from_bits(rng.next_u64() >> 2) };
                        appender.float(id, t, value, start).unwrap();
                    }
                }
                if n % 5 == 0 {
                    let labels = Labels::from_pairs([("trace_id", &*format!("{:x}", rng.next_u64()))]);
                    let timestamp = 18 * DAY + batch * 100_000;
                    appender.exemplar(id, Exemplar { labels, timestamp, value: n as f64 }).unwrap();
                }
            }
            let help = format!("help {batch}");
            appender.metadata("requests", MetricMetadata { kind: MetricKind::Counter, help, unit: String::new() });
            Ok(())
        })
        .unwrap();
}

/// A directory with every kind of file, what it answers, and what it may answer when deletions are forgotten.
struct Fixture {
    files: Image,
    want: Answers,
    with_deleted: Answers,
    backup: PathBuf,
}

/// The codecs of a segment's blocks, by the headers that FORMAT.md describes.
fn codecs(segment: &[u8]) -> Vec<u8> {
    let (mut at, mut codecs) = (24, Vec::new());
    while at < segment.len() - 32 {
        codecs.push(segment[at + 1]);
        at += 14 + u32::from_le_bytes(segment[at + 6..at + 10].try_into().unwrap()) as usize;
    }
    codecs
}

fn data() -> &'static Path {
    Path::new("/data")
}

fn fixture() -> Fixture {
    let vfs: Arc<dyn Vfs> = Arc::new(MemFs::new());
    let engine = Engine::open(options(&vfs, data())).unwrap();
    for batch in 0..3 {
        write(&engine, batch);
        engine.flush().unwrap();
    }
    engine.compact().unwrap();
    for batch in 3..5 {
        write(&engine, batch);
        engine.flush().unwrap();
    }
    let all = Answers::ask(&engine);
    engine.delete_series(&[Matcher::equal("n", "3")], TimeRange::ALL).unwrap();
    let backup = data().join("snapshots").join(engine.backup().unwrap());
    for batch in 5..8 {
        write(&engine, batch);
    }
    drop(engine);
    let engine = Engine::open(options(&vfs, data())).unwrap();
    write(&engine, 8);
    write(&engine, 9);
    let want = Answers::ask(&engine);
    assert!(engine.verify().unwrap().is_clean());
    drop(engine);
    let files = image(&*vfs, data());
    let codecs: BTreeSet<u8> =
        files.iter().filter(|(p, _)| p.extension().is_some_and(|e| e == "seg")).flat_map(|(_, b)| codecs(b)).collect();
    assert_eq!(codecs, BTreeSet::from([0, 1]), "plain and compressed blocks");
    assert!(want.count() > 700 && all.union(&want).count() > want.count() + 10);
    Fixture { files, with_deleted: want.union(&all), want, backup }
}

/// What is allowed after damage to one file.
struct Rules<'a> {
    dir: &'a Path,
    /// The undamaged answer.
    want: &'a Answers,
    /// All that may be answered when the catalog was built anew.
    with_deleted: &'a Answers,
    /// What must be answered at least.
    rest: Answers,
    /// Whether each changed byte has to be reported.
    all_bytes_count: bool,
    /// A newest log that is cut between two frames looks as if it had ended there.
    may_end_early: bool,
}

struct Outcome {
    reported: bool,
}

/// Opens a damaged directory and holds it to the rules.
fn examine(files: &Image, rules: &Rules<'_>, number: usize, context: &str) -> Outcome {
    let examined = catch_unwind(AssertUnwindSafe(|| {
        if number.is_multiple_of(AFTERLIFE) {
            examine_read_only(files, rules, context);
        }
        let vfs = restore(files);
        let engine = Engine::open(options(&vfs, rules.dir)).unwrap_or_else(|e| panic!("{context}: does not open: {e}"));
        let first = Answers::ask(&engine);
        let verified = engine.verify().unwrap_or_else(|e| panic!("{context}: verify: {e}"));
        let got = Answers::ask(&engine);
        let quarantined = engine.quarantined();
        let reported = !quarantined.is_empty() || !verified.is_clean();
        let rebuilt = quarantined.iter().any(|q| q.what == "catalog");
        let bound = if rebuilt { rules.with_deleted } else { rules.want };
        first.must_be_in(bound, &format!("{context}: a wrong answer before verification"));
        got.must_be_in(bound, &format!("{context}: a wrong answer"));
        rules.rest.must_be_in(&got, &format!("{context}: more is lost than what is damaged"));
        assert_eq!(got.errors, Vec::<String>::new(), "{context}: errors after everything damaged was set aside");
        if !reported && !rules.may_end_early {
            assert!(!rules.all_bytes_count, "{context}: not reported");
            assert_eq!((&first, &got), (rules.want, rules.want), "{context}: not reported, and another answer");
        }
        let in_quarantine = image(&*vfs, rules.dir);
        for item in
            quarantined.iter().filter(|q| !q.reason.contains("missing") && !is_missing(files, rules.dir, &q.file))
        {
            let path = rules.dir.join("quarantine").join(&item.file);
            assert!(in_quarantine.contains_key(&path), "{context}: {} is not in quarantine", item.file);
        }
        if number.is_multiple_of(AFTERLIFE) {
            go_on(engine, &vfs, rules, &got, reported, context);
        }
        Outcome { reported }
    }));
    examined.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map_or("a panic", String::as_str);
        panic!("{context}: {text}")
    })
}

fn is_missing(files: &Image, dir: &Path, name: &str) -> bool {
    name.ends_with("(missing)") || (name.ends_with(".seg") && !files.contains_key(&dir.join("segments").join(name)))
}

/// A read-only start answers or names the file, and changes no byte.
fn examine_read_only(files: &Image, rules: &Rules<'_>, context: &str) {
    let vfs = restore(files);
    match Engine::open(EngineOptions { read_only: true, ..options(&vfs, rules.dir) }) {
        Ok(engine) => {
            Answers::ask(&engine).must_be_in(rules.want, &format!("{context}: read-only: a wrong answer"));
            engine.verify().unwrap();
        }
        Err(StorageError::Corrupt { path, .. } | StorageError::Io { path, .. }) => {
            assert!(path.starts_with(rules.dir.join("catalog.redb")), "{context}: {}", path.display());
        }
        Err(error) => panic!("{context}: read-only: {error}"),
    }
    assert!(image(&*vfs, data()) == *files, "{context}: a read-only start changed a file");
}

/// The database goes on: it writes, flushes, merges, and still answers and reports after another start.
fn go_on(engine: Engine, vfs: &Arc<dyn Vfs>, rules: &Rules<'_>, before: &Answers, reported: bool, context: &str) {
    write(&engine, 20);
    engine.flush().unwrap_or_else(|e| panic!("{context}: flush: {e}"));
    write(&engine, 21);
    engine.compact().unwrap_or_else(|e| panic!("{context}: compact: {e}"));
    let told = engine.quarantined();
    drop(engine);
    let engine = Engine::open(options(vfs, rules.dir)).unwrap_or_else(|e| panic!("{context}: opened again: {e}"));
    let after = Answers::ask(&engine);
    before.must_be_in(&after, &format!("{context}: lost later"));
    assert_eq!(after.count(), before.count() + 2 * SERIES as usize * 6, "{context}: what was written later");
    let mut still = engine.quarantined();
    let mut told = told;
    still.sort_by(|a, b| a.file.cmp(&b.file));
    told.sort_by(|a, b| a.file.cmp(&b.file));
    assert_eq!(still, told, "{context}: the report changed");
    assert!(!reported || !told.is_empty() || engine.verify().unwrap().is_clean(), "{context}");
}

/// Up to `most` places of a file of this length: all of them, or its ends and a sample of the rest.
fn places(len: usize, most: usize, rng: &mut Rng) -> Vec<usize> {
    if len <= most {
        return (0..len).collect();
    }
    let ends = most / 4;
    let inner = most - 2 * ends;
    let stride = ((len - 2 * ends) / inner).max(1);
    let sampled = (0..inner).map(|i| ends + i * stride + rng.below(stride as u64) as usize);
    (0..ends).chain(sampled).chain(len - ends..len).collect()
}

/// Every way in which one file is spoilt: what was done, and the bytes then.
fn mutations(bytes: &[u8], rng: &mut Rng) -> Vec<(String, Option<Vec<u8>>)> {
    let mut all = vec![("deleted".to_owned(), None)];
    for at in places(bytes.len(), FLIPS, rng) {
        let bit = rng.below(8);
        let mut flipped = bytes.to_vec();
        flipped[at] ^= 1 << bit;
        all.push((format!("bit {bit} of byte {at} flipped"), Some(flipped)));
    }
    for len in places(bytes.len(), CUTS, rng) {
        all.push((format!("cut to {len} of {}", bytes.len()), Some(bytes[..len].to_vec())));
    }
    let fills = bytes.len().div_ceil(4096).min(4);
    for fill in [0, 0xff] {
        for n in 0..fills {
            let at = if fills > 1 { n * (bytes.len() - 1) / (fills - 1) / 4096 * 4096 } else { 0 };
            let mut filled = bytes.to_vec();
            filled[at..bytes.len().min(at + 4096)].fill(fill);
            all.push((format!("4 KiB of {fill:#x} at {at}"), Some(filled)));
        }
    }
    all.retain(|(_, spoilt)| spoilt.as_deref() != Some(bytes));
    all
}

fn answers_of(files: &Image, dir: &Path) -> Answers {
    let vfs = restore(files);
    let engine = Engine::open(options(&vfs, dir)).unwrap();
    Answers::ask(&engine)
}

/// Spoils every file of a database whose name `chosen` takes, in every way.
fn spoil(files: &Image, dir: &Path, want: &Answers, with_deleted: &Answers, chosen: impl Fn(&str) -> bool) {
    let newest_log = files.keys().rfind(|p| p.starts_with(dir) && p.extension().is_some_and(|e| e == "log")).cloned();
    for (path, bytes) in files.iter().filter(|(p, _)| p.starts_with(dir)) {
        let name = path.strip_prefix(dir).unwrap().display().to_string();
        if !chosen(&name) {
            continue;
        }
        let mut rng = Rng::new(bytes.len() as u64);
        let is_log = name.ends_with(".log");
        let holds_samples = is_log || name.ends_with(".seg");
        let mut without = files.clone();
        without.remove(path);
        let rest = if holds_samples { answers_of(&without, dir) } else { want.clone() };
        let mut rules = Rules { dir, want, with_deleted, rest, all_bytes_count: holds_samples, may_end_early: false };
        let (mut cases, mut reported) = (0, 0);
        for (number, (what, spoilt)) in mutations(bytes, &mut rng).into_iter().enumerate() {
            let mut damaged = files.clone();
            rules.may_end_early = what.starts_with("cut") && is_log && Some(path) == newest_log.as_ref();
            match spoilt {
                Some(spoilt) => damaged.insert(path.clone(), spoilt),
                None => damaged.remove(path),
            };
            let outcome = examine(&damaged, &rules, number, &format!("{name}: {what}"));
            cases += 1;
            reported += usize::from(outcome.reported);
        }
        println!("{name}: {} bytes, {cases} cases, {reported} reported, the others without effect", bytes.len());
    }
}

#[test]
fn a_damaged_segment_is_set_aside_and_the_rest_answers() {
    let f = fixture();
    spoil(&f.files, data(), &f.want, &f.with_deleted, |n| n.starts_with("segments/"));
}

#[test]
fn a_damaged_log_loses_no_more_than_what_is_damaged() {
    let f = fixture();
    spoil(&f.files, data(), &f.want, &f.with_deleted, |n| n.starts_with("wal/"));
}

#[test]
fn a_damaged_catalog_is_built_anew() {
    let f = fixture();
    spoil(&f.files, data(), &f.want, &f.with_deleted, |n| n.starts_with("catalog") || n == "LOCK");
}

#[test]
fn a_damaged_backup_is_a_damaged_database() {
    let f = fixture();
    let want = answers_of(&f.files, &f.backup);
    assert!(want.count() > 350);
    let with_deleted = want.union(&f.with_deleted);
    spoil(&f.files, &f.backup, &want, &with_deleted, |n| n.ends_with(".seg") || n.starts_with("catalog"));
}

#[test]
fn files_that_changed_places_are_noticed() {
    let f = fixture();
    let mut swaps = 0;
    for ext in ["seg", "log"] {
        let of_kind =
            |p: &&PathBuf| p.extension().is_some_and(|e| e == ext) && !p.starts_with(data().join("snapshots"));
        let paths: Vec<&PathBuf> = f.files.keys().filter(of_kind).collect();
        assert!(paths.len() >= 2);
        for (i, a) in paths.iter().enumerate() {
            for b in &paths[i + 1..] {
                let mut without = f.files.clone();
                without.remove(*a);
                without.remove(*b);
                let mut swapped = f.files.clone();
                swapped.insert((*a).clone(), f.files[*b].clone());
                swapped.insert((*b).clone(), f.files[*a].clone());
                let rules = Rules {
                    dir: data(),
                    want: &f.want,
                    with_deleted: &f.with_deleted,
                    rest: answers_of(&without, data()),
                    all_bytes_count: true,
                    may_end_early: false,
                };
                examine(&swapped, &rules, 0, &format!("{} and {} swapped", a.display(), b.display()));
                swaps += 1;
            }
        }
    }
    // The catalog of the backup is an old state of this one.
    let mut old = f.files.clone();
    old.insert(data().join("catalog.redb"), f.files[&f.backup.join("catalog.redb")].clone());
    let rules = Rules {
        dir: data(),
        want: &f.want,
        with_deleted: &f.with_deleted,
        rest: f.want.clone(),
        all_bytes_count: true,
        may_end_early: false,
    };
    examine(&old, &rules, 0, "the backup's catalog");
    println!("{swaps} swaps");
}

/// The catalog and its mark gone together must not look like a new directory, to which segments are garbage.
#[test]
fn a_catalog_lost_with_its_mark_is_built_anew() {
    let f = fixture();
    for logs_too in [false, true] {
        let mut files = f.files.clone();
        files.remove(&data().join("catalog.redb"));
        files.remove(&data().join("catalog.mark"));
        let mut rest = f.want.clone();
        if logs_too {
            files.retain(|p, _| !p.starts_with(data().join("wal")));
            let mut with_catalog = f.files.clone();
            with_catalog.retain(|p, _| !p.starts_with(data().join("wal")));
            rest = answers_of(&with_catalog, data());
        }
        let rules = Rules {
            dir: data(),
            want: &f.want,
            with_deleted: &f.with_deleted,
            rest,
            all_bytes_count: true,
            may_end_early: false,
        };
        examine(&files, &rules, 0, "catalog and mark deleted");
    }
}

/// A crash at each operation of a rebuild, each followed by another start.
#[test]
fn a_crash_while_the_catalog_is_built_anew_loses_nothing() {
    let f = fixture();
    let mut recoveries = 0;
    for (lost_mark, spoilt) in [(false, Some(vec![7u8; 5_000])), (true, None), (false, None)] {
        let mut at = 1;
        loop {
            let fs = SimFs::new(at);
            for (path, bytes) in f.files.iter().filter(|(p, _)| !p.starts_with(&f.backup)) {
                if lost_mark && path.ends_with("catalog.mark") {
                    continue;
                }
                let bytes = if path.ends_with("catalog.redb") { spoilt.as_deref() } else { Some(bytes.as_slice()) };
                let Some(bytes) = bytes else { continue };
                fs.create_dir_all(path.parent().unwrap()).unwrap();
                let file = fs.open(path, OpenMode::CreateNew).unwrap();
                file.write_all_at(bytes, 0).unwrap();
                file.sync_data().unwrap();
                for dir in path.ancestors().skip(1) {
                    fs.sync_dir(dir).unwrap();
                }
            }
            fs.crash_at(fs.operations() + at);
            let vfs: Arc<dyn Vfs> = Arc::new(fs.clone());
            let _ = Engine::open(options(&vfs, data()));
            if !fs.crashed() {
                break;
            }
            let context = format!("crash at operation {at} of the rebuild, mark lost: {lost_mark}");
            let vfs: Arc<dyn Vfs> = Arc::new(fs.recover(at));
            for again in 0..2 {
                let engine = Engine::open(options(&vfs, data())).unwrap_or_else(|e| panic!("{context}: {e}"));
                let got = Answers::ask(&engine);
                got.must_be_in(&f.with_deleted, &format!("{context}: a wrong answer"));
                f.want.must_be_in(&got, &format!("{context}: lost, start {again}"));
                assert!(engine.quarantined().iter().any(|q| q.what == "catalog"), "{context}: not reported");
            }
            recoveries += 1;
            at += if cfg!(debug_assertions) { 3 } else { 1 };
        }
    }
    println!("{recoveries} recoveries from crashes during a rebuild");
}
