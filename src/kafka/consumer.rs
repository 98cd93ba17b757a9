//! One consumer: finds who leads the topic's partitions, has a reader for each of these brokers, and begins anew when
//! partitions or leaders change.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use chronolith_storage::{clock::Clock, engine::Engine, rng::Rng};
use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
};

use super::{
    backoff::Backoff,
    cluster::{self, Topic},
    config::{KafkaConfig, Start},
    error::KafkaError,
    landing::Landing,
    reader::{Reader, Shared, told},
    status::ConsumerStatus,
    tables::{self, Position},
    trouble::Trouble,
};

/// How often it is looked for new partitions and leaders while nothing fails.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// One consumer.
pub(super) struct Consumer {
    config: KafkaConfig,
    engine: Engine,
    clock: Arc<dyn Clock>,
    status: Arc<ConsumerStatus>,
    rng: Rng,
    backoff: Backoff,
    trouble: Trouble,
    /// Brokers that were met.
    known: Vec<String>,
}

impl Consumer {
    pub(super) fn new(
        config: KafkaConfig,
        engine: Engine,
        clock: Arc<dyn Clock>,
        status: Arc<ConsumerStatus>,
        mut rng: Rng,
    ) -> Self {
        let backoff = Backoff::new(Rng::new(rng.next_u64()));
        let trouble = Trouble::new(&config.topic);
        Self { config, engine, clock, status, rng, backoff, trouble, known: Vec::new() }
    }

    /// Reads the topic until it is told to stop. What is being written then is written to its end.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        loop {
            let begun = tokio::select! {
                biased;
                () = told(&mut stop) => return,
                begun = self.begin() => begun,
            };
            match begun {
                Ok((topic, positions)) => self.session(topic, positions, &mut stop).await,
                Err(error) => {
                    self.failed(&error);
                    let _ = tokio::time::timeout(self.backoff.next(), told(&mut stop)).await;
                }
            }
            if *stop.borrow() {
                return;
            }
        }
    }

    fn failed(&mut self, error: &KafkaError) {
        self.status.failed();
        self.trouble.note(error);
    }

    /// Finds the topic, and how far it was read.
    async fn begin(&mut self) -> Result<(Topic, BTreeMap<i32, Position>), KafkaError> {
        let topic = self.find().await?;
        let owner = tables::Owner { name: self.config.name.clone(), topic: self.config.topic.clone() };
        let engine = self.engine.clone();
        let read = move || tables::read_positions(&engine.tables(), &owner);
        let positions = match tokio::task::spawn_blocking(read).await {
            Ok(read) => read?,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        };
        Ok((topic, positions))
    }

    async fn find(&mut self) -> Result<Topic, KafkaError> {
        let topic = cluster::find_topic(&self.config, &self.known).await?;
        self.known = topic.leaders.values().cloned().collect();
        self.known.dedup();
        Ok(topic)
    }

    /// Reads until partitions or leaders change, or it is told to stop.
    async fn session(&mut self, topic: Topic, positions: BTreeMap<i32, Position>, stop: &mut watch::Receiver<bool>) {
        let doubt = Arc::new(Notify::new());
        let shared = Arc::new(Shared {
            landing: Landing::new(&self.config, topic.id.clone(), self.engine.clone(), Arc::clone(&self.clock)),
            config: self.config.clone(),
            status: Arc::clone(&self.status),
            doubt: Arc::clone(&doubt),
        });
        let (halt, halted) = watch::channel(false);
        let mut readers = JoinSet::new();
        for reader in self.readers(&shared, &topic, &positions) {
            readers.spawn(reader.run(halted.clone()));
        }
        tracing::info!(
            topic = self.config.topic,
            partitions = topic.leaders.len(),
            leaderless = ?topic.leaderless,
            brokers = readers.len(),
            table = self.config.table,
            "Kafka: reads"
        );
        self.trouble.over();
        while !*stop.borrow() {
            let panicked = tokio::select! {
                biased;
                () = told(stop) => break,
                // Readers end by themselves only when they panic.
                Some(ended) = readers.join_next() => ended.err(),
                () = self.rest(&doubt) => None,
            };
            if let Some(panic) = panicked {
                tracing::error!(topic = self.config.topic, %panic, "Kafka: a reader panicked; it begins anew");
                let _ = tokio::time::timeout(self.backoff.next(), told(stop)).await;
                break;
            }
            let found = tokio::select! {
                biased;
                () = told(stop) => break,
                found = self.find() => found,
            };
            match found {
                Ok(now) if now == topic => self.trouble.over(),
                Ok(_) => break,
                Err(error) => self.failed(&error),
            }
        }
        // Readers hold receivers, so this fails only when none is left.
        let _ = halt.send(true);
        while readers.join_next().await.is_some() {}
    }

    /// Waits until it is time to look at the topic again: after a while, or soon when a reader failed.
    async fn rest(&mut self, doubt: &Notify) {
        match tokio::time::timeout(LOOK_AGAIN, doubt.notified()).await {
            Ok(()) => tokio::time::sleep(self.backoff.next()).await,
            Err(_) => self.backoff.reset(),
        }
    }

    /// A reader for each broker that leads a partition.
    fn readers(&mut self, shared: &Arc<Shared>, topic: &Topic, positions: &BTreeMap<i32, Position>) -> Vec<Reader> {
        let is_of_this_topic = |p: &Position| p.topic_id.is_none() || topic.id.is_none() || p.topic_id == topic.id;
        if positions.values().any(|p| !is_of_this_topic(p)) {
            tracing::warn!(topic = self.config.topic, "Kafka: the topic was made anew and is read from its beginning");
        }
        // Partitions that come later are read whole, whatever was asked for at the beginning.
        let start = if positions.is_empty() { self.config.start } else { Start::Earliest };
        let mut by_leader: BTreeMap<&String, (BTreeMap<i32, i64>, Vec<i32>)> = BTreeMap::new();
        for (partition, leader) in &topic.leaders {
            let (placed, unplaced) = by_leader.entry(leader).or_default();
            match positions.get(partition).filter(|p| is_of_this_topic(p)) {
                Some(position) => {
                    self.status.update(*partition, |p| p.next = position.next);
                    placed.insert(*partition, position.next);
                }
                None => unplaced.push(*partition),
            }
        }
        let reader = |(leader, (placed, unplaced)): (&String, _)| {
            let rng = Rng::new(self.rng.next_u64());
            Reader::new(Arc::clone(shared), leader.clone(), placed, unplaced, start, rng)
        };
        by_leader.into_iter().map(reader).collect()
    }
}
