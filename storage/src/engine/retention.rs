//! Retention: segments whose samples are all too old are dropped, and the oldest when there are too many bytes.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::{Inner, flush::exclusive, state::LiveSegment, tables::events::LiveEvents};
use crate::{
    Result,
    catalog::{CatalogEdit, SegmentRecord},
    memtable::{read_lock, write_lock},
};

/// When the wall clock went ahead of the monotonic clock by more than this, it is not believed.
const CLOCK_JUMP_MS: i64 = 60 * 60 * 1_000;

/// Guards retention against a clock that jumps ahead: what the two clocks showed at the start.
#[derive(Debug, Clone, Copy)]
pub(super) struct ClockGuard {
    wall_ms: i64,
    monotonic: Duration,
}

impl ClockGuard {
    pub(super) fn new(clock: &dyn crate::clock::Clock) -> Self {
        Self { wall_ms: clock.now_ms(), monotonic: clock.monotonic() }
    }

    /// How far the wall clock went ahead of the monotonic clock since the start, in milliseconds.
    fn jumped_ms(&self, clock: &dyn crate::clock::Clock) -> i64 {
        let elapsed = clock.monotonic().saturating_sub(self.monotonic);
        let expected = self.wall_ms.saturating_add(i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX));
        clock.now_ms().saturating_sub(expected)
    }
}

impl Inner {
    /// Whether the clock can be believed.
    fn check_clock(&self) -> bool {
        let ahead_ms = self.clock_guard.jumped_ms(&*self.options.clock);
        if ahead_ms > CLOCK_JUMP_MS {
            tracing::warn!(ahead_ms, "the clock jumped ahead; nothing is dropped for its age until the next start");
        }
        ahead_ms <= CLOCK_JUMP_MS
    }

    /// Drops what is older than the retention, then the oldest segments, of samples and of events, while there are too many
    /// bytes. Tables without a time column have no oldest rows: they neither count nor go.
    ///
    /// "Older" is measured from the newest stored sample or the clock, whichever is earlier: when samples stop coming, or
    /// the clock is wrong, nothing is lost.
    pub(super) fn enforce_retention(self: &Arc<Self>) -> Result<()> {
        self.check_writable()?;
        let _not_while_merging = exclusive(&self.merging);
        let clock_is_believed = self.check_clock();
        if clock_is_believed {
            self.enforce_table_retention()?;
        }
        let segments = Arc::clone(&read_lock(&self.state).segments);
        let mut drop_ids: Vec<u64> = Vec::new();
        if let Some(keep) = self.options.retention_ms.filter(|_| clock_is_believed) {
            let newest = segments.iter().map(|s| s.record.range.end).max().unwrap_or(i64::MIN);
            let oldest_kept = newest.min(self.options.clock.now_ms()).saturating_sub(keep);
            drop_ids.extend(segments.iter().filter(|s| s.record.range.end < oldest_kept).map(|s| s.record.id));
        }
        if let Some(limit) = self.options.retention_bytes {
            let (samples, events) = over_limit(&segments, &drop_ids, self.timed_events(), limit);
            drop_ids.extend(samples);
            events.iter().try_for_each(|live| self.drop_timed(live))?;
        }
        if drop_ids.is_empty() {
            return Ok(());
        }
        self.edit_catalog(CatalogEdit { remove_segments: drop_ids.clone(), ..CatalogEdit::default() })?;
        write_lock(&self.state).replace_segments(&drop_ids, Vec::new());
        let dropped: Vec<_> =
            segments.iter().filter(|s| drop_ids.contains(&s.record.id)).map(|s| s.record.clone()).collect();
        self.discard_files(&dropped);
        self.counters.segments_dropped.fetch_add(dropped.len() as u64, Ordering::Relaxed);
        tracing::info!(segments = dropped.len(), "dropped by retention");
        Ok(())
    }
}

/// A segment that may go.
enum Timed<'s> {
    Samples(&'s LiveSegment),
    Events(Arc<LiveEvents>),
}

impl Timed<'_> {
    fn record(&self) -> &SegmentRecord {
        match self {
            Self::Samples(live) => &live.record,
            Self::Events(live) => &live.record,
        }
    }
}

/// The oldest segments, beside those dropped already, that have to go for the others to fit: the numbers of those of
/// samples, and those of events.
fn over_limit(
    segments: &[Arc<LiveSegment>],
    dropped: &[u64],
    events: Vec<Arc<LiveEvents>>,
    limit: u64,
) -> (Vec<u64>, Vec<Arc<LiveEvents>>) {
    let kept = segments.iter().filter(|s| !dropped.contains(&s.record.id)).map(|live| Timed::Samples(live));
    let mut kept: Vec<Timed<'_>> = kept.chain(events.into_iter().map(Timed::Events)).collect();
    kept.sort_by_key(|live| (live.record().range.end, live.record().id));
    let mut bytes: u64 = kept.iter().map(|live| live.record().file_len).sum();
    let (mut samples_over, mut events_over) = (Vec::new(), Vec::new());
    for live in kept {
        if bytes <= limit {
            break;
        }
        bytes -= live.record().file_len;
        match live {
            Timed::Samples(live) => samples_over.push(live.record.id),
            Timed::Events(live) => events_over.push(live),
        }
    }
    (samples_over, events_over)
}
