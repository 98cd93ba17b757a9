//! The block cache: verified, unpacked blocks of all segments, within a budget of bytes.

use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use hashbrown::HashMap;
use xxhash_rust::xxh3::Xxh3DefaultBuilder;

const SHARDS: usize = 16;
/// What an entry costs beside its bytes.
const ENTRY_OVERHEAD: usize = 96;

/// Which block: the number of the open segment, and the block's offset.
type Key = (u64, u64);

/// A cache of blocks shared by all segments. Blocks that were asked for again since they came in get a second chance
/// when room is needed (the CLOCK rule); a block larger than a shard's budget is not kept.
pub struct BlockCache {
    shards: [Mutex<Shard>; SHARDS],
    shard_budget: usize,
    hits: AtomicU64,
    misses: AtomicU64,
}

#[derive(Default)]
struct Shard {
    blocks: HashMap<Key, Entry, Xxh3DefaultBuilder>,
    queue: VecDeque<Key>,
    bytes: usize,
}

struct Entry {
    block: Arc<[u8]>,
    asked_again: bool,
}

/// What a cache has done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheStats {
    /// Blocks that were there.
    pub hits: u64,
    /// Blocks that had to be read.
    pub misses: u64,
    /// Bytes held now.
    pub bytes: usize,
}

/// A number for a segment that is opened; no two in this process get the same, whichever cache they use.
pub(crate) fn segment_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl BlockCache {
    /// A cache that holds at most `budget_bytes`.
    #[must_use]
    pub fn new(budget_bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            shards: Default::default(),
            shard_budget: budget_bytes / SHARDS,
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        })
    }

    /// What the cache has done so far.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        CacheStats {
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            bytes: self.shards.iter().map(|s| lock(s).bytes).sum(),
        }
    }

    pub(crate) fn get(&self, key: Key) -> Option<Arc<[u8]>> {
        let mut shard = lock(self.shard(key));
        let found = shard.blocks.get_mut(&key).map(|entry| {
            entry.asked_again = true;
            Arc::clone(&entry.block)
        });
        drop(shard);
        let counter = if found.is_some() { &self.hits } else { &self.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        found
    }

    pub(crate) fn insert(&self, key: Key, block: Arc<[u8]>) {
        let size = block.len() + ENTRY_OVERHEAD;
        if size > self.shard_budget {
            return;
        }
        let mut shard = lock(self.shard(key));
        if shard.blocks.insert(key, Entry { block, asked_again: false }).is_some() {
            // Two threads read the same block; it is the same bytes and already counted.
            return;
        }
        shard.queue.push_back(key);
        shard.bytes += size;
        while shard.bytes > self.shard_budget {
            shard.evict();
        }
    }

    /// Lets go of all blocks of a segment that is closed.
    pub(crate) fn forget(&self, segment: u64) {
        for shard in &self.shards {
            let mut shard = lock(shard);
            let shard = &mut *shard;
            shard.blocks.retain(|key, entry| {
                let keep = key.0 != segment;
                if !keep {
                    shard.bytes -= entry.block.len() + ENTRY_OVERHEAD;
                }
                keep
            });
            shard.queue.retain(|key| key.0 != segment);
        }
    }

    fn shard(&self, (segment, offset): Key) -> &Mutex<Shard> {
        // Offsets of neighbours differ in their low bits too, for blocks have odd lengths.
        let mixed = (offset ^ segment.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        &self.shards[(mixed >> 60) as usize % SHARDS]
    }
}

impl Shard {
    fn evict(&mut self) {
        while let Some(key) = self.queue.pop_front() {
            match self.blocks.get_mut(&key) {
                Some(entry) if entry.asked_again => {
                    entry.asked_again = false;
                    self.queue.push_back(key);
                }
                Some(_) => {
                    if let Some(entry) = self.blocks.remove(&key) {
                        self.bytes -= entry.block.len() + ENTRY_OVERHEAD;
                    }
                    return;
                }
                None => {}
            }
        }
    }
}

/// A panic elsewhere leaves a shard whole: every change to it is complete before anything can fail.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for BlockCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockCache").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(len: usize) -> Arc<[u8]> {
        Arc::from(vec![1; len])
    }

    #[test]
    fn stays_within_its_budget_and_keeps_what_is_asked_for() {
        let cache = BlockCache::new(SHARDS * 10_000);
        cache.insert((1, 0), block(1000));
        for offset in 1..2000 {
            assert!(cache.get((1, 0)).is_some(), "evicted after {offset} others");
            cache.insert((1, offset), block(1000));
            assert!(cache.stats().bytes <= SHARDS * 10_000);
        }
        assert!(cache.stats().bytes > SHARDS * 5_000);
        cache.insert((1, 5000), block(20_000));
        assert!(cache.get((1, 5000)).is_none());
        cache.insert((2, 0), block(10));
        cache.forget(1);
        assert_eq!(cache.stats().bytes, 10 + ENTRY_OVERHEAD);
        assert!(cache.get((2, 0)).is_some());
    }

    #[test]
    fn the_same_block_twice_counts_once() {
        let cache = BlockCache::new(1 << 20);
        cache.insert((1, 0), block(10));
        cache.insert((1, 0), block(10));
        assert_eq!(cache.stats().bytes, 10 + ENTRY_OVERHEAD);
    }
}
