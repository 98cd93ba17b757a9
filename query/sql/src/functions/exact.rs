//! Exact arithmetic of numerics: integers of some scale, wide enough in between, rounded half away from zero.

use arrow::datatypes::i256;

use super::arithmetic::Op;

/// The most digits that a numeric has here.
pub(super) const DIGITS: u8 = 38;
/// The least scale of a quotient.
pub(super) const QUOTIENT_SCALE: i8 = 16;
/// What the scale of a product grows to before digits are rounded away.
const PRODUCT_SCALE: i8 = 20;

/// Why there is no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// A division by zero.
    Zero,
    /// More digits than there may be.
    Range,
}

/// The scale of a result, by the scales of the operands.
pub(super) fn scale(op: Op, left: i8, right: i8) -> i8 {
    let most = left.max(right);
    match op {
        Op::Plus | Op::Minus | Op::Modulo => most,
        Op::Multiply => (left + right).min(most.max(PRODUCT_SCALE)),
        Op::Divide => most.max(QUOTIENT_SCALE),
    }
}

/// One operation on numbers of some scales; its result has the scale that [`scale`] says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Exact {
    op: Op,
    /// What the operands, or for a product the result, are multiplied or divided by: powers of ten.
    left: u32,
    right: u32,
    result: u32,
}

impl Exact {
    pub(super) fn new(op: Op, left: i8, right: i8) -> Self {
        let to = scale(op, left, right);
        let power = |of: i8| u32::try_from(of).unwrap_or(0);
        match op {
            Op::Plus | Op::Minus | Op::Modulo => {
                Self { op, left: power(to - left), right: power(to - right), result: 0 }
            }
            Op::Multiply => Self { op, left: 0, right: 0, result: power(left + right - to) },
            // The quotient of the integers has the scale `left - right`.
            Op::Divide => Self { op, left: power(to - left + right), right: power(left - to - right), result: 0 },
        }
    }

    /// The result for two values.
    pub(super) fn of(self, left: i128, right: i128) -> Result<i128, Fault> {
        if matches!(self.op, Op::Divide | Op::Modulo) && right == 0 {
            return Err(Fault::Zero);
        }
        let value = match self.narrow(left, right) {
            Some(value) => value,
            None => self.wide(left, right).and_then(i256::to_i128).ok_or(Fault::Range)?,
        };
        if value.unsigned_abs() >= 10_u128.pow(u32::from(DIGITS)) { Err(Fault::Range) } else { Ok(value) }
    }

    fn narrow(self, left: i128, right: i128) -> Option<i128> {
        let left = left.checked_mul(10_i128.checked_pow(self.left)?)?;
        let right = right.checked_mul(10_i128.checked_pow(self.right)?)?;
        match self.op {
            Op::Plus => left.checked_add(right),
            Op::Minus => left.checked_sub(right),
            Op::Modulo => left.checked_rem(right),
            Op::Multiply => rounded(left.checked_mul(right)?, 10_i128.checked_pow(self.result)?),
            Op::Divide => rounded(left, right),
        }
    }

    fn wide(self, left: i128, right: i128) -> Option<i256> {
        let power = |of: u32| i256::from_i128(10).checked_pow(of);
        let left = i256::from_i128(left).checked_mul(power(self.left)?)?;
        let right = i256::from_i128(right).checked_mul(power(self.right)?)?;
        match self.op {
            Op::Plus => left.checked_add(right),
            Op::Minus => left.checked_sub(right),
            Op::Modulo => left.checked_rem(right),
            Op::Multiply => rounded_wide(left.checked_mul(right)?, power(self.result)?),
            Op::Divide => rounded_wide(left, right),
        }
    }
}

/// A quotient, rounded half away from zero.
pub(super) fn rounded(of: i128, by: i128) -> Option<i128> {
    let (quotient, rest) = (of.checked_div(by)?, of.checked_rem(by)?);
    if rest.unsigned_abs() < by.unsigned_abs().div_ceil(2) {
        return Some(quotient);
    }
    quotient.checked_add(if (of < 0) == (by < 0) { 1 } else { -1 })
}

fn rounded_wide(of: i256, by: i256) -> Option<i256> {
    let (quotient, rest) = (of.checked_div(by)?, of.checked_rem(by)?);
    let (rest, size) = (rest.checked_abs()?, by.checked_abs()?);
    if rest < size.checked_sub(rest)? {
        return Some(quotient);
    }
    let one = if of.is_negative() == by.is_negative() { i256::ONE } else { i256::MINUS_ONE };
    quotient.checked_add(one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_exact_and_rounded_half_away_from_zero() {
        for (op, left, right, result) in [
            (Op::Plus, (15, 1), (5, 0), 65),
            (Op::Minus, (15, 1), (225, 2), -75),
            (Op::Multiply, (1025, 2), (1025, 2), 1_050_625),
            (Op::Divide, (1, 0), (3, 0), 3_333_333_333_333_333),
            (Op::Divide, (-2, 0), (3, 0), -6_666_666_666_666_667),
            (Op::Divide, (100, 0), (7, 0), 142_857_142_857_142_857),
            (Op::Divide, (1, 20), (2, 0), 1),
            (Op::Divide, (-1, 20), (2, 0), -1),
            (Op::Modulo, (-55, 1), (2, 0), -15),
            // Wider than 128 bits in between.
            (Op::Divide, (10_i128.pow(37), 0), (10_i128.pow(37), 0), 10_i128.pow(16)),
            (Op::Multiply, (10_i128.pow(20), 15), (10_i128.pow(20), 15), 10_i128.pow(30)),
        ] {
            let got = Exact::new(op, left.1, right.1).of(left.0, right.0);
            assert_eq!(got, Ok(result), "{op:?} {left:?} {right:?}");
        }
        assert_eq!(Exact::new(Op::Divide, 0, 0).of(1, 0), Err(Fault::Zero));
        assert_eq!(Exact::new(Op::Multiply, 0, 0).of(10_i128.pow(37), 10), Err(Fault::Range));
        assert_eq!(Exact::new(Op::Plus, 0, 38).of(1, 0), Err(Fault::Range));
    }
}
