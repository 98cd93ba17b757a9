//! Events of every format become the same rows; what is broken is named by its line.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BooleanArray, DictionaryArray, Float32Array, Int32Array, Int64Array, ListArray, RecordBatch, StringArray,
    StructArray, TimestampMillisecondArray,
    cast::AsArray as _,
    types::{Int32Type, TimestampNanosecondType},
};
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{DataType, Field};
use chronolith_storage::{
    document::{DocumentOptions, Rebuilder},
    table::{ColumnKey, Kind, Rows},
};
use proptest::prelude::*;

use super::{EventError, EventFormat, EventReader, ReadOptions, whole_records};

fn time_key() -> ColumnKey {
    ColumnKey::new("#0", Kind::Nanos)
}

fn options() -> ReadOptions {
    ReadOptions { document: DocumentOptions { arrival: 9, ..DocumentOptions::default() }, time: Some(time_key()) }
}

fn batches(format: EventFormat, bytes: &[u8]) -> Result<Vec<Rows>, EventError> {
    let mut reader = EventReader::new(format, bytes, &options())?;
    let mut all = Vec::new();
    while let Some(rows) = reader.next_batch()? {
        all.push(rows);
    }
    Ok(all)
}

/// Documents and times.
fn read(format: EventFormat, bytes: &[u8]) -> Result<Vec<(String, i64)>, EventError> {
    let rows = Rows::concat(&batches(format, bytes)?).unwrap();
    let fields = rows.columns().iter().filter(|(key, _)| !key.field.starts_with('#')).cloned().collect();
    let documents = Rows::new(rows.len(), fields).unwrap();
    let times = rows.column(&time_key()).map(|t| t.as_primitive::<TimestampNanosecondType>().clone());
    let all = (0..rows.len())
        .map(|row| (Rebuilder::rebuild(&documents, row).unwrap(), times.as_ref().map_or(0, |times| times.value(row))));
    Ok(all.collect())
}

fn error(format: EventFormat, bytes: impl AsRef<[u8]>) -> String {
    read(format, bytes.as_ref()).unwrap_err().to_string()
}

#[test]
fn json_is_read_in_every_shape() {
    let expected = vec![("{\"a\":1}".to_owned(), 9), ("{\"a\":\"x\",\"timestamp\":2}".to_owned(), 2_000_000_000)];
    for text in [
        "[{\"a\":1},\n {\"a\":\"x\",\"timestamp\":2}]\n",
        "{\"a\":1}\n\n{\"timestamp\":2,\"a\":\"x\"}\n",
        "\u{feff} {\"a\":1}{\"timestamp\":2,\"a\":\"x\"}",
    ] {
        assert_eq!(read(EventFormat::Json, text.as_bytes()).unwrap(), expected, "{text}");
    }
    assert_eq!(read(EventFormat::Ndjson, b"{\"a\":1}\r\n{\"a\":\"x\",\"timestamp\":2}").unwrap(), expected);
    for (format, empty) in [(EventFormat::Json, "[]"), (EventFormat::Json, ""), (EventFormat::Ndjson, "\n")] {
        assert!(read(format, empty.as_bytes()).unwrap().is_empty());
    }
}

#[test]
fn broken_json_is_named_by_its_line() {
    for (format, text, words) in [
        (EventFormat::Ndjson, "{\"a\":1}\n{\"a\":}\n", "line 2: this is no JSON"),
        (EventFormat::Ndjson, "{\"a\":1}\n[{}]\n", "line 2: a document must be an object"),
        (EventFormat::Json, "[{\"a\":1},\n\n{\"a\":1}", "line 3: the document is cut off"),
        (EventFormat::Json, "[{\"a\":1} {\"a\":1}]", "line 1: this is no JSON: a comma"),
        (EventFormat::Json, "[{\"a\":1},]", "line 1: a document must be an object"),
        (EventFormat::Json, "[{\"a\":1}] x", "line 1: something follows"),
        (EventFormat::Json, "5", "line 1: a document must be an object"),
        (EventFormat::Ndjson, "{\"a\":1}\n{\"timestamp\":\"soon\"}", "line 2: field \"timestamp\" is no time: soon"),
    ] {
        let told = error(format, text);
        assert!(told.starts_with(words), "{text}: {told}");
    }
    assert!(error(EventFormat::Json, b"{}\n{\"a\":\"\xff\"}").starts_with("line 2: the text is no UTF-8"));
}

