//! A request's parameters, from its target and from a form body, and the readers of times, durations and limits.

use chronolith_storage::TimeRange;

use super::respond::ApiError;

/// Most fields that one request may have.
const MAX_FIELDS: usize = 10_000;
/// The earliest time that Prometheus' API knows, and how it is written.
const MIN_TIME: (&str, i64) = ("-292273086-05-16T16:47:06Z", (i64::MIN / 1000 + 62_135_596_801) * 1000);
/// The latest one.
const MAX_TIME: (&str, i64) = ("292277025-08-18T07:12:54.999999999Z", (i64::MAX / 1000 - 62_135_596_801) * 1000 + 999);
const NANOS_PER_MS: i64 = 1_000_000;

/// The fields of a request in the order in which they count: those of the body first.
#[derive(Debug, Default)]
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    /// Reads the fields of a form body and of a target's query.
    pub(crate) fn parse(form: &[u8], query: &str) -> Result<Self, ApiError> {
        let mut fields = Vec::new();
        for (name, value) in form_urlencoded::parse(form).chain(form_urlencoded::parse(query.as_bytes())) {
            if fields.len() == MAX_FIELDS {
                return Err(ApiError::bad_data(format!("the request has more than {MAX_FIELDS} parameters")));
            }
            fields.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self(fields))
    }

    /// The first value of a field, or an empty text.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v)
    }

    /// Every value of a field.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// Refuses fields of other names, but for `timeout`, which all requests may have: one that is misspelt would go
    /// without its effect.
    pub(crate) fn allow(&self, known: &[&str]) -> Result<(), ApiError> {
        let unknown = self.0.iter().find(|(name, _)| name != "timeout" && !known.contains(&name.as_str()));
        unknown.map_or(Ok(()), |(name, _)| {
            Err(ApiError::invalid(name, format!("it is not known here; there are {}", known.join(", "))))
        })
    }

    /// A time that must be there, in milliseconds.
    pub(crate) fn time(&self, name: &str) -> Result<i64, ApiError> {
        time(self.get(name)).map_err(|e| ApiError::invalid(name, e))
    }

    /// A time that may be left out, in milliseconds.
    pub(crate) fn time_or(&self, name: &str, default: i64) -> Result<i64, ApiError> {
        match self.get(name) {
            "" => Ok(default),
            text => time(text).map_err(|e| ApiError::invalid(name, format!("invalid time value for '{name}': {e}"))),
        }
    }

    /// `start` and `end`, either of which may be left out.
    pub(crate) fn range(&self) -> Result<TimeRange, ApiError> {
        Ok(TimeRange::new(self.time_or("start", MIN_TIME.1)?, self.time_or("end", MAX_TIME.1)?))
    }

    /// `limit`: `None` when there is none (left out, or 0).
    pub(crate) fn limit(&self) -> Result<Option<usize>, ApiError> {
        let limit = self.integer("limit").map_err(|e| ApiError::invalid("limit", e))?;
        match limit {
            None | Some(0) => Ok(None),
            Some(n) => {
                let n = usize::try_from(n).map_err(|_| ApiError::invalid("limit", "limit must be non-negative"))?;
                Ok(Some(n))
            }
        }
    }

    /// A whole number that may be left out.
    pub(crate) fn integer(&self, name: &str) -> Result<Option<i64>, String> {
        match self.get(name) {
            "" => Ok(None),
            text => match text.parse() {
                Ok(n) => Ok(Some(n)),
                Err(_) => Err(format!("strconv.Atoi: parsing {text:?}: invalid syntax")),
            },
        }
    }

    /// A duration that must be there, in nanoseconds.
    pub(crate) fn duration(&self, name: &str) -> Result<i64, ApiError> {
        duration(self.get(name)).map_err(|e| ApiError::invalid(name, e))
    }

    /// A duration that may be left out, in nanoseconds.
    pub(crate) fn duration_if_any(&self, name: &str) -> Result<Option<i64>, ApiError> {
        if self.get(name).is_empty() { Ok(None) } else { self.duration(name).map(Some) }
    }
}

