//! Blocks that the real promtool makes are read back, and damage is found.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use chronolith_storage::{Labels, SampleBuffer};

use super::{
    Block, DataDir, TsdbError,
    index::{self, ChunkRef, SeriesEntry, Symbols, Version},
    tombstones::Tombstones,
};

type Samples = BTreeMap<Labels, Vec<(i64, u64)>>;

/// A data directory made by promtool with what it holds; `None` where promtool is not installed.
fn real_blocks(dir: &Path) -> Option<(PathBuf, Samples)> {
    let mut text = "# TYPE m gauge\n".to_owned();
    let mut expected = Samples::new();
    let base = 1_700_000_000_000i64;
    for i in 0..3_000i64 {
        for series in 0..7 {
            let timestamp = base + i * 15_000;
            let value = (i as f64 / 10.0).sin() * series as f64;
            text.push_str(&format!("m{{series=\"{series}\",job=\"a\\\"b\"}} {value} {}\n", timestamp as f64 / 1_000.0));
            let labels =
                Labels::from_pairs([("__name__", "m"), ("job", "a\"b"), ("series", series.to_string().as_str())]);
            expected.entry(labels).or_default().push((timestamp, value.to_bits()));
        }
    }
    text.push_str("# EOF\n");
    let (input, data) = (dir.join("in.txt"), dir.join("data"));
    fs::write(&input, text).unwrap();
    let mut promtool = Command::new("promtool");
    promtool.args(["tsdb", "create-blocks-from", "openmetrics"]).arg(&input).arg(&data);
    match promtool.output() {
        Ok(output) => {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            Some((data, expected))
        }
        Err(_) => {
            println!("skipped: promtool is not installed (Debian package prometheus)");
            None
        }
    }
}

/// Reads everything; every error ends it.
fn read_all(dir: &Path) -> Result<Samples, TsdbError> {
    let mut got = Samples::new();
    let mut samples = SampleBuffer::default();
    for meta in DataDir::open(dir)?.blocks {
        let mut block = Block::open(&meta)?;
        while let Some(labels) = block.next_series(&mut samples)? {
            let pairs = samples.timestamps.iter().zip(&samples.values).map(|(t, v)| (*t, v.to_bits()));
            got.entry(labels).or_default().extend(pairs);
        }
        let (done, all) = block.progress();
        assert_eq!(done, all);
    }
    Ok(got)
}

#[test]
fn blocks_of_the_real_promtool_are_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let Some((data, expected)) = real_blocks(dir.path()) else { return };
    let opened = DataDir::open(&data).unwrap();
    assert!(opened.blocks.len() > 3 && !opened.has_wal, "{opened:?}");
    assert_eq!(opened.blocks.iter().map(|b| b.samples).sum::<u64>(), 21_000);
    assert!(read_all(&data).unwrap() == expected);
    // One block alone, and from the middle on.
    let meta = &DataDir::open(&opened.blocks[1].dir).unwrap().blocks[0];
    let (mut block, mut samples) = (Block::open(meta).unwrap(), SampleBuffer::default());
    block.next_series(&mut samples).unwrap().unwrap();
    let second = block.progress().0;
    let labels = block.next_series(&mut samples).unwrap();
    let mut resumed = Block::open(meta).unwrap();
    resumed.resume(second);
    assert_eq!(resumed.next_series(&mut SampleBuffer::default()).unwrap(), labels);
}

#[test]
fn every_flipped_byte_of_a_block_is_found_or_does_not_matter() {
    let dir = tempfile::tempdir().unwrap();
    let Some((data, _)) = real_blocks(dir.path()) else { return };
    let block = DataDir::open(&data).unwrap().blocks[0].dir.clone();
    let expected = read_all(&block).unwrap();
    for (file, step) in [("index", 1), ("chunks/000001", 41), ("tombstones", 1)] {
        let path = block.join(file);
        let good = fs::read(&path).unwrap();
        for at in (0..good.len()).step_by(step) {
            let mut bad = good.clone();
            bad[at] ^= 0x40;
            fs::write(&path, &bad).unwrap();
            // Padding, postings and offset tables are not read; all that is read has a checksum.
            if let Ok(got) = read_all(&block) {
                assert!(got == expected, "{file} at {at} gives other samples");
            }
        }
        for len in (0..good.len()).step_by(step * 13) {
            fs::write(&path, &good[..len]).unwrap();
            assert!(read_all(&block).is_err(), "{file} of {len} bytes");
        }
        fs::write(&path, &good).unwrap();
    }
    assert!(read_all(&block).unwrap() == expected);
}

