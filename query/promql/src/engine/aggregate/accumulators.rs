//! What an aggregation keeps of a group: a few columns that take in series and merge with those of other threads.

use crate::engine::{
    grid::{ABSENT, count_present, is_absent},
    kernels::{kahan_add, two_sum},
    quantile::quantile_of,
};

/// The columns of one group.
pub(super) trait Accumulate: Send + Sized {
    /// A group without series.
    fn new(steps: usize) -> Self;
    /// Takes in the column of one series.
    fn add(&mut self, values: &[f64]);
    /// Takes in a group that was made of later series.
    fn merge(&mut self, later: Self);
    /// The result at each step.
    fn finish(self, param: &[f64]) -> Vec<f64>;
    /// Memory of the columns.
    fn bytes(&self) -> usize;
    /// Whether there was a float at a step. Asked only of what takes in histograms too.
    fn has(&self, _step: usize) -> bool {
        false
    }
}

/// A compensated sum.
pub(super) struct Sum {
    sum: Vec<f64>,
    compensation: Vec<f64>,
    /// Whether every step has a value.
    dense: bool,
}

impl Sum {
    fn add_sparse(&mut self, values: &[f64]) {
        for ((sum, c), v) in self.sum.iter_mut().zip(&mut self.compensation).zip(values) {
            if is_absent(*v) {
                continue;
            }
            if is_absent(*sum) {
                *sum = *v;
            } else {
                (*sum, *c) = kahan_add(*v, *sum, *c);
            }
        }
    }
}

impl Accumulate for Sum {
    fn new(steps: usize) -> Self {
        Self { sum: vec![ABSENT; steps], compensation: vec![0.0; steps], dense: false }
    }

    fn add(&mut self, values: &[f64]) {
        let dense = count_present(values) == values.len();
        if !(dense && self.dense) {
            self.add_sparse(values);
            self.dense |= dense;
            return;
        }
        // No step is absent on either side: a loop without a branch.
        for ((sum, c), v) in self.sum.iter_mut().zip(&mut self.compensation).zip(values) {
            let (t, compensation) = two_sum(*v, *sum, *c);
            *sum = t;
            *c = if t.abs() == f64::INFINITY { 0.0 } else { compensation };
        }
    }

    fn merge(&mut self, later: Self) {
        self.add(&later.sum);
        self.compensation.iter_mut().zip(later.compensation).for_each(|(a, b)| *a += b);
    }

    fn finish(mut self, _: &[f64]) -> Vec<f64> {
        for (sum, c) in self.sum.iter_mut().zip(self.compensation) {
            if !is_absent(*sum) {
                *sum += c;
            }
        }
        self.sum
    }

    fn bytes(&self) -> usize {
        self.sum.len() * 16
    }

    fn has(&self, step: usize) -> bool {
        self.sum.get(step).is_some_and(|sum| !is_absent(*sum))
    }
}

/// A mean: by the sum, or, at steps where that overflows, by moving the mean.
pub(super) struct Avg {
    /// The sum, or the mean where it moves.
    value: Vec<f64>,
    compensation: Vec<f64>,
    count: Vec<f64>,
    /// Where the mean moves; empty as long as nowhere.
    moving: Vec<bool>,
}

impl Avg {
    fn is_moving(&self, k: usize) -> bool {
        self.moving.get(k).copied().unwrap_or(false)
    }

    fn start_moving(&mut self, k: usize) {
        self.moving.resize(self.value.len(), false);
        self.moving[k] = true;
        self.value[k] /= self.count[k];
        self.compensation[k] /= self.count[k];
    }

    fn add_at(&mut self, k: usize, v: f64) {
        if self.count[k] == 0.0 {
            self.value[k] = v;
            self.count[k] = 1.0;
            return;
        }
        if !self.is_moving(k) {
            let (sum, c) = kahan_add(v, self.value[k], self.compensation[k]);
            if !sum.is_infinite() {
                (self.value[k], self.compensation[k]) = (sum, c);
                self.count[k] += 1.0;
                return;
            }
            self.start_moving(k);
        }
        self.count[k] += 1.0;
        let n = self.count[k];
        let q = (n - 1.0) / n;
        (self.value[k], self.compensation[k]) = kahan_add(v / n, q * self.value[k], q * self.compensation[k]);
    }
}

impl Accumulate for Avg {
    fn new(steps: usize) -> Self {
        Self { value: vec![0.0; steps], compensation: vec![0.0; steps], count: vec![0.0; steps], moving: Vec::new() }
    }

    fn add(&mut self, values: &[f64]) {
        for (k, v) in values.iter().enumerate() {
            if !is_absent(*v) {
                self.add_at(k, *v);
            }
        }
    }

