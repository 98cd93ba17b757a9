//! Reads the partitions that one broker leads: fetch, write, fetch again.

use std::{collections::BTreeMap, sync::Arc};

use chronolith_storage::{StorageError, rng::Rng};
use tokio::sync::{Notify, watch};

use super::{
    backoff::Backoff,
    chunk::{self, Chunk, Stops},
    cluster::{ask_offsets, partition_name},
    config::{KafkaConfig, Start},
    connection::Connection,
    error::KafkaError,
    fetch::{self, Answer, Fetched},
    landing::{Landed, Landing},
    status::ConsumerStatus,
    trouble::Trouble,
};

/// How often a batch that cannot be read is fetched before it is believed to be so.
const UNREADABLE_TRIES: u32 = 3;

/// What one consumer's readers share.
pub(super) struct Shared {
    pub(super) config: KafkaConfig,
    pub(super) landing: Landing,
    pub(super) status: Arc<ConsumerStatus>,
    /// Something failed: the partitions may have other leaders now.
    pub(super) doubt: Arc<Notify>,
}

/// Reads from one broker.
pub(super) struct Reader {
    shared: Arc<Shared>,
    leader: String,
    /// The next offsets of the partitions that have one.
    positions: BTreeMap<i32, i64>,
    /// The partitions that have none yet, and where to begin.
    unplaced: Vec<i32>,
    start: Start,
    /// The partitions whose next offset the broker does not have.
    astray: Vec<i32>,
    connection: Option<Connection>,
    /// Fetches so far.
    turns: usize,
    /// A batch that could not be read, as partition and offset, and how often.
    doubtful: Option<(i32, i64, u32)>,
    backoff: Backoff,
    trouble: Trouble,
}

/// What brokers said, to be written.
enum Work {
    /// Where to go on in partitions.
    Place(BTreeMap<i32, i64>),
    Fetched(Answer),
}

/// Ready when the reader has to stop.
pub(super) async fn told(stop: &mut watch::Receiver<bool>) {
    // That the sender is gone means the same.
    let _ = stop.wait_for(|stop| *stop).await;
}

impl Reader {
    /// A reader of partitions with positions and of partitions that begin at `start`.
    pub(super) fn new(
        shared: Arc<Shared>,
        leader: String,
        positions: BTreeMap<i32, i64>,
        unplaced: Vec<i32>,
        start: Start,
        rng: Rng,
    ) -> Self {
        let trouble = Trouble::new(&shared.config.topic);
        Self {
            shared,
            leader,
            positions,
            unplaced,
            start,
            astray: Vec::new(),
            connection: None,
            turns: 0,
            doubtful: None,
            backoff: Backoff::new(rng),
            trouble,
        }
    }

