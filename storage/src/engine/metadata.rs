//! Metadata of metric families: all of it in memory, what is new also on its way to the catalog.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::metadata::MetricMetadata;

/// What is told about metric families.
#[derive(Debug, Default)]
pub(super) struct MetadataTable {
    all: BTreeMap<String, MetricMetadata>,
    /// Families whose entry the catalog does not have yet; the log has it.
    unsaved: BTreeSet<String>,
}

impl MetadataTable {
    /// The table as the catalog has it.
    pub(super) fn saved(all: impl IntoIterator<Item = (String, MetricMetadata)>) -> Self {
        Self { all: all.into_iter().collect(), unsaved: BTreeSet::new() }
    }

    pub(super) fn get(&self, metric: &str) -> Option<&MetricMetadata> {
        self.all.get(metric)
    }

    pub(super) fn set(&mut self, metric: &str, metadata: MetricMetadata) {
        self.unsaved.insert(metric.to_owned());
        self.all.insert(metric.to_owned(), metadata);
    }

    /// Every family, by name.
    pub(super) fn all(&self) -> Vec<(String, MetricMetadata)> {
        self.all.iter().map(|(n, m)| (n.clone(), m.clone())).collect()
    }

    /// What the catalog lacks; taken as saved.
    pub(super) fn take_unsaved(&mut self) -> Vec<(String, MetricMetadata)> {
        let names = std::mem::take(&mut self.unsaved);
        names.into_iter().filter_map(|n| self.all.get(&n).cloned().map(|m| (n, m))).collect()
    }

    /// Notes that what was taken could not be saved.
    pub(super) fn put_back(&mut self, taken: Vec<(String, MetricMetadata)>) {
        self.unsaved.extend(taken.into_iter().map(|(n, _)| n));
    }
}
