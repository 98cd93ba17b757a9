//! The catalog's records in redb, and redb on our file system.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Arc,
};

use redb::{Database, ReadableDatabase, ReadableTable, Table, TableDefinition};

use super::{
    FORMAT_VERSION,
    record::{CatalogEdit, CatalogState, Counters, DeletedChunk},
};
use crate::{
    Result, StorageError,
    codec::catalog::{CatalogValue, EntryValue, LastTable, TableQuarantine, decode, encode},
    table::TableId,
    vfs::VfsFile,
};

/// One table holds everything: a commit then touches one tree. Keys are a kind byte and what follows from it.
const RECORDS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("catalog");
/// Memory for redb's pages: the catalog is small and read once.
const CACHE_BYTES: usize = 256 << 10;

const KIND_COUNTERS: u8 = 0;
const KIND_SEGMENT: u8 = 1;
const KIND_TOMBSTONE: u8 = 2;
const KIND_METADATA: u8 = 3;
const KIND_QUARANTINE: u8 = 4;
const KIND_TABLE: u8 = 5;
const KIND_DELETED: u8 = 6;
const KIND_ENTRY: u8 = 7;
const KIND_LAST_TABLE: u8 = 8;
const KIND_TABLE_QUARANTINE: u8 = 9;

const LAST_TABLE_KEY: [u8; 1] = [KIND_LAST_TABLE];

const COUNTERS_KEY: [u8; 1] = [KIND_COUNTERS];

fn number_key(kind: u8, id: u64) -> [u8; 9] {
    let mut key = [kind; 9];
    // Big end first, so that keys order as numbers.
    key[1..].copy_from_slice(&id.to_be_bytes());
    key
}

fn text_key(kind: u8, text: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + text.len());
    key.push(kind);
    key.extend_from_slice(text.as_bytes());
    key
}

fn table_key(id: TableId) -> [u8; 5] {
    let mut key = [KIND_TABLE; 5];
    key[1..].copy_from_slice(&id.0.to_be_bytes());
    key
}

fn deleted_key(table: TableId, chunk: u64) -> [u8; 13] {
    let mut key = [KIND_DELETED; 13];
    key[1..5].copy_from_slice(&table.0.to_be_bytes());
    key[5..].copy_from_slice(&chunk.to_be_bytes());
    key
}

/// The space behind its length, then the name.
fn entry_key(space: &str, name: &str) -> Vec<u8> {
    let mut key = vec![KIND_ENTRY];
    key.extend_from_slice(&(space.len() as u32).to_be_bytes());
    key.extend_from_slice(space.as_bytes());
    key.extend_from_slice(name.as_bytes());
    key
}

/// Why the store could not do what it was asked.
#[derive(Debug)]
pub(super) enum StoreError {
    /// redb failed; what the file holds is unknown.
    Redb(redb::Error),
    /// redb panicked: it met bytes that it never writes.
    Panic(String),
    /// A record is not what was written, or an edit does not fit; the file is as before.
    Ours(StorageError),
}

impl StoreError {
    /// As the engine's error, for the catalog file at `path`.
    pub(super) fn at(self, path: &Path) -> StorageError {
        let corrupt = |reason| StorageError::Corrupt { path: path.to_owned(), offset: 0, reason };
        match self {
            Self::Redb(redb::Error::Io(source)) => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    StorageError::DiskFull { path: path.to_owned(), reason: source.to_string() }
                }
                // redb reads exact lengths, so a file that ends too early was cut.
                io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData => corrupt(source.to_string()),
                _ => StorageError::Io { path: path.to_owned(), source },
            },
            Self::Redb(redb::Error::Corrupted(reason)) => corrupt(reason),
            // Every catalog has the table and was made in the format that is written now.
            Self::Redb(
                other @ (redb::Error::UpgradeRequired(_)
                | redb::Error::RepairAborted
                | redb::Error::TableDoesNotExist(_)
                | redb::Error::TableTypeMismatch { .. }
                | redb::Error::TypeDefinitionChanged { .. }
                | redb::Error::TableIsMultimap(_)),
            ) => corrupt(other.to_string()),
            Self::Redb(other) => StorageError::Catalog(other.to_string()),
            Self::Panic(reason) => corrupt(reason),
            Self::Ours(StorageError::Malformed { reason, .. }) => corrupt(reason),
            Self::Ours(other) => other,
        }
    }
}

impl<E: Into<redb::Error>> From<E> for StoreError {
    fn from(e: E) -> Self {
        Self::Redb(e.into())
    }
}

