//! SQL functions, through SQL.
