//! Frames against a model: crashes and faults at every operation, bits flipped and files cut at every byte.

use std::path::Path;

use super::*;
use crate::{
    StorageError,
    rng::Rng,
    vfs::{MemFs, SimFs, create_dir_durable, sim::Fault},
};

const DIR: &str = "/data/wal";

fn dir() -> &'static Path {
    Path::new(DIR)
}

/// Payloads of many lengths, each telling its number: within a sector, over several, and larger than a read chunk.
fn payload(n: u64) -> Vec<u8> {
    let len = match n % 7 {
        6 => 3000,
        3 => 511,
        other => 8 + other * 9,
    };
    let mut bytes = n.to_le_bytes().to_vec();
    let mut rng = Rng::new(n);
    bytes.resize_with(len as usize, || rng.below(256) as u8);
    bytes
}

fn number(payload: &[u8]) -> u64 {
    u64::from_le_bytes(payload[..8].try_into().unwrap())
}

/// The numbers of the payloads in a log, each checked against its model.
fn read(vfs: &dyn Vfs, path: &Path) -> Result<(Vec<u64>, LogEnd)> {
    let mut reader = LogReader::open(vfs, path)?;
    let mut numbers = Vec::new();
    while let Some(bytes) = reader.next()? {
        numbers.push(number(bytes));
        assert_eq!(bytes, payload(number(bytes)), "a frame came back changed");
    }
    assert_eq!(reader.position(), reader.len());
    Ok((numbers, reader.end().clone()))
}

/// What a run of the script was told.
#[derive(Debug, Default)]
struct Told {
    /// Payloads whose append succeeded.
    appended: Vec<u64>,
    /// How many of them a successful sync covered.
    synced: usize,
    poisoned: bool,
    created: bool,
}

/// Appends 30 payloads over two generations and syncs after every third.
fn script(vfs: &dyn Vfs) -> [Told; 2] {
    let mut logs = [Told::default(), Told::default()];
    if create_dir_durable(vfs, dir()).is_err() {
        return logs;
    }
    for (generation, told) in (1u64..).zip(&mut logs) {
        let Ok(mut writer) = LogWriter::create(vfs, dir(), generation) else { continue };
        told.created = true;
        for n in generation * 100..generation * 100 + 15 {
            match writer.append(&payload(n)) {
                Ok(()) => {
                    assert!(!told.poisoned, "a poisoned log took a frame");
                    told.appended.push(n);
                }
                Err(StorageError::Poisoned { .. }) => told.poisoned = true,
                Err(_) => {}
            }
            if n % 3 == 0 {
                match writer.sync() {
                    Ok(()) => {
                        assert!(!told.poisoned, "a poisoned log synced");
                        told.synced = told.appended.len();
                    }
                    Err(e) => {
                        assert!(matches!(e, StorageError::Poisoned { .. }), "{e}");
                        told.poisoned = true;
                    }
                }
            }
        }
    }
    logs
}

/// After a recovery: all synced frames in order, and of the others whole ones in order or nothing.
fn check(vfs: &dyn Vfs, logs: &[Told; 2], what: &str) {
    for (generation, told) in (1u64..).zip(logs) {
        let path = log_path(dir(), generation);
        if !vfs.exists(&path).unwrap() {
            assert!(!told.created, "{what}: the file of generation {generation} is gone");
            continue;
        }
        let (numbers, end) = read(vfs, &path).unwrap();
        let header = 0..LOG_HEADER_LEN as u64;
        assert!(!told.created || end.unread().all(|r| !header.contains(&r.start)), "{what}: {end:?}");
        assert!(numbers.len() >= told.synced, "{what}: {numbers:?} lacks synced frames of {told:?}, {end:?}");
        assert_eq!(numbers[..told.synced], told.appended[..told.synced], "{what}");
        // A frame whose append failed is cut away; the one that the power cut hit may be whole.
        let known = |n: &u64| told.appended.contains(n) || told.appended.last().is_none_or(|last| n > last);
        assert!(numbers.iter().all(known), "{what}: {numbers:?} of {told:?}");
        assert!(numbers.is_sorted(), "{what}: {numbers:?}");
    }
}

#[test]
fn synced_frames_survive_a_crash_at_every_operation() {
    let calm = SimFs::new(0);
    let logs = script(&calm);
    assert!(logs.iter().all(|l| l.synced >= 13 && l.appended.len() == 15), "{logs:?}");
    for at in 1..=calm.operations() + 1 {
        for seed in 0..8 {
            let vfs = SimFs::new(seed);
            vfs.crash_at(at);
            let logs = script(&vfs);
            check(&vfs.recover(seed), &logs, &format!("crash at {at}, seed {seed}"));
        }
    }
}

