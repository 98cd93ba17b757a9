//! What one query sees: memtables and segments at one moment.

use std::{collections::BTreeSet, sync::Arc};

use roaring::RoaringBitmap;

use super::{
    Inner,
    merge_samples::{append, last_timestamp, merge, remove_ranges},
    state::{LiveSegment, LiveTombstone},
};
use crate::{
    Result, StorageError,
    memtable::{MemtableView, read_lock},
    model::{exemplar::Exemplar, labels::Labels, matcher::Matcher, time::TimeRange},
    read::{SampleBuffer, SeriesSet, SeriesSource},
};

/// A consistent view of the database. Samples written later do not show; segments merged or dropped later stay readable.
#[derive(Debug)]
pub struct Snapshot {
    engine: Arc<Inner>,
    /// The older first.
    views: Vec<MemtableView>,
    segments: Arc<Vec<Arc<LiveSegment>>>,
    tombstones: Arc<Vec<Arc<LiveTombstone>>>,
}

/// Where samples of a selected series are.
#[derive(Debug)]
enum Source<'s> {
    Segment { live: &'s LiveSegment, deleted: Vec<(RoaringBitmap, TimeRange)> },
    View(&'s MemtableView),
}

/// Series selected from a snapshot.
#[derive(Debug)]
struct Selected<'s> {
    snapshot: &'s Snapshot,
    sources: Vec<Source<'s>>,
    series: Vec<SelectedSeries>,
    /// Source and number in that source, for all series one after another; of each series the older source first.
    places: Vec<(u32, u32)>,
}

#[derive(Debug)]
struct SelectedSeries {
    labels: Labels,
    /// End of this series' places; they begin where those of the series before end.
    places_end: u32,
}

impl Snapshot {
    pub(super) fn new(engine: &Arc<Inner>) -> Self {
        let state = read_lock(&engine.state);
        // Views are taken while the state is locked: no flush can come between.
        let views = state.flushing.iter().chain([&state.active]).map(|m| m.view()).collect();
        Self {
            engine: Arc::clone(engine),
            views,
            segments: Arc::clone(&state.segments),
            tombstones: Arc::clone(&state.tombstones),
        }
    }

    /// The range of all samples; empty when there is none.
    #[must_use]
    pub fn range(&self) -> TimeRange {
        let views = self.views.iter().map(MemtableView::range);
        views.chain(self.segments.iter().map(|s| s.record.range)).fold(TimeRange::new(1, 0), |all, r| all.union(&r))
    }

    /// What a user should know about answers over this range: data that was set aside as damaged.
    #[must_use]
    pub fn warnings(&self, range: TimeRange) -> Vec<String> {
        self.engine.quarantine_warnings(range)
    }

