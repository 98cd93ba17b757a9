//! PostgreSQL's protocol as pure functions over bytes: what a client sends, and the forms of values that need reading.

pub mod array_text;
pub mod copy_binary;
pub mod frontend;
pub mod numeric;
