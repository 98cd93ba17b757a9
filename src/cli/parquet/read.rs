//! Rows out of a Parquet file, batch by batch, read on a thread of their own.

use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
};

use arrow_array::RecordBatch;
use arrow_schema::{DataType, FieldRef};
use chronolith_storage::document::MAX_DEPTH;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::{cli::error::CliError, ingest::parquet_schema};

/// Rows of a batch.
const BATCH_ROWS: usize = 8_192;
/// The longest description of its columns and row groups that a file may have.
const MAX_FOOTER_BYTES: u32 = 64 << 20;
/// How deep the columns of a file may be nested: a list is three of its levels, and one here.
const MAX_FILE_DEPTH: usize = 3 * MAX_DEPTH + 1;
/// The thread's stack: columns are read by recursion.
const STACK_BYTES: usize = 64 << 20;
const MAGIC: &[u8] = b"PAR1";

/// A file that is read.
#[derive(Debug)]
pub(crate) struct ParquetFile {
    name: String,
    rows: u64,
    batches: Receiver<Message>,
}

/// What the thread tells: the number of rows first, then the rows.
enum Message {
    Rows(u64),
    Batch(RecordBatch),
    Wrong(String),
}

impl ParquetFile {
    /// Opens a file and begins to read it.
    ///
    /// # Errors
    /// When it cannot be read, or is no Parquet.
    pub(crate) fn open(path: &Path) -> Result<Self, CliError> {
        let name = path.display().to_string();
        let mut file = File::open(path).map_err(|e| CliError::io(name.clone(), e))?;
        check_footer(&mut file).map_err(|reason| wrong(&name, &reason))?;
        // One batch waits while another is written.
        let (tell, batches) = sync_channel(1);
        let read = move || {
            // The crate panics at some files that are broken.
            let done = catch_unwind(AssertUnwindSafe(|| read(file, &tell)));
            let reason = match done {
                Ok(Ok(())) => return,
                Ok(Err(reason)) => reason,
                Err(_) => "the file is damaged".to_owned(),
            };
            // Nobody waits any more when the import has failed.
            let _ = tell.send(Message::Wrong(reason));
        };
        let thread = thread::Builder::new().name("chronolith-parquet".to_owned()).stack_size(STACK_BYTES);
        thread.spawn(read).map_err(|e| CliError::io("the thread that reads Parquet", e))?;
        match batches.recv() {
            Ok(Message::Rows(rows)) => Ok(Self { name, rows, batches }),
            Ok(Message::Wrong(reason)) => Err(wrong(&name, &reason)),
            Ok(Message::Batch(_)) | Err(_) => Err(wrong(&name, "the file is damaged")),
        }
    }

    /// How many rows the file says that it has.
    pub(crate) const fn rows(&self) -> u64 {
        self.rows
    }

    /// The next rows; `None` at the end.
    ///
    /// # Errors
    /// When the file is damaged or cut.
    pub(crate) fn next_batch(&mut self) -> Result<Option<RecordBatch>, CliError> {
        match self.batches.recv() {
            Ok(Message::Batch(batch)) => Ok(Some(batch)),
            Ok(Message::Wrong(reason)) => Err(wrong(&self.name, &reason)),
            Ok(Message::Rows(_)) | Err(_) => Ok(None),
        }
    }
}

fn wrong(name: &str, reason: &str) -> CliError {
    CliError::Failed(format!("{name}: no Parquet file that can be read: {reason}"))
}

/// Looks at the end of the file before anything is made of it.
fn check_footer(file: &mut File) -> Result<(), String> {
    let io = |e: std::io::Error| e.to_string();
    let length = file.seek(SeekFrom::End(0)).map_err(io)?;
    if length < 12 {
        return Err(format!("it has only {length} bytes"));
    }
    file.seek(SeekFrom::End(-8)).map_err(io)?;
    let mut tail = [0; 8];
    file.read_exact(&mut tail).map_err(io)?;
    let [a, b, c, d, magic @ ..] = tail;
    if magic != *MAGIC {
        return Err("it does not end as one; is it cut, or encrypted?".to_owned());
    }
    let footer = u32::from_le_bytes([a, b, c, d]);
    if footer > MAX_FOOTER_BYTES || u64::from(footer) + 12 > length {
        return Err(format!("its footer would have {footer} bytes, which is more than there can be"));
    }
    file.seek(SeekFrom::End(-8 - i64::from(footer))).map_err(io)?;
    let mut bytes = vec![0; footer as usize];
    file.read_exact(&mut bytes).map_err(io)?;
    parquet_schema::check_depth(&bytes, MAX_FILE_DEPTH).map_err(|e| e.to_string())
}