    fn select_series(&self, matchers: &[Matcher], range: TimeRange, with_samples: bool) -> Result<Selected<'_>> {
        let mut selected = Selected { snapshot: self, sources: Vec::new(), series: Vec::new(), places: Vec::new() };
        let mut lists: Vec<Vec<(Labels, u32)>> = Vec::new();
        for live in self.segments.iter().filter(|s| !with_samples || s.record.range.overlaps(&range)) {
            let (list, deleted) = self.select_segment(live, matchers, range, with_samples)?;
            if !list.is_empty() {
                lists.push(list);
                selected.sources.push(Source::Segment { live, deleted });
            }
        }
        for view in &self.views {
            let list = select_view(view, matchers, range, with_samples);
            if !list.is_empty() {
                lists.push(list);
                selected.sources.push(Source::View(view));
            }
        }
        merge_lists(lists, &mut selected);
        Ok(selected)
    }

    #[expect(clippy::type_complexity, reason = "the two halves of a source, used once")]
    fn select_segment(
        &self,
        live: &LiveSegment,
        matchers: &[Matcher],
        range: TimeRange,
        with_samples: bool,
    ) -> Result<(Vec<(Labels, u32)>, Vec<(RoaringBitmap, TimeRange)>)> {
        let found = self.checked(live, live.segment.select(matchers, TimeRange::ALL))?;
        let mut deleted = Vec::new();
        for tombstone in self.tombstones.iter().filter(|t| t.applies_to(live)) {
            let gone = self.checked(live, live.segment.select(&tombstone.matchers, TimeRange::ALL))? & &found;
            if !gone.is_empty() {
                deleted.push((gone, tombstone.record.range));
            }
        }
        let mut ordinals = Vec::with_capacity(found.len() as usize);
        for ordinal in found {
            if with_samples {
                let there = self.checked(live, live.segment.series_range(ordinal))?;
                if !there.overlaps(&range)
                    || deleted.iter().any(|(gone, r)| gone.contains(ordinal) && covers(r, &there))
                {
                    continue;
                }
            }
            ordinals.push(ordinal);
        }
        let labels = self.checked(live, live.segment.labels(&ordinals))?;
        Ok((labels.into_iter().zip(ordinals).collect(), deleted))
    }

    /// Passes a result of a segment on; a damaged segment is set aside on the way.
    fn checked<T>(&self, live: &LiveSegment, result: Result<T>) -> Result<T> {
        if let Err(error @ StorageError::Corrupt { .. }) = &result {
            self.engine.set_aside_segment(live, &error.to_string());
        }
        result
    }

    /// The names of all labels of series that fulfil any of the matcher sets (all series when there is no set) and have
    /// samples near the range, sorted.
    ///
    /// # Errors
    /// When an index cannot be read.
    pub fn label_names(&self, sets: &[Vec<Matcher>], range: TimeRange) -> Result<Vec<String>> {
        let mut names = BTreeSet::new();
        if sets.is_empty() {
            for live in self.segments.iter().filter(|s| s.record.range.overlaps(&range)) {
                names.extend(self.checked(live, live.segment.label_names(None))?);
            }
            for view in &self.views {
                let index = read_lock(view.index());
                let used = used_pairs(view, &index, range);
                names.extend(used.iter().map(|p| index.pairs().name(index.pairs().name_of(p)).to_owned()));
            }
        }
        for set in sets {
            for labels in self.select_series(set, range, true)?.series {
                for (name, _) in labels.labels.iter() {
                    if !names.contains(name) {
                        names.insert(name.to_owned());
                    }
                }
            }
        }
        Ok(names.into_iter().collect())
    }

    /// The values that a label has in series that fulfil any of the matcher sets (all series when there is no set) and
    /// have samples near the range, sorted.
    ///
    /// # Errors
    /// When an index cannot be read.
    pub fn label_values(&self, name: &str, sets: &[Vec<Matcher>], range: TimeRange) -> Result<Vec<String>> {
        let mut values = BTreeSet::new();
        if sets.is_empty() {
            for live in self.segments.iter().filter(|s| s.record.range.overlaps(&range)) {
                values.extend(self.checked(live, live.segment.label_values(name, None))?);
            }
            for view in &self.views {
                let index = read_lock(view.index());
                let Some(name) = index.pairs().find_name(name) else { continue };
                for pair in index.pairs().pairs_of(name) {
                    let has = |id| view.series_range(id).is_some_and(|r| r.overlaps(&range));
                    if index.series_with(*pair).into_iter().any(has) {
                        values.insert(index.pairs().value(*pair).to_owned());
                    }
                }
            }
        }
        for set in sets {
            for labels in self.select_series(set, range, true)?.series {
                if let Some(value) = labels.labels.get(name)
                    && !values.contains(value)
                {
                    values.insert(value.to_owned());
                }
            }
        }
        Ok(values.into_iter().collect())
    }

    /// The label sets of series that fulfil any of the matcher sets and may have samples inside the range, sorted.
    ///
    /// # Errors
    /// When an index cannot be read.
    pub fn series(&self, sets: &[Vec<Matcher>], range: TimeRange) -> Result<Vec<Labels>> {
        if let [set] = sets {
            return Ok(self.select_series(set, range, true)?.series.into_iter().map(|s| s.labels).collect());
        }
        let mut all = BTreeSet::new();
        for set in sets {
            all.extend(self.select_series(set, range, true)?.series.into_iter().map(|s| s.labels));
        }
        Ok(all.into_iter().collect())
    }

    /// The exemplars inside the range of series that fulfil any of the matcher sets, by series and time.
    ///
    /// # Errors
    /// When a segment cannot be read.
    pub fn exemplars(&self, sets: &[Vec<Matcher>], range: TimeRange) -> Result<Vec<(Labels, Vec<Exemplar>)>> {
        let mut all: std::collections::BTreeMap<Labels, Vec<Exemplar>> = std::collections::BTreeMap::new();
        for set in sets {
            let selected = self.select_series(set, range, false)?;
            for index in 0..selected.series.len() {
                let found = selected.exemplars(index, range)?;
                if !found.is_empty() {
                    all.insert(selected.series[index].labels.clone(), found);
                }
            }
        }
        Ok(all.into_iter().collect())
    }
}

impl LiveTombstone {
    /// Whether samples of this segment may be deleted by it.
    pub(super) fn applies_to(&self, live: &LiveSegment) -> bool {
        live.record.sequence < self.record.sequence_bound && live.record.range.overlaps(&self.record.range)
    }
}

const fn covers(outer: &TimeRange, inner: &TimeRange) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}

/// The pairs of series that have samples in the range.
fn used_pairs(view: &MemtableView, index: &crate::memtable::Index, range: TimeRange) -> RoaringBitmap {
    let mut used = RoaringBitmap::new();
    for id in 0..view.series_bound().min(index.len() as u32) {
        if view.series_range(id).is_some_and(|r| r.overlaps(&range)) {
            used.extend(index.series_pairs(id).iter().copied());
        }
    }
    used
}

