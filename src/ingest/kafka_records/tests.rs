//! Batches as producers write them, and as nobody should.

use std::io::Write;

use super::*;

const CODECS: [u16; 5] = [0, 1, 2, 3, 4];

/// A batch to be written.
struct Written<'a> {
    base: i64,
    /// Offset deltas and values.
    records: &'a [(i64, Option<&'a [u8]>)],
    compression: u16,
    attributes: u16,
    producer: i64,
    key: Option<&'a [u8]>,
}

impl Default for Written<'_> {
    fn default() -> Self {
        Self { base: 0, records: &[], compression: 0, attributes: 0, producer: -1, key: None }
    }
}

fn put(out: &mut Vec<u8>, value: i64) {
    let mut zigzag = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while zigzag >= 0x80 {
        out.push(zigzag as u8 | 0x80);
        zigzag >>= 7;
    }
    out.push(zigzag as u8);
}

fn put_bytes(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    put(out, bytes.map_or(-1, |b| b.len() as i64));
    out.extend_from_slice(bytes.unwrap_or_default());
}

fn compress(compression: u16, body: &[u8]) -> Vec<u8> {
    match compression {
        1 => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(body).unwrap();
            encoder.finish().unwrap()
        }
        2 => {
            let mut out = [XERIAL, &[0, 0, 0, 1, 0, 0, 0, 1]].concat();
            for block in body.chunks(10) {
                let block = snap::raw::Encoder::new().compress_vec(block).unwrap();
                out.extend_from_slice(&(block.len() as u32).to_be_bytes());
                out.extend_from_slice(&block);
            }
            out
        }
        3 => {
            let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
            encoder.write_all(body).unwrap();
            encoder.finish().unwrap()
        }
        4 => zstd::bulk::compress(body, 1).unwrap(),
        _ => body.to_vec(),
    }
}

const XERIAL: &[u8] = b"\x82SNAPPY\x00";

impl Written<'_> {
    fn bytes(&self) -> Vec<u8> {
        let mut body = Vec::new();
        for (delta, value) in self.records {
            let mut record = vec![0];
            put(&mut record, *delta * 10);
            put(&mut record, *delta);
            put_bytes(&mut record, self.key);
            put_bytes(&mut record, *value);
            put(&mut record, 1);
            put_bytes(&mut record, Some(b"header"));
            put_bytes(&mut record, None);
            put_bytes(&mut body, Some(&record));
        }
        let last = self.records.last().map_or(0, |r| r.0 as i32);
        let mut checked = Vec::new();
        checked.extend_from_slice(&(self.compression | self.attributes).to_be_bytes());
        checked.extend_from_slice(&last.to_be_bytes());
        checked.extend_from_slice(&1_000_i64.to_be_bytes());
        checked.extend_from_slice(&9_000_i64.to_be_bytes());
        checked.extend_from_slice(&self.producer.to_be_bytes());
        checked.extend_from_slice(&[0; 6]);
        checked.extend_from_slice(&(self.records.len() as i32).to_be_bytes());
        checked.extend_from_slice(&compress(self.compression, &body));
        let mut out = Vec::new();
        out.extend_from_slice(&self.base.to_be_bytes());
        out.extend_from_slice(&(checked.len() as i32 + 9).to_be_bytes());
        out.extend_from_slice(&[0, 0, 0, 0, 2]);
        out.extend_from_slice(&crc32c::crc32c(&checked).to_be_bytes());
        out.extend_from_slice(&checked);
        out
    }
}

/// What was told, as texts, and the next offset.
fn told(bytes: &[u8], from: i64, aborted: &[Aborted]) -> (Vec<String>, i64) {
    let mut all = Vec::new();
    let next = read(bytes, from, aborted, &mut |found| {
        all.push(match found {
            Found::Message(m) => {
                let value = m.value.map_or("nothing".into(), String::from_utf8_lossy);
                format!("{}@{} {value}", m.offset, m.timestamp_ms.unwrap_or(-1))
            }
            Found::Unreadable { first, last, reason } => format!("{first}-{last}: {reason}"),
        });
    });
    (all, next.unwrap())
}

#[test]
fn messages_of_every_compression() {
    for compression in CODECS {
        let batch = Written {
            base: 5,
            records: &[(0, Some(b"{}")), (1, None), (4, Some(b"{\"a\":1}"))],
            compression,
            ..Written::default()
        };
        let (all, next) = told(&batch.bytes(), 0, &[]);
        assert_eq!(all, ["5@1000 {}", "6@1010 nothing", "9@1040 {\"a\":1}"], "compression {compression}");
        assert_eq!(next, 10);
        // The broker gives whole batches, also when the offset is inside one.
        assert_eq!(told(&batch.bytes(), 9, &[]).0, ["9@1040 {\"a\":1}"]);
        assert_eq!(told(&batch.bytes(), 10, &[]), (vec![], 10));
    }
}

