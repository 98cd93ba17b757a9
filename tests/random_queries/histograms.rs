//! Native histograms that go on from point to point, as the notation of Prometheus' tests writes them.

use crate::dice::Dice;

/// What kind of histogram a series has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flavour {
    Exponential,
    Gauge,
    Custom,
}

/// A histogram and how it goes on.
pub(crate) struct Walk {
    flavour: Flavour,
    /// Of 100 points, how many change the layout of the buckets.
    unrest: u64,
    schema: i64,
    width: &'static str,
    bounds: &'static str,
    offset: i64,
    zero: i64,
    positive: Vec<i64>,
    negative: Vec<i64>,
    sum: i64,
    /// In place of counts of whole numbers, halves.
    halves: bool,
}

const BOUNDS: &[(&str, usize)] =
    &[("0.5 1 2", 4), ("0.5 1 2", 4), ("1 2", 3), ("0.5 1 2 5 10", 6), ("-1 0 5", 4), ("7", 2)];

impl Walk {
    pub(crate) fn new(dice: &mut Dice, flavour: Flavour) -> Walk {
        let mut walk = Walk {
            flavour,
            unrest: *dice.pick(&[0, 2, 10]),
            schema: 0,
            width: "0",
            bounds: "",
            offset: 0,
            zero: 0,
            positive: Vec::new(),
            negative: Vec::new(),
            sum: 0,
            halves: dice.percent(15),
        };
        walk.restart(dice);
        walk
    }

    /// Another layout, and no observations.
    fn restart(&mut self, dice: &mut Dice) {
        self.sum = 0;
        self.zero = 0;
        if self.flavour == Flavour::Custom {
            let (bounds, buckets) = *dice.pick(BOUNDS);
            self.bounds = bounds;
            self.positive = vec![0; buckets];
            return;
        }
        self.schema = *dice.pick(&[0, 0, 1, 2, 3, -1, -4, 8]);
        self.width = *dice.pick(&["0", "0.001", "0.001", "0.5", "2"]);
        self.offset = dice.between(-3, 3);
        self.positive = vec![0; dice.below(6)];
        self.negative = vec![0; if dice.percent(40) { dice.below(4) } else { 0 }];
    }

    pub(crate) fn next(&mut self, dice: &mut Dice) -> String {
        if dice.percent(self.unrest) {
            self.restart(dice);
        }
        let resets = dice.percent(3);
        let gauge = self.flavour == Flavour::Gauge;
        for count in self.positive.iter_mut().chain(&mut self.negative) {
            let more = dice.between(if gauge { -3 } else { 0 }, 4);
            *count = if resets { 0 } else { (*count + more).max(0) };
        }
        if self.flavour != Flavour::Custom {
            self.zero = if resets { 0 } else { self.zero + dice.between(0, 2) };
        }
        self.sum = if resets { 0 } else { self.sum + dice.between(-5, 20) };
        self.literal(dice)
    }

    fn literal(&self, dice: &mut Dice) -> String {
        let number = |count: i64| if self.halves { (count as f64 / 2.0).to_string() } else { count.to_string() };
        let list = |counts: &[i64]| counts.iter().map(|c| number(*c)).collect::<Vec<_>>().join(" ");
        let total: i64 = self.positive.iter().chain(&self.negative).sum::<i64>() + self.zero;
        let mut text = String::from("{{");
        if self.flavour == Flavour::Custom {
            text.push_str(&format!("schema:-53 custom_values:[{}]", self.bounds));
        } else {
            text.push_str(&format!("schema:{} z_bucket_w:{} z_bucket:{}", self.schema, self.width, number(self.zero)));
        }
        text.push_str(&format!(" sum:{} count:{}", self.sum, number(total)));
        if !self.positive.is_empty() {
            let offset = if self.flavour == Flavour::Custom { 0 } else { self.offset };
            text.push_str(&format!(" offset:{offset} buckets:[{}]", list(&self.positive)));
        }
        if !self.negative.is_empty() {
            text.push_str(&format!(" n_offset:{} n_buckets:[{}]", self.offset, list(&self.negative)));
        }
        if self.flavour == Flavour::Gauge {
            text.push_str(" counter_reset_hint:gauge");
        } else if dice.percent(3) {
            let hint = *dice.pick(&["reset", "not_reset", "unknown", "gauge"]);
            text.push_str(&format!(" counter_reset_hint:{hint}"));
        }
        text.push_str("}}");
        text
    }
}
