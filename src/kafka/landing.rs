//! From messages to rows: each chunk of messages is one transaction, with the offsets behind it.
//!
//! **Invariant:** a position is written in the transaction of the messages before it and nowhere else, so that whatever
//! happens each message becomes one row, or one row of the rejected ones.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use arrow_array::Array as _;
use chronolith_storage::{
    Result, StorageError,
    clock::Clock,
    document::DocumentBuilder,
    engine::{Engine, OnConflict, Transaction},
    table::{Rows, TableDefinition, TableId},
};

use super::{
    chunk::{Chunk, Message},
    config::KafkaConfig,
    tables::{Owner, Position, Rejected, write_positions, write_rejected},
};
use crate::{
    Error,
    events::{self, Fit},
};

/// How often a transaction is done again at once that another one got in the way of.
const CONFLICTS_MAX: usize = 20;
const NANOS_PER_MS: i64 = 1_000_000;

/// Writes messages to the table.
#[derive(Debug)]
pub(super) struct Landing {
    engine: Engine,
    clock: Arc<dyn Clock>,
    table: String,
    time_field: Option<String>,
    pub(super) owner: Owner,
    /// The topic that offsets are of, where brokers say it.
    pub(super) topic_id: Option<String>,
}

impl Landing {
    pub(super) fn new(config: &KafkaConfig, topic_id: Option<String>, engine: Engine, clock: Arc<dyn Clock>) -> Self {
        Self {
            engine,
            clock,
            table: config.table.clone(),
            time_field: config.time_field.clone(),
            owner: Owner { name: config.name.clone(), topic: config.topic.clone() },
            topic_id,
        }
    }

    /// Writes a chunk whole; when it is too large for one transaction, half by half. Calls `landed` after each transaction
    /// with the messages that are durable now, those that were rejected, and the new positions.
    ///
    /// # Errors
    /// What hinders all messages alike, such as a full disk. What was told as landed is durable.
    pub(super) fn land(&self, chunk: &Chunk, landed: &mut dyn FnMut(Landed<'_>)) -> Result<()> {
        let mut waiting: Vec<Range<usize>> = std::iter::once(0..chunk.messages.len()).collect();
        while let Some(range) = waiting.pop() {
            let part = self.part(chunk, range.clone(), waiting.is_empty());
            let rejected = match self.commit(&part, None) {
                Err(Failed::TooLarge(_)) if range.len() > 1 => {
                    let middle = range.start + range.len() / 2;
                    waiting.push(middle..range.end);
                    waiting.push(range.start..middle);
                    continue;
                }
                Err(Failed::TooLarge(reason)) => self.commit(&part, Some(&reason)),
                done => done,
            };
            let rejected = rejected.map_err(Failed::into_storage)?;
            landed(Landed { messages: part.messages, rejected: &rejected, positions: &part.positions });
        }
        Ok(())
    }

    /// A part of a chunk; the last one has the chunk's own positions.
    fn part<'a>(&self, chunk: &'a Chunk, range: Range<usize>, is_last: bool) -> Part<'a> {
        let messages = &chunk.messages[range];
        let next: BTreeMap<i32, i64> = if is_last {
            chunk.positions.clone()
        } else {
            messages.iter().map(|m| (m.partition, m.offset.saturating_add(1))).collect()
        };
        let position = |(partition, next)| (partition, Position { next, topic_id: self.topic_id.clone() });
        Part {
            chunk,
            messages,
            unreadable: if is_last { &chunk.unreadable } else { &[] },
            positions: next.into_iter().map(position).collect(),
        }
    }

    /// Commits a part, again when others get in the way. Returns what was rejected. With `refused` all of its messages are
    /// rejected for that reason.
    fn commit(&self, part: &Part<'_>, refused: Option<&str>) -> Result<Vec<Rejected>, Failed> {
        let mut conflicts = 0;
        loop {
            match self.try_commit(part, refused) {
                Err(Failed::Other(StorageError::Conflict { .. } | StorageError::TableExists(_)))
                    if conflicts < CONFLICTS_MAX =>
                {
                    conflicts += 1;
                }
                done => return done,
            }
        }
    }

    fn try_commit(&self, part: &Part<'_>, refused: Option<&str>) -> Result<Vec<Rejected>, Failed> {
        let now_ms = self.clock.now_ms();
        let mut rejected = part.unreadable.to_vec();
        let mut transaction = self.engine.begin();
        if let Some(reason) = refused {
            rejected.extend(part.messages.iter().map(|m| part.chunk.rejected(m, reason.to_owned())));
        } else if !part.messages.is_empty() {
            self.insert(&mut transaction, part, now_ms, &mut rejected)?;
        }
        write_rejected(&mut transaction, &self.owner, &rejected, now_ms)?;
        write_positions(&mut transaction, &self.owner, &part.positions, now_ms)?;
        match transaction.commit() {
            Ok(()) => Ok(rejected),
            Err(StorageError::Invalid(reason)) => Err(Failed::TooLarge(reason)),
            Err(error) => Err(error.into()),
        }
    }

    /// The table of the messages, made when it does not exist.
    fn target(&self, transaction: &mut Transaction) -> Result<Arc<TableDefinition>> {
        if let Some(table) = transaction.tables().table(&self.table) {
            return Ok(Arc::clone(&table.definition));
        }
        transaction.create_table(TableDefinition::dynamic(self.table.clone()))
    }

    fn insert(
        &self,
        transaction: &mut Transaction,
        part: &Part<'_>,
        now_ms: i64,
        rejected: &mut Vec<Rejected>,
    ) -> Result<()> {
        let table = self.target(transaction)?;
        let now = now_ms.saturating_mul(NANOS_PER_MS);
        let options = events::read_options(&table, self.time_field.as_deref(), now).map_err(of_table)?;
        let mut builder = DocumentBuilder::new(&options.document).map_err(|e| e.of_table(&table.name))?;
        let mut rows =
            RowsOf { fit: Fit::new(&table, now), table: table.id, chunk: part.chunk, taken: Vec::new(), rejected };
        for message in part.messages {
            builder.set_arrival(message.time_ms.map_or(now, |ms| ms.saturating_mul(NANOS_PER_MS)));
            match message.value.clone().map(|value| builder.push(&part.chunk.bytes[value])) {
                Some(Ok(())) => rows.taken.push(message),
                Some(Err(error)) => rows.reject(message, error.to_string()),
                None => rows.reject(message, "the message has no value".to_owned()),
            }
            if builder.is_full() {
                rows.insert(transaction, &builder.take_rows(options.time.clone())?)?;
            }
        }
        rows.insert(transaction, &builder.take_rows(options.time)?)
    }
}

