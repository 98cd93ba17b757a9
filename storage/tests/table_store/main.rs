//! Tables against a plain model, against crashes and faults at every operation, and against damaged files.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails and tells what it tried")]

mod crash;
mod damage;
mod model;
mod sight;
mod world;