#[test]
fn many_events_come_in_batches() {
    let text: String = (0..20_000).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    let all = batches(EventFormat::Ndjson, text.as_bytes()).unwrap();
    assert!(all.len() > 2 && all.iter().all(|rows| rows.len() <= 8_192), "{} batches", all.len());
    let key = ColumnKey::new("n", Kind::Int64);
    let last = all.last().unwrap();
    let values = last.column(&key).unwrap().as_primitive::<arrow_array::types::Int64Type>();
    assert_eq!(values.value(last.len() - 1), 19_999);
}

#[test]
fn csv_is_read_as_json_would_be() {
    let text = "timestamp,a.b,\"c\"\r\n1,1.50,true\r\n\r\n2,,\"\"\n3,\"5\",\"x,\"\"y\"\"\nz\"\n4,007,-1e3";
    let expected = vec![
        ("{\"a\":{\"b\":1.50},\"c\":true,\"timestamp\":1}".to_owned(), 1_000_000_000),
        ("{\"c\":\"\",\"timestamp\":2}".to_owned(), 2_000_000_000),
        ("{\"a\":{\"b\":\"5\"},\"c\":\"x,\\\"y\\\"\\nz\",\"timestamp\":3}".to_owned(), 3_000_000_000),
        ("{\"a\":{\"b\":\"007\"},\"c\":-1e3,\"timestamp\":4}".to_owned(), 4_000_000_000),
    ];
    assert_eq!(read(EventFormat::Csv, text.as_bytes()).unwrap(), expected);
    assert_eq!(read(EventFormat::Csv, b"a,b\n1,\n").unwrap(), vec![("{\"a\":1}".to_owned(), 9)]);
    assert!(read(EventFormat::Csv, b"a,b\n").unwrap().is_empty());
}

#[test]
fn broken_csv_is_named_by_its_line() {
    for (text, words) in [
        ("", "line 1: there is no line with the names"),
        ("a,,b\n", "line 1: \"\" is no name of a field"),
        ("a,a\n", "line 1: field \"a\" is named twice"),
        ("a.b,a\n", "line 1: field \"a\" cannot have a value of its own"),
        ("a,b\n1,2\n\"1\n\",2\n1\n", "line 5: there are 1 values, but the first line names 2"),
        ("a,b\n1,2,3\n", "line 2: there are 3 values"),
        ("a\n\"x", "line 2: the text ends inside quotes"),
        ("a\n\"x\"y\n", "line 2: a comma or the end of the line"),
        ("a\nx\"y\n", "line 2: a quote inside a value"),
        ("_time\n1\nnow\n", "line 3: field \"\\\"_time\\\"\" is no time: now"),
    ] {
        let told = error(EventFormat::Csv, text);
        assert!(told.starts_with(words), "{text}: {told}");
    }
}

#[test]
fn records_are_cut_outside_quotes_only() {
    assert_eq!(whole_records(b"a,b\n1,\"x\ny\"\n2,"), 12);
    assert_eq!(whole_records(b"\"x\ny"), 0);
}

fn stream(batch: &RecordBatch) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = StreamWriter::try_new(&mut out, &batch.schema()).unwrap();
    writer.write(batch).unwrap();
    writer.write(batch).unwrap();
    writer.finish().unwrap();
    drop(writer);
    out
}

