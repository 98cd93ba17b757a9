//! The `chronolith` binary: hands over to `cli`.
fn main() {}
