//! One script of calls that every file system must answer in the same way.

use std::{io, path::Path};

use super::{MemFs, OpenMode, RealFs, SimFs, Vfs, create_dir_durable, sim::Fault};

fn kind<T>(result: io::Result<T>) -> io::ErrorKind {
    result.err().expect("an error").kind()
}

fn names(fs: &dyn Vfs, dir: &Path) -> Vec<String> {
    fs.list(dir)
        .unwrap()
        .into_iter()
        .map(|e| format!("{}{}:{}", e.name, if e.is_dir { "/" } else { "" }, e.len))
        .collect()
}

fn script(fs: &dyn Vfs, root: &Path) {
    let path = |name: &str| root.join(name);
    create_dir_durable(fs, &path("d/e")).unwrap();
    create_dir_durable(fs, &path("d/e")).unwrap();
    assert_eq!(kind(fs.open(&path("f"), OpenMode::Read)), io::ErrorKind::NotFound);
    assert_eq!(kind(fs.open(&path("none/f"), OpenMode::CreateNew)), io::ErrorKind::NotFound);
    let f = fs.open(&path("f"), OpenMode::CreateNew).unwrap();
    assert_eq!(kind(fs.open(&path("f"), OpenMode::CreateNew)), io::ErrorKind::AlreadyExists);
    f.write_all_at(b"hello", 3).unwrap();
    f.write_all_at(b"J", 3).unwrap();
    f.sync_data().unwrap();
    let mut buf = [9; 10];
    assert_eq!(f.read_at(&mut buf, 1).unwrap(), 7);
    assert_eq!(&buf[..7], b"\0\0Jello");
    assert_eq!(f.read_at(&mut buf, 100).unwrap(), 0);
    assert_eq!(kind(f.read_exact_at(&mut buf, 0)), io::ErrorKind::UnexpectedEof);
    f.set_len(4).unwrap();
    f.set_len(6).unwrap();
    f.read_exact_at(&mut buf[..6], 0).unwrap();
    assert_eq!(&buf[..6], b"\0\0\0J\0\0");
    fs.hard_link(&path("f"), &path("d/g")).unwrap();
    assert_eq!(kind(fs.hard_link(&path("f"), &path("d/g"))), io::ErrorKind::AlreadyExists);
    fs.remove(&path("f")).unwrap();
    assert_eq!(kind(fs.remove(&path("f"))), io::ErrorKind::NotFound);
    assert_eq!(names(fs, root), ["d/:0"]);
    assert_eq!(names(fs, &path("d")), ["e/:0", "g:6"]);
    fs.open(&path("d/a"), OpenMode::CreateOrOpen).unwrap();
    fs.rename(&path("d/g"), &path("d/a")).unwrap();
    fs.rename(&path("d/a"), &path("d/a")).unwrap();
    assert_eq!(names(fs, &path("d")), ["a:6", "e/:0"]);
    assert_eq!(kind(fs.rename(&path("d/none"), &path("d/x"))), io::ErrorKind::NotFound);
    assert!(fs.exists(&path("d/a")).unwrap() && fs.exists(root).unwrap() && !fs.exists(&path("x/y")).unwrap());
    fs.rename(&path("d"), &path("c")).unwrap();
    assert_eq!(names(fs, &path("c")), ["a:6", "e/:0"]);
    fs.create_dir_all(&path("d")).unwrap();
    assert_eq!(kind(fs.rename(&path("d"), &path("c"))), io::ErrorKind::DirectoryNotEmpty);
    fs.rename(&path("c"), &path("d")).unwrap();
    assert_eq!(kind(fs.list(&path("c"))), io::ErrorKind::NotFound);
    fs.sync_dir(&path("d")).unwrap();
    assert_eq!(kind(fs.sync_dir(&path("c"))), io::ErrorKind::NotFound);
    let lock = fs.lock(&path("LOCK")).unwrap();
    assert_eq!(kind(fs.lock(&path("LOCK"))), io::ErrorKind::WouldBlock);
    drop(lock);
    fs.lock(&path("LOCK")).unwrap();
    assert!(fs.available_space(root).unwrap() > 0);
    fs.remove_dir_all(&path("d")).unwrap();
    assert_eq!(names(fs, root), ["LOCK:0"]);
}

