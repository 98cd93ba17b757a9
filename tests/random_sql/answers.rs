//! Answers, and when two of them are equal.

/// Floats and numerics may differ behind so many digits: sums are added in another order, and a quotient has other digits.
const DIGITS: usize = 9;
const FLOAT4: u32 = 700;
const FLOAT8: u32 = 701;
const NUMERIC: u32 = 1700;

/// What a query got.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Rows { columns: Vec<Column>, rows: Vec<Vec<Option<String>>> },
    Failed { code: String },
}

/// A column as it is described.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) oid: u32,
}

/// The first difference between our answer and theirs. `ordered` where all rows have a place.
pub(crate) fn difference(ours: &Answer, theirs: &Answer, ordered: bool) -> Option<String> {
    match (ours, theirs) {
        (Answer::Failed { code }, Answer::Failed { code: their_code }) => {
            (code != their_code).then(|| format!("ours fails with {code}, theirs with {their_code}"))
        }
        (Answer::Failed { code }, Answer::Rows { rows, .. }) => {
            Some(format!("only ours fails: {code}; theirs {:?}", rows.first()))
        }
        (Answer::Rows { rows, .. }, Answer::Failed { code }) => {
            Some(format!("only theirs fails: {code}; ours {:?}", rows.first()))
        }
        (Answer::Rows { columns, rows }, Answer::Rows { columns: their_columns, rows: their_rows }) => {
            if columns != their_columns {
                return Some(format!("columns: ours {columns:?}, theirs {their_columns:?}"));
            }
            let mut pairs = [comparable(columns, rows), comparable(columns, their_rows)];
            if !ordered {
                pairs.iter_mut().for_each(|rows| rows.sort());
            }
            let [ours, theirs] = pairs;
            if ours.len() != theirs.len() {
                return Some(format!("{} rows, theirs {}", ours.len(), theirs.len()));
            }
            let (row, (ours, theirs)) = ours.iter().zip(&theirs).enumerate().find(|(_, (o, t))| o != t)?;
            Some(format!("row {row}: ours {ours:?}, theirs {theirs:?}"))
        }
    }
}

fn comparable(columns: &[Column], rows: &[Vec<Option<String>>]) -> Vec<Vec<Option<String>>> {
    let cell = |(column, value): (&Column, &Option<String>)| {
        let value = value.as_ref()?;
        if !matches!(column.oid, FLOAT4 | FLOAT8 | NUMERIC) {
            return Some(value.clone());
        }
        Some(match value.parse::<f64>() {
            // A numeric below one has 20 digits behind the point there, and 16 here.
            Ok(number) if column.oid == NUMERIC && number.abs() < 1.0 => format!("{:.*}", DIGITS, number + 0.0),
            // Zero has no sign here.
            Ok(number) => format!("{:.*e}", DIGITS, number + 0.0),
            Err(_) => value.clone(),
        })
    };
    rows.iter().map(|row| columns.iter().zip(row).map(cell).collect()).collect()
}

#[test]
fn what_differs_is_told() {
    let answer = |oid, rows: &[&str]| Answer::Rows {
        columns: vec![Column { name: "c".to_owned(), oid }],
        rows: rows.iter().map(|value| vec![Some((*value).to_owned())]).collect(),
    };
    assert_eq!(difference(&answer(23, &["1", "2"]), &answer(23, &["2", "1"]), false), None);
    assert!(difference(&answer(23, &["1", "2"]), &answer(23, &["2", "1"]), true).is_some());
    assert!(difference(&answer(23, &["1"]), &answer(20, &["1"]), false).is_some());
    assert!(difference(&answer(23, &["1"]), &answer(23, &["1", "1"]), false).is_some());
    assert_eq!(difference(&answer(1700, &["0.50"]), &answer(1700, &["0.5000"]), true), None);
    assert!(difference(&answer(1700, &["0.50"]), &answer(1700, &["0.51"]), true).is_some());
    let failed = |code: &str| Answer::Failed { code: code.to_owned() };
    assert_eq!(difference(&failed("22012"), &failed("22012"), true), None);
    assert!(difference(&failed("22012"), &failed("22003"), true).is_some());
    assert!(difference(&failed("22012"), &answer(23, &[]), true).is_some());
}
