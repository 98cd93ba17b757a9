//! Encodings of integer, float, timestamp, histogram and string columns.
