//! Line plots in the terminal, drawn with braille dots: axes, ticks, colours and a legend.

mod canvas;
mod ticks;

use std::fmt::Write as _;

use canvas::Canvas;
use ticks::{time_ticks, value_ticks};

use super::{
    answer::{AnswerSeries, PointValue},
    output::format_number,
    time::format_tick,
};

/// The colours of series, as ANSI foreground codes: green, yellow, cyan, magenta, red, blue.
const COLORS: [u8; 6] = [32, 33, 36, 35, 31, 34];
/// What stands for a series where there are no colours.
const MARKS: &[u8] = b"*+ox#@%&=~";
/// More series than this are drawn but not named.
const LEGEND_LIMIT: usize = 12;

/// A named line: milliseconds and values in order of time. What is not finite leaves a gap.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) points: Vec<(i64, f64)>,
}

/// What the plot covers and how it looks.
#[derive(Debug, Clone)]
pub(crate) struct PlotOptions {
    /// Columns of the whole plot.
    pub(crate) width: usize,
    /// Rows of the drawing, without axis and legend.
    pub(crate) height: usize,
    /// Whether ANSI colours may be used.
    pub(crate) color: bool,
    /// A line above the plot.
    pub(crate) title: Option<String>,
    /// First moment, in milliseconds.
    pub(crate) start: i64,
    /// Last moment, in milliseconds.
    pub(crate) end: i64,
    /// Points further apart than this many milliseconds are not joined.
    pub(crate) max_gap: i64,
}

/// The series of an answer as lines; histograms have no single value and are left out.
pub(crate) fn lines(series: &[AnswerSeries]) -> Vec<Line> {
    let float = |(t, v): &(i64, PointValue)| match v {
        PointValue::Float(v) => Some((*t, *v)),
        PointValue::Histogram(_) => None,
    };
    series
        .iter()
        .map(|s| Line { name: s.labels.to_string(), points: s.points.iter().filter_map(float).collect() })
        .filter(|line| !line.points.is_empty())
        .collect()
}

/// The plot as text; ends with a line break.
pub(crate) fn render(lines: &[Line], options: &PlotOptions) -> String {
    let mut out = String::new();
    if let Some(title) = &options.title {
        let _ = writeln!(out, "{title}");
    }
    let Some((low, high)) = bounds(lines) else {
        out.push_str("(nothing to plot: no series has a finite value in this range)\n");
        return out;
    };
    let height = options.height.max(3);
    let axis = value_ticks(low, high, (height / 3).max(4));
    let margin = axis.ticks.iter().map(|(_, label)| label.len()).max().unwrap_or(0);
    let width = options.width.saturating_sub(margin + 2).max(10);
    let mut canvas = Canvas::new(width, height);
    for (owner, line) in lines.iter().enumerate() {
        draw(&mut canvas, owner, line, (axis.low, axis.high), options);
    }
    let rows: Vec<(usize, &str)> = axis
        .ticks
        .iter()
        .map(|(value, label)| (canvas.row_of(fraction(axis.high - value, axis.high - axis.low)), label.as_str()))
        .collect();
    let marks = lines.len() > 1 && !options.color;
    for row in 0..height {
        let label = rows.iter().find(|(r, _)| *r == row).map_or("", |(_, l)| *l);
        let edge = if label.is_empty() { '\u{2502}' } else { '\u{2524}' };
        let _ = write!(out, "{label:>margin$} {edge}");
        canvas.write_row(&mut out, row, |owner| paint(owner, options.color, marks));
        out.push('\n');
    }
    write_time_axis(&mut out, margin, width, options);
    write_legend(&mut out, lines, options);
    out
}

/// How a series looks: its ANSI colour, and its mark where braille dots could not be told apart.
fn paint(owner: usize, color: bool, marks: bool) -> (Option<u8>, Option<char>) {
    let code = COLORS.get(owner % COLORS.len()).copied();
    let mark = MARKS.get(owner % MARKS.len()).map(|b| char::from(*b));
    (code.filter(|_| color), mark.filter(|_| marks))
}

/// The smallest and the largest finite value. Zero is included when it is near.
fn bounds(lines: &[Line]) -> Option<(f64, f64)> {
    let finite = lines.iter().flat_map(|l| &l.points).map(|(_, v)| *v).filter(|v| v.is_finite());
    let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    if low > high {
        return None;
    }
    Some((if low > 0.0 && low < high / 2.0 { 0.0 } else { low }, high))
}

fn draw(canvas: &mut Canvas, owner: usize, line: &Line, (low, high): (f64, f64), options: &PlotOptions) {
    let span = options.end.saturating_sub(options.start).max(1) as f64;
    let mut last: Option<(i64, (f64, f64))> = None;
    for &(t, v) in &line.points {
        if !v.is_finite() || t < options.start || t > options.end {
            last = None;
            continue;
        }
        let at = (t.saturating_sub(options.start) as f64 / span, fraction(high - v, high - low));
        let from = last.filter(|(before, _)| t.saturating_sub(*before) <= options.max_gap).map_or(at, |(_, p)| p);
        canvas.line(owner, from, at);
        last = Some((t, at));
    }
}

fn fraction(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { (part / whole).clamp(0.0, 1.0) } else { 0.5 }
}

