//! `and`, `or`, `unless`: sets of series, joined by signature, step by step.

use super::{
    grid::{Grid, Series, is_absent},
    matching::Sides,
};
use crate::ast::BinaryOp;

/// At which steps a signature has a series.
pub(super) struct Presence {
    steps: usize,
    flags: Vec<bool>,
}

impl Presence {
    pub(super) fn of(series: &[Series], signatures: &[u32], count: usize, grid: Grid) -> Self {
        let steps = grid.count;
        let mut presence = Self { steps, flags: vec![false; steps.saturating_mul(count)] };
        for (s, signature) in series.iter().zip(signatures) {
            let Some(flags) = presence.flags.get_mut(*signature as usize * steps..) else { continue };
            for (flag, v) in flags.iter_mut().zip(&s.values) {
                *flag |= !is_absent(*v);
            }
            for (k, _) in &s.histograms {
                if let Some(flag) = flags.get_mut(*k as usize) {
                    *flag = true;
                }
            }
        }
        presence
    }

    pub(super) fn has(&self, signature: u32, k: usize) -> bool {
        self.flags.get(signature as usize * self.steps + k).copied().unwrap_or(false)
    }
}

/// Joins two sets. The result may hold series of equal labels that never meet.
pub(super) fn join(op: BinaryOp, sides: Sides, grid: Grid) -> Vec<Series> {
    let Sides { left, right, left_signatures, right_signatures, signatures } = sides;
    let mut out;
    if op == BinaryOp::Or {
        let presence = Presence::of(&left, &left_signatures, signatures, grid);
        out = left;
        for (mut s, signature) in right.into_iter().zip(right_signatures) {
            s.retain_steps(|k| !presence.has(signature, k));
            out.push(s);
        }
    } else {
        let presence = Presence::of(&right, &right_signatures, signatures, grid);
        let wanted = op == BinaryOp::And;
        out = left;
        for (s, signature) in out.iter_mut().zip(left_signatures) {
            s.retain_steps(|k| presence.has(signature, k) == wanted);
        }
    }
    out.retain(|s| !s.is_empty());
    out
}
