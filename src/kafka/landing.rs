//! From messages to rows: each chunk of messages is one transaction, with the offsets behind it.
//!
//! **Invariant:** a position is written in the transaction of the messages before it and nowhere else, so that whatever
//! happens each message becomes one row, or one row of the rejected ones.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use chronolith_storage::{
    Result, StorageError,
    clock::Clock,
    document::{DocumentBuilder, DocumentError, DocumentOptions},
    engine::{Engine, OnConflict, Transaction},
    table::{Rows, TableDefinition},
};

use super::{
    chunk::{Chunk, Message},
    config::KafkaConfig,
    tables::{Owner, Position, Rejected, write_positions, write_rejected},
};

/// How often a transaction is done again at once that another one got in the way of.
const CONFLICTS_MAX: usize = 20;

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
    /// with the messages that are durable now, how many of them were rejected in each partition, and the new positions.
    ///
    /// # Errors
    /// What hinders all messages alike, such as a full disk. What was told as landed is durable.
    pub(super) fn land(&self, chunk: &Chunk, landed: &mut dyn FnMut(Landed<'_>)) -> Result<()> {
        let mut waiting = vec![0..chunk.messages.len()];
        while let Some(range) = waiting.pop() {
            let part = self.part(chunk, range.clone(), waiting.is_empty());
            match self.commit(&part, None) {
                Ok(rejected) => {
                    landed(Landed { messages: part.messages, rejected: &rejected, positions: &part.positions })
                }
                // The transaction is larger than the log takes.
                Err(StorageError::Invalid(_)) if range.len() > 1 => {
                    let middle = range.start + range.len() / 2;
                    waiting.push(middle..range.end);
                    waiting.push(range.start..middle);
                }
                Err(StorageError::Invalid(reason)) if range.len() == 1 => {
                    let rejected = self.commit(&part, Some(&reason))?;
                    landed(Landed { messages: part.messages, rejected: &rejected, positions: &part.positions });
                }
                Err(error) => return Err(error),
            }
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
    fn commit(&self, part: &Part<'_>, refused: Option<&str>) -> Result<Vec<Rejected>> {
        let mut conflicts = 0;
        loop {
            match self.try_commit(part, refused) {
                Err(StorageError::Conflict { .. } | StorageError::TableExists(_)) if conflicts < CONFLICTS_MAX => {
                    conflicts += 1;
                }
                done => return done,
            }
        }
    }

    fn try_commit(&self, part: &Part<'_>, refused: Option<&str>) -> Result<Vec<Rejected>> {
        let now_ms = self.clock.now_ms();
        let mut rejected = part.unreadable.to_vec();
        let mut transaction = self.engine.begin();
        if let Some(reason) = refused {
            rejected.extend(part.messages.iter().map(|m| part.chunk.rejected(m, reason.to_owned())));
        } else if !part.messages.is_empty() {
            let table = self.target(&mut transaction)?;
            self.insert(&mut transaction, &table, part, now_ms, &mut rejected)?;
        }
        write_rejected(&mut transaction, &self.owner, &rejected, now_ms)?;
        write_positions(&mut transaction, &self.owner, &part.positions, now_ms)?;
        transaction.commit()?;
        Ok(rejected)
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
        table: &TableDefinition,
        part: &Part<'_>,
        now_ms: i64,
        rejected: &mut Vec<Rejected>,
    ) -> Result<()> {
        let options = DocumentOptions { time_field: self.time_field.clone(), ..DocumentOptions::default() };
        let mut builder = DocumentBuilder::new(&options).map_err(|e| e.of_table(&table.name))?;
        let mut taken = Vec::new();
        for message in part.messages {
            builder.set_arrival(message.time_ms.unwrap_or(now_ms).saturating_mul(1_000_000));
            match message.value.clone().map(|value| builder.push(&part.chunk.bytes[value])) {
                Some(Ok(())) => taken.push(message),
                Some(Err(error)) => rejected.push(part.chunk.rejected(message, reason_of(&error))),
                None => rejected.push(part.chunk.rejected(message, "the message has no value".to_owned())),
            }
            if builder.is_full() {
                let rows = builder.take_rows(table.time_key())?;
                insert_rows(transaction, table, part, &rows, &taken, rejected)?;
                taken.clear();
            }
        }
        let rows = builder.take_rows(table.time_key())?;
        insert_rows(transaction, table, part, &rows, &taken, rejected)
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

fn reason_of(error: &DocumentError) -> String {
    error.to_string()
}

/// Inserts rows; when the table refuses some of them, finds those by halves and rejects their messages. `messages` has one
/// for each row.
fn insert_rows(
    transaction: &mut Transaction,
    table: &TableDefinition,
    part: &Part<'_>,
    rows: &Rows,
    messages: &[&Message],
    rejected: &mut Vec<Rejected>,
) -> Result<()> {
    let mut waiting = vec![0..rows.len()];
    while let Some(range) = waiting.pop().filter(|r| !r.is_empty()) {
        let inserted = transaction.insert(table.id, rows.slice(range.start, range.len()), OnConflict::Refuse);
        match inserted {
            Ok(_) => {}
            Err(error) if !is_of_the_rows(&error) => return Err(error),
            Err(error) if range.len() == 1 => {
                rejected.push(part.chunk.rejected(messages[range.start], error.to_string()))
            }
            Err(_) => {
                let middle = range.start + range.len() / 2;
                waiting.push(middle..range.end);
                waiting.push(range.start..middle);
            }
        }
    }
    Ok(())
}

/// Whether the table refuses what the rows are, not that they are written now.
const fn is_of_the_rows(error: &StorageError) -> bool {
    matches!(
        error,
        StorageError::UniqueViolation { .. }
            | StorageError::NotNullViolation { .. }
            | StorageError::TooManyFields { .. }
            | StorageError::Malformed { .. }
            | StorageError::Invalid(_)
    )
}
