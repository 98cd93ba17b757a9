//! Compensated sums over windows: `sum_over_time`, `avg_over_time`, `stdvar_over_time`.

use super::Frame;
use crate::engine::grid::ABSENT;

/// One step of Kahan's sum in Neumaier's form, as Prometheus does it: sum and compensation after adding `inc`.
#[inline]
pub(in crate::engine) fn kahan_add(inc: f64, sum: f64, c: f64) -> (f64, f64) {
    let t = sum + inc;
    let c = if t.is_infinite() {
        0.0
    } else if sum.abs() >= inc.abs() {
        c + ((sum - t) + inc)
    } else {
        c + ((inc - t) + sum)
    };
    (t, c)
}

/// The same sum without a branch: the error of an addition is exact in either form, so the bits are those of
/// [`kahan_add`] as long as everything is finite.
#[inline(always)]
pub(in crate::engine) fn two_sum(inc: f64, sum: f64, c: f64) -> (f64, f64) {
    let t = sum + inc;
    let part = t - sum;
    (t, c + ((sum - (t - part)) + (inc - part)))
}

/// How many windows are summed side by side. One sum is a chain of additions that wait for each other; four chains
/// fill the processor.
const LANES: usize = 4;

/// Fills `out` four windows of equal length at a time with `lanes`, and all others, or what comes out not finite, with
/// `single`.
fn in_lanes(
    frame: &Frame<'_>,
    out: &mut [f64],
    lanes: impl Fn([&[f64]; LANES]) -> [f64; LANES],
    single: impl Fn(&[f64]) -> f64,
) {
    let (lo, hi) = (&frame.windows.lo, &frame.windows.hi);
    let one = |k: usize| &frame.values[lo[k] as usize..hi[k] as usize];
    let mut k = 0;
    while k < out.len() {
        if k + LANES <= out.len() {
            let windows = [one(k), one(k + 1), one(k + 2), one(k + 3)];
            let n = windows[0].len();
            if frame.patience.is_over(n * LANES) {
                return;
            }
            if n > 0 && windows.iter().all(|w| w.len() == n) {
                for ((out, v), window) in out[k..].iter_mut().zip(lanes(windows)).zip(windows) {
                    *out = if v.is_finite() { v } else { single(window) };
                }
                k += LANES;
                continue;
            }
        }
        let window = one(k);
        out[k] = if window.is_empty() { ABSENT } else { single(window) };
        k += 1;
    }
}

/// Sums and compensations of four windows of one length.
#[inline(always)]
fn four_sums(w: [&[f64]; LANES]) -> ([f64; LANES], [f64; LANES]) {
    let (mut sum, mut c) = ([0.0; LANES], [0.0; LANES]);
    for (((a, b), d), e) in w[0].iter().zip(w[1]).zip(w[2]).zip(w[3]) {
        for (lane, v) in [*a, *b, *d, *e].into_iter().enumerate() {
            (sum[lane], c[lane]) = two_sum(v, sum[lane], c[lane]);
        }
    }
    (sum, c)
}

pub(super) fn sum(frame: &Frame<'_>, out: &mut [f64]) {
    in_lanes(
        frame,
        out,
        |w| {
            let (sum, c) = four_sums(w);
            std::array::from_fn(|i| sum[i] + c[i])
        },
        |w| {
            let (sum, c) = w.iter().fold((0.0, 0.0), |(sum, c), v| kahan_add(*v, sum, c));
            if sum.is_infinite() { sum } else { sum + c }
        },
    );
}

pub(super) fn avg(frame: &Frame<'_>, out: &mut [f64]) {
    in_lanes(
        frame,
        out,
        |w| {
            let (sum, c) = four_sums(w);
            let n = w[0].len() as f64;
            std::array::from_fn(|i| sum[i] / n + c[i] / n)
        },
        mean,
    );
}

/// The mean by the sum, or, once the sum overflows, by moving the mean.
fn mean(w: &[f64]) -> f64 {
    let mut values = w.iter();
    let (mut sum, mut count, mut mean, mut c) = (values.next().copied().unwrap_or(f64::NAN), 1.0, 0.0, 0.0);
    let mut moving = false;
    for v in values {
        count += 1.0;
        if !moving {
            let (new_sum, new_c) = kahan_add(*v, sum, c);
            if !new_sum.is_infinite() {
                (sum, c) = (new_sum, new_c);
                continue;
            }
            moving = true;
            mean = sum / (count - 1.0);
            c /= count - 1.0;
        }
        let q = (count - 1.0) / count;
        (mean, c) = kahan_add(v / count, q * mean, q * c);
    }
    if moving { mean + c } else { sum / count + c / count }
}

/// The population variance by Welford's method, compensated.
pub(super) fn variance(frame: &Frame<'_>, out: &mut [f64]) {
    in_lanes(
        frame,
        out,
        |w| {
            let mut mean = [(0.0, 0.0); LANES];
            let mut aux = [(0.0, 0.0); LANES];
            let mut count = 0.0;
            for (((a, b), d), e) in w[0].iter().zip(w[1]).zip(w[2]).zip(w[3]) {
                count += 1.0;
                for (lane, v) in [*a, *b, *d, *e].into_iter().enumerate() {
                    let (m, a) = (&mut mean[lane], &mut aux[lane]);
                    let delta = v - (m.0 + m.1);
                    *m = two_sum(delta / count, m.0, m.1);
                    *a = two_sum(delta * (v - (m.0 + m.1)), a.0, a.1);
                }
            }
            std::array::from_fn(|i| (aux[i].0 + aux[i].1) / count)
        },
        |w| {
            let (mut mean, mut aux, mut count) = ((0.0, 0.0), (0.0, 0.0), 0.0);
            for v in w {
                count += 1.0;
                let delta = v - (mean.0 + mean.1);
                mean = kahan_add(delta / count, mean.0, mean.1);
                aux = kahan_add(delta * (v - (mean.0 + mean.1)), aux.0, aux.1);
            }
            (aux.0 + aux.1) / count
        },
    );
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn both_forms_of_the_compensated_sum_have_the_same_bits(
            values in proptest::collection::vec(-1e300..1e300f64, 0..50)
        ) {
            let branching = values.iter().fold((0.0, 0.0), |(s, c), v| kahan_add(*v, s, c));
            let straight = values.iter().fold((0.0, 0.0), |(s, c), v| two_sum(*v, s, c));
            prop_assert_eq!(branching.0.to_bits(), straight.0.to_bits());
            prop_assert_eq!(branching.1, straight.1);
        }
    }
}