/// Runs a call into redb. It promises errors for a damaged file only while it checks integrity, so a panic is taken
/// as damage; the store is not used after one.
fn guarded<T>(call: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        let reason = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("unknown");
        Err(StoreError::Panic(format!("redb stopped: {reason}")))
    })
}

/// A redb database with the catalog's records.
#[derive(Debug)]
pub(super) struct Store(Database);

impl Store {
    /// Opens the database in a file, or makes one when the file is empty. `check` verifies the checksum of every page.
    pub(super) fn open(file: Arc<dyn VfsFile>, check: bool) -> Result<Self, StoreError> {
        guarded(|| {
            let mut builder = Database::builder();
            builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(check);
            Ok(Self(builder.create_with_backend(Backend(file))?))
        })
    }

    /// Writes the first state, as commit number `commits`.
    pub(super) fn initialise(&self, commits: u64) -> Result<Counters, StoreError> {
        let counters = Counters {
            format_version: FORMAT_VERSION,
            commits,
            wal_floor: 0,
            wal_head: 0,
            next_segment_id: 1,
            next_sequence: 1,
        };
        guarded(|| {
            let transaction = self.0.begin_write()?;
            Records(transaction.open_table(RECORDS)?).put(&COUNTERS_KEY, &counters)?;
            transaction.commit()?;
            Ok(counters)
        })
    }

    /// Reads everything.
    pub(super) fn load(&self) -> Result<(Counters, CatalogState), StoreError> {
        guarded(|| {
            let transaction = self.0.begin_read()?;
            let table = transaction.open_table(RECORDS)?;
            let counters = counters(table.get(COUNTERS_KEY.as_slice())?.map(|v| v.value().to_vec()))?;
            let mut state = CatalogState {
                segments: Vec::new(),
                tombstones: Vec::new(),
                metadata: std::collections::BTreeMap::new(),
                wal_floor: counters.wal_floor,
                wal_head: counters.wal_head,
                next_segment_id: counters.next_segment_id,
                next_sequence: counters.next_sequence,
                quarantined: Vec::new(),
                commits: counters.commits,
                tables: Vec::new(),
                deleted: Vec::new(),
                entries: std::collections::BTreeMap::new(),
                last_table: 0,
            };
            for entry in table.iter()? {
                let (key, value) = entry?;
                take(&mut state, key.value(), value.value()).map_err(StoreError::Ours)?;
            }
            Ok((counters, state))
        })
    }

    /// Commits an edit durably and returns the new numbers.
    pub(super) fn commit(&self, edit: &CatalogEdit) -> Result<Counters, StoreError> {
        guarded(|| {
            let transaction = self.0.begin_write()?;
            let mut records = Records(transaction.open_table(RECORDS)?);
            let before = counters(records.0.get(COUNTERS_KEY.as_slice())?.map(|v| v.value().to_vec()))?;
            let wal_floor = edit.wal_floor.unwrap_or(before.wal_floor);
            let after = Counters {
                format_version: FORMAT_VERSION,
                commits: before.commits + 1,
                wal_floor,
                wal_head: before.wal_head.max(wal_floor).max(edit.wal_head.unwrap_or(0)),
                next_segment_id: edit.next_segment_id.unwrap_or(before.next_segment_id),
                next_sequence: edit.next_sequence.unwrap_or(before.next_sequence),
            };
            records.apply(edit)?;
            records.put(&COUNTERS_KEY, &after)?;
            drop(records);
            transaction.commit()?;
            Ok(after)
        })
    }
}

fn counters(value: Option<Vec<u8>>) -> Result<Counters, StoreError> {
    let value = value.ok_or_else(|| {
        StoreError::Ours(StorageError::Malformed { what: "catalog", reason: "it has no counters".to_owned() })
    })?;
    decode(&COUNTERS_KEY, &value).map_err(StoreError::Ours)
}

/// Puts one record into the state.
fn take(state: &mut CatalogState, key: &[u8], value: &[u8]) -> Result<()> {
    let malformed = |reason: &str| StorageError::Malformed { what: "catalog key", reason: reason.to_owned() };
    let (kind, rest) = key.split_first().ok_or_else(|| malformed("a key is empty"))?;
    match *kind {
        KIND_COUNTERS => {}
        KIND_SEGMENT => state.segments.push(decode(key, value)?),
        KIND_TOMBSTONE => state.tombstones.push(decode(key, value)?),
        KIND_METADATA => {
            let name = std::str::from_utf8(rest).map_err(|_| malformed("a metric name is not UTF-8"))?;
            state.metadata.insert(name.to_owned(), decode(key, value)?);
        }
        KIND_QUARANTINE => state.quarantined.push(decode(key, value)?),
        KIND_TABLE_QUARANTINE => state.quarantined.push(decode::<TableQuarantine>(key, value)?.0),
        KIND_TABLE => state.tables.push(decode(key, value)?),
        KIND_DELETED => state.deleted.push(decode(key, value)?),
        KIND_ENTRY => {
            let EntryValue { space, name, body } = decode(key, value)?;
            state.entries.insert((space, name), body);
        }
        KIND_LAST_TABLE => state.last_table = decode::<LastTable>(key, value)?.0,
        _ => return Err(malformed(&format!("kind {kind} is unknown"))),
    }
    Ok(())
}

