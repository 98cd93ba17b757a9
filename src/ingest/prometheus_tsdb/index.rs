//! The parts of a block's index file that an import needs: the table of contents, the symbols, the series.

use super::cursor::Cursor;

/// The first four bytes of an index file.
const MAGIC: u32 = 0xBAAA_D700;
/// Bytes before the first section.
pub(super) const HEADER_LEN: usize = 5;
/// Bytes of the table of contents, with its checksum.
pub(super) const TOC_LEN: usize = 6 * 8 + 4;

/// How references to series and symbols are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// References are offsets in the file.
    V1,
    /// References to symbols are their positions, to series a sixteenth of their offset.
    V2,
}

/// Reads the header.
///
/// # Errors
/// Says what is wrong with it.
pub fn parse_header(header: &[u8]) -> Result<Version, String> {
    let mut cursor = Cursor(header);
    if cursor.be32() != Some(MAGIC) {
        return Err("this is no index file: it does not start by the magic number".to_owned());
    }
    match cursor.bytes(1) {
        Some([1]) => Ok(Version::V1),
        Some([2]) => Ok(Version::V2),
        other => Err(format!("index version {:?} is not known, 1 and 2 are", other.and_then(<[u8]>::first))),
    }
}

/// Where the sections begin that an import needs, and where the series end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Toc {
    /// Start of the symbols.
    pub symbols: u64,
    /// Start of the series.
    pub series: u64,
    /// End of the series.
    pub series_end: u64,
}

/// Reads the table of contents, the last bytes of a file of `file_len` bytes.
///
/// # Errors
/// Says what is wrong with it.
pub fn parse_toc(bytes: &[u8], file_len: u64) -> Result<Toc, String> {
    let mut cursor = Cursor(bytes);
    let mut offsets = [0u64; 6];
    for offset in &mut offsets {
        *offset = cursor.be64().ok_or("the table of contents is too short")?;
    }
    let checked = bytes.get(..6 * 8).unwrap_or_default();
    if cursor.be32() != Some(crc32c::crc32c(checked)) {
        return Err("the table of contents does not fit its checksum".to_owned());
    }
    let end = file_len.saturating_sub(TOC_LEN as u64);
    let [symbols, series, ..] = offsets;
    // The series end where the next section begins; a section that was left out has offset 0.
    let series_end = offsets[2..].iter().copied().filter(|o| *o > series).fold(end, u64::min);
    if symbols < HEADER_LEN as u64 || series < HEADER_LEN as u64 || symbols > end || series > end {
        return Err("the table of contents points out of the file".to_owned());
    }
    Ok(Toc { symbols, series, series_end })
}

/// The table of symbols: all texts of labels. It is held in memory whole, with four bytes a symbol beside it.
#[derive(Debug)]
pub struct Symbols {
    version: Version,
    /// Where the texts begin in the file.
    base: u64,
    bytes: Vec<u8>,
    starts: Vec<u32>,
}

impl Symbols {
    /// Reads the section's content: the count and the texts, without length and checksum. `offset` is where the
    /// content begins in the file.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn parse(content: Vec<u8>, version: Version, offset: u64) -> Result<Self, String> {
        let mut cursor = Cursor(&content);
        let count = cursor.be32().ok_or("the symbols have no count")?;
        let mut starts = Vec::new();
        for number in 0..count {
            let start = content.len() - cursor.left();
            starts.push(u32::try_from(start).map_err(|_| "the symbols take more than 4 GiB")?);
            let text = cursor.count().and_then(|len| cursor.bytes(len));
            text.ok_or_else(|| format!("symbol {number} ends behind the symbols"))?;
        }
        Ok(Self { version, base: offset, bytes: content, starts })
    }

    /// The text that a reference names. `None` when it names none, or one that is not UTF-8: Prometheus took such labels
    /// by remote write, and they are no reason to lose the block's other series.
    #[must_use]
    pub fn get(&self, reference: u64) -> Option<&str> {
        let start = match self.version {
            Version::V1 => {
                let start = u32::try_from(reference.checked_sub(self.base)?).ok()?;
                self.starts.binary_search(&start).ok()?;
                start
            }
            Version::V2 => *self.starts.get(usize::try_from(reference).ok()?)?,
        };
        let mut cursor = Cursor(self.bytes.get(start as usize..)?);
        let text = cursor.count().and_then(|len| cursor.bytes(len))?;
        std::str::from_utf8(text).ok()
    }
}

/// A series as the index has it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SeriesEntry {
    /// References to the symbols of names and values.
    pub labels: Vec<(u64, u64)>,
    /// Its chunks, in order of time.
    pub chunks: Vec<ChunkRef>,
}

/// Where a chunk is, and which time it covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkRef {
    /// First timestamp.
    pub min_time: i64,
    /// Last timestamp.
    pub max_time: i64,
    /// The segment's position in the upper four bytes, the offset in it in the lower.
    pub reference: u64,
}

/// Reads a series' entry: its content, without length and checksum.
///
/// # Errors
/// Says what is wrong with it.
pub fn parse_series(content: &[u8]) -> Result<SeriesEntry, &'static str> {
    let mut cursor = Cursor(content);
    parse_entry(&mut cursor).ok_or("a series' entry is shorter than it says, or has times beyond 64 bits")
}

fn parse_entry(cursor: &mut Cursor<'_>) -> Option<SeriesEntry> {
    let mut entry = SeriesEntry::default();
    for _ in 0..cursor.count()? {
        entry.labels.push((cursor.uvarint()?, cursor.uvarint()?));
    }
    let mut last = ChunkRef { min_time: 0, max_time: 0, reference: 0 };
    for i in 0..cursor.count()? {
        let (min_time, reference);
        if i == 0 {
            min_time = cursor.varint()?;
        } else {
            min_time = last.max_time.checked_add_unsigned(cursor.uvarint()?)?;
        }
        let max_time = min_time.checked_add_unsigned(cursor.uvarint()?)?;
        if i == 0 {
            reference = cursor.uvarint()?;
        } else {
            reference = last.reference.checked_add_signed(cursor.varint()?)?;
        }
        last = ChunkRef { min_time, max_time, reference };
        entry.chunks.push(last);
    }
    cursor.is_empty().then_some(entry)
}
