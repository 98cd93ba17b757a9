//! Sizes in bytes as people type them, and how they are shown.

use std::{fmt, str::FromStr};

use serde::Deserialize;

/// The units, each 1024 times the one before, as Prometheus counts them.
const UNITS: [&str; 6] = ["B", "KB", "MB", "GB", "TB", "PB"];

/// A number of bytes: `512MB`, `1.5GiB`, `1048576`. Units are powers of 1024.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct ByteSize(pub(crate) u64);

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse(text.trim()).map(Self).ok_or_else(|| format!("{text:?} is no size: write it as 512MB, 1.5GB or 1048576"))
    }
}

impl TryFrom<String> for ByteSize {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

fn parse(text: &str) -> Option<u64> {
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let unit = text.get(unit_at..)?.to_ascii_uppercase().replace("IB", "B");
    let power = if unit.is_empty() { 0 } else { UNITS.iter().position(|u| *u == unit)? };
    let number: f64 = text.get(..unit_at)?.trim().parse().ok()?;
    let bytes = number * 1024f64.powi(i32::try_from(power).ok()?);
    (0.0..9e18).contains(&bytes).then_some(bytes as u64)
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut value = self.0 as f64;
        for unit in UNITS {
            if value < 1024.0 || unit == "PB" {
                let decimals = usize::from(value.fract() != 0.0);
                return write!(f, "{value:.decimals$}{unit}");
            }
            value /= 1024.0;
        }
        Ok(())
    }
}

/// A count with separators: `1,234,567`.
pub(crate) fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_in_powers_of_1024() {
        for (text, bytes) in [("0", 0), ("17", 17), ("1KB", 1024), ("1.5GiB", 3 << 29), ("512 mb", 512 << 20)] {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
        for text in ["", "MB", "-1", "1XB", "1e30", "NaN"] {
            assert!(text.parse::<ByteSize>().unwrap_err().contains("is no size"), "{text}");
        }
        assert_eq!(ByteSize(512 << 20).to_string(), "512MB");
        assert_eq!(ByteSize(1_536).to_string(), "1.5KB");
        assert_eq!(ByteSize(0).to_string(), "0B");
    }

    #[test]
    fn separates_thousands() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
    }
}
