//! Labels of many series at once, and the names and values that there are.

use roaring::RoaringBitmap;

use super::{
    open::{Name, Segment},
    postings::{Postings, add_runs, decode_bitmap},
    read::SeriesChunks,
    records::RecordCursor,
};
use crate::{
    Labels, Result,
    encoding::{FrontDecoder, Reader, malformed},
};

/// Texts of label values, by the values' numbers.
struct Texts {
    /// The numbers, rising.
    ids: Vec<u32>,
    /// Where each text ends in `bytes`.
    ends: Vec<usize>,
    bytes: String,
}

impl Texts {
    fn get(&self, id: u32) -> Option<&str> {
        let at = self.ids.binary_search(&id).ok()?;
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.bytes.get(start..self.ends[at])
    }
}

/// The numbers of label values of some series, row after row.
#[derive(Default)]
pub(super) struct Rows {
    values: Vec<u32>,
    ends: Vec<usize>,
}

impl Rows {
    pub(super) fn get(&self, row: usize) -> &[u32] {
        let start = row.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.values[start..self.ends[row]]
    }
}

impl Segment {
    /// The labels of these series, in the order asked for.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`](crate::StorageError::Corrupt) when a block is damaged,
    /// [`StorageError::Io`](crate::StorageError::Io) when it cannot be read.
    pub fn labels(&self, ordinals: &[u32]) -> Result<Vec<Labels>> {
        let sorted = ordinals.is_sorted_by(|a, b| a < b);
        let mut order: Vec<u32> = ordinals.to_vec();
        if !sorted {
            order.sort_unstable();
            order.dedup();
        }
        let rows = self.rows(&order)?;
        let mut ids = rows.values.clone();
        ids.sort_unstable();
        ids.dedup();
        let texts = self.texts(ids)?;
        let mut pairs = Vec::new();
        let mut labels = Vec::with_capacity(order.len());
        for row in 0..order.len() {
            pairs.clear();
            for id in rows.get(row) {
                match (self.name_of(*id), texts.get(*id)) {
                    (Some(name), Some(text)) => pairs.push((name.name.as_str(), text)),
                    _ => return Err(self.file.corrupt(0, format!("label value {id} is not there"))),
                }
            }
            labels.push(Labels::from_sorted(pairs.iter().copied()));
        }
        if sorted {
            return Ok(labels);
        }
        let place = |o: &u32| order.binary_search(o).ok().and_then(|i| labels.get(i)).cloned().unwrap_or_default();
        Ok(ordinals.iter().map(place).collect())
    }

    /// The numbers of the label values of these series, which rise.
    pub(super) fn rows(&self, ordinals: &[u32]) -> Result<Rows> {
        let mut rows = Rows::default();
        let mut row: Vec<u32> = Vec::new();
        self.walk(&self.series, ordinals.iter().copied(), |_, restart, wanted, record| {
            if restart {
                row.clear();
            }
            decode_row(record, restart, self.values.count, &mut row)?;
            if wanted {
                rows.values.extend_from_slice(&row);
                rows.ends.push(rows.values.len());
            }
            Ok(())
        })?;
        Ok(rows)
    }

    fn texts(&self, ids: Vec<u32>) -> Result<Texts> {
        let (mut ends, mut bytes) = (Vec::with_capacity(ids.len()), String::new());
        let mut front = FrontDecoder::default();
        self.walk(&self.values, ids.iter().copied(), |_, restart, wanted, record| {
            if restart {
                front.restart();
            }
            front.advance(&mut Reader::new(record))?;
            if wanted {
                bytes.push_str(front.text()?);
                ends.push(bytes.len());
            }
            Ok(())
        })?;
        Ok(Texts { ids, ends, bytes })
    }

    /// The label that a value belongs to.
    pub(super) fn name_of(&self, value: u32) -> Option<&Name> {
        let at = self.names.partition_point(|n| n.first <= value).checked_sub(1)?;
        self.names.get(at).filter(|n| value < n.end)
    }

    /// The label with this name.
    pub(super) fn name(&self, name: &str) -> Option<&Name> {
        self.names.binary_search_by(|n| n.name.as_str().cmp(name)).ok().and_then(|at| self.names.get(at))
    }

    /// The label names that there are, sorted; with `among`, those that one of these series has.
    ///
    /// # Errors
    /// As [`Segment::labels`].
    pub fn label_names(&self, among: Option<&RoaringBitmap>) -> Result<Vec<String>> {
        let mut found = Vec::new();
        for name in &self.names {
            if match among {
                Some(among) => self.intersects(&name.postings, among)?,
                None => true,
            } {
                found.push(name.name.clone());
            }
        }
        Ok(found)
    }

    /// The values of a label, sorted; with `among`, those that one of these series has.
    ///
    /// # Errors
    /// As [`Segment::labels`].
    pub fn label_values(&self, name: &str, among: Option<&RoaringBitmap>) -> Result<Vec<String>> {
        let Some(name) = self.name(name) else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        if let Some(among) = among.filter(|a| a.len() < u64::from(name.end - name.first)) {
            // Fewer series than values: the series know which values they have.
            let series: Vec<u32> = among.iter().take_while(|o| *o < self.summary.series).collect();
            let rows = self.rows(&series)?;
            let mut ids: Vec<u32> = rows.values.into_iter().filter(|id| (name.first..name.end).contains(id)).collect();
            ids.sort_unstable();
            ids.dedup();
            let texts = self.texts(ids)?;
            return Ok(texts.ids.iter().filter_map(|id| texts.get(*id)).map(str::to_owned).collect());
        }
        self.each_value(name, "", |text, postings| {
            if match among {
                Some(among) => self.intersects(postings, among)?,
                None => true,
            } {
                found.push(text.to_owned());
            }
            Ok(true)
        })?;
        Ok(found)
    }