#[test]
fn synced_frames_survive_every_fault_at_every_operation() {
    let calm = SimFs::new(0);
    script(&calm);
    for at in 1..=calm.operations() {
        for fault in Fault::ALL {
            for sticky in [false, true] {
                for seed in 0..3 {
                    let vfs = SimFs::new(seed);
                    vfs.inject(at, fault, sticky);
                    let logs = script(&vfs);
                    vfs.clear_fault();
                    let what = format!("{fault:?} at {at}, sticky {sticky}, seed {seed}");
                    check(&vfs, &logs, &what);
                    for (generation, told) in (1u64..).zip(&logs) {
                        if told.created && !told.poisoned {
                            let (numbers, end) = read(&vfs, &log_path(dir(), generation)).unwrap();
                            assert_eq!(numbers, told.appended, "{what}");
                            assert!(end.is_clean(), "{what}: a failed frame was left behind, {end:?}");
                        }
                    }
                    check(&vfs.recover(seed), &logs, &format!("{what}, then a crash"));
                }
            }
        }
    }
}

#[test]
fn a_full_disk_is_told_and_the_log_goes_on_when_there_is_space() {
    let vfs = SimFs::new(1);
    create_dir_durable(&vfs, dir()).unwrap();
    let mut writer = LogWriter::create(&vfs, dir(), 1).unwrap();
    writer.append(&payload(1)).unwrap();
    vfs.set_capacity(Some(writer.len() + 100));
    assert!(matches!(writer.append(&payload(6)), Err(StorageError::DiskFull { .. })));
    writer.append(&payload(0)).unwrap();
    vfs.set_capacity(None);
    writer.append(&payload(13)).unwrap();
    writer.sync().unwrap();
    let (numbers, end) = read(&vfs.recover(1), writer.path()).unwrap();
    assert_eq!(numbers, [1, 0, 13]);
    assert!(end.is_clean());
}

#[test]
fn a_failed_sync_ends_the_log() {
    let vfs = SimFs::new(1);
    create_dir_durable(&vfs, dir()).unwrap();
    let mut writer = LogWriter::create(&vfs, dir(), 1).unwrap();
    writer.append(&payload(1)).unwrap();
    vfs.inject(0, Fault::SyncFails, false);
    assert!(matches!(writer.sync(), Err(StorageError::Poisoned { .. })));
    assert!(matches!(writer.sync(), Err(StorageError::Poisoned { .. })), "the second sync would lie");
    assert!(matches!(writer.append(&payload(2)), Err(StorageError::Poisoned { .. })));
}

#[test]
fn payloads_outside_the_limits_are_refused() {
    let vfs = MemFs::new();
    create_dir_durable(&vfs, dir()).unwrap();
    let mut writer = LogWriter::create(&vfs, dir(), 1).unwrap();
    assert!(matches!(writer.append(&[]), Err(StorageError::Invalid(_))));
    assert!(matches!(writer.append(&vec![0; FRAME_LIMIT + 1]), Err(StorageError::Invalid(_))));
    writer.append(&vec![7; FRAME_LIMIT]).unwrap();
    writer.append(&payload(1)).unwrap();
    let mut reader = LogReader::open(&vfs, writer.path()).unwrap();
    assert_eq!(reader.next().unwrap().unwrap().len(), FRAME_LIMIT);
    assert_eq!(number(reader.next().unwrap().unwrap()), 1);
    assert!(reader.next().unwrap().is_none() && reader.end().is_clean());
    assert!(LogWriter::create(&vfs, dir(), 1).is_err(), "a generation is written once");
}

/// The bytes of a log with the frames 0 to 8, and where each frame ends.
fn small_log() -> (Vec<u8>, Vec<u64>) {
    let vfs = MemFs::new();
    create_dir_durable(&vfs, dir()).unwrap();
    let mut writer = LogWriter::create(&vfs, dir(), 7).unwrap();
    let mut ends = vec![writer.len()];
    for n in 0..9 {
        writer.append(&payload(n)).unwrap();
        ends.push(writer.len());
    }
    (bytes_of(&vfs, writer.path()), ends)
}