    fn merge(&mut self, later: Self) {
        for k in 0..later.value.len() {
            let n = later.count[k];
            if n == 0.0 {
                continue;
            }
            if self.count[k] == 0.0 {
                if later.is_moving(k) {
                    self.moving.resize(self.value.len(), false);
                    self.moving[k] = true;
                }
                (self.value[k], self.compensation[k], self.count[k]) = (later.value[k], later.compensation[k], n);
                continue;
            }
            if !self.is_moving(k) && !later.is_moving(k) {
                let (sum, c) = kahan_add(later.value[k], self.value[k], self.compensation[k]);
                if !sum.is_infinite() {
                    (self.value[k], self.compensation[k]) = (sum, c + later.compensation[k]);
                    self.count[k] += n;
                    continue;
                }
            }
            if !self.is_moving(k) {
                self.start_moving(k);
            }
            let mean = if later.is_moving(k) {
                later.value[k] + later.compensation[k]
            } else {
                later.value[k] / n + later.compensation[k] / n
            };
            let total = self.count[k] + n;
            let q = self.count[k] / total;
            (self.value[k], self.compensation[k]) =
                kahan_add(mean * (n / total), q * self.value[k], q * self.compensation[k]);
            self.count[k] = total;
        }
    }

    fn finish(mut self, _: &[f64]) -> Vec<f64> {
        for k in 0..self.value.len() {
            let (v, c, n) = (self.value[k], self.compensation[k], self.count[k]);
            self.value[k] = if n == 0.0 {
                ABSENT
            } else if self.is_moving(k) {
                v + c
            } else {
                v / n + c / n
            };
        }
        self.value
    }

    fn bytes(&self) -> usize {
        self.value.len() * 24
    }

    fn has(&self, step: usize) -> bool {
        self.count.get(step).is_some_and(|n| *n > 0.0)
    }
}

/// How many series there are.
pub(super) struct Count(Vec<f64>);

impl Accumulate for Count {
    fn new(steps: usize) -> Self {
        Self(vec![0.0; steps])
    }

    fn add(&mut self, values: &[f64]) {
        for (n, v) in self.0.iter_mut().zip(values) {
            *n += if is_absent(*v) { 0.0 } else { 1.0 };
        }
    }

    fn merge(&mut self, later: Self) {
        self.0.iter_mut().zip(later.0).for_each(|(a, b)| *a += b);
    }

    fn finish(mut self, _: &[f64]) -> Vec<f64> {
        self.0.iter_mut().filter(|n| **n == 0.0).for_each(|n| *n = ABSENT);
        self.0
    }

    fn bytes(&self) -> usize {
        self.0.len() * 8
    }
}

/// 1 where there is any series.
pub(super) struct Group(Vec<f64>);

impl Accumulate for Group {
    fn new(steps: usize) -> Self {
        Self(vec![ABSENT; steps])
    }

    fn add(&mut self, values: &[f64]) {
        self.0.iter_mut().zip(values).filter(|(_, v)| !is_absent(**v)).for_each(|(g, _)| *g = 1.0);
    }

    fn merge(&mut self, later: Self) {
        self.add(&later.0);
    }

    fn finish(self, _: &[f64]) -> Vec<f64> {
        self.0
    }

    fn bytes(&self) -> usize {
        self.0.len() * 8
    }
}

/// The least (`GREATEST` false) or the greatest value; NaN only where there is nothing else.
pub(super) struct Extreme<const GREATEST: bool>(Vec<f64>);

impl<const GREATEST: bool> Accumulate for Extreme<GREATEST> {
    fn new(steps: usize) -> Self {
        Self(vec![ABSENT; steps])
    }

    fn add(&mut self, values: &[f64]) {
        for (best, v) in self.0.iter_mut().zip(values) {
            let better = if GREATEST { *best < *v } else { *best > *v };
            // An absent best is a NaN too.
            if !is_absent(*v) && (better || best.is_nan()) {
                *best = *v;
            }
        }
    }

    fn merge(&mut self, later: Self) {
        self.add(&later.0);
    }

    fn finish(self, _: &[f64]) -> Vec<f64> {
        self.0
    }

    fn bytes(&self) -> usize {
        self.0.len() * 8
    }
}

/// The population variance by Welford's method, or its root.
pub(super) struct Variance<const ROOT: bool> {
    count: Vec<f64>,
    mean: Vec<f64>,
    squares: Vec<f64>,
}

impl<const ROOT: bool> Accumulate for Variance<ROOT> {
    fn new(steps: usize) -> Self {
        Self { count: vec![0.0; steps], mean: vec![0.0; steps], squares: vec![0.0; steps] }
    }

    fn add(&mut self, values: &[f64]) {
        let columns = self.count.iter_mut().zip(&mut self.mean).zip(&mut self.squares);
        for (((count, mean), squares), v) in columns.zip(values) {
            if is_absent(*v) {
                continue;
            }
            *count += 1.0;
            if *count == 1.0 {
                *mean = *v;
                *squares = if v.is_finite() { 0.0 } else { f64::NAN };
                continue;
            }
            let delta = v - *mean;
            *mean += delta / *count;
            *squares += delta * (v - *mean);
        }
    }

