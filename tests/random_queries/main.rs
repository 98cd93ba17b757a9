//! Random queries over random series must get the answers of a real Prometheus.
//!
//! RANDOM_QUERIES says how many (300), RANDOM_QUERIES_SEED which (1), RANDOM_QUERIES_FROM at which to begin, to come back
//! to one. PROMETHEUS names the binary, else the one in PATH
//! is taken; without one the test says so and passes, except where CI=true. For a version 3 everything is generated, for
//! a version 2 what both mean alike (`rules.rs`). Each difference is made small and printed as a case for `tests/promql/`.
#![cfg(feature = "server")]
#![expect(clippy::unwrap_used, reason = "a test")]

mod answers;
mod arguments;
mod data;
mod dice;
mod grammar;
mod histograms;
#[path = "../real_prometheus/http.rs"]
mod http;
mod messages;
mod node;
mod operators;
mod peers;
mod report;
mod rules;
mod selectors;
mod shrink;
#[path = "../real_prometheus/spawn.rs"]
mod spawn;

use answers::{Answer, difference};
use chronolith_promql::duration;
use data::Data;
use dice::Dice;
use node::Node;
use peers::{Pair, Real};
use report::{Excuse, Report, say};
use rules::{Peer, Rule};
use selectors::LABELS;
use shrink::Times;

/// How far back a selector looks for a sample.
const LOOKBACK_MS: i64 = 300_000;

/// So often Prometheus is asked again where it differs.
const ASKED_AGAIN: usize = 12;
/// So many queries share their series.
const PER_DATA: usize = 250;

#[test]
fn random_queries_get_the_answers_of_a_real_prometheus() {
    let binary = match spawn::find("PROMETHEUS", "prometheus") {
        Ok(binary) => binary,
        Err(missing) => {
            let note = format!("random_queries: NOT RUN: {missing}");
            assert!(std::env::var("CI").as_deref() != Ok("true"), "{note}");
            return say(&note);
        }
    };
    let real = Real::find(binary).unwrap();
    let number = |name: &str, default: u64| {
        std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|e| panic!("{name}={text}: {e}")))
    };
    let (seed, queries) = (number("RANDOM_QUERIES_SEED", 1), number("RANDOM_QUERIES", 300) as usize);
    say(&format!("Prometheus {} ({:?}), seed {seed}, {queries} queries", real.version, real.peer));
    let mut report = Report::default();
    let first = number("RANDOM_QUERIES_FROM", 0) as usize / PER_DATA;
    for part in first..(first * PER_DATA + queries).div_ceil(PER_DATA) {
        let here = PER_DATA.min(first * PER_DATA + queries - part * PER_DATA);
        run_part(&real, seed, part, here, &mut report);
        say(&format!("{report}"));
    }
    assert!(report.differences() == 0, "{report}");
}

/// One set of series and its queries.
fn run_part(real: &Real, seed: u64, part: usize, queries: usize, report: &mut Report) {
    let mut dice = Dice::part(seed, part as u64);
    let data = Data::random(&mut dice, real.peer);
    // Half of the series are asked with names dropped at the end of the query.
    let delayed = real.peer == Peer::Today && part % 2 == 1;
    let pair = Pair::start(real, &data, delayed).unwrap_or_else(|e| panic!("part {part}: {e}"));
    for i in 0..queries {
        let mut dice = Dice::new(dice.seed());
        let node = grammar::query(&mut dice, real.peer);
        let times = times(&mut dice, real.peer, data.end());
        let (ours, theirs) =
            pair.ask(&path(&node, times)).unwrap_or_else(|e| panic!("{}: {e}\n{}", node.render(), pair.log()));
        let number = part * PER_DATA + i;
        let found = difference(&ours, &theirs, real.peer, ordered(&node, times, &theirs));
        report.count(&ours, &theirs);
        let Some(what) = found.filter(|_| !report.is_known_to_lack(&ours)) else { continue };
        let excuse = if by_layout(&node) {
            Some(Excuse::Layout)
        } else {
            by_chance(&pair, &path(&node, times), (&ours, &theirs), real.peer)
        };
        if let Some(excuse) = excuse {
            report.excused(excuse);
            if excuse != Excuse::ChanceAsOurs {
                say(&format!("#{number} not counted ({excuse:?}): {} {times:?}\n    {what}", node.render()));
            }
            continue;
        }
        report.differs();
        if !report.may_shrink() {
            say(&format!("#{number} differs: {} {times:?}\n    {what}", node.render()));
            continue;
        }
        let case = Case { real, delayed, pair: &pair, data: &data };
        say(&case.shrunk(number, node, times, &ours, &theirs, &what));
    }
}

