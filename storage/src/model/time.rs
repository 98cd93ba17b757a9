//! Time as the engine counts it: milliseconds since the Unix epoch, in `i64`.

/// An inclusive range of timestamps in milliseconds since the Unix epoch. A range with `start > end` is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TimeRange {
    /// First timestamp inside the range.
    pub start: i64,
    /// Last timestamp inside the range.
    pub end: i64,
}

impl TimeRange {
    /// All of time.
    pub const ALL: Self = Self { start: i64::MIN, end: i64::MAX };

    /// The range from `start` to `end`, both inside.
    #[must_use]
    pub const fn new(start: i64, end: i64) -> Self {
        Self { start, end }
    }

    /// Whether no timestamp is inside.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.start > self.end
    }

    /// Whether `t` is inside.
    #[must_use]
    pub const fn contains(&self, t: i64) -> bool {
        self.start <= t && t <= self.end
    }

    /// Whether some timestamp is inside both.
    #[must_use]
    pub const fn overlaps(&self, other: &Self) -> bool {
        self.start <= other.end && other.start <= self.end && !self.is_empty() && !other.is_empty()
    }

    /// The timestamps inside both; may be empty.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Self {
        Self { start: self.start.max(other.start), end: self.end.min(other.end) }
    }

    /// The smallest range that holds both.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        if self.is_empty() {
            return *other;
        }
        if other.is_empty() {
            return *self;
        }
        Self { start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

/// The day of the proleptic Gregorian calendar as (year, month from 1, day from 1), from days since the Unix epoch.
#[must_use]
pub const fn civil_day(days_since_epoch: i64) -> (i64, i64, i64) {
    // Count from 1 March of year 0: then the leap day is the last of a year, and 400 years are 146,097 days.
    let shifted = days_since_epoch + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + (month <= 2) as i64, month, day)
}
