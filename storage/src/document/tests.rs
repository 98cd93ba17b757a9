//! Documents go in and come out equal; hostile ones are refused and leave nothing behind.

use std::collections::BTreeMap;

use arrow_array::{Array as _, cast::AsArray as _, types::TimestampNanosecondType};
use proptest::prelude::*;

use super::{
    DocumentBuilder, DocumentError, DocumentOptions, MAX_DEPTH, MAX_FIELDS, Rebuilder, Refusal, Scalar, canonical,
    compact, decode_path, encode_path, time,
};
use crate::table::{ColumnKey, Kind, ListKind, Rows};

fn builder() -> DocumentBuilder {
    DocumentBuilder::new(&DocumentOptions::default()).unwrap()
}

fn shred(documents: &[&str]) -> Rows {
    let mut builder = builder();
    for document in documents {
        builder.push(document.as_bytes()).unwrap();
    }
    builder.take_rows(None).unwrap()
}

fn refused(document: impl AsRef<[u8]>) -> DocumentError {
    let mut builder = builder();
    let error = builder.push(document.as_ref()).unwrap_err();
    assert!(builder.is_empty());
    // What was refused leaves nothing, and the builder goes on.
    builder.push(br#"{"good":1}"#).unwrap();
    let rows = builder.take_rows(None).unwrap();
    assert_eq!(Rebuilder::rebuild(&rows, 0).unwrap(), r#"{"good":1}"#);
    error
}

fn there_and_back(document: &str) -> String {
    Rebuilder::rebuild(&shred(&[document]), 0).unwrap()
}

/// The columns that a document has, as `field kind`.
fn kinds(document: &str) -> Vec<(String, Kind)> {
    shred(&[document]).columns().iter().map(|(key, _)| (key.field.to_string(), key.kind)).collect()
}

#[test]
fn each_value_goes_to_the_column_of_its_kind() {
    for (value, expected) in [
        ("true", vec![Kind::Bool]),
        ("1", vec![Kind::Int64]),
        ("-9223372036854775808", vec![Kind::Int64]),
        ("1.5", vec![Kind::Float64]),
        ("100.0", vec![Kind::Float64]),
        ("1.50", vec![Kind::Float64, Kind::NumberText]),
        ("9223372036854775808", vec![Kind::Float64, Kind::NumberText]),
        ("1e999", vec![Kind::Float64, Kind::NumberText]),
        ("-0", vec![Kind::Float64, Kind::NumberText]),
        ("\"x\"", vec![Kind::Text]),
        ("null", vec![Kind::Null]),
        ("{}", vec![Kind::EmptyObject]),
        ("[]", vec![Kind::Json]),
        ("[true,false]", vec![Kind::List(ListKind::Bool)]),
        ("[1,2]", vec![Kind::List(ListKind::Int64)]),
        ("[1.5,2.5]", vec![Kind::List(ListKind::Float64)]),
        ("[1.5,2]", vec![Kind::List(ListKind::Float64), Kind::NumberText]),
        ("[\"a\",\"b\"]", vec![Kind::List(ListKind::Text)]),
        ("[1,\"a\"]", vec![Kind::Json]),
        ("[null]", vec![Kind::Json]),
        ("[[1]]", vec![Kind::Json]),
        ("[{\"a\":1}]", vec![Kind::Json]),
    ] {
        let document = format!("{{\"f\":{value}}}");
        let found: Vec<Kind> = kinds(&document).into_iter().map(|(_, kind)| kind).collect();
        assert_eq!(found, expected, "{value}");
        assert_eq!(there_and_back(&document), document);
    }
}

#[test]
fn fields_are_named_by_their_paths() {
    let document = r##"{"a":{"b":1,"c.d":{"e":2}},"":3,"#1":4,"_time":5,"q\"\u0000":6}"##;
    let fields: Vec<String> = kinds(document).into_iter().map(|(field, _)| field).collect();
    let expected = ["\"\"", "\"#1\"", "\"_time\"", r#""q\"\u0000""#, "a.\"c.d\".e", "a.b"];
    assert_eq!(fields, expected);
    for field in expected {
        assert_eq!(encode_path(&decode_path(field).unwrap()), field);
    }
    for broken in ["", ".", "a.", ".a", "\"a", "\"a\"b", "\"\\x\""] {
        assert_eq!(decode_path(broken), None, "{broken}");
    }
    let back = there_and_back(document);
    assert_eq!(back, r##"{"":3,"#1":4,"_time":5,"a":{"b":1,"c.d":{"e":2}},"q\"\u0000":6}"##);
}

#[test]
fn rows_lie_below_each_other() {
    let documents = [r#"{"a":1,"b":{"c":"x"}}"#, r#"{"a":"one"}"#, "{}", r#"{"a":2,"b":{"c":"y"}}"#];
    let rows = shred(&documents);
    assert_eq!(rows.len(), 4);
    let a = rows.column(&ColumnKey::new("a", Kind::Int64)).unwrap();
    assert_eq!((a.is_null(1), a.is_null(2), a.null_count()), (true, true, 2));
    for (row, document) in documents.iter().enumerate() {
        assert_eq!(Rebuilder::rebuild(&rows, row).unwrap(), *document);
    }
}

#[test]
fn batches_follow_each_other() {
    let mut builder = builder();
    for n in 0..3 {
        builder.push(format!(r#"{{"a":{n},"b":"{n}"}}"#).as_bytes()).unwrap();
        let rows = builder.take_rows(None).unwrap();
        assert_eq!(Rebuilder::rebuild(&rows, 0).unwrap(), format!(r#"{{"a":{n},"b":"{n}"}}"#));
    }
    assert_eq!(builder.take_rows(None).unwrap().columns().len(), 0);
}

#[test]
fn of_a_key_that_comes_twice_the_last_value_counts() {
    for (document, expected) in [
        (r#"{"a":1,"a":2}"#, r#"{"a":2}"#),
        (r#"{"a":1,"a":"x","a":null}"#, r#"{"a":null}"#),
        (r#"{"a":{"b":1,"c":{"d":2}},"a":{"c":3}}"#, r#"{"a":{"c":3}}"#),
        (r#"{"a":{"b":1},"a":5,"a":{"b":7}}"#, r#"{"a":{"b":7}}"#),
        (r#"{"a":[1.5,2],"b":0,"a":{}}"#, r#"{"a":{},"b":0}"#),
        (r#"{"x":{"a":{"b":1},"a":2},"x":{"a":{"b":3}}}"#, r#"{"x":{"a":{"b":3}}}"#),
    ] {
        assert_eq!(there_and_back(document), expected, "{document}");
    }
}

#[test]
fn hostile_documents_are_refused_or_kept() {
    let deep = |n: usize| format!("{}1{}", "{\"a\":".repeat(n), "}".repeat(n));
    assert_eq!(there_and_back(&deep(MAX_DEPTH)), deep(MAX_DEPTH));
    assert_eq!(refused(deep(MAX_DEPTH + 1)).reason, Refusal::TooDeep);
    assert_eq!(refused("{\"a\":".repeat(100_000)).reason, Refusal::TooDeep);
    assert_eq!(refused(format!("{{\"a\":{}", "[".repeat(100_000))).reason, Refusal::TooDeep);
    assert_eq!(refused(format!("{{\"a\":{}", "[{\"a\":".repeat(100_000))).reason, Refusal::TooDeep);
    let arrays = |n: usize| format!("{{\"a\":{}{}}}", "[".repeat(n), "]".repeat(n));
    assert_eq!(there_and_back(&arrays(MAX_DEPTH - 1)), arrays(MAX_DEPTH - 1));
    assert_eq!(refused(arrays(MAX_DEPTH)).reason, Refusal::TooDeep);

    let many: Vec<String> = (0..100_000).map(|n| format!("\"f{n}\":{n}")).collect();
    // Three fields are those that tell the time.
    let one_more = Refusal::TooManyFields { field: format!("f{}", MAX_FIELDS - 3) };
    assert_eq!(refuse_only(&format!("{{{}}}", many.join(","))).reason, one_more);
    let name = "n".repeat(5_000);
    assert!(
        matches!(refused(format!("{{\"{name}\":1}}")).reason, Refusal::FieldTooLong { field } if field.len() < 200)
    );

    let huge = "x".repeat(9 << 20);
    assert_eq!(refused(format!("{{\"t\":\"{huge}\"}}")).reason, Refusal::TextTooLong { field: "t".into() });
    assert_eq!(refused(format!("{{\"t\":\"{huge}{huge}\"}}")).reason, Refusal::TooLong);
    let digits = "7".repeat(1_000);
    let long = format!("{{\"n\":{digits}.{digits}e{digits}}}");
    assert_eq!(there_and_back(&long), long);

    for lone in [r#"{"a":"\ud800"}"#, r#"{"a":"\udc00\ud800"}"#, r#"{"a":["\ud800x"]}"#, r#"{"\ud83dA":1}"#] {
        assert_eq!(refused(lone).reason, Refusal::LoneSurrogate, "{lone}");
    }
    assert_eq!(there_and_back(r#"{"a":"\ud83d\ude00\u0041\/\b"}"#), "{\"a\":\"\u{1f600}A/\\u0008\"}");
    assert_eq!(refused(b"{\"a\":\"\xff\"}").reason, Refusal::NotUtf8);
}

/// As [`refused`], for what fills the builder with fields: those stay.
fn refuse_only(document: &str) -> DocumentError {
    builder().push(document.as_bytes()).unwrap_err()
}

#[test]
fn every_cut_and_every_slip_is_an_error() {
    let whole = r#"{"a":[1.5,"x\n",{"b":null}],"c":{"d":true,"e":-1e5},"f":"\u00e9"}"#;
    for end in 0..whole.len() {
        let error = refused(&whole[..end]);
        assert_eq!(error.reason, Refusal::CutOff, "{end}");
    }
    for (slip, at) in [
        ("[1]", 0),
        ("5", 0),
        ("{\"a\":1}{", 7),
        ("{\"a\":1,}", 7),
        ("{,\"a\":1}", 1),
        ("{\"a\" 1}", 5),
        ("{a:1}", 1),
        ("{\"a\":01}", 5),
        ("{\"a\":1.}", 7),
        ("{\"a\":-}", 6),
        ("{\"a\":1e}", 7),
        ("{\"a\":+1}", 5),
        ("{\"a\":nul}", 5),
        ("{\"a\":[1,]}", 8),
        ("{\"a\":[1 2]}", 8),
        ("{\"a\":[{\"b\"}]}", 10),
        ("{\"a\":\"\\x\"}", 6),
        ("{\"a\":\"\n\"}", 6),
        ("{\"a\":NaN}", 5),
    ] {
        assert_eq!(refused(slip).at, at, "{slip}: {}", refused(slip));
    }
    assert_eq!(refused("{\"a\":1}\n\n{").line(b"{\"a\":1}\n\n{"), 3);
}

#[test]
fn the_time_is_the_first_that_a_document_has() {
    let time_of = |document: &str, field: Option<&str>| {
        let mut options = DocumentOptions { arrival: 7, ..DocumentOptions::default() };
        if let Some(field) = field {
            options.time_fields = vec![field.to_owned()];
        }
        let mut builder = DocumentBuilder::new(&options).unwrap();
        builder.push(document.as_bytes())?;
        let key = ColumnKey::new("#0", Kind::Nanos);
        let rows = builder.take_rows(Some(key.clone())).unwrap();
        Ok::<_, DocumentError>(rows.column(&key).unwrap().as_primitive::<TimestampNanosecondType>().value(0))
    };
    for (document, field, expected) in [
        ("{}", None, 7),
        (r#"{"timestamp":2,"@timestamp":1}"#, None, 1_000_000_000),
        (r#"{"timestamp":2,"_time":"1970-01-01T00:00:03Z","@timestamp":1}"#, None, 3_000_000_000),
        (r#"{"timestamp":"never","_time":4}"#, None, 4_000_000_000),
        (r#"{"timestamp":2,"_time":null}"#, None, 2_000_000_000),
        (r#"{"timestamp":2,"timestamp":null}"#, None, 7),
        (r#"{"timestamp":2,"at":{"ms":1700000000000}}"#, Some("at.ms"), 1_700_000_000_000_000_000),
        (r#"{"timestamp":2}"#, Some("at"), 7),
    ] {
        assert_eq!(time_of(document, field).unwrap(), expected, "{document}");
    }
    let error = time_of(r#"{"a":1,"timestamp":"noon"}"#, None).unwrap_err().to_string();
    assert!(error.contains("timestamp") && error.contains("noon"), "{error}");
}

#[test]
fn times_are_read_in_the_forms_that_occur() {
    let second = 1_700_000_000;
    let nanos = second * 1_000_000_000;
    for (text, expected) in [
        ("2023-11-14T22:13:20Z", nanos),
        ("2023-11-14 22:13:20", nanos),
        ("2023-11-14t22:13:20.5z", nanos + 500_000_000),
        ("2023-11-14T22:13:20,123456789", nanos + 123_456_789),
        ("2023-11-15T00:13:20+02:00", nanos),
        ("2023-11-15 00:13:20 +0200", nanos),
        ("2023-11-14 17:13:20-05", nanos),
        ("2023-11-14 22:13:20 UTC", nanos),
        ("2023-11-14T22:13", nanos - 20_000_000_000),
        ("2023-11-14", nanos - 80_000_000_000_000),
        ("2016-12-31T23:59:60Z", 1_483_228_800_000_000_000),
        ("2000-02-29", 951_782_400_000_000_000),
        ("1969-12-31T23:59:59.999999999Z", -1),
        ("1700000000", nanos),
        ("1700000000.123456789", nanos + 123_456_789),
        ("1700000000123", nanos + 123_000_000),
        ("1700000000123.5", nanos + 123_500_000),
        ("1700000000123456", nanos + 123_456_000),
        ("1700000000123456789", nanos + 123_456_789),
        ("-1.5", -1_500_000_000),
        ("1.7e9", nanos),
    ] {
        assert_eq!(time::from_text(text), Some(expected), "{text}");
    }
    for text in [
        "",
        "noon",
        "2023-13-01",
        "2023-02-29",
        "2023-11-14T25:00:00Z",
        "2023-11-14T22:13:20+99:00",
        "2023-11-14T",
        "2023-11-14X22:13:20",
        "2023-11-14T22:13:20Zjunk",
        "1500-01-01",
        "2300-01-01",
        "99999999999999999999999",
        "1e300",
        "NaN",
        "-",
        ".",
        "1.",
        "2023-11-14T22:13:20.",
        "é023-11-14",
    ] {
        assert_eq!(time::from_text(text), None, "{text}");
    }
}

#[test]
fn single_values_make_documents_as_well() {
    let mut builder = builder();
    let (a, b) = (builder.field_at(&["a", "b"]).unwrap(), builder.field_at(&["timestamp"]).unwrap());
    builder.push_fields([(a, Scalar::Number("1.50")), (b, Scalar::Text("1970-01-01"))]).unwrap();
    builder.push_fields([(a, Scalar::Bool(true)), (a, Scalar::Text("last"))]).unwrap();
    assert!(builder.push_fields([(a, Scalar::Number("1")), (b, Scalar::Text("never"))]).is_err());
    assert!(builder.push_fields([(a, Scalar::Number("1x"))]).is_err());
    let rows = builder.take_rows(None).unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(Rebuilder::rebuild(&rows, 0).unwrap(), r#"{"a":{"b":1.50},"timestamp":"1970-01-01"}"#);
    assert_eq!(Rebuilder::rebuild(&rows, 1).unwrap(), r#"{"a":{"b":"last"}}"#);
}

#[test]
fn jsonb_has_one_form() {
    for (text, expected) in [
        (r#" {"bb":1,"a":[1.50, {"y":null,"x":2}],"a":[] } "#, r#"{"a": [], "bb": 1}"#),
        (r#"[1,{"aa":"\u0041","b":{}},[]]"#, r#"[1, {"b": {}, "aa": "A"}, []]"#),
        ("5", "5"),
    ] {
        assert_eq!(canonical(text).unwrap(), expected);
        assert_eq!(canonical(expected).unwrap(), expected);
    }
    assert_eq!(canonical(&"[".repeat(100_000)).unwrap_err().reason, Refusal::TooDeep);
    for slip in ["", "[1,]", "{\"a\":1 \"b\":2}", "[1] 2", "{1:2}"] {
        assert!(canonical(slip).is_err(), "{slip}");
        assert!(compact(slip).is_err(), "{slip}");
    }
}

/// A JSON value; numbers by their text.
#[derive(Debug, Clone)]
enum Json {
    Word(&'static str),
    Number(String),
    Text(String),
    Array(Vec<Json>),
    Object(BTreeMap<String, Json>),
}

impl Json {
    /// Writes the value; `noise` gives whitespace and escapes.
    fn write(&self, out: &mut String, noise: &mut dyn FnMut() -> u8) {
        match self {
            Self::Word(word) => out.push_str(word),
            Self::Number(text) => out.push_str(text),
            Self::Text(text) => write_text(out, text, noise),
            Self::Array(all) => {
                out.push('[');
                for (i, value) in all.iter().enumerate() {
                    out.push_str(if i > 0 { "," } else { "" });
                    space(out, noise);
                    value.write(out, noise);
                    space(out, noise);
                }
                out.push(']');
            }
            Self::Object(all) => {
                out.push('{');
                for (i, (key, value)) in all.iter().enumerate() {
                    out.push_str(if i > 0 { "," } else { "" });
                    space(out, noise);
                    write_text(out, key, noise);
                    space(out, noise);
                    out.push(':');
                    space(out, noise);
                    value.write(out, noise);
                    space(out, noise);
                }
                out.push('}');
            }
        }
    }

    fn text(&self, noise: &mut dyn FnMut() -> u8) -> String {
        let mut out = String::new();
        self.write(&mut out, noise);
        out
    }
}

fn space(out: &mut String, noise: &mut dyn FnMut() -> u8) {
    out.push_str(["", "", "", " ", "\n\t", "\r  "].get(usize::from(noise() % 16)).copied().unwrap_or(""));
}

fn write_text(out: &mut String, text: &str, noise: &mut dyn FnMut() -> u8) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' || noise() % 16 == 15 => {
                let mut units = [0; 2];
                c.encode_utf16(&mut units).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

fn numbers() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        any::<i8>().prop_map(|n| n.to_string()),
        any::<f64>().prop_filter("finite", |v| v.is_finite()).prop_map(|v| format!("{v:?}")),
        "-?(0|[1-9][0-9]{0,18})(\\.[0-9]{1,18})?([eE][+-]?[0-9]{1,3})?",
        "-?[0-9]\\.[0-9]{1,4}",
    ]
}

fn values() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        prop_oneof![Just("true"), Just("false"), Just("null")].prop_map(Json::Word),
        numbers().prop_map(Json::Number),
        "\\PC{0,12}|[a-z\u{0}-\u{1f}\"\\\\]{0,20}".prop_map(Json::Text),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Json::Array),
            prop::collection::vec(numbers().prop_map(Json::Number), 1..6).prop_map(Json::Array),
            prop::collection::vec("[a-c\u{e9}\\\\]{0,9}".prop_map(Json::Text), 1..6).prop_map(Json::Array),
            objects(inner),
        ]
    })
}

fn objects(values: impl Strategy<Value = Json>) -> impl Strategy<Value = Json> {
    let keys = prop_oneof!["[a-d]", "[a-d.#\"\\\\_]{0,4}", "_time[a-z]?", "\\PC{0,6}|\u{0}"];
    prop::collection::btree_map(keys, values, 0..6).prop_map(Json::Object)
}

/// Whether a document's time cannot be read: such a one is refused.
fn is_timeless(error: &DocumentError) -> bool {
    matches!(error.reason, Refusal::Time { .. })
}

proptest! {
    #[test]
    fn random_documents_come_back(documents in prop::collection::vec(objects(values()), 1..6), dice in any::<[u8; 64]>()) {
        let mut at = 0;
        let mut noise = || {
            at += 1;
            dice[at % dice.len()]
        };
        let mut builder = builder();
        let mut kept = Vec::new();
        for document in &documents {
            match builder.push(document.text(&mut noise).as_bytes()) {
                Ok(()) => kept.push(document.text(&mut || 0)),
                Err(error) => prop_assert!(is_timeless(&error), "{}", error),
            }
        }
        let rows = builder.take_rows(None).unwrap();
        prop_assert_eq!(rows.len(), kept.len());
        for (row, document) in kept.iter().enumerate() {
            prop_assert_eq!(&Rebuilder::rebuild(&rows, row).unwrap(), document);
        }
    }

    #[test]
    fn numbers_that_print_have_no_text_beside_them(text in numbers()) {
        let rows = shred(&[&format!("{{\"n\":{text}}}")]);
        let integer = rows.column(&ColumnKey::new("n", Kind::Int64)).is_some();
        let float = rows.column(&ColumnKey::new("n", Kind::Float64));
        let beside = rows.column(&ColumnKey::new("n", Kind::NumberText)).is_some();
        match text.parse::<i64>() {
            Ok(_) if text != "-0" => prop_assert!(integer && float.is_none() && !beside),
            _ => {
                let value = float.unwrap().as_primitive::<arrow_array::types::Float64Type>().value(0);
                prop_assert_eq!(value.to_bits(), text.parse::<f64>().unwrap().to_bits());
                let prints = value.is_finite() && zmij::Buffer::new().format_finite(value) == text;
                prop_assert_eq!(prints, !beside);
            }
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = builder().push(&bytes);
    }

    #[test]
    fn times_are_written_as_they_are_read(nanos in any::<i64>()) {
        prop_assert_eq!(time::from_text(&time::to_text(nanos)), Some(nanos));
    }

    #[test]
    fn any_path_comes_back(keys in prop::collection::vec("\\PC{0,6}|[.\"#\\\\\u{0}]{0,4}", 1..5)) {
        prop_assert_eq!(decode_path(&encode_path(&keys)), Some(keys));
    }
}
