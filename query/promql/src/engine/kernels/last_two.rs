//! `irate` and `idelta` of one window: the last two samples, of either kind.

use chronolith_storage::{FloatHistogram, ResetHint};

use super::{
    histogram_rate::subtract,
    remarks::{Remark, Remarks},
    samples::{Value, Window, reset_between},
};

enum Point<'a> {
    Float(f64),
    Histogram(&'a FloatHistogram),
}

struct Sample<'a> {
    at: i64,
    start: i64,
    point: Point<'a>,
}

/// The last samples, newest first.
fn newest<'a>(window: &Window<'a>) -> impl Iterator<Item = Sample<'a>> {
    let (floats, histograms) = (window.floats, window.histograms);
    let (mut f, mut h) = (floats.len(), histograms.len());
    std::iter::from_fn(move || {
        let float = f.checked_sub(1);
        let histogram = h.checked_sub(1);
        match (float, histogram) {
            (Some(i), j) if j.is_none_or(|j| floats.timestamps[i] > histograms.timestamps[j]) => {
                f = i;
                Some(Sample { at: floats.timestamps[i], start: floats.start(i), point: Point::Float(floats.values[i]) })
            }
            (_, Some(j)) => {
                h = j;
                let point = Point::Histogram(&histograms.values[j]);
                Some(Sample { at: histograms.timestamps[j], start: histograms.start(j), point })
            }
            (_, None) => None,
        }
    })
}

pub(super) fn last_two(window: &Window<'_>, is_rate: bool, remarks: &mut Remarks) -> Option<Value> {
    let mut newest = newest(window);
    let (last, before) = (newest.next()?, newest.next()?);
    let interval = last.at - before.at;
    if interval == 0 {
        return None;
    }
    let seconds = interval as f64 / 1000.0;
    let starts_anew = || reset_between((before.start, before.at), (last.start, last.at));
    match (&last.point, &before.point) {
        (Point::Float(last), Point::Float(before)) => {
            // After a reset the counter started from zero.
            let difference = if is_rate && (last < before || starts_anew()) { *last } else { last - before };
            Some(Value::Float(if is_rate { difference / seconds } else { difference }))
        }
        (Point::Histogram(last), Point::Histogram(before)) => {
            let gauges = [last, before].iter().filter(|h| h.reset_hint == ResetHint::Gauge).count();
            if is_rate && gauges > 0 {
                remarks.add(Remark::NotCounter);
            }
            if !is_rate && gauges < 2 {
                remarks.add(Remark::NotGauge);
            }
            let mut result = (*last).clone();
            if !(is_rate && (starts_anew() || last.detect_reset(before))) {
                subtract(&mut result, before, remarks).ok()?;
            }
            result.reset_hint = ResetHint::Gauge;
            result.compact(0);
            if is_rate {
                result.div(seconds);
            }
            Some(Value::Histogram(result))
        }
        _ => {
            remarks.add(Remark::MixedKinds);
            None
        }
    }
}
