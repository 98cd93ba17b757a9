//! Tells the log of trouble once, and once that it is over.

use std::fmt::Display;

/// What goes wrong now, if anything.
#[derive(Debug)]
pub(super) struct Trouble {
    topic: String,
    said: Option<String>,
}

impl Trouble {
    pub(super) fn new(topic: &str) -> Self {
        Self { topic: topic.to_owned(), said: None }
    }

    /// Something failed. The same failure is not said twice.
    pub(super) fn note(&mut self, error: &dyn Display) {
        let text = error.to_string();
        if self.said.as_ref() == Some(&text) {
            tracing::debug!(topic = self.topic, "{text}");
        } else {
            tracing::warn!(topic = self.topic, "Kafka: {text}; tries again");
            self.said = Some(text);
        }
    }

    /// Something went well.
    pub(super) fn over(&mut self) {
        if self.said.take().is_some() {
            tracing::info!(topic = self.topic, "Kafka: goes on");
        }
    }
}
