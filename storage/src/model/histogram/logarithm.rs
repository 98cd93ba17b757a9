//! The binary logarithm with which exponential buckets are interpolated.
//!
//! Prometheus' results carry the last bits of its own logarithm, in which that of the platform differs now and then. So
//! this takes the same way: the series of FreeBSD's `e_log.c`, over the fraction of the float.

use std::f64::consts::{FRAC_1_SQRT_2, LN_2, LOG2_E};

/// The binary logarithm of a number, bit for bit as Prometheus computes it.
#[must_use]
pub fn log2(value: f64) -> f64 {
    if !value.is_finite() || value <= 0.0 {
        return value.log2();
    }
    let (fraction, exponent) = split(value);
    if fraction == 0.5 {
        return exponent - 1.0;
    }
    natural(fraction) * LOG2_E + exponent
}

/// A positive number as a fraction in [0.5, 1) and an exponent of two.
fn split(value: f64) -> (f64, f64) {
    const FRACTION_BITS: u32 = 52;
    // Subnormal numbers are made normal first.
    let (value, raised) =
        if value < f64::MIN_POSITIVE { (value * 2f64.powi(FRACTION_BITS as i32), FRACTION_BITS) } else { (value, 0) };
    let bits = value.to_bits();
    let exponent = (bits >> FRACTION_BITS) as f64 - 1022.0 - f64::from(raised);
    let fraction = f64::from_bits(bits & ((1 << FRACTION_BITS) - 1) | 1022 << FRACTION_BITS);
    (fraction, exponent)
}

/// The natural logarithm of a fraction in [0.5, 1).
fn natural(fraction: f64) -> f64 {
    /// The upper and the lower bits of ln 2.
    const LN_2_HIGH: f64 = f64::from_bits(0x3fe6_2e42_fee0_0000);
    const LN_2_LOW: f64 = f64::from_bits(0x3dea_39ef_3579_3c76);
    /// The coefficients of the series.
    const L: [f64; 7] = [
        f64::from_bits(0x3fe5_5555_5555_5593),
        f64::from_bits(0x3fd9_9999_9997_fa04),
        f64::from_bits(0x3fd2_4924_9422_9359),
        f64::from_bits(0x3fcc_71c5_1d8e_78af),
        f64::from_bits(0x3fc7_4664_96cb_03de),
        f64::from_bits(0x3fc3_9a09_d078_c69f),
        f64::from_bits(0x3fc2_f112_df3e_5244),
    ];
    debug_assert!((LN_2_HIGH + LN_2_LOW - LN_2).abs() < f64::EPSILON);
    let (f, k) = if fraction < FRAC_1_SQRT_2 { (fraction * 2.0 - 1.0, -1.0) } else { (fraction - 1.0, 0.0) };
    let s = f / (2.0 + f);
    let s2 = s * s;
    let s4 = s2 * s2;
    let odd = s2 * (L[0] + s4 * (L[2] + s4 * (L[4] + s4 * L[6])));
    let even = s4 * (L[1] + s4 * (L[3] + s4 * L[5]));
    let half_square = 0.5 * f * f;
    k * LN_2_HIGH - ((half_square - (s * (half_square + (odd + even)) + k * LN_2_LOW)) - f)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_of_two_are_exact_and_others_near() {
        for exponent in -1074..=1023 {
            assert_eq!(log2(2f64.powi(exponent / 2) * 2f64.powi(exponent - exponent / 2)), f64::from(exponent));
        }
        for value in [1e-320, 0.3, 0.7, 1.1, 3.0, 12345.678, f64::MAX] {
            assert!((log2(value) - value.log2()).abs() <= 2.0 * f64::EPSILON * value.log2().abs(), "{value}");
        }
        assert!(log2(-1.0).is_nan() && log2(f64::NAN).is_nan());
        assert_eq!((log2(0.0), log2(f64::INFINITY)), (f64::NEG_INFINITY, f64::INFINITY));
    }
}
