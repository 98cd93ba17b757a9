//! Chronolith.
