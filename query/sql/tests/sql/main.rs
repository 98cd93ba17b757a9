//! SQL through sessions: files of statements with their answers, and what files cannot tell.

mod cases;
mod copies;
mod documents;
mod harness;
mod isolation;
mod jsonb;
mod keys;
mod limits;
mod metrics;
mod objects;
mod parameters;
mod rollups;
mod segments;
mod settings;
mod spilling;
mod transactions;
