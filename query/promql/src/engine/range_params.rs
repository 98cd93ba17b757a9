//! Scalar arguments of functions of windows that may be out of bounds. As in Prometheus, that matters only at steps
//! where there are samples.

use super::{
    budget::Budget,
    error::{QueryError, Result},
    functions::histogram::check_quantiles,
    grid::is_absent,
    kernels::RangeFn,
    range_step::RangeStep,
    stream::Scratch,
    window::Windows,
};
use crate::format::float_general;

impl RangeStep {
    /// Looks at the arguments of one series' windows, whose results are in the scratch's column.
    pub(super) fn check_params(&self, scratch: &Scratch, budget: &Budget<'_>) -> Result<()> {
        match (self.function, self.params.as_slice()) {
            (RangeFn::DoubleExponentialSmoothing, [smoothing, trend]) => {
                for (k, (smoothing, trend)) in smoothing.iter().zip(trend).enumerate() {
                    if (out_of_bounds(*smoothing) || out_of_bounds(*trend)) && has_samples(scratch, k) {
                        check_factor("smoothing", "sf", *smoothing)?;
                        check_factor("trend", "tf", *trend)?;
                    }
                }
            }
            (RangeFn::Quantile, [quantiles]) => {
                let with_samples = quantiles.iter().zip(&scratch.column).filter(|(_, v)| !is_absent(**v));
                check_quantiles(with_samples.map(|(q, _)| q), self.pos, budget)?;
            }
            _ => {}
        }
        Ok(())
    }
}

/// Whether a factor is not between 0 and 1. NaN passes, as it does in Prometheus.
fn out_of_bounds(factor: f64) -> bool {
    factor <= 0.0 || factor >= 1.0
}

fn check_factor(what: &str, short: &str, factor: f64) -> Result<()> {
    if !out_of_bounds(factor) {
        return Ok(());
    }
    let got = if factor.is_finite() { format!("{factor:.6}") } else { float_general(factor) };
    Err(QueryError::Execution(format!("invalid {what} factor. Expected: 0 < {short} < 1, got: {got}")))
}

fn has_samples(scratch: &Scratch, k: usize) -> bool {
    let any = |windows: &Windows| windows.lo.get(k) < windows.hi.get(k);
    // The windows of histograms are those of an earlier series where this one has none.
    any(&scratch.windows) || (!scratch.window_histograms.is_empty() && any(&scratch.histogram_windows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_are_refused_in_the_words_of_prometheus() {
        assert!(check_factor("trend", "tf", 0.5).is_ok());
        assert!(check_factor("trend", "tf", f64::NAN).is_ok());
        let refusal = |v| check_factor("smoothing", "sf", v).unwrap_err().to_string();
        assert_eq!(refusal(2.0), "invalid smoothing factor. Expected: 0 < sf < 1, got: 2.000000");
        assert_eq!(refusal(f64::INFINITY), "invalid smoothing factor. Expected: 0 < sf < 1, got: +Inf");
    }
}
