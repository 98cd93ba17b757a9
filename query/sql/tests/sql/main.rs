//! SQL through sessions: files of statements with their answers, and what files cannot tell.

mod cases;
mod harness;
