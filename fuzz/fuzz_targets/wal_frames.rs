//! Frames with random payloads, then damage at random places: the reader ends, every payload it gives is one that was
//! written, in order, and damage is told.

#![no_main]

use std::path::Path;

use chronolith_storage::{
    vfs::{MemFs, OpenMode, Vfs},
    wal::{LogReader, LogWriter},
};
use libfuzzer_sys::fuzz_target;

// First the number of payloads and edits, then payload lengths, then edits as (position, new byte), then raw bytes that
// are appended.
fuzz_target!(|input: &[u8]| {
    let [frames, edits, rest @ ..] = input else { return };
    let vfs = MemFs::new();
    let mut writer = LogWriter::create(&vfs, Path::new(""), 1).expect("an empty file system takes a log");
    let mut written: Vec<Vec<u8>> = Vec::new();
    let (lengths, rest) = rest.split_at(rest.len().min(usize::from(*frames)));
    for (i, len) in lengths.iter().enumerate() {
        let mut payload = (i as u64).to_le_bytes().to_vec();
        payload.resize(8 + usize::from(*len), *len);
        writer.append(&payload).expect("memory takes a frame");
        written.push(payload);
    }
    let path = writer.path().to_owned();
    let file = vfs.open(&path, OpenMode::ReadWrite).expect("the log is there");
    let sound = file.len().expect("memory has a length");
    let (changes, garbage) = rest.split_at(rest.len().min(3 * usize::from(*edits)));
    for change in changes.chunks_exact(3) {
        let at = u64::from(u16::from_le_bytes([change[0], change[1]])) % sound;
        file.write_all_at(&change[2..], at).expect("memory takes a byte");
    }
    file.write_all_at(garbage, sound).expect("memory takes bytes");

    let Ok(mut reader) = LogReader::open(&vfs, &path) else { return };
    let mut next = 0;
    while let Some(payload) = reader.next().expect("memory can be read") {
        let i = written[next..].iter().position(|w| w == payload).expect("a payload that was never written, or twice");
        next += i + 1;
    }
    let end = reader.end();
    assert!(end.frames as usize == written.len() || !end.is_clean(), "lost frames are not told");
});