#[test]
fn tombstones_take_their_samples_away() {
    let dir = tempfile::tempdir().unwrap();
    let Some((data, expected)) = real_blocks(dir.path()) else { return };
    let meta = DataDir::open(&data).unwrap().blocks[0].clone();
    let mut block = Block::open(&meta).unwrap();
    let mut samples = SampleBuffer::default();
    let first = block.next_entry().unwrap().unwrap().0;
    let labels = Block::open(&meta).unwrap().next_series(&mut samples).unwrap().unwrap();
    let (from, to) = (samples.timestamps[1], samples.timestamps[3]);
    // As Prometheus writes it: series, first and last timestamp as varints.
    let mut stones = Vec::new();
    let mut put = |mut n: u64| {
        while n >= 0x80 {
            stones.push(n as u8 | 0x80);
            n >>= 7;
        }
        stones.push(n as u8);
    };
    put(first);
    put((from << 1) as u64);
    put((to << 1) as u64);
    let mut file = vec![0x01, 0x30, 0xba, 0x30, 1];
    file.extend(&stones);
    file.extend(crc32c::crc32c(&stones).to_be_bytes());
    fs::write(meta.dir.join("tombstones"), &file).unwrap();
    let got = read_all(&data).unwrap();
    assert_eq!(got[&labels].len(), expected[&labels].len() - 3);
    assert!(got[&labels].iter().all(|(t, _)| *t < from || *t > to));
    assert_eq!(got.values().map(Vec::len).sum::<usize>(), 21_000 - 3);
    for len in 0..file.len() {
        assert!(Tombstones::parse(&file[..len]).is_err());
    }
}

#[test]
fn directories_that_are_none_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(DataDir::open(dir.path()), Err(TsdbError::NotADataDir(_))));
    assert!(matches!(DataDir::open(&dir.path().join("gone")), Err(TsdbError::Io { .. })));
    fs::create_dir(dir.path().join("wal")).unwrap();
    let error = DataDir::open(dir.path()).unwrap_err().to_string();
    assert!(error.contains("/api/v1/admin/tsdb/snapshot"), "{error}");
    let block = |ulid: &str, parents: &str| {
        let path = dir.path().join(ulid);
        fs::create_dir(&path).unwrap();
        let meta = format!(
            r#"{{"ulid":"{ulid}","minTime":0,"maxTime":9,"stats":{{"numSamples":3}},"compaction":{{"level":1{parents}}},"version":1}}"#
        );
        fs::write(path.join("meta.json"), meta).unwrap();
    };
    block("01HFAAAAAAAAAAAAAAAAAAAAAA", "");
    block(
        "01HFBBBBBBBBBBBBBBBBBBBBBB",
        r#","parents":[{"ulid":"01HFAAAAAAAAAAAAAAAAAAAAAA","minTime":0,"maxTime":9}]"#,
    );
    let opened = DataDir::open(dir.path()).unwrap();
    assert!(opened.has_wal);
    assert_eq!(opened.blocks.len(), 1);
    assert_eq!((opened.blocks[0].ulid.as_str(), opened.blocks[0].samples), ("01HFBBBBBBBBBBBBBBBBBBBBBB", 3));
    fs::write(opened.blocks[0].dir.join("meta.json"), "{\"version\":2").unwrap();
    assert!(matches!(DataDir::open(dir.path()), Err(TsdbError::Damaged { .. })));
}

#[test]
fn version_1_counts_symbols_by_their_offset() {
    let content = b"\0\0\0\x02\x01a\x02bc".to_vec();
    let symbols = Symbols::parse(content.clone(), Version::V1, 9).unwrap();
    assert_eq!(
        (symbols.get(13), symbols.get(15), symbols.get(14), symbols.get(0)),
        (Some("a"), Some("bc"), None, None)
    );
    let symbols = Symbols::parse(content, Version::V2, 9).unwrap();
    assert_eq!((symbols.get(1), symbols.get(2)), (Some("bc"), None));
    // A label that is not UTF-8 concerns its own series only.
    let symbols = Symbols::parse(b"\0\0\0\x02\x01\xff\x02bc".to_vec(), Version::V2, 9).unwrap();
    assert_eq!((symbols.get(0), symbols.get(1)), (None, Some("bc")));
    assert!(Symbols::parse(b"\0\0\0\x03\x01a".to_vec(), Version::V2, 9).is_err());
    assert!(Symbols::parse(b"\xff\xff\xff\xff".to_vec(), Version::V2, 9).is_err());
}

#[test]
fn entries_of_series_are_checked() {
    let content = [1, 3, 4, 2, 0x14, 5, 8, 1, 2, 6];
    let chunks = vec![
        ChunkRef { min_time: 10, max_time: 15, reference: 8 },
        ChunkRef { min_time: 16, max_time: 18, reference: 11 },
    ];
    assert_eq!(index::parse_series(&content), Ok(SeriesEntry { labels: vec![(3, 4)], chunks }));
    for len in 0..content.len() {
        assert!(index::parse_series(&content[..len]).is_err());
    }
    assert!(index::parse_series(&[0xff, 0xff, 0xff, 0xff, 0x0f]).is_err());
}
