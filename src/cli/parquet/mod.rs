//! Parquet files: rows into them, and out of them.

mod read;
mod write;

pub(crate) use read::ParquetFile;
pub(crate) use write::ParquetRows;