#[test]
fn all_file_systems_agree() {
    let dir = tempfile::tempdir().unwrap();
    script(&RealFs, dir.path());
    for root in ["", "/", "/data", "data"] {
        for fs in [&MemFs::new() as &dyn Vfs, &SimFs::new(1)] {
            fs.create_dir_all(Path::new(root)).unwrap();
            script(fs, Path::new(root));
        }
    }
}

#[test]
fn a_durable_directory_survives_a_crash_at_any_later_moment() {
    for seed in 0..20 {
        let fs = SimFs::new(seed);
        create_dir_durable(&fs, Path::new("/a/b/c")).unwrap();
        assert!(fs.recover(seed).exists(Path::new("/a/b/c")).unwrap());
    }
}

#[test]
fn after_the_crash_everything_fails_and_the_lock_is_free() {
    let fs = SimFs::new(1);
    let _lock = fs.lock(Path::new("LOCK")).unwrap();
    fs.sync_dir(Path::new("")).unwrap();
    let file = fs.open(Path::new("f"), OpenMode::CreateNew).unwrap();
    fs.crash_at(fs.operations() + 1);
    assert!(file.write_all_at(b"x", 0).is_err() && fs.crashed());
    assert!(file.len().is_err() && fs.list(Path::new("")).is_err());
    let after = fs.recover(3);
    after.lock(Path::new("LOCK")).unwrap();
    assert!(file.len().is_err(), "the old machine stays dead");
}

#[test]
fn faults_strike_where_they_fit_and_once_unless_sticky() {
    for fault in Fault::ALL {
        let fs = SimFs::new(1);
        fs.inject(1, fault, false);
        let mut failed = 0;
        let mut count = |result: io::Result<()>| failed += u32::from(result.is_err());
        let Ok(file) = fs.open(Path::new("f"), OpenMode::CreateOrOpen) else {
            assert!(matches!(fault, Fault::Eio | Fault::NoSpace));
            assert!(fs.open(Path::new("f"), OpenMode::CreateOrOpen).is_ok());
            continue;
        };
        count(file.write_at(b"abcd", 0).and_then(|n| if n == 4 { Ok(()) } else { Err(io::Error::other("short")) }));
        file.write_all_at(b"abcd", 0).unwrap();
        let mut buf = [0; 4];
        count(file.read_at(&mut buf, 0).and_then(|n| if n == 4 { Ok(()) } else { Err(io::Error::other("short")) }));
        count(file.sync_data());
        count(fs.rename(Path::new("f"), Path::new("g")));
        assert_eq!(failed, 1, "{fault:?}");
        assert!(fs.fired());
    }
    let fs = SimFs::new(1);
    fs.inject(1, Fault::NoSpace, true);
    assert_eq!(kind(fs.open(Path::new("f"), OpenMode::CreateNew)), io::ErrorKind::StorageFull);
    assert_eq!(kind(fs.open(Path::new("f"), OpenMode::CreateNew)), io::ErrorKind::StorageFull);
    fs.clear_fault();
    fs.open(Path::new("f"), OpenMode::CreateNew).unwrap();
}

#[test]
fn a_full_disk_takes_a_part_then_refuses() {
    let fs = SimFs::new(1);
    fs.set_capacity(Some(10));
    let file = fs.open(Path::new("f"), OpenMode::CreateNew).unwrap();
    assert_eq!(file.write_at(&[1; 16], 0).unwrap(), 10);
    assert_eq!(kind(file.write_at(&[1; 6], 10)), io::ErrorKind::StorageFull);
    assert_eq!(file.write_at(&[2; 10], 0).unwrap(), 10, "overwriting needs no space");
    assert_eq!(fs.available_space(Path::new("")).unwrap(), 0);
    fs.remove(Path::new("f")).unwrap();
    assert_eq!(fs.available_space(Path::new("")).unwrap(), 10);
}