/// The line below the drawing and the times below it.
fn write_time_axis(out: &mut String, margin: usize, width: usize, options: &PlotOptions) {
    let span = options.end.saturating_sub(options.start).max(1);
    let (mut axis, mut labels) = (vec!['\u{2500}'; width], String::new());
    for tick in time_ticks(options.start, options.end, (width / 14).max(1)) {
        let column = ((tick - options.start) as f64 / span as f64 * (width - 1) as f64).round() as usize;
        let label = format_tick(tick, span);
        // Centred under its tick, where it fits.
        let begin = column.saturating_sub(label.len() / 2);
        let free = labels.is_empty() || begin > labels.len();
        if let Some(place) = axis.get_mut(column)
            && free
            && begin + label.len() <= width
        {
            *place = '\u{252c}';
            let _ = write!(labels, "{:>pad$}{label}", "", pad = begin - labels.len());
        }
    }
    let axis: String = axis.into_iter().collect();
    let _ = writeln!(out, "{:>margin$} \u{2514}{axis}", "");
    let _ = writeln!(out, "{:>margin$}  {labels} UTC", "");
}

fn write_legend(out: &mut String, lines: &[Line], options: &PlotOptions) {
    let marks = lines.len() > 1 && !options.color;
    for (owner, line) in lines.iter().enumerate().take(LEGEND_LIMIT) {
        let sign = match paint(owner, options.color, marks) {
            (Some(code), _) => format!("\u{1b}[{code}m\u{2501}\u{2501}\u{1b}[0m"),
            (None, Some(mark)) => format!(" {mark}"),
            (None, None) => "\u{2501}\u{2501}".to_owned(),
        };
        let last = line.points.last().map_or(f64::NAN, |(_, v)| *v);
        let name: String = line.name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let _ = writeln!(out, "{sign} {name}  last {}", short(last));
    }
    if lines.len() > LEGEND_LIMIT {
        let _ = writeln!(out, "   and {} more series", lines.len() - LEGEND_LIMIT);
    }
}

/// A number with four significant digits.
fn short(v: f64) -> String {
    if v == 0.0 || !v.is_finite() {
        return format_number(v);
    }
    // The exponent of a finite float that is not zero is between -324 and 308.
    let decimals = 3 - v.abs().log10().floor() as i32;
    if (0..=9).contains(&decimals) { format!("{v:.0$}", decimals as usize) } else { format_number(v) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(width: usize, color: bool) -> PlotOptions {
        let (start, end) = (0, 3_600_000);
        PlotOptions { width, height: 8, color, title: Some("title".into()), start, end, max_gap: 60_000 }
    }

    fn line(name: &str, value: impl Fn(i64) -> f64) -> Line {
        Line { name: name.into(), points: (0..=60).map(|m| (m * 60_000, value(m))).collect() }
    }

    fn dots(text: &str) -> usize {
        text.chars().filter(|c| ('\u{2801}'..='\u{28ff}').contains(c)).count()
    }

    #[test]
    fn one_series_in_braille_with_axes() {
        let text = render(&[line("up{a=\"b\"}", |m| m as f64)], &options(60, false));
        let rows: Vec<&str> = text.lines().collect();
        assert_eq!(rows[0], "title");
        assert_eq!(rows.len(), 1 + 8 + 2 + 1, "{text}");
        assert!(rows[1].trim_start().starts_with("60 "), "{text}");
        assert!(rows[8].trim_start().starts_with("0 "), "{text}");
        assert!(rows[10].contains("00:30") && rows[10].ends_with("UTC"), "{text}");
        assert!(rows[11].contains("up{a=\"b\"}  last 60"), "{text}");
        assert!(rows[1..9].iter().all(|r| r.chars().count() <= 60), "{text}");
        // A rising line has dots in every row and goes from the lower left to the upper right.
        assert!(rows[1..9].iter().all(|r| dots(r) > 0), "{text}");
        assert!(rows[1].trim_end_matches('\u{2800}').chars().last().is_some_and(|c| c > '\u{2800}'), "{text}");
        assert!(!text.contains('\u{1b}'), "no colours were asked for");
    }

    #[test]
    fn several_series_by_colour_or_by_mark() {
        let two = [line("one", |_| 1.0), line("two", |_| 2.0)];
        let coloured = render(&two, &options(60, true));
        assert!(coloured.contains("\u{1b}[32m") && coloured.contains("\u{1b}[33m"), "{coloured}");
        let marked = render(&two, &options(60, false));
        assert!(marked.contains("***") && marked.contains("+++") && dots(&marked) == 0, "{marked}");
        let many: Vec<Line> = (0..20).map(|i| line(&format!("s{i}"), |_| f64::from(i))).collect();
        assert!(render(&many, &options(60, false)).contains("and 8 more series"));
    }

    #[test]
    fn gaps_are_not_bridged_and_what_is_not_finite_is_left_out() {
        let ends = Line { name: "x".into(), points: vec![(0, 1.0), (60_000, f64::NAN), (3_600_000, 1.0)] };
        let text = render(&[ends], &options(60, false));
        assert_eq!(dots(&text), 2, "{text}");
        assert!(render(&[line("x", |_| f64::INFINITY)], &options(60, false)).contains("nothing to plot"));
        assert!(render(&[], &options(60, false)).contains("nothing to plot"));
    }

    #[test]
    fn odd_input_is_drawn() {
        for v in [0.0, -1e300, 1e300, 5e-324, 1e17] {
            let text = render(&[line("x", |m| v * (m % 2) as f64)], &options(1, true));
            assert!(text.contains("last"), "{v}: {text}");
        }
        let mut extreme = options(40, false);
        (extreme.start, extreme.end) = (i64::MIN, i64::MAX);
        render(&[line("x", |_| 1.0)], &extreme);
    }
}