    /// Reads until it is told to stop. What is being written then is written to its end.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        loop {
            let asked = tokio::select! {
                biased;
                () = told(&mut stop) => return,
                asked = self.ask() => asked,
            };
            let done = match asked {
                Ok(work) => self.write(work).await,
                Err(error) => Err(error),
            };
            let Err(error) = done else {
                self.backoff.reset();
                self.trouble.over();
                continue;
            };
            self.shared.status.failed();
            self.trouble.note(&error);
            if !matches!(error, KafkaError::Storage(_)) {
                self.connection = None;
                self.shared.doubt.notify_one();
            }
            if tokio::time::timeout(self.backoff.next(), told(&mut stop)).await.is_ok() {
                return;
            }
        }
    }

    async fn ask(&mut self) -> Result<Work, KafkaError> {
        let config = &self.shared.config;
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(Connection::open(&self.leader, config).await?),
        };
        if !self.unplaced.is_empty() {
            return Ok(Work::Place(ask_offsets(connection, config, &self.unplaced, self.start).await?));
        }
        if !self.astray.is_empty() {
            let begins = ask_offsets(connection, config, &self.astray, Start::Earliest).await?;
            let ends = ask_offsets(connection, config, &self.astray, Start::Latest).await?;
            return Ok(Work::Place(self.find_again(&begins, &ends)));
        }
        let answer = fetch::fetch(connection, config, &self.positions, self.turns).await?;
        self.turns = self.turns.wrapping_add(1);
        Ok(Work::Fetched(answer))
    }

    /// Where to go on when the broker does not have the next offset: at its oldest message when it dropped those before,
    /// at its end when the partition was cut back, which happens when a broker that fell behind becomes the leader. When
    /// brokers do not tell topics of one name apart, the second may also be a new topic, which is read from its beginning.
    fn find_again(&self, begins: &BTreeMap<i32, i64>, ends: &BTreeMap<i32, i64>) -> BTreeMap<i32, i64> {
        let mut found = BTreeMap::new();
        for (partition, begin) in begins {
            let (Some(next), Some(end)) = (self.positions.get(partition), ends.get(partition)) else { continue };
            let is_same_topic = self.shared.landing.topic_id.is_some();
            let go_on = if next > end && is_same_topic { *end } else { *begin };
            let lost = begin.saturating_sub(*next).max(0);
            let of = partition_name(&self.shared.config, *partition);
            tracing::warn!(next, begin, end, go_on, lost, "Kafka: {of} does not have the next offset any more");
            self.shared.status.update(*partition, |p| p.lost += lost.cast_unsigned());
            found.insert(*partition, go_on);
        }
        found
    }

    async fn write(&mut self, work: Work) -> Result<(), KafkaError> {
        match work {
            Work::Place(positions) => {
                let placed = Chunk { positions, ..Chunk::default() };
                self.land(move |full, _| full(&placed).map(|()| Stops::default())).await?;
                let is_placed = |p: &i32| self.positions.contains_key(p);
                self.unplaced.retain(|p| !is_placed(p));
                self.astray.clear();
                Ok(())
            }
            Work::Fetched(answer) => self.write_fetched(answer).await,
        }
    }

    async fn write_fetched(&mut self, answer: Answer) -> Result<(), KafkaError> {
        for of in &answer.fetched {
            self.shared.status.update(of.partition, |p| p.end = of.end);
        }
        self.astray = answer.out_of_range;
        let fetched: Vec<Fetched> = answer.fetched.into_iter().filter(|f| !f.records.is_empty()).collect();
        if let Some(first) = fetched.first().map(|f| f.partition) {
            let before = self.positions.clone();
            let believed =
                self.doubtful.filter(|(.., times)| *times >= UNREADABLE_TRIES).map(|(p, offset, _)| (p, offset));
            let stops = self.land(move |full, positions| chunk::cut(&fetched, positions, believed, full)).await?;
            self.check(stops)?;
            if self.positions == before {
                return Err(KafkaError::NotWhole { of: partition_name(&self.shared.config, first) });
            }
        }
        answer.failure.map_or(Ok(()), Err)
    }

    /// Makes an error of what a cut stopped at.
    fn check(&mut self, stops: Stops) -> Result<(), KafkaError> {
        let config = &self.shared.config;
        if let Some((partition, first, reason)) = stops.doubtful {
            let times = match self.doubtful {
                Some((p, offset, times)) if (p, offset) == (partition, first) => times + 1,
                _ => 1,
            };
            self.doubtful = Some((partition, first, times));
            return Err(KafkaError::Unreadable { of: partition_name(config, partition), reason });
        }
        self.doubtful = None;
        match stops.damaged {
            Some((partition, source)) => Err(KafkaError::Damaged { of: partition_name(config, partition), source }),
            None => Ok(()),
        }
    }

    /// Runs `produce` on a thread that may block; the chunks that it makes are written. Positions move with every
    /// transaction, also when a later one fails.
    async fn land(
        &mut self,
        produce: impl FnOnce(&mut Full<'_>, &BTreeMap<i32, i64>) -> Result<Stops, StorageError> + Send + 'static,
    ) -> Result<Stops, KafkaError> {
        let shared = Arc::clone(&self.shared);
        let before = self.positions.clone();
        let work = move || {
            let mut moved = before.clone();
            let mut landed = |landed: Landed<'_>| {
                moved.extend(landed.positions.iter().map(|(partition, position)| (*partition, position.next)));
                count(&shared.status, &landed);
            };
            let done = produce(&mut |chunk| shared.landing.land(chunk, &mut landed), &before);
            (moved, done)
        };
        match tokio::task::spawn_blocking(work).await {
            Ok((moved, done)) => {
                self.positions = moved;
                Ok(done?)
            }
            // Nobody aborts these tasks, so the work panicked; what is durable is read anew.
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }
}

/// Takes a full chunk.
type Full<'a> = dyn FnMut(&Chunk) -> Result<(), StorageError> + 'a;

fn count(status: &ConsumerStatus, landed: &Landed<'_>) {
    for message in landed.messages {
        let bytes = message.value.as_ref().map_or(0, |v| v.len() as u64);
        status.update(message.partition, |p| (p.messages, p.bytes) = (p.messages + 1, p.bytes + bytes));
    }
    for rejected in landed.rejected {
        status.update(rejected.partition, |p| p.rejected += 1);
    }
    for (partition, position) in landed.positions {
        status.update(*partition, |p| p.next = position.next);
    }
}
