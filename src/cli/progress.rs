//! Progress of long work: a bar on a terminal once it takes over a second, and a line with the rate at the end.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{
    size::thousands,
    terminal::{note, stderr_is_terminal},
};

/// Shorter work shows no bar.
const SHOWN_AFTER: Duration = Duration::from_secs(1);

/// Counts done work of a known or unknown size, and samples on the side.
pub(crate) struct Progress {
    what: &'static str,
    /// What is counted on the side.
    unit: &'static str,
    started: Instant,
    bar: ProgressBar,
    shown: bool,
    samples: u64,
}

impl Progress {
    /// Work of `total` bytes, if that is known; `what` is its name, such as `import`.
    pub(crate) fn bytes(what: &'static str, total: Option<u64>) -> Self {
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden());
        let template = if total.is_some() {
            "{prefix} {wide_bar} {bytes}/{total_bytes} {msg} eta {eta}"
        } else {
            "{prefix} {spinner} {bytes} {msg}"
        };
        // The templates are constant and valid; the default style serves as well.
        bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_prefix(what);
        Self { what, unit: "samples", started: Instant::now(), bar, shown: !stderr_is_terminal(), samples: 0 }
    }

    /// Counts something else than samples on the side.
    pub(crate) fn counting(mut self, unit: &'static str) -> Self {
        self.unit = unit;
        self
    }

    /// Notes that this much more is done.
    pub(crate) fn advance(&mut self, bytes: u64, samples: u64) {
        self.samples += samples;
        self.bar.inc(bytes);
        if !self.shown && self.started.elapsed() >= SHOWN_AFTER {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
            self.shown = true;
        }
        self.bar.set_message(format!("{} {}/s", thousands(self.rate()), self.unit));
    }

    fn rate(&self) -> u64 {
        let seconds = self.started.elapsed().as_secs_f64().max(1e-3);
        (self.samples as f64 / seconds) as u64
    }

    /// Takes the bar away when the work ended with an error: what was done before is told, if anything was.
    pub(crate) fn fail(self) {
        if self.samples > 0 { self.finish() } else { self.bar.finish_and_clear() }
    }

    /// Takes the bar away and says what was done and how fast.
    pub(crate) fn finish(self) {
        self.bar.finish_and_clear();
        note(&format!(
            "{}: {} {unit} in {:.1} s ({} {unit}/s)",
            self.what,
            thousands(self.samples),
            self.started.elapsed().as_secs_f64(),
            thousands(self.rate()),
            unit = self.unit
        ));
    }
}