    fn intersects(&self, postings: &Postings, among: &RoaringBitmap) -> Result<bool> {
        match postings {
            Postings::Runs(runs) => Ok(runs.iter().any(|(start, end)| among.range_cardinality(*start..=*end) > 0)),
            Postings::Bitmap(id) => Ok(!self.bitmap(*id)?.is_disjoint(among)),
        }
    }

    /// Adds postings to a bitmap.
    pub(super) fn add_postings(&self, postings: &Postings, to: &mut RoaringBitmap) -> Result<()> {
        match postings {
            Postings::Runs(runs) => add_runs(runs, to),
            Postings::Bitmap(id) => *to |= self.bitmap(*id)?,
        }
        Ok(())
    }

    pub(super) fn bitmap(&self, id: u32) -> Result<RoaringBitmap> {
        let mut bitmap = None;
        if id >= self.postings.count {
            return Err(self.file.corrupt(0, format!("no postings {id} of {}", self.postings.count)));
        }
        self.walk(&self.postings, std::iter::once(id), |_, _, wanted, record| {
            if wanted {
                bitmap = Some(decode_bitmap(record, self.summary.series)?);
            }
            Ok(())
        })?;
        bitmap.ok_or_else(|| self.file.corrupt(0, format!("no postings {id}")))
    }

    /// Visits the values of a label from the first that is not below `from`, in order, until `visit` says false.
    pub(super) fn each_value(
        &self,
        name: &Name,
        from: &str,
        mut visit: impl FnMut(&str, &Postings) -> Result<bool>,
    ) -> Result<()> {
        let table = &self.values;
        let Some(mut number) = self.block_of_value(name, from)? else { return Ok(()) };
        let mut front = FrontDecoder::default();
        loop {
            let payload = self.block(table, number)?;
            let records = self.records(table, number, &payload)?;
            let base = table.blocks.get(number).map_or(0, |b| b.first);
            let at = |e| self.at_record(table, base)(e);
            let mut cursor = self.seek_value(name, from, number, &records).map_err(at)?;
            while !cursor.at_end() {
                let (position, restart) = cursor.position();
                let id = base + position as u32;
                let mut reader = Reader::new(cursor.take().map_err(at)?);
                if restart {
                    front.restart();
                }
                front.advance(&mut reader).map_err(at)?;
                if id >= name.end {
                    return Ok(());
                }
                if id < name.first || front.bytes() < from.as_bytes() {
                    continue;
                }
                let postings = Postings::decode(&mut reader, self.summary.series).map_err(at)?;
                if !visit(front.text().map_err(at)?, &postings)? {
                    return Ok(());
                }
            }
            number += 1;
            if table.blocks.get(number).is_none_or(|b| b.first >= name.end) {
                return Ok(());
            }
        }
    }

    /// The last block that may hold the first value of the label which is not below `text`.
    fn block_of_value(&self, name: &Name, text: &str) -> Result<Option<usize>> {
        let table = &self.values;
        let (Some(low), Some(high)) = (table.block_of(name.first), table.block_of(name.end - 1)) else {
            return Ok(None);
        };
        let inner = table.blocks.get(low + 1..=high).unwrap_or_default();
        let mut number = low + inner.partition_point(|b| &*b.key <= text.as_bytes());
        // Keys are cut: the block's first value may still be above the text.
        while number > low {
            let payload = self.block(table, number)?;
            let record = self.records(table, number, &payload)?;
            let mut front = FrontDecoder::default();
            let at = self.at_record(table, table.blocks.get(number).map_or(0, |b| b.first));
            record.get(0).and_then(|r| front.advance(&mut Reader::new(r))).map_err(at)?;
            if front.bytes() <= text.as_bytes() {
                break;
            }
            number -= 1;
        }
        Ok(Some(number))
    }

    /// A cursor at the last restart of a block from which no value of the label that is not below `text` is missed.
    fn seek_value<'a>(
        &self,
        name: &Name,
        text: &str,
        number: usize,
        records: &super::records::RecordBlock<'a>,
    ) -> Result<RecordCursor<'a>> {
        let base = self.values.blocks.get(number).map_or(0, |b| b.first);
        let (mut low, mut high) = (0, records.count().div_ceil(super::records::RESTART));
        // Invariant: restart `low` is not behind what is sought, restart `high` is, or is the end.
        while high - low > 1 {
            let middle = usize::midpoint(low, high);
            let position = middle * super::records::RESTART;
            let id = base + position as u32;
            let behind = if id < name.first {
                false
            } else if id >= name.end {
                true
            } else {
                let mut front = FrontDecoder::default();
                front.advance(&mut Reader::new(records.get(position)?))?;
                front.bytes() > text.as_bytes()
            };
            if behind { high = middle } else { low = middle }
        }
        records.seek(low * super::records::RESTART)
    }
}

/// Turns the row before it into the row of this record.
pub(super) fn decode_row(record: &[u8], restart: bool, values: u32, row: &mut Vec<u32>) -> Result<()> {
    let mut reader = SeriesChunks::skip(record, restart)?;
    let shared = reader.length(row.len())?;
    row.truncate(shared);
    let mut next = row.last().map_or(0, |last| last + 1);
    while !reader.is_empty() {
        let id = next.checked_add(reader.id()?).filter(|id| *id < values);
        let id = id.ok_or_else(|| malformed("series", "a label value that is not there"))?;
        row.push(id);
        next = id + 1;
    }
    Ok(())
}
