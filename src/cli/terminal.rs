//! The terminal: what is printed where, its width, and whether colours are wanted.

use std::io::{self, IsTerminal as _, Write as _};

use super::error::CliError;

/// The width when nothing tells it.
const DEFAULT_WIDTH: usize = 100;

/// Writes to standard output. A reader that went away (`chronolith query ... | head`) is no error.
pub(crate) fn print(text: &str) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Err(CliError::ReaderGone),
        other => other.map_err(|e| CliError::io("standard output", e)),
    }
}

/// Writes a line to standard error; nobody can be told when that fails.
pub(crate) fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// How many columns standard output shows.
pub(crate) fn stdout_width() -> usize {
    let told = std::env::var("COLUMNS").ok().and_then(|c| c.parse().ok());
    let seen =
        || io::stdout().is_terminal().then(terminal_size::terminal_size).flatten().map(|(w, _)| usize::from(w.0));
    told.or_else(seen).unwrap_or(DEFAULT_WIDTH).clamp(20, 1_000)
}

/// Whether standard output is a terminal and `NO_COLOR` is not set (<https://no-color.org>).
pub(crate) fn stdout_color() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
    io::stdout().is_terminal() && !refused
}

/// Whether standard error is a terminal.
pub(crate) fn stderr_is_terminal() -> bool {
    io::stderr().is_terminal()
}