/// Whether Prometheus, asked again, answers otherwise: steps of a range query leave their series in the order of a map of
/// Go, which is another each time, and that order decides between equal values.
fn by_chance(pair: &Pair, path: &str, (ours, theirs): (&Answer, &Answer), peer: Peer) -> Option<Excuse> {
    let again: Vec<Answer> = (0..ASKED_AGAIN).filter_map(|_| pair.ask(path).ok()).map(|(_, theirs)| theirs).collect();
    if again.iter().all(|a| difference(a, theirs, peer, true).is_none()) {
        return None;
    }
    let as_ours = again.iter().any(|a| difference(ours, a, peer, false).is_none());
    Some(if as_ours { Excuse::ChanceAsOurs } else { Excuse::Chance })
}

/// Whether the answer hangs on how Prometheus stores its samples. It opens its storage for the times that the selectors of
/// the query need, and finds info series of other times, for which `info` looks too, only where a chunk reaches into them.
/// That can only be where a range is shorter than the lookback.
fn by_layout(node: &Node) -> bool {
    let text = node.render();
    let ranges = text.split('[').skip(1).map(|rest| rest.split([']', ':']).next().unwrap_or_default());
    // A range that is computed may be as short as it likes.
    let mut short = ranges.map(|range| duration::parse(range.trim()).unwrap_or(0));
    text.contains("info(") && short.any(|ms| ms < LOOKBACK_MS)
}

/// When a query is evaluated. For an old peer at another phase of the second than samples and subqueries.
fn times(dice: &mut Dice, peer: Peer, end: i64) -> Times {
    let phase = if peer.has(Rule::EdgesApart) { 953 } else { dice.pick(&[0, 0, 0, 0, 1, 500, 7000]) };
    let at = |dice: &mut Dice| dice.between(0, end / 5000 + 20) * 5000 + phase;
    if dice.percent(50) {
        return Times::At(at(dice));
    }
    let start = at(dice);
    let step = dice.pick(&[15_000, 15_000, 30_000, 60_000, 7_000, 300_000, 1_000]);
    Times::Range { start, end: start + step * dice.between(0, 15), step }
}

fn path(node: &Node, times: Times) -> String {
    let seconds = |ms: i64| format!("{}.{:03}", ms.div_euclid(1000), ms.rem_euclid(1000));
    let query = http::escape(&node.render());
    match times {
        Times::At(t) => format!("/api/v1/query?query={query}&time={}", seconds(t)),
        Times::Range { start, end, step } => format!(
            "/api/v1/query_range?query={query}&start={}&end={}&step={}",
            seconds(start),
            seconds(end),
            seconds(step)
        ),
    }
}

/// Whether the order of the answer's series means something. Prometheus sorts by a label that some series lack into no
/// order at all: such a series is never before another.
fn ordered(node: &Node, times: Times, answer: &Answer) -> bool {
    let text = node.render();
    if text.starts_with("sort_by_label")
        && !LABELS.iter().all(|l| !text.contains(&format!("{l:?}")) || answer.all_have(l))
    {
        return false;
    }
    matches!(times, Times::At(_)) && ["sort", "topk", "bottomk"].iter().any(|name| text.starts_with(name))
}

/// A query whose answers differ, and where.
struct Case<'a> {
    real: &'a Real,
    delayed: bool,
    pair: &'a Pair,
    data: &'a Data,
}

impl Case<'_> {
    fn differs(&self, pair: &Pair, node: &Node, times: Times) -> bool {
        pair.ask(&path(node, times)).is_ok_and(|(ours, theirs)| {
            !ours.lacks()
                && difference(&ours, &theirs, self.real.peer, ordered(node, times, &theirs)).is_some()
                && by_chance(pair, &path(node, times), (&ours, &theirs), self.real.peer).is_none()
        })
    }

    /// The case made small, as text.
    fn shrunk(&self, number: usize, node: Node, times: Times, ours: &Answer, theirs: &Answer, first: &str) -> String {
        let original = node.render();
        let mut moments: Vec<i64> = ours.times().union(&theirs.times()).copied().collect();
        moments.truncate(20);
        let (node, times) = shrink::query(node, times, &moments, |node, times| self.differs(self.pair, node, times));
        let data = shrink::data(self.data, |fewer| {
            Pair::start(self.real, fewer, self.delayed).is_ok_and(|pair| self.differs(&pair, &node, times))
        });
        let asked = Pair::start(self.real, &data, self.delayed).and_then(|pair| pair.ask(&path(&node, times)));
        let (ours, theirs) = asked.unwrap_or_else(|_| (ours.clone(), theirs.clone()));
        let what = difference(&ours, &theirs, self.real.peer, ordered(&node, times, &theirs));
        let head = format!("#{number} (delayed name removal: {}) {original}", self.delayed);
        let what = what.unwrap_or_else(|| format!("not seen again on servers started anew; was: {first}"));
        format!("{head}\n  {what}\n{}\n", report::case(&data, &node, times, &theirs))
    }
}
