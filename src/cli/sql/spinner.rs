//! A sign that a statement runs, once it takes over a second.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::cli::terminal::stderr_is_terminal;

/// Shorter statements show nothing.
const SHOWN_AFTER: Duration = Duration::from_secs(1);

/// Turns on standard error while a statement runs.
pub(super) struct Spinner {
    started: Instant,
    bar: ProgressBar,
    shown: Cell<bool>,
    /// Whether rows go to the terminal too, where they take its place.
    gives_way: bool,
    over: Cell<bool>,
}

impl Spinner {
    /// A spinner that is not there yet.
    pub(super) fn new(gives_way: bool) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        // The template is constant and valid; the default style serves as well.
        let style = ProgressStyle::with_template("{spinner} {elapsed}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        Self {
            started: Instant::now(),
            bar,
            shown: Cell::new(false),
            gives_way,
            over: Cell::new(!stderr_is_terminal()),
        }
    }

    /// Shows it when it is time.
    pub(super) fn turn(&self) {
        if self.over.get() || self.started.elapsed() < SHOWN_AFTER {
            return;
        }
        if !self.shown.replace(true) {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.tick();
    }

    /// Rows are about to be written.
    pub(super) fn written(&self) {
        if self.gives_way {
            self.clear();
        }
    }

    /// Takes it away for good.
    pub(super) fn clear(&self) {
        if !self.over.replace(true) {
            self.bar.finish_and_clear();
        }
    }
}
