//! What may be generated for a peer: everything for today's Prometheus, and for an old one what both mean alike.

/// What the real Prometheus beside us is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// Version 3, with every feature on: everything is generated.
    Today,
    /// Version 2: see [`Rule`].
    Old,
}

/// Why something is not generated for an old Prometheus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Ranges and the lookback are closed on the left in 2.x and open in 3.x. Samples, steps and edges of windows
    /// therefore stand at different phases of the second; a subquery, whose points stand at full seconds, has no other
    /// inside.
    EdgesApart,
    /// Remote write 1.0 and a stable 2.x know no native histograms and no start timestamps.
    FloatsOnly,
    /// Functions that came later or mean something else there: see [`FUNCTIONS_SINCE`].
    LaterFunctions,
    /// `limitk`, `limit_ratio`, `fill`, `anchored`, `smoothed`, trimming, `info`, duration expressions, numbers written as
    /// durations.
    LaterSyntax,
    /// 2.x has no annotations for most of what 3.x tells.
    Annotations,
    /// Texts of errors were changed in many places; what kind of error it is was not.
    ErrorTexts,
    /// Which of equal values `topk` and `bottomk` take, and in what order equal values are sorted, is chance.
    TiesByChance,
    /// Rates are extrapolated in another order (first to where the counter was 0, then to the average distance). Counters
    /// there stand so high and grow so slowly that they never were 0, and nothing else has a rate.
    Extrapolation,
    /// The name survives `atan2`, which is a fault.
    NameAfterAtan2,
    /// The standard deviation of one infinity or NaN is 0.
    SpreadOfNaN,
    /// A comparison that filters does not look for several matches among what it leaves out.
    FilteredMatches,
    /// Sums are not compensated in 2.x: values whose sums cancel, and infinities, are not stored; no sum becomes a label.
    PlainSums,
}

/// Stable functions that 2.42 does not have, or has with another meaning.
const FUNCTIONS_SINCE: &[&str] = &[
    "first_over_time",
    "histogram_avg",
    "histogram_count",
    "histogram_fraction",
    "histogram_stddev",
    "histogram_stdvar",
    "histogram_sum",
    // Over a range with `@` it gives the first step only.
    "predict_linear",
];

impl Peer {
    /// Whether this is to be left out.
    pub(crate) const fn has(self, rule: Rule) -> bool {
        // Each rule has its reason above; all of them bind an old peer and none binds today's.
        let _ = rule;
        matches!(self, Self::Old)
    }

    /// Whether this function may be generated.
    pub(crate) fn knows(self, function: &str, experimental: bool) -> bool {
        !self.has(Rule::LaterFunctions) || !(experimental || FUNCTIONS_SINCE.contains(&function))
    }
}
