//! The operator `^`.
//!
//! Prometheus' results carry the last bits of its own way to a power, and `%` or a difference behind it can make all of
//! the result of them. So this multiplies in the same order: the base is squared again and again, as a fraction apart from
//! its exponent of two. The part of the exponent behind the point goes through the platform's logarithm.

/// Bits of a float's fraction.
const FRACTION_BITS: u32 = 52;
/// With exponents of two beyond this, the result is zero or infinite.
const FAR: i64 = 1 << 12;

/// Go's `math.Pow`: for whole exponents the same to the last bit.
pub(in crate::engine) fn power(base: f64, exponent: f64) -> f64 {
    let magnitude = exponent.abs();
    if exponent == 0.0 || base == 1.0 {
        // Of every NaN too.
        return 1.0;
    }
    if !base.is_finite() || !exponent.is_finite() || base == 0.0 {
        // What has no digits to differ in is the same everywhere.
        return base.powf(exponent);
    }
    if magnitude == 0.5 {
        return if exponent > 0.0 { base.sqrt() } else { 1.0 / base.sqrt() };
    }
    let (mut whole, mut part) = (magnitude.trunc(), magnitude.fract());
    if part != 0.0 && base < 0.0 {
        return f64::NAN;
    }
    if whole >= i64::MAX as f64 {
        // Zero or infinite, or 1 of -1.
        return base.powf(exponent);
    }
    let mut result = 1.0;
    if part != 0.0 {
        if part > 0.5 {
            part -= 1.0;
            whole += 1.0;
        }
        result = (part * base.ln()).exp();
    }
    let (result, twos) = multiplied(result, base, whole as u64);
    // The inverse is taken first, so that a very small result is rounded once.
    if exponent < 0.0 { times_power_of_two(1.0 / result, -twos) } else { times_power_of_two(result, twos) }
}

/// A number times a power of a base that is finite and not 0, as a number near 1 and its exponent of two.
fn multiplied(mut number: f64, base: f64, mut exponent: u64) -> (f64, i64) {
    let (mut square, mut square_twos) = split(base);
    let mut twos = 0;
    while exponent != 0 {
        if square_twos.abs() > FAR {
            return (number, twos + square_twos);
        }
        if exponent & 1 == 1 {
            number *= square;
            twos += square_twos;
        }
        square *= square;
        square_twos *= 2;
        if square < 0.5 {
            square += square;
            square_twos -= 1;
        }
        exponent >>= 1;
    }
    (number, twos)
}

/// A number that is finite and not 0 as a fraction of a magnitude in [0.5, 1) and an exponent of two.
fn split(number: f64) -> (f64, i64) {
    const EXPONENT: u64 = 0x7ff << FRACTION_BITS;
    // Subnormal numbers are made normal first.
    let (number, raised) = if number.abs() < f64::MIN_POSITIVE {
        (number * (1_u64 << FRACTION_BITS) as f64, i64::from(FRACTION_BITS))
    } else {
        (number, 0)
    };
    let bits = number.to_bits();
    let fraction = f64::from_bits(bits & !EXPONENT | 1022 << FRACTION_BITS);
    (fraction, ((bits & EXPONENT) >> FRACTION_BITS) as i64 - 1022 - raised)
}

fn times_power_of_two(mut number: f64, twos: i64) -> f64 {
    /// So large a power is still a normal number, and so is its product with a number near 1.
    const STEP: i64 = 1000;
    let power = |twos: i64| f64::from_bits(((1023 + twos) as u64) << FRACTION_BITS);
    // Further than this nothing is left.
    let mut twos = twos.clamp(-3 * STEP, 3 * STEP);
    while twos.abs() > STEP {
        number *= power(STEP * twos.signum());
        twos -= STEP * twos.signum();
    }
    number * power(twos)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn last_bits_are_those_of_prometheus() {
        for (base, exponent, bits) in [
            (10.0, -25.0, 0x3abe_f2d0_f5da_7dd8),
            (3.0, 40.0, 0x43e5_1716_8a45_23fd),
            (1.1, 100.0, 0x40ca_ea4e_6126_bb8c),
            (-7.3, 33.0, 0xc5d8_f17f_5c79_b359),
            (0.001, 7.0, 0x3b92_e3b4_0a0e_9b50),
            (123.456, -12.0, 0x3ab8_b03b_ed76_ef2f),
            (10.0, -308.0, 0x0007_30d6_7819_e8d1),
            (10.0, -320.0, 0x0000_0000_0000_07e8),
        ] {
            assert_eq!(power(base, exponent).to_bits(), bits, "{base} ^ {exponent}");
        }
    }

    #[test]
    fn corner_cases_are_those_of_go() {
        for (base, exponent, result) in [
            (-1.0, f64::INFINITY, 1.0),
            (f64::NAN, 0.0, 1.0),
            (crate::engine::grid::ABSENT, 0.0, 1.0),
            (1.0, f64::NAN, 1.0),
            (-0.0, -3.0, f64::NEG_INFINITY),
            (-0.0, -2.0, f64::INFINITY),
            (0.5, f64::NEG_INFINITY, f64::INFINITY),
            (-2.0, 1e300, f64::INFINITY),
            (-0.5, 1e300, 0.0),
            (-1.0, 1e300, 1.0),
            (-2.0, 3.0, -8.0),
            (2.0, -1074.0, 5e-324),
            (2.0, -1075.0, 0.0),
            (2.0, 1023.0, f64::from_bits(0x7fe << 52)),
            (2.0, 1024.0, f64::INFINITY),
            (-1e300, 3.0, f64::NEG_INFINITY),
            (9.0, -0.5, 1.0 / 3.0),
        ] {
            assert_eq!(power(base, exponent), result, "{base} ^ {exponent}");
        }
        assert!(power(-8.0, 1.5).is_nan());
        assert!(power(-8.0, 0.5).is_nan());
    }

    proptest! {
        #[test]
        fn is_near_the_power_of_the_platform(base in -1e3..1e3, whole in -60i8..60, part in prop::sample::select(vec![0.0, 0.25, 0.7])) {
            let exponent = f64::from(whole) + part;
            let (ours, platform) = (power(base, exponent), base.powf(exponent));
            prop_assert!(ours == platform || (ours.is_nan() && platform.is_nan()) || (ours / platform - 1.0).abs() < 1e-13);
        }
    }
}
