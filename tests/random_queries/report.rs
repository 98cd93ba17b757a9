//! What a run found: numbers, and differences as cases for Prometheus' test files.

use std::fmt::{self, Display, Formatter};
use std::io::Write;

use crate::answers::{Answer, Point};
use crate::data::Data;
use crate::node::Node;
use crate::shrink::Times;

/// So many differences are made small; it takes seconds each.
const SHRUNK: usize = 25;

/// Why what differs is not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Excuse {
    /// It hangs on how Prometheus cut its chunks.
    Layout,
    /// Prometheus answers otherwise when it is asked again.
    Chance,
    /// The same, and one of its answers is ours.
    ChanceAsOurs,
}

/// The numbers of a run.
#[derive(Debug, Default)]
pub(crate) struct Report {
    asked: usize,
    failed: usize,
    empty: usize,
    lacking: usize,
    differences: usize,
    shrunk: usize,
    by_layout: usize,
    by_chance: usize,
    by_chance_as_ours: usize,
}

impl Report {
    pub(crate) fn count(&mut self, ours: &Answer, theirs: &Answer) {
        self.asked += 1;
        self.failed += usize::from(theirs.is_failure());
        self.empty += usize::from(theirs.is_empty());
        self.lacking += usize::from(ours.lacks());
    }

    /// What our engine says it lacks is counted apart.
    pub(crate) fn is_known_to_lack(&self, ours: &Answer) -> bool {
        ours.lacks()
    }

    /// What Prometheus itself does not answer alike each time, or everywhere, is no difference.
    pub(crate) fn excused(&mut self, excuse: Excuse) {
        *match excuse {
            Excuse::Layout => &mut self.by_layout,
            Excuse::Chance => &mut self.by_chance,
            Excuse::ChanceAsOurs => &mut self.by_chance_as_ours,
        } += 1;
    }

    pub(crate) fn differs(&mut self) {
        self.differences += 1;
    }

    /// Whether one more difference is to be made small.
    pub(crate) fn may_shrink(&mut self) -> bool {
        self.shrunk += 1;
        self.shrunk <= SHRUNK
    }

    pub(crate) const fn differences(&self) -> usize {
        self.differences
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { asked, failed, empty, lacking, differences, by_layout, by_chance, by_chance_as_ours, .. } = self;
        write!(
            f,
            "{asked} queries: {differences} differ, {lacking} not supported yet ({empty} are empty, {failed} errors for \
             Prometheus; not counted: {by_chance_as_ours} it answers otherwise each time and also as we do, {by_chance} \
             otherwise each time, {by_layout} by the layout of its chunks)"
        )
    }
}

/// Straight to stderr: the harness hides what a passing test prints.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// A case of a test file that expects their answer.
pub(crate) fn case(data: &Data, node: &Node, times: Times, theirs: &Answer) -> String {
    let at = |ms: i64| format!("{ms}ms");
    let eval = match times {
        Times::At(t) => format!("eval instant at {} {}", at(t), node.render()),
        Times::Range { start, end, step } => {
            format!("eval range from {} to {} step {} {}", at(start), at(end), at(step), node.render())
        }
    };
    let mut text = format!("clear\n{}\n{eval}\n", trimmed(data).load());
    match theirs {
        Answer::Failure { text: error, .. } => text.push_str(&format!("  expect fail msg: {error}\n")),
        Answer::Success { series, notes, .. } => {
            for (level, notes) in ["warn", "info"].iter().zip(notes) {
                for note in notes {
                    text.push_str(&format!("  expect {level} msg: {note}\n"));
                }
            }
            for (labels, samples) in series {
                let values: Vec<String> = samples.iter().map(|s| shown(&s.point)).collect();
                text.push_str(&format!("  {} {}\n", metric(labels), values.join(" ")));
            }
        }
    }
    text
}

/// Without the gaps at the end of all series.
fn trimmed(data: &Data) -> Data {
    let mut data = data.clone();
    for series in &mut data.series {
        let used = series.points.iter().rposition(|point| point != "_").map_or(1, |last| last + 1);
        series.points.truncate(used);
        if let Some(starts) = &mut series.starts {
            starts.truncate(used);
        }
    }
    data
}

fn metric(labels: &str) -> String {
    let Ok(serde_json::Value::Object(labels)) = serde_json::from_str(labels) else { return String::new() };
    let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name:?}={value}")).collect();
    format!("{{{}}}", pairs.join(", "))
}

fn shown(point: &Point) -> String {
    match point {
        Point::Float(value) => value.to_string(),
        Point::Text(text) => format!("{text:?}"),
        Point::Histogram([count, sum], buckets) => format!("{{{{count:{count} sum:{sum}}}}} # buckets {buckets:?}"),
    }
}