fn batch() -> RecordBatch {
    let tags: ListArray = ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), Some(2)]), None]);
    let inner = StructArray::from(vec![(
        Arc::new(Field::new("deep", DataType::Boolean, true)),
        Arc::new(BooleanArray::from(vec![true, false])) as ArrayRef,
    )]);
    let inner = StructArray::new(inner.fields().clone(), inner.columns().to_vec(), Some(vec![true, false].into()));
    let names: DictionaryArray<Int32Type> = [Some("x"), None].into_iter().collect();
    RecordBatch::try_from_iter([
        ("_time", Arc::new(TimestampMillisecondArray::from(vec![1, 2]).with_timezone("+02:00")) as ArrayRef),
        ("name", Arc::new(names)),
        ("half", Arc::new(Float32Array::from(vec![0.5, 2.0]))),
        ("tags", Arc::new(tags)),
        ("object", Arc::new(inner)),
        ("none", Arc::new(Int64Array::from(vec![None::<i64>, None]))),
    ])
    .unwrap()
}

#[test]
fn arrow_batches_are_rows() {
    let first = "{\"_time\":\"1970-01-01T00:00:00.001Z\",\"half\":0.5,\"name\":\"x\",\"object\":{\"deep\":true},\"tags\":[1,2]}";
    let second = "{\"_time\":\"1970-01-01T00:00:00.002Z\",\"half\":2.0}";
    let expected: Vec<_> =
        [first, second, first, second].iter().map(|d| (*d).to_owned()).zip([1_000_000, 2_000_000].repeat(2)).collect();
    assert_eq!(read(EventFormat::ArrowStream, &stream(&batch())).unwrap(), expected);
}

#[test]
fn lists_of_objects_are_the_json_that_they_are_in_documents() {
    use arrow_array::Array as _;
    use arrow_buffer::OffsetBuffer;
    use arrow_schema::{DataType, Field};
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None]));
    let object = StructArray::from(vec![(Arc::new(Field::new("a", DataType::Int64, true)), numbers)]);
    let item = Arc::new(Field::new_list_field(object.data_type().clone(), true));
    let lists = ListArray::new(item, OffsetBuffer::from_lengths([2, 0]), Arc::new(object), None);
    let batch = RecordBatch::try_from_iter([("l", Arc::new(lists) as ArrayRef)]).unwrap();
    let documents: Vec<String> =
        read(EventFormat::ArrowStream, &stream(&batch)).unwrap().into_iter().map(|(document, _)| document).collect();
    // The stream has the batch twice.
    assert_eq!(documents, [r#"{"l":[{"a":1},{"a":null}]}"#, r#"{"l":[]}"#].repeat(2));
}

#[test]
fn arrow_that_cannot_be_held_is_refused_by_name() {
    let one = |name: &str, array: ArrayRef| stream(&RecordBatch::try_from_iter([(name, array)]).unwrap());
    let nulls = ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1)]), Some(vec![None])]);
    let told = error(EventFormat::ArrowStream, one("l", Arc::new(nulls)));
    assert!(told.starts_with("row 2: field \"l\" has a null inside a list"), "{told}");
    let big = arrow_array::UInt64Array::from(vec![1, u64::MAX]);
    let told = error(EventFormat::ArrowStream, one("u", Arc::new(big)));
    assert!(told.starts_with("row 2: field \"u\" has a value"), "{told}");
    let odd = arrow_array::DurationSecondArray::from(vec![1]);
    let told = error(EventFormat::ArrowStream, one("d", Arc::new(odd)));
    assert!(told.contains("\"d\"") && told.contains("Duration"), "{told}");
    let told = error(EventFormat::ArrowStream, one("timestamp", Arc::new(StringArray::from(vec!["1", "x"]))));
    assert!(told.starts_with("row 2: field \"timestamp\" is no time"), "{told}");
    let whole = one("a", Arc::new(Int32Array::from(vec![1])));
    for end in 0..whole.len() - 8 {
        // Cut where a message ends, a stream is one without its end, which the format allows.
        if let Ok(rows) = read(EventFormat::ArrowStream, &whole[..end]) {
            assert!(rows.len() < 3);
        }
    }
    assert!(error(EventFormat::ArrowStream, b"").contains("no schema"));
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for format in [EventFormat::Json, EventFormat::Ndjson, EventFormat::Csv, EventFormat::ArrowStream] {
            let _ = read(format, &bytes);
        }
    }

    #[test]
    fn a_broken_stream_is_no_panic(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = stream(&batch());
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = batches(EventFormat::ArrowStream, &bytes);
    }
}