#[test]
fn the_brokers_time_wins_and_a_missing_time_is_none() {
    let batch = Written { records: &[(0, Some(b"x"))], attributes: 1 << 3, ..Written::default() };
    assert_eq!(told(&batch.bytes(), 0, &[]).0, ["0@9000 x"]);
    let mut bytes = Written { records: &[(0, Some(b"x"))], ..Written::default() }.bytes();
    bytes[27..35].copy_from_slice(&(-1_i64).to_be_bytes());
    let checksum = crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&checksum.to_be_bytes());
    assert_eq!(told(&bytes, 0, &[]).0, ["0@-1 x"]);
}

#[test]
fn a_batch_that_is_cut_off_waits_for_the_next_fetch() {
    let first = Written { records: &[(0, Some(b"a"))], ..Written::default() }.bytes();
    let second = Written { base: 1, records: &[(0, Some(b"b"))], ..Written::default() }.bytes();
    let both = [first.clone(), second].concat();
    for end in first.len()..both.len() {
        assert_eq!(told(&both[..end], 0, &[]), (vec!["0@1000 a".to_owned()], 1), "{end}");
    }
    assert_eq!(told(&both, 0, &[]).1, 2);
}

#[test]
fn aborted_transactions_do_not_count() {
    let message = |base, producer, value: &'static [u8]| {
        Written { base, records: &[(0, Some(value))], attributes: 1 << 4, producer, ..Written::default() }.bytes()
    };
    let marker = |base, producer, key: &'static [u8]| {
        let records = &[(0, Some(&[0_u8; 6][..]))];
        Written { base, records, attributes: 1 << 4 | 1 << 5, producer, key: Some(key), ..Written::default() }.bytes()
    };
    let (abort, commit): (&[u8], &[u8]) = (&[0, 0, 0, 0], &[0, 0, 0, 1]);
    let log = [
        message(0, 7, b"aborted"),
        message(1, 8, b"other"),
        marker(2, 8, commit),
        marker(3, 7, abort),
        message(4, 7, b"again"),
        marker(5, 7, commit),
        Written { base: 6, records: &[(0, Some(b"plain"))], producer: 7, ..Written::default() }.bytes(),
        message(7, 7, b"aborted too"),
        marker(8, 7, abort),
    ]
    .concat();
    let aborted = [Aborted { producer_id: 7, first_offset: 7 }, Aborted { producer_id: 7, first_offset: 0 }];
    let (all, next) = told(&log, 0, &aborted);
    assert_eq!(all, ["1@1000 other", "4@1000 again", "6@1000 plain"]);
    assert_eq!(next, 9, "markers have offsets too");
    // A fetch that begins at the marker.
    assert_eq!(told(&marker(3, 7, abort), 3, &[]), (vec![], 4));
}

#[test]
fn what_cannot_be_read_is_told_and_does_not_hide_the_rest() {
    let good = Written { base: 3, records: &[(0, Some(b"good"))], ..Written::default() }.bytes();
    for compression in CODECS {
        let batch =
            Written { records: &[(0, Some(b"abcabcabcabc")), (2, Some(b"c"))], compression, ..Written::default() };
        let batch = batch.bytes();
        let mut cases = 0;
        for at in 17..batch.len() {
            let mut flipped = batch.clone();
            flipped[at] ^= 0x10;
            let (all, next) = told(&[flipped, good.clone()].concat(), 0, &[]);
            assert_eq!((all.last().map(String::as_str), next), (Some("3@1000 good"), 4));
            assert!(all.len() == 2 && all[0].starts_with("0-2: "), "byte {at}: {all:?}");
            cases += 1;
        }
        assert!(cases > 30);
        // The checksum fits, and the body makes no sense.
        for at in 61..batch.len() {
            let mut flipped = batch.clone();
            flipped[at] ^= 0x55;
            let checksum = crc32c::crc32c(&flipped[21..]);
            flipped[17..21].copy_from_slice(&checksum.to_be_bytes());
            assert_eq!(told(&[flipped, good.clone()].concat(), 0, &[]).1, 4);
        }
    }
    let old = [&7_i64.to_be_bytes()[..], &14_i32.to_be_bytes(), &[0, 0, 0, 0, 1], &[0; 9]].concat();
    let (all, next) = told(&old, 0, &[]);
    assert!(all[0].starts_with("7-7: the message format 1 is not read"), "{all:?}");
    assert_eq!(next, 8);
}

#[test]
fn bombs_and_nonsense_are_refused() {
    let zeros = vec![0; MAX_BATCH_BYTES + 1];
    for compression in [1, 3, 4] {
        let mut scratch = Vec::new();
        let refused = decompress::decompress(compression, &compress(compression, &zeros), &mut scratch).unwrap_err();
        assert!(refused.contains("larger than"), "{refused}");
    }
    let mut scratch = Vec::new();
    let refused = decompress::decompress(2, &[0xff, 0xff, 0xff, 0xff, 0x0f, 0], &mut scratch).unwrap_err();
    assert!(refused.contains("larger than"), "{refused}");
    let nothing = &mut |_: Found<'_>| {};
    assert!(read(&[0xff; 100], 0, &[], nothing).unwrap_err().reason.contains("negative"));
    let mut short = vec![0; 100];
    short[11] = 4;
    assert!(read(&short, 0, &[], nothing).unwrap_err().reason.contains("below"));
    assert_eq!(read(b"", 3, &[], nothing), Ok(3));
}
