//! Custom bounds that differ: the buckets are told in the bounds that both histograms have.

use super::{
    FloatHistogram,
    compensated::compensated_add,
    layout::{SpanBuilder, indices},
};

/// The bounds that stand in both lists; both rise.
pub(super) fn common_bounds(a: &[f64], b: &[f64]) -> Vec<f64> {
    let mut common = Vec::new();
    let mut rest = b;
    for bound in a {
        let below = rest.iter().take_while(|other| *other < bound).count();
        rest = rest.get(below..).unwrap_or_default();
        if rest.first() == Some(bound) {
            common.push(*bound);
        }
    }
    common
}

/// Adds the custom buckets of `other` times `sign`, after both were mapped to the common bounds. The buckets are added up
/// with compensation, which is kept if the sum's is given. Empty buckets are left out.
pub(super) fn map_to_common(
    sum: &mut FloatHistogram,
    other: &FloatHistogram,
    compensation: Option<&mut Vec<f64>>,
    sign: f64,
    common: &[f64],
) {
    let mut mapped = vec![(0.0, 0.0); common.len() + 1];
    let mut add = |h: &FloatHistogram, sign: f64, compensation: Option<&[f64]>| {
        let mut target = 0;
        for (at, (index, count)) in indices(&h.positive_spans).zip(&h.positive_buckets).enumerate() {
            // The bucket behind the last bound goes on behind the last common bound.
            let bound = usize::try_from(index).ok().and_then(|i| h.custom_values.get(i)).copied();
            while target < common.len() && bound.is_none_or(|bound| common[target] < bound) {
                target += 1;
            }
            let (count_there, rest) = &mut mapped[target];
            (*count_there, *rest) = compensated_add(count * sign, *count_there, *rest);
            if let Some(compensation) = compensation.and_then(|c| c.get(at)) {
                (*count_there, *rest) = compensated_add(*compensation, *count_there, *rest);
            }
        }
    };
    add(sum, 1.0, compensation.as_deref().map(Vec::as_slice));
    add(other, sign, None);

    let mut builder = SpanBuilder::default();
    let filled = || mapped.iter().enumerate().filter(|(_, (count, rest))| *count != 0.0 || *rest != 0.0);
    filled().for_each(|(index, _)| builder.push(index as i64, 1));
    sum.positive_spans = builder.finish();
    sum.positive_buckets.clear();
    sum.positive_buckets.extend(filled().map(|(_, (count, _))| count));
    if let Some(compensation) = compensation {
        compensation.clear();
        compensation.extend(filled().map(|(_, (_, rest))| rest));
    }
}
