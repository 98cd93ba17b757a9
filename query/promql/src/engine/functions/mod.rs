//! Functions of instant vectors and scalars, by subject.

pub(super) mod absent;
pub(super) mod date;
pub(super) mod histogram;
pub(super) mod info;
pub(super) mod labels;
pub(super) mod math;
pub(super) mod native;
pub(super) mod power;
pub(super) mod sort;
