//! The index as it is built: label values get numbers as they come; at the end they are sorted, and series, values,
//! postings and names are written.

use hashbrown::{HashMap, HashTable};
use xxhash_rust::xxh3::{Xxh3DefaultBuilder, xxh3_64_with_seed};

use super::{
    block::{BlockKind, BlockRef, BlockWriter},
    postings::encode_postings,
    table::TableWriter,
};
use crate::{
    Labels, Result, StorageError,
    encoding::{Reader, encode_front, put_uvarint},
};

const BLOCK_LEN: usize = 16 << 10;
const POSTINGS_BLOCK_LEN: usize = 32 << 10;
/// How much of a block's first value the index keeps.
pub(super) const KEY_LEN: usize = 128;

/// Series, labels and values in the order they came.
#[derive(Default)]
pub(super) struct IndexBuilder {
    names: HashMap<String, u32, Xxh3DefaultBuilder>,
    values: Vec<Value>,
    known: HashTable<u32>,
    texts: Vec<u8>,
    /// Each series: its number of labels, their values' numbers, the length of its chunk part and that part.
    series: Vec<u8>,
    /// How many series have been added.
    pub(super) count: u32,
}

#[derive(Clone, Copy)]
struct Value {
    name: u32,
    len: u32,
    at: u64,
}

impl IndexBuilder {
    /// Adds the next series; `chunks` is what its record says about its chunks.
    pub(super) fn add(&mut self, labels: &Labels, chunks: &ChunkPart) -> Result<()> {
        put_uvarint(&mut self.series, labels.len() as u64);
        for (name, value) in labels.iter() {
            let value = self.value(name, value)?;
            put_uvarint(&mut self.series, u64::from(value));
        }
        put_uvarint(&mut self.series, u64::from(chunks.chunks));
        put_uvarint(&mut self.series, u64::from(chunks.exemplars));
        put_uvarint(&mut self.series, chunks.references.len() as u64);
        self.series.extend_from_slice(&chunks.references);
        self.count += 1;
        Ok(())
    }

    fn value(&mut self, name: &str, text: &str) -> Result<u32> {
        let name = match self.names.get(name) {
            Some(number) => *number,
            None => {
                let number = self.names.len() as u32;
                self.names.insert(name.to_owned(), number);
                number
            }
        };
        let Self { values, known, texts, .. } = self;
        let hash = |name: u32, text: &[u8]| xxh3_64_with_seed(text, u64::from(name));
        let text = text.as_bytes();
        let same =
            |number: &u32| values.get(*number as usize).is_some_and(|v| v.name == name && text_of(texts, v) == text);
        if let Some(number) = known.find(hash(name, text), same) {
            return Ok(*number);
        }
        let number = u32::try_from(values.len()).map_err(|_| too_many("label values"))?;
        let len = u32::try_from(text.len()).map_err(|_| too_many("bytes in a label value"))?;
        values.push(Value { name, len, at: texts.len() as u64 });
        texts.extend_from_slice(text);
        known.insert_unique(hash(name, text), number, |n| {
            values.get(*n as usize).map_or(0, |v| hash(v.name, text_of(texts, v)))
        });
        Ok(number)
    }

    /// Writes everything; returns where the indexes of series, values, postings and names are.
    pub(super) fn finish(mut self, file: &mut BlockWriter) -> Result<[BlockRef; 4]> {
        self.known = HashTable::new();
        let mut names: Vec<(String, u32)> = self.names.drain().collect();
        names.sort_unstable();
        let mut rank_of_name = vec![0u32; names.len()];
        for (rank, (_, number)) in names.iter().enumerate() {
            rank_of_name[*number as usize] = rank as u32;
        }
        let sorted = self.sorted_values(&rank_of_name);
        let mut final_of = vec![0u32; sorted.len()];
        for (rank, number) in sorted.iter().enumerate() {
            final_of[*number as usize] = rank as u32;
        }
        let mut postings = Ordinals::new(sorted.len());
        self.each_series(|_, values, _| {
            values.iter().for_each(|v| postings.count(final_of[*v as usize]));
            Ok(())
        })?;
        postings.allocate();
        let mut having = vec![Runs::default(); names.len()];
        let series = self.write_series(file, &final_of, &mut postings, &mut having)?;
        let mut bitmaps = TableWriter::new(BlockKind::Postings, POSTINGS_BLOCK_LEN);
        let values = self.write_values(file, &sorted, &postings, &mut bitmaps)?;
        let names = self.write_names(file, &names, &sorted, &having, &mut bitmaps)?;
        Ok([series, values, bitmaps.finish(file)?, names])
    }