fn read(file: File, tell: &SyncSender<Message>) -> Result<(), String> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| e.to_string())?;
    for field in builder.schema().fields() {
        check_depth(field)?;
    }
    let rows = u64::try_from(builder.metadata().file_metadata().num_rows()).unwrap_or(0);
    if tell.send(Message::Rows(rows)).is_err() {
        return Ok(());
    }
    let reader = builder.with_batch_size(BATCH_ROWS).build().map_err(|e| e.to_string())?;
    for batch in reader {
        if tell.send(Message::Batch(batch.map_err(|e| e.to_string())?)).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// Refuses columns that are nested deeper than documents may be.
fn check_depth(field: &FieldRef) -> Result<(), String> {
    let mut waiting = vec![(field, 1)];
    while let Some((field, depth)) = waiting.pop() {
        if depth > MAX_DEPTH {
            return Err(format!("a column is nested more than {MAX_DEPTH} deep"));
        }
        match field.data_type() {
            DataType::Struct(fields) => waiting.extend(fields.iter().map(|f| (f, depth + 1))),
            DataType::List(item)
            | DataType::LargeList(item)
            | DataType::FixedSizeList(item, _)
            | DataType::ListView(item)
            | DataType::LargeListView(item)
            | DataType::Map(item, _) => waiting.push((item, depth + 1)),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Int64Array, StringViewArray};

    use super::*;
    use crate::cli::parquet::ParquetRows;

    fn file_of(rows: i64) -> Vec<u8> {
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
        let texts: ArrayRef = Arc::new(StringViewArray::from_iter_values((0..rows).map(|i| format!("text {i}"))));
        let batch = RecordBatch::try_from_iter([("n", numbers), ("text", texts)]).unwrap();
        let mut writer = ParquetRows::new(&batch.schema()).unwrap();
        let mut bytes = writer.write(&batch).unwrap();
        bytes.extend(writer.finish().unwrap());
        bytes
    }

    fn rows_of(bytes: &[u8]) -> Result<usize, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows.parquet");
        std::fs::write(&path, bytes).unwrap();
        let mut file = ParquetFile::open(&path).map_err(|e| e.to_string())?;
        let mut rows = 0;
        while let Some(batch) = file.next_batch().map_err(|e| e.to_string())? {
            rows += batch.num_rows();
        }
        Ok(rows)
    }

    #[test]
    fn what_was_written_is_read() {
        assert_eq!(rows_of(&file_of(20_000)), Ok(20_000));
        assert_eq!(rows_of(&file_of(0)), Ok(0));
    }

    #[test]
    fn a_schema_as_deep_as_a_footer_can_be_is_an_error() {
        // Each element: a name of one letter, one child.
        let levels: u32 = 2_000_000;
        let mut footer = vec![0x15, 2, 0x19, 0xfc];
        footer.extend([levels as u8 | 0x80, (levels >> 7) as u8 | 0x80, (levels >> 14) as u8]);
        footer.extend([0x48, 1, b'c', 0x15, 2, 0].repeat(levels as usize));
        footer.push(0);
        let length = u32::try_from(footer.len()).unwrap().to_le_bytes();
        let file = [&b"PAR1"[..], &footer, &length, b"PAR1"].concat();
        let error = rows_of(&file).unwrap_err();
        assert!(error.contains("nested more than"), "{error}");
    }

    #[test]
    fn cut_and_changed_files_are_errors_or_rows() {
        let whole = file_of(300);
        for end in (0..whole.len()).step_by(37) {
            let error = rows_of(&whole[..end]).unwrap_err();
            assert!(error.contains("rows.parquet"), "{error}");
        }
        // A changed byte may change nothing but a value; it must not end the process.
        for at in (0..whole.len()).step_by(11) {
            let mut changed = whole.clone();
            changed[at] ^= 0x15;
            let _ = rows_of(&changed);
        }
        let mut huge = whole.clone();
        let length = huge.len();
        huge[length - 8..length - 4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(rows_of(&huge).unwrap_err().contains("footer"));
    }
}
