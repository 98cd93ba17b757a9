//! Round numbers and round times for axes.

/// The steps between times, in milliseconds, that read well on a clock or a calendar.
const TIME_STEPS: [i64; 24] = [
    1_000,
    2_000,
    5_000,
    10_000,
    15_000,
    30_000,
    60_000,
    120_000,
    300_000,
    600_000,
    900_000,
    1_800_000,
    3_600_000,
    7_200_000,
    10_800_000,
    21_600_000,
    43_200_000,
    86_400_000,
    172_800_000,
    604_800_000,
    1_209_600_000,
    2_592_000_000,
    7_776_000_000,
    31_536_000_000,
];

/// The value axis: bounds that hold all values, and labelled ticks between them.
#[derive(Debug, PartialEq)]
pub(super) struct ValueAxis {
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) ticks: Vec<(f64, String)>,
}

/// An axis from about `low` to about `high` with about `wanted` ticks at round numbers.
pub(super) fn value_ticks(low: f64, high: f64, wanted: usize) -> ValueAxis {
    // Halves keep the span finite for the largest floats.
    let span = (high / 2.0 - low / 2.0) * 2.0;
    let room = if span > 0.0 && span.is_finite() { span } else { low.abs().clamp(1.0, f64::MAX / 8.0) };
    let step = round_step(room / wanted.max(1) as f64);
    if !(step.is_normal() && (low / step).abs() < 1e15 && (high / step).abs() < 1e15) {
        let label = |v: f64| (v, format!("{v:.2e}"));
        return ValueAxis { low, high, ticks: vec![label(low), label(high)] };
    }
    let (first, last) = ((low / step).floor(), (high / step).ceil());
    let last = if last > first { last } else { first + 1.0 };
    let count = (last - first) as usize;
    let ticks = (0..=count).map(|i| (first + i as f64) * step).map(|v| (v, tick_label(v, step))).collect();
    ValueAxis { low: first * step, high: last * step, ticks }
}

/// The smallest of 1, 2, 2.5, 5 times a power of ten that is not below `least`.
fn round_step(least: f64) -> f64 {
    let power = 10f64.powf(least.log10().floor());
    [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|m| m * power).find(|s| *s >= least * 0.999_999).unwrap_or(least)
}

/// A tick with the decimals that its step needs, in thousands, millions ... when it is large.
fn tick_label(value: f64, step: f64) -> String {
    let (unit, suffix) = [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")]
        .into_iter()
        .find(|(unit, _)| step >= *unit)
        .unwrap_or((1.0, ""));
    let (value, step) = (value / unit, step / unit);
    let decimals = (0..9).find(|d| {
        let scaled = step * 10f64.powi(*d);
        (scaled - scaled.round()).abs() < 1e-6 * scaled
    });
    match decimals {
        // Zero is not shown as "-0".
        Some(d) => format!("{:.*}{suffix}", d as usize, if value == 0.0 { 0.0 } else { value }),
        None => format!("{value:.1e}{suffix}"),
    }
}

/// Round times inside the range, about `wanted` of them.
pub(super) fn time_ticks(start: i64, end: i64, wanted: usize) -> Vec<i64> {
    let span = end.saturating_sub(start).max(1);
    let least = span / i64::try_from(wanted.max(1)).unwrap_or(1);
    let step = TIME_STEPS.into_iter().find(|s| *s >= least).unwrap_or(least.max(1));
    let first = start.div_euclid(step).saturating_mul(step);
    (0..=i64::try_from(wanted).unwrap_or(0) + 1)
        .filter_map(|i| first.checked_add(step.checked_mul(i)?))
        .filter(|t| (start..=end).contains(t))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_get_round_ticks() {
        let labels = |low, high| value_ticks(low, high, 4).ticks.into_iter().map(|(_, l)| l).collect::<Vec<_>>();
        assert_eq!(labels(0.0, 0.9), ["0.00", "0.25", "0.50", "0.75", "1.00"]);
        assert_eq!(labels(-3.0, 3.0), ["-4", "-2", "0", "2", "4"]);
        assert_eq!(labels(0.0, 60_000.0), ["0k", "20k", "40k", "60k"]);
        assert_eq!(labels(5.0, 5.0), ["4", "6"]);
        assert_eq!(labels(0.0, 0.0), ["0.00", "0.25"]);
        let axis = value_ticks(0.013, 0.0571, 3);
        assert!(axis.low <= 0.013 && axis.high >= 0.0571);
    }

    #[test]
    fn times_get_round_ticks() {
        let hour = time_ticks(30_000, 3_630_000, 4);
        assert_eq!(hour, [900_000, 1_800_000, 2_700_000, 3_600_000]);
        assert_eq!(time_ticks(2_000, 2_000, 3), [2_000]);
        assert!(time_ticks(i64::MIN, i64::MAX, 3).len() <= 5);
    }
}