/// The table inside a write transaction.
struct Records<'t>(Table<'t, &'static [u8], &'static [u8]>);

impl Records<'_> {
    fn apply(&mut self, edit: &CatalogEdit) -> Result<(), StoreError> {
        for id in &edit.remove_segments {
            self.take_away(&number_key(KIND_SEGMENT, *id), || format!("segment {id}"))?;
        }
        for segment in &edit.add_segments {
            self.add(&number_key(KIND_SEGMENT, segment.id), segment, || format!("segment {}", segment.id))?;
        }
        for id in &edit.remove_tombstones {
            self.take_away(&number_key(KIND_TOMBSTONE, *id), || format!("tombstone {id}"))?;
        }
        for tombstone in &edit.add_tombstones {
            let key = number_key(KIND_TOMBSTONE, tombstone.id);
            self.add(&key, tombstone, || format!("tombstone {}", tombstone.id))?;
        }
        for name in &edit.remove_metadata {
            self.0.remove(text_key(KIND_METADATA, name).as_slice())?;
        }
        for (name, metadata) in &edit.metadata {
            self.put(&text_key(KIND_METADATA, name), metadata)?;
        }
        for file in &edit.release {
            if self.0.remove(text_key(KIND_TABLE_QUARANTINE, file).as_slice())?.is_none() {
                self.take_away(&text_key(KIND_QUARANTINE, file), || format!("quarantined file {file}"))?;
            }
        }
        for item in &edit.quarantine {
            match &item.table {
                None => self.put(&text_key(KIND_QUARANTINE, &item.file), item)?,
                Some(_) => self.put(&text_key(KIND_TABLE_QUARANTINE, &item.file), &TableQuarantine(item.clone()))?,
            };
        }
        self.apply_tables(edit)
    }

    fn apply_tables(&mut self, edit: &CatalogEdit) -> Result<(), StoreError> {
        for id in &edit.remove_tables {
            self.0.remove(table_key(*id).as_slice())?;
            let (first, last) = (deleted_key(*id, 0), deleted_key(*id, u64::MAX));
            self.0.retain_in(first.as_slice()..=last.as_slice(), |_, _| false)?;
        }
        for table in &edit.tables {
            self.put(&table_key(table.definition.id), table)?;
        }
        for chunk in &edit.deleted {
            let key = deleted_key(chunk.table, chunk.chunk);
            if chunk.ids.is_empty() {
                self.0.remove(key.as_slice())?;
            } else {
                self.put::<DeletedChunk>(&key, chunk)?;
            }
        }
        for ((space, name), body) in &edit.entries {
            let key = entry_key(space, name);
            match body {
                None => drop(self.0.remove(key.as_slice())?),
                Some(body) => {
                    let value = EntryValue { space: space.clone(), name: name.clone(), body: body.clone() };
                    self.put(&key, &value)?;
                }
            }
        }
        if let Some(last) = edit.last_table {
            self.put(&LAST_TABLE_KEY, &LastTable(last))?;
        }
        Ok(())
    }

    /// Sets a record; returns whether there was one.
    fn put<T: CatalogValue>(&mut self, key: &[u8], record: &T) -> Result<bool, StoreError> {
        let value = encode(key, record).map_err(StoreError::Ours)?;
        Ok(self.0.insert(key, value.as_slice())?.is_some())
    }

    fn add<T: CatalogValue>(&mut self, key: &[u8], record: &T, name: impl Fn() -> String) -> Result<(), StoreError> {
        if self.put(key, record)? {
            return Err(StoreError::Ours(StorageError::Invalid(format!("{} is in the catalog already", name()))));
        }
        Ok(())
    }

    fn take_away(&mut self, key: &[u8], name: impl Fn() -> String) -> Result<(), StoreError> {
        if self.0.remove(key)?.is_none() {
            return Err(StoreError::Ours(StorageError::Invalid(format!("{} is not in the catalog", name()))));
        }
        Ok(())
    }
}

/// A file of ours as redb's storage. Locks are not taken here: the data directory's lock is held.
#[derive(Debug)]
struct Backend(Arc<dyn VfsFile>);

impl redb::StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(out, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write_all_at(data, offset)
    }
}
