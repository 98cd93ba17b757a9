//! A table for people: a column a label, numbers to the right.

use super::{METRIC_NAME, format_number, format_point, label_columns};
use crate::cli::{
    answer::{AnswerSeries, AnswerValue},
    time::format_time,
};

/// How the cells of a column stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// A table of texts.
#[derive(Debug, Default)]
pub(crate) struct Table {
    columns: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table with these columns.
    pub(crate) fn new<'a>(columns: impl Iterator<Item = (&'a str, Align)>) -> Self {
        Self { columns: columns.into_iter().map(|(n, a)| (n.to_owned(), a)).collect(), rows: Vec::new() }
    }

    /// Adds a row with a cell a column.
    pub(crate) fn push(&mut self, row: Vec<String>) {
        self.rows.push(row);
    }

    /// The table as lines; the heads are underlined.
    pub(crate) fn render(&self) -> String {
        let widths = self.widths();
        let mut out = String::new();
        self.line(&mut out, &widths, self.columns.iter().map(|(n, _)| n.clone()));
        self.line(&mut out, &widths, widths.iter().map(|w| "-".repeat(*w)));
        for row in &self.rows {
            self.line(&mut out, &widths, row.iter().map(|cell| shown(cell)));
        }
        out
    }

    /// How many columns of a terminal the table takes.
    pub(crate) fn width(&self) -> usize {
        let widths = self.widths();
        widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1)
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths: Vec<usize> = self.columns.iter().map(|(n, _)| n.chars().count()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(shown(cell).chars().count());
            }
        }
        widths
    }

    fn line(&self, out: &mut String, widths: &[usize], cells: impl Iterator<Item = String>) {
        let mut line = String::new();
        for ((cell, width), (_, align)) in cells.zip(widths).zip(&self.columns) {
            if !line.is_empty() {
                line.push_str("  ");
            }
            match align {
                Align::Left => line.push_str(&format!("{cell:<width$}")),
                Align::Right => line.push_str(&format!("{cell:>width$}")),
            }
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
}

/// A cell without control characters: labels come from outside, and a terminal obeys escapes.
fn shown(cell: &str) -> String {
    if cell.chars().any(char::is_control) { cell.escape_debug().to_string() } else { cell.to_owned() }
}

/// A query's answer as a table not wider than `width` when that can be had.
pub(crate) fn render(value: &AnswerValue, width: usize) -> String {
    match value {
        AnswerValue::Scalar(_, v) => format!("{}\n", format_number(*v)),
        AnswerValue::Text(_, text) => format!("{}\n", shown(text)),
        AnswerValue::Vector(series) | AnswerValue::Matrix(series) if series.is_empty() => "(no series)\n".to_owned(),
        AnswerValue::Vector(series) => fitting(series, false, width),
        AnswerValue::Matrix(series) => fitting(series, true, width),
    }
}

/// A column a label; when that is too wide, the whole series in one column.
fn fitting(series: &[AnswerSeries], with_time: bool, width: usize) -> String {
    let by_label = by_label(series, with_time);
    if by_label.width() <= width {
        return by_label.render();
    }
    let head = [("series", Align::Left)].into_iter().chain(value_columns(with_time));
    let mut table = Table::new(head);
    fill(&mut table, series, with_time, |s| vec![s.labels.to_string()]);
    table.render()
}

fn by_label(series: &[AnswerSeries], with_time: bool) -> Table {
    let names = label_columns(series);
    let heads = names.iter().map(|n| if *n == METRIC_NAME { ("metric", Align::Left) } else { (*n, Align::Left) });
    let mut table = Table::new(heads.chain(value_columns(with_time)));
    fill(&mut table, series, with_time, |s| {
        names.iter().map(|name| s.labels.get(name).unwrap_or("").to_owned()).collect()
    });
    table
}

fn value_columns<'a>(with_time: bool) -> impl Iterator<Item = (&'a str, Align)> {
    with_time.then_some(("time", Align::Left)).into_iter().chain([("value", Align::Right)])
}

fn fill(table: &mut Table, series: &[AnswerSeries], with_time: bool, cells: impl Fn(&AnswerSeries) -> Vec<String>) {
    for s in series {
        for (t, value) in &s.points {
            let mut row = cells(s);
            if with_time {
                row.push(format_time(*t));
            }
            row.push(format_point(value));
            table.push(row);
        }
    }
}

#[cfg(test)]
mod tests {
    use chronolith_storage::Labels;

    use super::*;
    use crate::cli::answer::PointValue;

    fn series(instance: &str, value: f64) -> AnswerSeries {
        let labels = Labels::from_pairs([(METRIC_NAME, "up"), ("instance", instance), ("Zone", "b")]);
        AnswerSeries { labels, points: vec![(60_000, PointValue::Float(value))] }
    }

    #[test]
    fn a_column_a_label() {
        let all = AnswerValue::Vector(vec![series("a", 1.0), series("long\nname", 12.5)]);
        let want = "metric  Zone  instance    value\n------  ----  ----------  -----\nup      b     a               1\nup      b     long\\nname   12.5\n";
        assert_eq!(render(&all, 80), want);
    }

    #[test]
    fn folds_labels_when_too_wide_and_shows_times_of_a_range() {
        let text = render(&AnswerValue::Matrix(vec![series("a", 1.0)]), 30);
        assert!(text.starts_with("series"), "{text}");
        assert!(text.contains(r#"up{Zone="b", instance="a"}  1970-01-01T00:01:00Z      1"#), "{text}");
        assert_eq!(render(&AnswerValue::Vector(vec![]), 80), "(no series)\n");
        assert_eq!(render(&AnswerValue::Scalar(0, 0.5), 80), "0.5\n");
    }
}
