//! Comma-separated values (RFC 4180): a column a label, then the timestamp and the value.

use super::{format_number, format_point, label_columns};
use crate::cli::{
    answer::{AnswerSeries, AnswerValue},
    time::api_time,
};

/// A query's answer as CSV with a head line. Timestamps are unix seconds.
pub(crate) fn render(value: &AnswerValue) -> String {
    let mut out = String::new();
    match value {
        AnswerValue::Scalar(t, v) => single(&mut out, *t, &format_number(*v)),
        AnswerValue::Text(t, text) => single(&mut out, *t, text),
        AnswerValue::Vector(series) | AnswerValue::Matrix(series) => rows(&mut out, series),
    }
    out
}

fn single(out: &mut String, t: i64, value: &str) {
    line(out, ["timestamp", "value"]);
    line(out, [api_time(t).as_str(), value]);
}

fn rows(out: &mut String, series: &[AnswerSeries]) {
    let names = label_columns(series);
    line(out, names.iter().copied().chain(["timestamp", "value"]));
    for s in series {
        let labels: Vec<&str> = names.iter().map(|n| s.labels.get(n).unwrap_or("")).collect();
        for (t, value) in &s.points {
            line(out, labels.iter().copied().chain([api_time(*t).as_str(), format_point(value).as_str()]));
        }
    }
}

fn line<'a>(out: &mut String, cells: impl IntoIterator<Item = &'a str>) {
    for (i, cell) in cells.into_iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        if cell.contains([',', '"', '\n', '\r']) {
            out.push('"');
            out.push_str(&cell.replace('"', "\"\""));
            out.push('"');
        } else {
            out.push_str(cell);
        }
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use chronolith_storage::Labels;

    use super::*;
    use crate::cli::answer::PointValue;

    #[test]
    fn quotes_what_needs_it_and_leaves_absent_labels_empty() {
        let series = |pairs: &[(&str, &str)]| AnswerSeries {
            labels: Labels::from_pairs(pairs.iter().copied()),
            points: vec![(1_500, PointValue::Float(0.25))],
        };
        let all = vec![series(&[("__name__", "a"), ("x", "1,\"2\"")]), series(&[("__name__", "a"), ("A", "b")])];
        let want = "__name__,A,x,timestamp,value\na,,\"1,\"\"2\"\"\",1.500,0.25\na,b,,1.500,0.25\n";
        assert_eq!(render(&AnswerValue::Vector(all)), want);
        assert_eq!(render(&AnswerValue::Scalar(0, 2.0)), "timestamp,value\n0.000,2\n");
    }
}