/// What one transaction made durable.
pub(super) struct Landed<'a> {
    pub(super) messages: &'a [Message],
    pub(super) rejected: &'a [Rejected],
    pub(super) positions: &'a BTreeMap<i32, Position>,
}

/// What one transaction is of.
struct Part<'a> {
    chunk: &'a Chunk,
    messages: &'a [Message],
    unreadable: &'a [Rejected],
    positions: BTreeMap<i32, Position>,
}

/// Why a part was not committed.
enum Failed {
    /// The transaction is larger than the log takes.
    TooLarge(String),
    Other(StorageError),
}

impl From<StorageError> for Failed {
    fn from(error: StorageError) -> Self {
        Self::Other(error)
    }
}

impl Failed {
    fn into_storage(self) -> StorageError {
        match self {
            Self::TooLarge(reason) => StorageError::Invalid(reason),
            Self::Other(error) => error,
        }
    }
}

/// The rows of messages on their way into the table.
struct RowsOf<'a, 'r> {
    fit: Fit<'a>,
    table: TableId,
    chunk: &'a Chunk,
    /// The message of each row.
    taken: Vec<&'a Message>,
    rejected: &'r mut Vec<Rejected>,
}

impl RowsOf<'_, '_> {
    fn reject(&mut self, message: &Message, reason: String) {
        self.rejected.push(self.chunk.rejected(message, reason));
    }

    /// Inserts rows; when the table refuses some of them, finds those by halves and rejects their messages.
    fn insert(&mut self, transaction: &mut Transaction, rows: &Rows) -> Result<()> {
        let taken = std::mem::take(&mut self.taken);
        let mut waiting: Vec<Range<usize>> = std::iter::once(0..rows.len()).collect();
        while let Some(range) = waiting.pop().filter(|r| !r.is_empty()) {
            let part = without_empty_columns(&rows.slice(range.start, range.len()))?;
            let fitted = self.fit.rows(part, 0, transaction);
            let inserted = fitted.and_then(|rows| Ok(transaction.insert(self.table, rows, OnConflict::Refuse)?));
            match inserted {
                Ok(_) => {}
                Err(error) if !is_of_the_rows(&error) => return Err(of_table(error)),
                Err(error) if range.len() == 1 => self.reject(taken[range.start], error.to_string()),
                Err(_) => {
                    let middle = range.start + range.len() / 2;
                    waiting.push(middle..range.end);
                    waiting.push(range.start..middle);
                }
            }
        }
        Ok(())
    }
}

/// The rows without columns of which none of them has a value: those are not theirs.
fn without_empty_columns(rows: &Rows) -> Result<Rows> {
    let columns = rows.columns().iter().filter(|(_, array)| array.null_count() < array.len());
    Rows::new(rows.len(), columns.map(|(key, array)| (key.clone(), Arc::clone(array))).collect())
}

/// Whether the table refuses what the rows are, not that they are written now.
const fn is_of_the_rows(error: &Error) -> bool {
    match error {
        Error::Storage(error) => matches!(
            error,
            StorageError::UniqueViolation { .. }
                | StorageError::NotNullViolation { .. }
                | StorageError::TooManyFields { .. }
                | StorageError::Malformed { .. }
                | StorageError::Invalid(_)
        ),
        _ => true,
    }
}

fn of_table(error: Error) -> StorageError {
    match error {
        Error::Storage(error) => error,
        other => StorageError::Invalid(other.to_string()),
    }
}