/// Series of a memtable that fulfil the matchers, sorted by labels.
fn select_view(view: &MemtableView, matchers: &[Matcher], range: TimeRange, with_samples: bool) -> Vec<(Labels, u32)> {
    if with_samples && !view.range().overlaps(&range) {
        return Vec::new();
    }
    let index = read_lock(view.index());
    let mut ids: Vec<u32> = index
        .select(matchers)
        .into_iter()
        .filter(|id| !with_samples || view.series_range(*id).is_some_and(|r| r.overlaps(&range)))
        .collect();
    index.sort_by_labels(&mut ids);
    ids.into_iter().map(|id| (index.labels(id), id)).collect()
}

/// Merges lists that are each sorted by labels.
fn merge_lists(lists: Vec<Vec<(Labels, u32)>>, selected: &mut Selected<'_>) {
    let mut lists: Vec<_> = lists.into_iter().map(|l| l.into_iter().peekable()).collect();
    if let [only] = lists.as_mut_slice() {
        for (labels, id) in only {
            selected.places.push((0, id));
            selected.series.push(SelectedSeries { labels, places_end: selected.places.len() as u32 });
        }
        return;
    }
    loop {
        let next = lists.iter_mut().filter_map(|l| l.peek().map(|(labels, _)| labels)).min().cloned();
        let Some(labels) = next else { return };
        for (source, list) in lists.iter_mut().enumerate() {
            if let Some((_, id)) = list.next_if(|(l, _)| *l == labels) {
                selected.places.push((source as u32, id));
            }
        }
        selected.series.push(SelectedSeries { labels, places_end: selected.places.len() as u32 });
    }
}

impl SeriesSource for Snapshot {
    fn select(&self, matchers: &[Matcher], range: TimeRange) -> Result<Box<dyn SeriesSet + '_>> {
        Ok(Box::new(self.select_series(matchers, range, true)?))
    }
}

impl Selected<'_> {
    fn places(&self, index: usize) -> &[(u32, u32)] {
        let from = if index == 0 { 0 } else { self.series[index - 1].places_end as usize };
        &self.places[from..self.series[index].places_end as usize]
    }

    /// Appends the samples of one place to an empty buffer.
    fn read_place(&self, (source, id): (u32, u32), range: TimeRange, out: &mut SampleBuffer) -> Result<()> {
        match &self.sources[source as usize] {
            Source::View(view) => {
                view.read(id, range, out);
                Ok(())
            }
            Source::Segment { live, deleted } => {
                self.snapshot.checked(live, live.segment.read(id, range, out))?;
                let gone: Vec<TimeRange> = deleted.iter().filter(|(s, _)| s.contains(id)).map(|(_, r)| *r).collect();
                if !gone.is_empty() {
                    remove_ranges(out, &gone);
                }
                Ok(())
            }
        }
    }

    fn read_into_empty(&self, index: usize, range: TimeRange, out: &mut SampleBuffer) -> Result<()> {
        let places = self.places(index);
        let Some((first, rest)) = places.split_first() else { return Ok(()) };
        self.read_place(*first, range, out)?;
        let mut newer = SampleBuffer::default();
        for place in rest {
            newer.clear();
            self.read_place(*place, range, &mut newer)?;
            let older_end = last_timestamp(out);
            if newer.is_empty() {
                continue;
            }
            if older_end < super::merge_samples::first_timestamp(&newer) {
                append(&newer, out);
            } else {
                let older = std::mem::take(out);
                merge(&older, &newer, out);
            }
        }
        Ok(())
    }

    fn exemplars(&self, index: usize, range: TimeRange) -> Result<Vec<Exemplar>> {
        let mut all: Vec<Exemplar> = Vec::new();
        for (source, id) in self.places(index) {
            let found = match &self.sources[*source as usize] {
                Source::View(view) => view.exemplars(*id, range),
                Source::Segment { live, deleted } => {
                    let mut found = self.snapshot.checked(live, live.segment.exemplars(*id, range))?;
                    found.retain(|e| !deleted.iter().any(|(s, r)| s.contains(*id) && r.contains(e.timestamp)));
                    found
                }
            };
            for exemplar in found {
                if !all.contains(&exemplar) {
                    all.push(exemplar);
                }
            }
        }
        all.sort_by_key(|e| e.timestamp);
        Ok(all)
    }
}

impl SeriesSet for Selected<'_> {
    fn len(&self) -> usize {
        self.series.len()
    }

    fn labels(&self, index: usize) -> &Labels {
        &self.series[index].labels
    }

    fn read(&self, index: usize, range: TimeRange, out: &mut SampleBuffer) -> Result<()> {
        if out.is_empty() {
            return self.read_into_empty(index, range, out);
        }
        let mut own = SampleBuffer::default();
        self.read_into_empty(index, range, &mut own)?;
        append(&own, out);
        Ok(())
    }
}