    /// The values' numbers, sorted by name and text.
    fn sorted_values(&self, rank_of_name: &[u32]) -> Vec<u32> {
        // The texts lie all over memory, so most comparisons should need no more than their first bytes.
        let mut keyed: Vec<(u32, [u8; 16], u32)> = Vec::with_capacity(self.values.len());
        for (number, value) in self.values.iter().enumerate() {
            let text = text_of(&self.texts, value);
            let mut front = [0; 16];
            front.iter_mut().zip(text).for_each(|(to, from)| *to = *from);
            keyed.push((rank_of_name[value.name as usize], front, number as u32));
        }
        let text = |number: u32| self.values.get(number as usize).map_or(&[][..], |v| text_of(&self.texts, v));
        keyed.sort_unstable_by(|a, b| {
            a.0.cmp(&b.0)
                .then_with(|| u128::from_be_bytes(a.1).cmp(&u128::from_be_bytes(b.1)))
                .then_with(|| text(a.2).cmp(text(b.2)))
        });
        keyed.into_iter().map(|(_, _, number)| number).collect()
    }

    /// Hands every series' ordinal, values and chunk part to `visit`.
    fn each_series(&self, mut visit: impl FnMut(u32, &[u32], StoredChunks<'_>) -> Result<()>) -> Result<()> {
        let mut reader = Reader::new(&self.series);
        let mut values = Vec::new();
        for ordinal in 0..self.count {
            values.clear();
            for _ in 0..reader.uvarint()? {
                values.push(reader.id()?);
            }
            let (chunks, exemplars) = (reader.uvarint()?, reader.uvarint()?);
            let len = reader.length(reader.rest().len())?;
            visit(ordinal, &values, StoredChunks { chunks, exemplars, references: reader.bytes(len)? })?;
        }
        Ok(())
    }

    /// Writes the series; on the way the postings of values, and of names by the names' numbers, are filled.
    fn write_series(
        &self,
        file: &mut BlockWriter,
        final_of: &[u32],
        postings: &mut Ordinals,
        having: &mut [Runs],
    ) -> Result<BlockRef> {
        let mut table = TableWriter::new(BlockKind::Series, BLOCK_LEN);
        let (mut record, mut row, mut before): (Vec<u8>, Vec<u32>, Vec<u32>) = Default::default();
        let (mut first_chunk, mut first_exemplar) = (0, 0);
        self.each_series(|ordinal, values, chunks| {
            std::mem::swap(&mut before, &mut row);
            row.clear();
            row.extend(values.iter().map(|v| final_of[*v as usize]));
            row.iter().for_each(|v| postings.add(*v, ordinal));
            values.iter().for_each(|v| having[self.values[*v as usize].name as usize].add(ordinal));
            table.make_room(file, 24 + chunks.references.len() + 5 * row.len())?;
            if table.block.at_restart() {
                before.clear();
            }
            record.clear();
            put_uvarint(&mut record, chunks.chunks << 1 | chunks.exemplars);
            if table.block.at_restart() {
                put_uvarint(&mut record, first_chunk);
                put_uvarint(&mut record, first_exemplar);
            }
            record.extend_from_slice(chunks.references);
            let shared = before.iter().zip(&row).take_while(|(a, b)| a == b).count();
            put_uvarint(&mut record, shared as u64);
            let mut last = shared.checked_sub(1).map_or(0, |i| row[i] + 1);
            for value in &row[shared..] {
                put_uvarint(&mut record, u64::from(value - last));
                last = value + 1;
            }
            table.push(&record, &[]);
            first_chunk += chunks.chunks;
            first_exemplar += chunks.exemplars;
            Ok(())
        })?;
        table.finish(file)
    }

    fn write_values(
        &self,
        file: &mut BlockWriter,
        sorted: &[u32],
        postings: &Ordinals,
        bitmaps: &mut TableWriter,
    ) -> Result<BlockRef> {
        let mut table = TableWriter::new(BlockKind::Values, BLOCK_LEN);
        let mut record = Vec::new();
        let mut before: Option<Value> = None;
        for (id, number) in sorted.iter().enumerate() {
            let value = self.values[*number as usize];
            let text = text_of(&self.texts, &value);
            table.make_room(file, text.len() + 64)?;
            // The first of a restart, and the first of a name, stand alone.
            let lean = before.filter(|b| b.name == value.name && !table.block.at_restart());
            record.clear();
            encode_front(lean.map_or(&[], |b| text_of(&self.texts, &b)), text, &mut record);
            encode_postings(postings.of(id).iter().copied(), bitmaps, file, &mut record)?;
            table.push(&record, text.get(..KEY_LEN).unwrap_or(text));
            before = Some(value);
        }
        table.finish(file)
    }

    fn write_names(
        &self,
        file: &mut BlockWriter,
        names: &[(String, u32)],
        sorted: &[u32],
        having: &[Runs],
        bitmaps: &mut TableWriter,
    ) -> Result<BlockRef> {
        let mut table = TableWriter::new(BlockKind::Names, BLOCK_LEN);
        let mut record = Vec::new();
        let mut id = 0;
        for (name, number) in names {
            let first = id;
            while sorted.get(id).is_some_and(|v| self.values[*v as usize].name == *number) {
                id += 1;
            }
            record.clear();
            put_uvarint(&mut record, name.len() as u64);
            record.extend_from_slice(name.as_bytes());
            put_uvarint(&mut record, first as u64);
            let ordinals = having[*number as usize].0.iter().flat_map(|(start, end)| *start..=*end);
            encode_postings(ordinals, bitmaps, file, &mut record)?;
            table.make_room(file, record.len())?;
            table.push(&record, &[]);
        }
        table.finish(file)
    }
}

/// What a series' record says about its chunks, as it is built.
#[derive(Debug, Default)]
pub(super) struct ChunkPart {
    pub(super) chunks: u32,
    pub(super) exemplars: bool,
    pub(super) references: Vec<u8>,
}

struct StoredChunks<'a> {
    chunks: u64,
    exemplars: u64,
    references: &'a [u8],
}

