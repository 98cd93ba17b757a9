//! Rows as a table for people, written while they come.

use arrow_array::{Array as _, RecordBatch};
use arrow_schema::{DataType, SchemaRef};
use unicode_width::UnicodeWidthStr as _;

use crate::ingest::events::write_plain;

/// Rows whose cells choose the widths of columns; rows behind them may stick out.
const MEASURED: usize = 1_000;
/// What stands for null.
const NULL: &str = "NULL";

/// How rows are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// A line a row.
    Columns,
    /// A line a value.
    Expanded,
}

/// A table on its way.
pub(super) struct Grid {
    layout: Layout,
    names: Vec<String>,
    to_right: Vec<bool>,
    /// Empty until they are chosen.
    widths: Vec<usize>,
    /// Rows that wait for the widths.
    waiting: Vec<Vec<String>>,
    rows: u64,
}

impl Grid {
    /// A table of these columns.
    pub(super) fn new(schema: &SchemaRef, layout: Layout) -> Self {
        let names = schema.fields().iter().map(|f| shown(f.name())).collect();
        let to_right = schema.fields().iter().map(|f| is_number(f.data_type())).collect();
        Self { layout, names, to_right, widths: Vec::new(), waiting: Vec::new(), rows: 0 }
    }

    /// Adds rows; gives the text that is ready.
    pub(super) fn write(&mut self, batch: &RecordBatch) -> String {
        let mut out = String::new();
        for row in 0..batch.num_rows() {
            let cells: Vec<String> = batch.columns().iter().map(|column| cell(column, row)).collect();
            self.rows += 1;
            match self.layout {
                Layout::Expanded => self.record(&mut out, &cells),
                Layout::Columns if self.widths.is_empty() => {
                    self.waiting.push(cells);
                    if self.waiting.len() == MEASURED {
                        self.measure(&mut out);
                    }
                }
                Layout::Columns => self.line(&mut out, &cells),
            }
        }
        out
    }

    /// Gives the rest, and the number of rows.
    pub(super) fn finish(mut self) -> String {
        let mut out = String::new();
        if self.layout == Layout::Columns && self.widths.is_empty() {
            self.measure(&mut out);
        }
        out.push_str(&match self.rows {
            1 => "(1 row)\n".to_owned(),
            rows => format!("({rows} rows)\n"),
        });
        out
    }

    /// Chooses the widths and writes the heads and the rows that waited.
    fn measure(&mut self, out: &mut String) {
        let waiting = std::mem::take(&mut self.waiting);
        self.widths = self.names.iter().map(|name| name.width()).collect();
        for row in &waiting {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.width());
            }
        }
        self.line(out, &self.names);
        let rules: Vec<String> = self.widths.iter().map(|width| "-".repeat(*width)).collect();
        self.line(out, &rules);
        for row in &waiting {
            self.line(out, row);
        }
    }

    fn line(&self, out: &mut String, cells: &[String]) {
        let mut line = String::new();
        for (i, ((cell, width), to_right)) in cells.iter().zip(&self.widths).zip(&self.to_right).enumerate() {
            line.push_str(if i > 0 { "  " } else { "" });
            let blanks = " ".repeat(width.saturating_sub(cell.width()));
            let (before, after) = if *to_right { (blanks.as_str(), "") } else { ("", blanks.as_str()) };
            line.extend([before, cell, after]);
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }

    fn record(&self, out: &mut String, cells: &[String]) {
        let widest = self.names.iter().map(|name| name.width()).max().unwrap_or(0);
        out.push_str(&format!("-[ row {} ]\n", self.rows));
        for (name, cell) in self.names.iter().zip(cells) {
            let blanks = " ".repeat(widest.saturating_sub(name.width()));
            out.extend([name, blanks.as_str(), " | ", cell, "\n"]);
        }
    }
}

fn cell(column: &arrow_array::ArrayRef, row: usize) -> String {
    if column.is_null(row) {
        return NULL.to_owned();
    }
    let mut text = String::new();
    write_plain(&mut text, column, row);
    shown(&text)
}

/// A text without control characters: values come from outside, and a terminal obeys escapes.
fn shown(text: &str) -> String {
    if text.chars().any(char::is_control) { text.escape_debug().to_string() } else { text.to_owned() }
}

fn is_number(of: &DataType) -> bool {
    of.is_numeric()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Int64Array, StringViewArray};

    use super::*;

    fn batch(from: i64, texts: &[Option<&str>]) -> RecordBatch {
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(from..from + texts.len() as i64));
        let texts: ArrayRef = Arc::new(StringViewArray::from_iter(texts.iter().copied()));
        RecordBatch::try_from_iter([("n", numbers), ("text", texts)]).unwrap()
    }

    #[test]
    fn columns_stand_under_each_other() {
        let rows = batch(9, &[Some("\u{4f60}\u{597d}x"), None, Some("a\u{1b}[2J\nb")]);
        let mut grid = Grid::new(&rows.schema(), Layout::Columns);
        let text = grid.write(&rows) + &grid.finish();
        let want = " n  text\n--  ---------------\n 9  \u{4f60}\u{597d}x\n10  NULL\n11  a\\u{1b}[2J\\nb\n(3 rows)\n";
        assert_eq!(text, want.replace("  ---------------", &format!("  {}", "-".repeat(13))));
        let mut expanded = Grid::new(&rows.schema(), Layout::Expanded);
        let text = expanded.write(&rows.slice(0, 1)) + &expanded.finish();
        assert_eq!(text, "-[ row 1 ]\nn    | 9\ntext | \u{4f60}\u{597d}x\n(1 row)\n");
    }

    #[test]
    fn rows_are_written_while_they_come() {
        let mut grid = Grid::new(&batch(0, &[]).schema(), Layout::Columns);
        let many = batch(0, &vec![Some("x"); MEASURED - 1]);
        assert!(grid.write(&many).is_empty());
        assert_eq!(grid.write(&batch(1, &[Some("y")])).lines().count(), MEASURED + 2);
        assert_eq!(grid.write(&batch(7, &[Some("z")])), "  7  z\n");
        assert!(grid.finish().ends_with("(1001 rows)\n"));
    }
}
