//! Answers about the database are right.
