//! Event tables as DataFusion reads them: columns, pruning, late materialisation.

mod find;
mod layout;
mod mixed;
mod provider;
mod prune;
mod read;
mod source;

pub(crate) use layout::{Layout, ROW_ID_COLUMN};
pub(crate) use provider::TableScanProvider;
