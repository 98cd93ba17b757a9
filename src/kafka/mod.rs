//! Kafka: consumers that read topics of JSON events into tables.
//!
//! Offsets are not kept at the brokers but in a table beside the events, written in the same transaction: each message
//! becomes one row, whenever and however the process ends. A message that is no document becomes a row of
//! `kafka_rejected`. There is no consumer group: one process owns a data directory, and reads all partitions.
//!
//! It is not: a producer, a schema registry, a reader of formats other than JSON.

mod backoff;
mod chunk;
mod cluster;
mod config;
mod connection;
mod consumer;
mod error;
mod fetch;
mod landing;
#[cfg(test)]
mod landing_tests;
mod reader;
mod sasl;
mod status;
mod tables;
mod tls;
mod trouble;

use std::{io, sync::Arc, thread};

use chronolith_storage::{clock::Clock, engine::Engine, rng::Rng};
use tokio::{sync::watch, task::JoinSet};

pub use config::{DEFAULT_NAME, KafkaConfig, Login, Mechanism, Start, check_together};
pub use tables::{OFFSETS, REJECTED};

use crate::server::exposition::Exposition;
use consumer::Consumer;
use status::ConsumerStatus;

/// Threads that decode and write; consumers wait for each other beyond that.
const WRITING_THREADS: usize = 4;

/// Consumers at work, on a thread of their own. Dropping them stops them too.
#[derive(Debug)]
pub struct Consumers {
    stop: watch::Sender<bool>,
    thread: Option<thread::JoinHandle<()>>,
    status: Arc<[Arc<ConsumerStatus>]>,
}

/// What consumers count, to be shown beside the server's other metrics.
#[derive(Debug, Clone)]
pub struct KafkaStatus(Arc<[Arc<ConsumerStatus>]>);

impl KafkaStatus {
    pub(crate) fn expose(&self, text: &mut Exposition) {
        status::expose(self.0.iter().map(|s| &**s), text);
    }
}

impl Consumers {
    /// Starts a consumer for each configuration. Brokers need not be there yet.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(configs: Vec<KafkaConfig>, engine: &Engine, clock: Arc<dyn Clock>, mut rng: Rng) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .thread_name("chronolith-kafka")
            .max_blocking_threads(WRITING_THREADS)
            .build()?;
        let (stop, told) = watch::channel(false);
        let status: Arc<[_]> = configs.iter().map(|c| Arc::new(ConsumerStatus::new(c))).collect();
        let consumers: Vec<Consumer> = configs
            .into_iter()
            .zip(status.iter())
            .map(|(config, status)| {
                let rng = Rng::new(rng.next_u64());
                Consumer::new(config, engine.clone(), Arc::clone(&clock), Arc::clone(status), rng)
            })
            .collect();
        let run = move || {
            runtime.block_on(async {
                let mut running = JoinSet::new();
                for consumer in consumers {
                    running.spawn(consumer.run(told.clone()));
                }
                while let Some(ended) = running.join_next().await {
                    if let Err(panic) = ended {
                        tracing::error!(%panic, "Kafka: a consumer panicked; restart to read its topic again");
                    }
                }
            });
        };
        let thread = thread::Builder::new().name("chronolith-kafka".to_owned()).spawn(run)?;
        Ok(Self { stop, thread: Some(thread), status })
    }

    /// What they count.
    #[must_use]
    pub fn status(&self) -> KafkaStatus {
        KafkaStatus(Arc::clone(&self.status))
    }

    /// Stops them. What is being written is written to its end.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        // Nobody listens any more when the thread ended by itself.
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("Kafka: the consumers' thread panicked");
        }
    }
}

impl Drop for Consumers {
    fn drop(&mut self) {
        self.end();
    }
}