    fn merge(&mut self, later: Self) {
        for k in 0..later.count.len() {
            let (n, m) = (self.count[k], later.count[k]);
            if m == 0.0 {
                continue;
            }
            if n == 0.0 {
                (self.count[k], self.mean[k], self.squares[k]) = (m, later.mean[k], later.squares[k]);
                continue;
            }
            let delta = later.mean[k] - self.mean[k];
            self.count[k] = n + m;
            self.mean[k] += delta * (m / (n + m));
            self.squares[k] += later.squares[k] + delta * delta * (n * m / (n + m));
        }
    }

    fn finish(mut self, _: &[f64]) -> Vec<f64> {
        for (squares, count) in self.squares.iter_mut().zip(self.count) {
            let variance = *squares / count;
            *squares = match count {
                0.0 => ABSENT,
                _ if ROOT => variance.sqrt(),
                _ => variance,
            };
        }
        self.squares
    }

    fn bytes(&self) -> usize {
        self.count.len() * 24
    }
}

/// All columns: a quantile needs every value.
pub(super) struct Quantile {
    steps: usize,
    columns: Vec<Vec<f64>>,
}

impl Accumulate for Quantile {
    fn new(steps: usize) -> Self {
        Self { steps, columns: Vec::new() }
    }

    fn add(&mut self, values: &[f64]) {
        self.columns.push(values.to_vec());
    }

    fn merge(&mut self, mut later: Self) {
        self.columns.append(&mut later.columns);
    }

    fn finish(self, param: &[f64]) -> Vec<f64> {
        let mut values = Vec::with_capacity(self.columns.len());
        (0..self.steps)
            .map(|k| {
                values.clear();
                values.extend(self.columns.iter().filter_map(|c| c.get(k)).filter(|v| !is_absent(**v)));
                if values.is_empty() {
                    return ABSENT;
                }
                quantile_of(param.get(k).copied().unwrap_or(f64::NAN), &mut values)
            })
            .collect()
    }

    fn bytes(&self) -> usize {
        self.columns.iter().map(|c| c.len() * 8).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Folds columns of one step, cut into two groups that are merged.
    fn one<A: Accumulate>(values: &[f64], cut: usize, param: f64) -> f64 {
        let (mut a, mut b) = (A::new(1), A::new(1));
        values[..cut].iter().for_each(|v| a.add(&[*v]));
        values[cut..].iter().for_each(|v| b.add(&[*v]));
        a.merge(b);
        a.finish(&[param])[0]
    }

    #[test]
    fn each_aggregation_by_example_however_it_is_cut() {
        let v = [1.0, ABSENT, 3.0, 8.0];
        for cut in 0..=4 {
            assert_eq!(one::<Sum>(&v, cut, 0.0), 12.0);
            assert_eq!(one::<Avg>(&v, cut, 0.0), 4.0);
            assert_eq!(one::<Count>(&v, cut, 0.0), 3.0);
            assert_eq!(one::<Group>(&v, cut, 0.0), 1.0);
            assert_eq!(one::<Extreme<false>>(&v, cut, 0.0), 1.0);
            assert_eq!(one::<Extreme<true>>(&v, cut, 0.0), 8.0);
            assert!((one::<Variance<false>>(&v, cut, 0.0) - 26.0 / 3.0).abs() < 1e-14);
            assert_eq!(one::<Quantile>(&v, cut, 0.5), 3.0);
        }
    }

    #[test]
    fn nothing_gives_nothing() {
        assert!(is_absent(one::<Sum>(&[ABSENT], 0, 0.0)));
        assert!(is_absent(one::<Avg>(&[ABSENT], 0, 0.0)));
        assert!(is_absent(one::<Count>(&[], 0, 0.0)));
        assert!(is_absent(one::<Variance<true>>(&[], 0, 0.0)));
        assert!(is_absent(one::<Quantile>(&[ABSENT], 1, 0.5)));
        assert!(is_absent(one::<Extreme<true>>(&[ABSENT], 1, 0.5)));
    }

    #[test]
    fn what_is_not_finite_is_kept_apart() {
        let inf = f64::INFINITY;
        for cut in 0..=3 {
            assert_eq!(one::<Sum>(&[1.0, inf, 2.0], cut, 0.0), inf);
            assert_eq!(one::<Avg>(&[1.0, inf, 2.0], cut, 0.0), inf);
            assert_eq!(one::<Avg>(&[1.5e308, 1.5e308, 1.5e308], cut, 0.0), 1.5e308);
            assert!(one::<Variance<false>>(&[1.0, inf, 2.0], cut, 0.0).is_nan());
            assert_eq!(one::<Extreme<true>>(&[f64::NAN, 1.0, f64::NAN], cut, 0.0), 1.0);
            assert_eq!(one::<Sum>(&[1e100, 1.0, -1e100], cut, 0.0), 1.0);
        }
        assert!(one::<Extreme<true>>(&[f64::NAN, f64::NAN], 1, 0.0).is_nan());
    }

    #[test]
    fn dense_columns_sum_like_sparse_ones() {
        let (mut dense, mut sparse) = (Sum::new(3), Sum::new(3));
        for i in 0..100 {
            let v = [1e16, f64::from(i), -0.1];
            dense.add(&v);
            sparse.add_sparse(&v);
        }
        assert_eq!(dense.finish(&[]), sparse.finish(&[]));
    }
}
