//! A segment file of any bytes: opened, read and verified, or refused; never a panic.
#![no_main]

use std::{path::Path, sync::Arc};

use chronolith_storage::{
    SampleBuffer, TimeRange,
    segment::{BlockCache, Segment},
    vfs::{MemFs, OpenMode, Vfs},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let vfs: Arc<dyn Vfs> = Arc::new(MemFs::new());
    let path = Path::new("segment");
    let file = vfs.open(path, OpenMode::CreateNew).expect("a new file in memory");
    file.write_all_at(data, 0).expect("memory takes every byte");
    let Ok(segment) = Segment::open(&vfs, path, BlockCache::new(1 << 20)) else { return };
    let _ = segment.verify();
    for ordinal in 0..segment.summary().series.min(100) {
        let _ = segment.read(ordinal, TimeRange::ALL, &mut SampleBuffer::default());
        let _ = segment.labels(&[ordinal]);
        let _ = segment.exemplars(ordinal, TimeRange::ALL);
    }
});