/// Reads seconds since the epoch or an RFC 3339 text as milliseconds.
pub(crate) fn time(text: &str) -> Result<i64, String> {
    let unreadable = || format!("cannot parse {text:?} to a valid timestamp");
    if let Ok(seconds) = text.parse::<f64>() {
        let whole = seconds.trunc();
        // Beyond these bounds milliseconds overflow; NaN is in no range.
        if !((MIN_TIME.1 / 1000) as f64..=(MAX_TIME.1 / 1000) as f64).contains(&whole) {
            return Err(unreadable());
        }
        return Ok(whole as i64 * 1000 + ((seconds - whole) * 1000.0).round() as i64);
    }
    if let Some((_, ms)) = [MIN_TIME, MAX_TIME].iter().find(|(name, _)| *name == text) {
        return Ok(*ms);
    }
    let nanos = text.parse::<jiff::Timestamp>().map_err(|_| unreadable())?.as_nanosecond();
    i64::try_from(nanos.div_euclid(i128::from(NANOS_PER_MS))).map_err(|_| unreadable())
}

/// Reads seconds or a text such as `1h30m` as nanoseconds.
pub(crate) fn duration(text: &str) -> Result<i64, String> {
    let unreadable = || format!("cannot parse {text:?} to a valid duration");
    if let Ok(seconds) = text.parse::<f64>() {
        let nanos = seconds * 1e9;
        if nanos.is_nan() {
            return Err(unreadable());
        }
        if nanos.abs() > i64::MAX as f64 {
            return Err(format!("{}. It overflows int64", unreadable()));
        }
        return Ok(nanos as i64);
    }
    units(text).ok_or_else(unreadable)
}

/// Durations as Prometheus writes them: each unit at most once, the longest first.
fn units(text: &str) -> Option<i64> {
    const SECOND: i64 = 1_000_000_000;
    const UNITS: [(&str, i64); 7] = [
        ("y", 365 * 86_400 * SECOND),
        ("w", 7 * 86_400 * SECOND),
        ("d", 86_400 * SECOND),
        ("h", 3_600 * SECOND),
        ("m", 60 * SECOND),
        ("s", SECOND),
        ("ms", NANOS_PER_MS),
    ];
    let (mut rest, mut next, mut total) = (text, 0, 0i64);
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at_checked(digits)?;
        let letters = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, tail) = tail.split_at_checked(letters)?;
        let place = UNITS.iter().skip(next).position(|(name, _)| *name == unit)? + next;
        let length = UNITS.get(place)?.1;
        total = total.checked_add(number.parse::<i64>().ok()?.checked_mul(length)?)?;
        next = place + 1;
        rest = tail;
    }
    (next > 0).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_or_rfc_3339() {
        for (text, ms) in [
            ("1435781451.781", 1_435_781_451_781),
            ("0", 0),
            ("-1.5", -1_500),
            ("1e9", 1_000_000_000_000),
            ("2015-07-01T20:10:51.781Z", 1_435_781_451_781),
            ("2015-07-01T22:10:51.781999+02:00", 1_435_781_451_781),
            ("-292273086-05-16T16:47:06Z", MIN_TIME.1),
            ("292277025-08-18T07:12:54.999999999Z", MAX_TIME.1),
        ] {
            assert_eq!(time(text), Ok(ms), "{text}");
        }
        for text in ["", "x", "NaN", "Inf", "1e300", "-1e300", "2015-07-01", "2015-13-01T00:00:00Z"] {
            assert_eq!(time(text), Err(format!("cannot parse {text:?} to a valid timestamp")));
        }
    }

    #[test]
    fn durations_are_seconds_or_units() {
        for (text, ms) in
            [("1", 1_000), ("0.5", 500), ("-3", -3_000), ("5m", 300_000), ("1h30m", 5_400_000), ("1d2ms", 86_400_002)]
        {
            assert_eq!(duration(text), Ok(ms * NANOS_PER_MS), "{text}");
        }
        for text in ["", "m", "5x", "5m1h", "5m5m", "5 m", "1.5h", "NaN", "99999999999y", "-5m"] {
            assert_eq!(duration(text), Err(format!("cannot parse {text:?} to a valid duration")));
        }
        assert_eq!(duration("1e100"), Err("cannot parse \"1e100\" to a valid duration. It overflows int64".to_owned()));
    }

    #[test]
    fn the_body_counts_before_the_target() {
        let params = Params::parse(b"query=a%20b&match[]=x", "query=c&match%5B%5D=y+z").unwrap();
        assert_eq!(params.get("query"), "a b");
        assert_eq!(params.all("match[]").collect::<Vec<_>>(), ["x", "y z"]);
        assert_eq!(params.get("none"), "");
        assert!(Params::parse(&b"a&".repeat(MAX_FIELDS + 1), "").is_err());
    }
}