fn text_of<'a>(texts: &'a [u8], value: &Value) -> &'a [u8] {
    let at = value.at as usize;
    texts.get(at..at + value.len as usize).unwrap_or_default()
}

/// Ordinals that come in rising order, as runs with both ends inside.
#[derive(Clone, Default)]
struct Runs(Vec<(u32, u32)>);

impl Runs {
    fn add(&mut self, ordinal: u32) {
        match self.0.last_mut() {
            Some((_, end)) if *end + 1 == ordinal => *end = ordinal,
            _ => self.0.push((ordinal, ordinal)),
        }
    }
}

/// The ordinals of all values in one allocation: counted first, then filled in rising order.
struct Ordinals {
    /// While counting: how many each has, shifted by one. After: where each list ends so far.
    ends: Vec<usize>,
    ordinals: Vec<u32>,
}

impl Ordinals {
    fn new(values: usize) -> Self {
        Self { ends: vec![0; values + 1], ordinals: Vec::new() }
    }

    fn count(&mut self, value: u32) {
        self.ends[value as usize + 1] += 1;
    }

    fn allocate(&mut self) {
        let mut sum = 0;
        for end in &mut self.ends {
            sum += *end;
            *end = sum;
        }
        self.ordinals = vec![0; sum];
    }

    fn add(&mut self, value: u32, ordinal: u32) {
        let end = &mut self.ends[value as usize];
        self.ordinals[*end] = ordinal;
        *end += 1;
    }

    /// The ordinals of a value, once all are added: its list ends where it was filled to, and begins where the one
    /// before it ends.
    fn of(&self, value: usize) -> &[u32] {
        let start = value.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.ordinals[start..self.ends[value]]
    }
}

pub(super) fn too_many(what: &str) -> StorageError {
    StorageError::Invalid(format!("too many {what} for one segment"))
}
