//! The one place that serialises with bincode: catalog values and segment footers, each behind its own version byte.

pub(crate) mod catalog;
pub(crate) mod segment;
