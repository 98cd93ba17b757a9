//! When two numbers count as equal in a test.

use chronolith_storage::model::is_stale;

/// The relative difference that values may have.
pub(super) const TOLERANCE: f64 = 1e-6;

/// Whether the numbers differ by less than `tolerance` times the sum of their magnitudes. A NaN equals a NaN, but a stale
/// marker equals only a stale marker. Where one is 0, or both are next to 0, the difference must be practically 0.
#[must_use]
pub fn almost_equal(a: f64, b: f64, tolerance: f64) -> bool {
    if is_stale(a) || is_stale(b) {
        return is_stale(a) && is_stale(b);
    }
    if a == b || (a.is_nan() && b.is_nan()) {
        return true;
    }
    let sum = a.abs() + b.abs();
    let difference = (a - b).abs();
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        difference < tolerance * f64::MIN_POSITIVE
    } else {
        difference / sum.min(f64::MAX) < tolerance
    }
}

#[cfg(test)]
mod tests {
    use chronolith_storage::model::stale_nan;

    use super::*;

    #[test]
    fn equality_by_example() {
        let equal = |a, b| almost_equal(a, b, TOLERANCE);
        assert!(equal(1.0, 1.000_001) && !equal(1.0, 1.000_01) && !equal(1.0, -1.0));
        assert!(equal(f64::NAN, f64::NAN) && equal(f64::INFINITY, f64::INFINITY));
        assert!(!equal(f64::INFINITY, f64::NEG_INFINITY) && !equal(f64::INFINITY, 1e300));
        assert!(equal(stale_nan(), stale_nan()) && !equal(stale_nan(), f64::NAN) && !equal(1.0, stale_nan()));
        assert!(equal(0.0, -0.0) && !equal(0.0, 1e-300) && !equal(0.0, f64::MIN_POSITIVE));
        assert!(equal(f64::MAX, f64::MAX * (1.0 - 1e-9)));
    }
}
