//! A heap of the best values, moving as Go's `container/heap` does, so that ties fall as they do in Prometheus.

/// A value and the number of its series.
pub(super) type Entry = (f64, u32);

/// Whether `a` leaves the heap before `b`: NaN first, then the smallest, or with `SMALLEST` the largest.
fn before<const SMALLEST: bool>(a: f64, b: f64) -> bool {
    a.is_nan() || if SMALLEST { a > b } else { a < b }
}

/// Offers a value to a heap that keeps the `k` largest values, or with `SMALLEST` the smallest. `k` is at least 1.
pub(super) fn offer<const SMALLEST: bool>(heap: &mut Vec<Entry>, k: usize, entry: Entry) {
    if heap.len() < k {
        heap.push(entry);
        up::<SMALLEST>(heap);
        return;
    }
    let Some(top) = heap.first_mut() else { return };
    let better = if SMALLEST { top.0 > entry.0 } else { top.0 < entry.0 };
    if better || (top.0.is_nan() && !entry.0.is_nan()) {
        *top = entry;
        down::<SMALLEST>(heap);
    }
}

fn up<const SMALLEST: bool>(heap: &mut [Entry]) {
    let mut j = heap.len().saturating_sub(1);
    while j > 0 {
        let parent = (j - 1) / 2;
        if !before::<SMALLEST>(heap[j].0, heap[parent].0) {
            return;
        }
        heap.swap(parent, j);
        j = parent;
    }
}

fn down<const SMALLEST: bool>(heap: &mut [Entry]) {
    let mut i = 0;
    loop {
        let left = 2 * i + 1;
        if left >= heap.len() {
            return;
        }
        let right = left + 1;
        let child = if right < heap.len() && before::<SMALLEST>(heap[right].0, heap[left].0) { right } else { left };
        if !before::<SMALLEST>(heap[child].0, heap[i].0) {
            return;
        }
        heap.swap(i, child);
        i = child;
    }
}

/// Sorts the heap from the best value to the worst.
pub(super) fn sort<const SMALLEST: bool>(heap: &mut [Entry]) {
    heap.sort_by(|a, b| {
        let order = super::super::quantile::nan_first(&b.0, &a.0);
        match (SMALLEST, a.0.is_nan() || b.0.is_nan()) {
            (true, false) => order.reverse(),
            _ => order,
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_values_stay_and_nan_is_the_worst() {
        let values = [3.0, f64::NAN, 1.0, 7.0, 5.0, 7.0];
        let (mut top, mut bottom) = (Vec::new(), Vec::new());
        for (i, v) in values.iter().enumerate() {
            offer::<false>(&mut top, 3, (*v, i as u32));
            offer::<true>(&mut bottom, 2, (*v, i as u32));
        }
        sort::<false>(&mut top);
        sort::<true>(&mut bottom);
        assert_eq!(top.iter().map(|e| e.0).collect::<Vec<_>>(), [7.0, 7.0, 5.0]);
        assert_eq!(bottom, [(1.0, 2), (3.0, 0)]);
        let mut with_nan = vec![(f64::NAN, 0), (1.0, 1), (2.0, 2)];
        sort::<false>(&mut with_nan);
        assert_eq!(with_nan[0].1, 2);
        sort::<true>(&mut with_nan);
        assert_eq!((with_nan[0].1, with_nan[2].1), (1, 0));
    }
}