fn bytes_of(vfs: &dyn Vfs, path: &Path) -> Vec<u8> {
    let file = vfs.open(path, OpenMode::Read).unwrap();
    let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

fn read_bytes(bytes: &[u8], generation: u64) -> Result<(Vec<u64>, LogEnd)> {
    let vfs = MemFs::new();
    create_dir_durable(&vfs, dir()).unwrap();
    let path = log_path(dir(), generation);
    vfs.open(&path, OpenMode::CreateNew).unwrap().write_all_at(bytes, 0).unwrap();
    read(&vfs, &path)
}

#[test]
fn a_flipped_bit_costs_one_frame_and_is_told() {
    let (bytes, ends) = small_log();
    for at in 0..bytes.len() {
        for bit in [0, 3, 7] {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << bit;
            let (numbers, end) = read_bytes(&damaged, 7).unwrap();
            assert!(!end.is_clean(), "byte {at}");
            let hit = ends.iter().rposition(|e| *e <= at as u64);
            let expected: Vec<u64> = (0..9).filter(|n| hit != Some(*n as usize)).collect();
            assert_eq!(numbers, expected, "byte {at} bit {bit}: {end:?}");
            let lost: Vec<u64> = end.damaged.iter().flat_map(|d| d.lost.clone()).collect();
            match hit {
                None => assert!(lost.is_empty() && end.damaged.len() == 1 && end.damaged[0].len == 24),
                Some(8) => assert_eq!(end.torn, Some(ends[8]..ends[9])),
                Some(n) => {
                    assert_eq!(lost, [n as u64 + 1], "sequence numbers begin with 1");
                    assert!(end.unread().eq(std::iter::once(ends[n]..ends[n + 1])));
                }
            }
        }
    }
}

#[test]
fn a_log_cut_at_any_byte_keeps_its_whole_frames() {
    let (bytes, ends) = small_log();
    for len in 0..bytes.len() {
        let (numbers, end) = read_bytes(&bytes[..len], 7).unwrap();
        let whole = ends.iter().filter(|e| **e <= len as u64).count().saturating_sub(1);
        assert_eq!(numbers, (0..whole as u64).collect::<Vec<_>>(), "cut at {len}");
        let clean = ends.contains(&(len as u64));
        assert_eq!(end.is_clean(), clean, "cut at {len}: {end:?}");
        assert!(end.damaged.is_empty());
    }
}

#[test]
fn runs_of_zeros_and_garbage_are_skipped_and_counted() {
    let (bytes, ends) = small_log();
    for fill in [0x00, 0xff, 0xf7] {
        for start in (24..bytes.len()).step_by(37) {
            let mut damaged = bytes.clone();
            let stop = (start + 700).min(bytes.len());
            damaged[start..stop].fill(fill);
            let (numbers, end) = read_bytes(&damaged, 7).unwrap();
            let untouched = |n: &u64| {
                let (from, to) = (ends[*n as usize] as usize, ends[*n as usize + 1] as usize);
                to <= start || from >= stop
            };
            assert_eq!(numbers, (0..9).filter(untouched).collect::<Vec<_>>(), "{start}");
            assert!(!end.is_clean());
        }
    }
    let mut grown = bytes;
    grown.extend([0; 5000]);
    let (numbers, end) = read_bytes(&grown, 7).unwrap();
    assert_eq!(numbers.len(), 9);
    assert_eq!(end.torn, Some(ends[9]..ends[9] + 5000));
}

#[test]
fn frames_that_vanished_without_a_trace_are_counted() {
    let (mut bytes, ends) = small_log();
    bytes.drain(ends[2] as usize..ends[5] as usize);
    let (numbers, end) = read_bytes(&bytes, 7).unwrap();
    assert_eq!(numbers, [0, 1, 5, 6, 7, 8]);
    assert_eq!(end.damaged, [Damage { offset: ends[2], len: 0, lost: 3..6 }]);
    assert_eq!(end.unread().count(), 0);
}

#[test]
fn frames_of_another_generation_or_place_are_not_taken() {
    let (bytes, ends) = small_log();
    assert!(matches!(read_bytes(&bytes, 8), Err(StorageError::Corrupt { .. })), "a swapped file is refused");
    // A file of generation 8 whose blocks were those of generation 7 before.
    let vfs = MemFs::new();
    create_dir_durable(&vfs, dir()).unwrap();
    let mut writer = LogWriter::create(&vfs, dir(), 8).unwrap();
    writer.append(&payload(0)).unwrap();
    let mut stale = bytes_of(&vfs, writer.path());
    stale.extend_from_slice(&bytes[ends[1] as usize..]);
    let (numbers, end) = read_bytes(&stale, 8).unwrap();
    assert_eq!(numbers, [0]);
    assert_eq!(end.torn, Some(writer.len()..stale.len() as u64));
    // The same frames once more behind themselves.
    let mut doubled = bytes.clone();
    doubled.extend_from_slice(&bytes[ends[0] as usize..]);
    let (numbers, end) = read_bytes(&doubled, 7).unwrap();
    assert_eq!(numbers, (0..9).collect::<Vec<_>>());
    assert!(end.torn.is_some());
}

#[test]
fn a_frame_inside_a_damaged_payload_is_not_taken() {
    let vfs = MemFs::new();
    create_dir_durable(&vfs, dir()).unwrap();
    let mut writer = LogWriter::create(&vfs, dir(), 1).unwrap();
    let forged = format::FrameHeader::of(&payload(1), 1).encode(1);
    let mut outer = forged.to_vec();
    outer.extend(payload(1));
    outer.extend([9; 200]);
    writer.append(&outer).unwrap();
    writer.append(&payload(2)).unwrap();
    let mut bytes = bytes_of(&vfs, writer.path());
    let at = LOG_HEADER_LEN + FRAME_HEADER_LEN + outer.len() - 1;
    bytes[at] ^= 1;
    let (numbers, end) = read_bytes(&bytes, 1).unwrap();
    assert_eq!(numbers, [2]);
    assert_eq!(end.damaged.len(), 1);
}

#[test]
fn a_sequence_number_that_cannot_be_is_not_taken() {
    let (bytes, ends) = small_log();
    let mut damaged = bytes[..ends[2] as usize].to_vec();
    damaged.extend([0; 60]);
    damaged.extend(format::FrameHeader::of(&payload(50), 3 + 5).encode(7));
    damaged.extend(payload(50));
    damaged.extend(&bytes[ends[2] as usize..]);
    let (numbers, end) = read_bytes(&damaged, 7).unwrap();
    assert_eq!(numbers, (0..9).collect::<Vec<_>>(), "60 bytes cannot have held five frames");
    assert_eq!(end.damaged.len(), 1);
    assert!(end.damaged[0].lost.is_empty());
}

#[test]
fn a_marker_over_the_edge_of_a_chunk_is_found() {
    for len in CHUNK - 32..CHUNK - 16 {
        let vfs = MemFs::new();
        create_dir_durable(&vfs, dir()).unwrap();
        let mut writer = LogWriter::create(&vfs, dir(), 1).unwrap();
        writer.append(&vec![0; len]).unwrap();
        writer.append(&payload(2)).unwrap();
        let mut bytes = bytes_of(&vfs, writer.path());
        bytes[LOG_HEADER_LEN] ^= 1;
        let (numbers, end) = read_bytes(&bytes, 1).unwrap();
        assert_eq!(numbers, [2], "payload of {len} bytes");
        assert_eq!(end.damaged[0].lost, 1..2);
    }
}

#[test]
fn a_newer_version_is_refused() {
    let (mut bytes, _) = small_log();
    bytes[8] = 3;
    let crc = crc32c::crc32c(&bytes[..20]);
    bytes[20..24].copy_from_slice(&crc.to_le_bytes());
    assert!(matches!(read_bytes(&bytes, 7), Err(StorageError::NewerFormat { found: 3, supported: 2, .. })));
}

#[test]
fn logs_are_listed_and_ranges_set_aside() {
    let vfs = MemFs::new();
    create_dir_durable(&vfs, dir()).unwrap();
    for generation in [10, 2, 1] {
        LogWriter::create(&vfs, dir(), generation).unwrap().append(&payload(generation)).unwrap();
    }
    for other in ["notes.txt", "1.log", "0000000000000000000x.log"] {
        vfs.open(&dir().join(other), OpenMode::CreateNew).unwrap();
    }
    let found = logs(&vfs, dir()).unwrap();
    assert_eq!(found.iter().map(|(g, _)| *g).collect::<Vec<_>>(), [1, 2, 10]);
    let to = Path::new("/data/aside");
    set_aside(&vfs, &found[0].1, 8, 16, to).unwrap();
    assert_eq!(bytes_of(&vfs, to), bytes_of(&vfs, &found[0].1)[8..24]);
    let all = Path::new("/data/all");
    set_aside(&vfs, &found[0].1, 0, u64::MAX, all).unwrap();
    assert_eq!(bytes_of(&vfs, all), bytes_of(&vfs, &found[0].1));
}
