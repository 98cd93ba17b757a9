//! The bytes of one simulated file: as the process sees them, and as the disk holds them.

use std::collections::BTreeSet;

use crate::rng::Rng;

/// What a disk writes as a whole or not at all.
pub(super) const SECTOR: usize = 512;

/// One file. Invariant: a sector in which `current` and `durable` differ is in `dirty`, unless a failed sync dropped
/// it; such a sector stays different until it is written again.
#[derive(Debug, Clone, Default)]
pub(super) struct Image {
    /// What reads return: the page cache.
    current: Vec<u8>,
    /// What is on disk.
    durable: Vec<u8>,
    /// Sectors that the next sync has to write.
    dirty: BTreeSet<usize>,
    /// Lengths that the file may have on disk since the last sync, as inclusive ranges.
    lengths: Vec<(usize, usize)>,
}

impl Image {
    pub(super) const fn len(&self) -> usize {
        self.current.len()
    }

    pub(super) fn read_at(&self, buf: &mut [u8], offset: usize) -> usize {
        let rest = self.current.get(offset..).unwrap_or_default();
        let n = rest.len().min(buf.len());
        buf[..n].copy_from_slice(&rest[..n]);
        n
    }

    pub(super) fn write_at(&mut self, buf: &[u8], offset: usize) {
        let end = offset + buf.len();
        let old = self.current.len();
        if end > old {
            self.resize(end);
            self.lengths.push((old, end));
        }
        self.current[offset..end].copy_from_slice(buf);
        self.touch(offset, end);
    }

    pub(super) fn set_len(&mut self, len: usize) {
        self.resize(len);
        self.lengths.push((len, len));
    }

    fn resize(&mut self, len: usize) {
        let old = self.current.len();
        self.current.resize(len, 0);
        if len < old {
            self.dirty.split_off(&len.div_ceil(SECTOR));
        } else {
            // Where the file was cut before without a sync, the disk still holds other bytes than these zeros.
            self.touch(old, len.min(self.durable.len()));
        }
    }

    fn touch(&mut self, start: usize, end: usize) {
        if start < end {
            self.dirty.extend(start / SECTOR..end.div_ceil(SECTOR));
        }
    }

    pub(super) fn sync(&mut self) {
        self.durable.resize(self.current.len(), 0);
        self.lengths.clear();
        for sector in std::mem::take(&mut self.dirty) {
            copy_sector(&mut self.durable, &self.current, sector);
        }
    }

    /// A sync that failed: as Linux does it, some pages are marked clean although they never reached the disk, some
    /// reached it, and some wait for the next sync.
    pub(super) fn fail_sync(&mut self, rng: &mut Rng) {
        for sector in std::mem::take(&mut self.dirty) {
            match rng.below(3) {
                0 => {
                    self.dirty.insert(sector);
                }
                1 if (sector + 1) * SECTOR <= self.durable.len() => {
                    copy_sector(&mut self.durable, &self.current, sector);
                }
                _ => {}
            }
        }
    }

    /// The file after a power cut: a random subset of what was not synced, with a length that it has had since the
    /// last sync: a file system journals a cut as one change, but a growing file arrives in pieces.
    pub(super) fn survive(&self, fate: Fate, rng: &mut Rng) -> Self {
        let (old, new) = (self.durable.len(), self.current.len());
        let len = match fate {
            Fate::KeepAll => new,
            Fate::LoseAll => old,
            Fate::Mixed => match rng.below(self.lengths.len() as u64 + 1).checked_sub(1) {
                None => old,
                Some(i) => {
                    let (from, to) = self.lengths[i as usize];
                    from + rng.below((to - from) as u64 + 1) as usize
                }
            },
        };
        let mut kept = self.durable.clone();
        kept.resize(len, 0);
        for &sector in &self.dirty {
            if fate.keeps(rng) {
                copy_sector(&mut kept, &self.current, sector);
            }
        }
        Self { current: kept.clone(), durable: kept, ..Self::default() }
    }
}

/// What becomes of all that was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    KeepAll,
    LoseAll,
    Mixed,
}

impl Fate {
    /// One crash in eight keeps everything, one keeps nothing, the others toss a coin for each piece.
    pub(super) fn choose(rng: &mut Rng) -> Self {
        match rng.below(8) {
            0 => Self::KeepAll,
            1 => Self::LoseAll,
            _ => Self::Mixed,
        }
    }

    pub(super) fn keeps(self, rng: &mut Rng) -> bool {
        match self {
            Self::KeepAll => true,
            Self::LoseAll => false,
            Self::Mixed => rng.below(2) == 0,
        }
    }
}

/// Copies one sector as far as both sides reach.
fn copy_sector(to: &mut [u8], from: &[u8], sector: usize) {
    let start = sector * SECTOR;
    let end = (start + SECTOR).min(to.len()).min(from.len());
    if start < end {
        to[start..end].copy_from_slice(&from[start..end]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(image: &Image) -> &[u8] {
        &image.current
    }

    #[test]
    fn only_synced_sectors_are_sure() {
        let mut image = Image::default();
        image.write_at(&[1; 1024], 0);
        image.sync();
        image.write_at(&[2; 1024], 0);
        let mut seen = BTreeSet::new();
        for seed in 0..64 {
            let after = image.survive(Fate::Mixed, &mut Rng::new(seed));
            assert_eq!(after.len(), 1024);
            seen.insert((bytes(&after)[0], bytes(&after)[1023]));
            assert!(bytes(&after)[..512].iter().all(|b| *b == bytes(&after)[0]), "a sector is never torn");
        }
        assert_eq!(seen.len(), 4, "every subset of two sectors happens");
        assert_eq!(bytes(&image.survive(Fate::LoseAll, &mut Rng::new(0))), [1; 1024]);
        assert_eq!(bytes(&image.survive(Fate::KeepAll, &mut Rng::new(0))), [2; 1024]);
    }

    #[test]
    fn a_cut_and_regrown_file_is_zero_once_synced() {
        let mut image = Image::default();
        image.write_at(&[7; 2000], 0);
        image.sync();
        image.set_len(100);
        image.set_len(2000);
        assert_eq!(bytes(&image.survive(Fate::LoseAll, &mut Rng::new(0))), [7; 2000]);
        image.sync();
        let after = image.survive(Fate::LoseAll, &mut Rng::new(0));
        assert_eq!(bytes(&after)[..100], [7; 100]);
        assert_eq!(bytes(&after)[100..], [0; 1900]);
    }

    #[test]
    fn a_failed_sync_can_drop_what_a_later_sync_then_misses() {
        let lost = (0..64).any(|seed| {
            let mut image = Image::default();
            image.write_at(&[1; 512], 0);
            image.sync();
            image.write_at(&[2; 512], 0);
            image.fail_sync(&mut Rng::new(seed));
            image.sync();
            bytes(&image.survive(Fate::KeepAll, &mut Rng::new(0)))[0] == 1
        });
        assert!(lost, "syncing again after a failure must not be enough");
    }
}
