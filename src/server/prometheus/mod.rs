//! The paths that Prometheus serves, answered as Prometheus answers them.

pub(crate) mod health;
pub(crate) mod status;
