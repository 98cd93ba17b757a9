//! Random series in the notation of Prometheus' tests.

use chronolith_promql::duration;

use crate::{
    dice::Dice,
    histograms,
    rules::{Peer, Rule},
};

/// One series: its labels, its points, and where they started, each as it is written.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    pub(crate) labels: String,
    pub(crate) starts: Option<Vec<String>>,
    pub(crate) points: Vec<String>,
}

/// The series that both servers get.
#[derive(Clone, Debug)]
pub(crate) struct Data {
    pub(crate) step: &'static str,
    pub(crate) series: Vec<Series>,
    /// Whether histograms of whole numbers are sent as integers.
    pub(crate) integers: bool,
}

/// How a metric's numbers go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Counter,
    Gauge,
    /// With infinities and NaN.
    Wild,
    One,
    Histogram(histograms::Flavour),
    /// Floats and histograms by turns.
    Mixed,
}

/// The metrics: name, shape, label sets.
const METRICS: &[(&str, Shape, &[&str])] = &[
    ("c_total", Shape::Counter, &[AX, AY, BX, BY]),
    ("c", Shape::Counter, &[AX, BX, r#"job="c",env="p""#]),
    ("g", Shape::Gauge, &[AX, AY, BX, BY]),
    ("g2", Shape::Gauge, &[r#"job="a",env="p""#, r#"job="b",env="q""#, r#"job="b",env="p""#]),
    ("wild", Shape::Wild, &[AX, BY]),
    ("target_info", Shape::One, &[r#"job="a",instance="x",version="1""#, r#"job="b",instance="x",version="2""#]),
    ("build_info", Shape::One, &[r#"job="a",instance="x",rev="r""#, r#"job="b",instance="y",rev="s""#]),
];
const HISTOGRAMS: &[(&str, Shape, &[&str])] = &[
    ("h", Shape::Histogram(histograms::Flavour::Exponential), &[AX, AY, BX]),
    ("hg", Shape::Histogram(histograms::Flavour::Gauge), &[AX, BX]),
    ("hc", Shape::Histogram(histograms::Flavour::Custom), &[AX, AY, BX]),
    ("mix", Shape::Mixed, &[AX, BX]),
];
const AX: &str = r#"job="a",instance="x""#;
const AY: &str = r#"job="a",instance="y""#;
const BX: &str = r#"job="b",instance="x""#;
const BY: &str = r#"job="b",instance="y""#;

impl Data {
    pub(crate) fn random(dice: &mut Dice, peer: Peer) -> Data {
        // Steps of the old peer are not whole seconds, so that no sample stands on the edge of a window.
        let apart = peer.has(Rule::EdgesApart);
        let step = if apart { "15s7ms" } else { *dice.pick(&["15s", "15s", "10s", "30s"]) };
        let points = 40 + dice.below(60);
        let metrics = METRICS.iter().chain(if peer.has(Rule::FloatsOnly) { &[] } else { HISTOGRAMS });
        let mut series = Vec::new();
        for (name, shape, label_sets) in metrics {
            if *shape == Shape::Wild && peer.has(Rule::PlainSums) {
                continue;
            }
            for labels in *label_sets {
                series.push(random_series(dice, &format!("{name}{{{labels}}}"), *shape, points, peer));
            }
        }
        for job in ["a", "b"] {
            classic_histogram(dice, job, points, peer, &mut series);
        }
        for one in &mut series {
            if apart {
                // Point 0 stands at a full second.
                one.points[0] = "_".to_owned();
            }
            // Native histograms with start timestamps cannot be brought to Prometheus as they are (see `messages.rs`).
            let floats = !one.points.iter().any(|point| point.starts_with('{'));
            if floats && !peer.has(Rule::FloatsOnly) && dice.percent(if one.labels.starts_with('c') { 40 } else { 10 })
            {
                one.starts = Some(starts(dice, one.points.len(), duration::parse(step).unwrap() / 1000));
            }
        }
        Data { step, series, integers: dice.percent(50) }
    }

    /// The block of a test.
    pub(crate) fn load(&self) -> String {
        let mut text = format!("load {}\n", self.step);
        for series in &self.series {
            if let Some(starts) = &series.starts {
                text.push_str(&format!("  {}@st {}\n", series.labels, starts.join(" ")));
            }
            text.push_str(&format!("  {} {}\n", series.labels, series.points.join(" ")));
        }
        text
    }

    /// The end of the samples, in milliseconds.
    pub(crate) fn end(&self) -> i64 {
        let points = self.series.iter().map(|s| s.points.len()).max().unwrap_or(0);
        let step = duration::parse(self.step).unwrap();
        points as i64 * step
    }
}

fn random_series(dice: &mut Dice, labels: &str, shape: Shape, points: usize, peer: Peer) -> Series {
    let points = match shape {
        Shape::Counter => counter(dice, points, peer),
        Shape::Gauge => gauge(dice, points, false),
        Shape::Wild => gauge(dice, points, true),
        Shape::One => with_gaps(dice, points, |_| "1".to_owned()),
        Shape::Histogram(flavour) => {
            let mut walk = histograms::Walk::new(dice, flavour);
            with_gaps(dice, points, |dice| walk.next(dice))
        }
        Shape::Mixed => {
            let mut walk = histograms::Walk::new(dice, histograms::Flavour::Exponential);
            let (mut value, mut is_float) = (0, dice.percent(50));
            with_gaps(dice, points, |dice| {
                is_float ^= dice.percent(15);
                value += dice.between(0, 5);
                let histogram = walk.next(dice);
                if is_float { value.to_string() } else { histogram }
            })
        }
    };
    Series { labels: labels.to_owned(), starts: None, points }
}

/// Points by a rule, with gaps and stale markers among them in most series.
fn with_gaps(dice: &mut Dice, points: usize, mut next: impl FnMut(&mut Dice) -> String) -> Vec<String> {
    let (gap, stale) = *dice.pick(&[(0, 0), (5, 1), (10, 2), (40, 5)]);
    let (from, to) =
        if dice.percent(25) { (dice.below(points / 2), points - dice.below(points / 2)) } else { (0, points) };
    (0..points)
        .map(|i| {
            let point = next(dice);
            if i < from || i >= to || dice.percent(gap) {
                "_".to_owned()
            } else if dice.percent(stale) {
                "stale".to_owned()
            } else {
                point
            }
        })
        .collect()
}

fn counter(dice: &mut Dice, points: usize, peer: Peer) -> Vec<String> {
    let high = peer.has(Rule::Extrapolation);
    let (most, resets) = (*dice.pick(&[1, 10, 100]), if high { 0 } else { *dice.pick(&[0, 3, 10]) });
    let mut value = if high { HIGH } else { dice.between(0, 1000) * dice.between(0, 1) };
    with_gaps(dice, points, |dice| {
        value = if dice.percent(resets) { dice.between(0, most) } else { value + dice.between(0, most) };
        value.to_string()
    })
}

fn gauge(dice: &mut Dice, points: usize, wild: bool) -> Vec<String> {
    let unit = *dice.pick(&[1.0, 0.5, 0.1, 1000.0]);
    with_gaps(dice, points, |dice| {
        if wild && dice.percent(15) {
            return (*dice.pick(&["NaN", "Inf", "-Inf", "1e300", "-1e300", "1e-300", "-0"])).to_owned();
        }
        (dice.between(-20, 50) as f64 * unit).to_string()
    })
}

/// Where counters begin for [`Rule::Extrapolation`].
const HIGH: i64 = 1_000_000;

/// The buckets of a classic histogram, each a series.
fn classic_histogram(dice: &mut Dice, job: &str, points: usize, peer: Peer, series: &mut Vec<Series>) {
    let bounds = *dice.pick(&[
        &["0.1", "1", "2.5", "10", "+Inf"][..],
        &["0.1", "1", "+Inf"],
        &["0", "5", "1e1", "+Inf"],
        &["-1", "1", "2"],
        &["+Inf"],
        &["0.5", "oops", "3", "+Inf"],
    ]);
    let holes = *dice.pick(&[0, 0, 10]);
    let disorder = *dice.pick(&[0, 0, 3]);
    let high = peer.has(Rule::Extrapolation);
    let mut counts = vec![if high { HIGH } else { 0 }; bounds.len()];
    let mut rows: Vec<Vec<String>> = vec![Vec::new(); bounds.len()];
    for _ in 0..points {
        let hit = dice.below(bounds.len());
        let many = dice.between(0, 6);
        for (i, count) in counts.iter_mut().enumerate() {
            *count = if i >= hit { *count + many } else { *count };
            let shown = if dice.percent(disorder) { (*count - 3).max(0) } else { *count };
            rows[i].push(if dice.percent(holes) { "_".to_owned() } else { shown.to_string() });
        }
        if dice.percent(2) && !high {
            counts.fill(0);
        }
    }
    for (bound, points) in bounds.iter().zip(rows) {
        series.push(Series { labels: format!(r#"lat_bucket{{job="{job}",le="{bound}"}}"#), starts: None, points });
    }
}

/// Start timestamps, each as a distance from its sample: mostly one that stays until a reset. None is before 1970, which
/// OTLP cannot say.
fn starts(dice: &mut Dice, points: usize, step: i64) -> Vec<String> {
    let mut age = dice.between(0, 90);
    (0..points as i64)
        .map(|i| {
            age = if dice.percent(8) { dice.between(0, 20) } else { age + step };
            match dice.below(12) {
                0 => "_".to_owned(),
                1 => format!("-{}s", dice.between(0, 40).min(i * step)),
                _ => format!("-{}s", age.min(i * step)),
            }
        })
        .collect()
}
