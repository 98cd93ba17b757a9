//! `chronolith completions`: scripts that complete the command line in a shell.

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::{Cli, error::CliError, terminal::print};

/// Examples and hints below the options.
pub(crate) const HELP: &str = "\
Examples:
  $ chronolith completions bash
  $ chronolith completions zsh > _chronolith

Put the script where the shell looks for it: ~/.local/share/bash-completion/completions/chronolith for bash, a directory \
of $fpath for zsh, ~/.config/fish/completions/chronolith.fish for fish.";

/// Options of `completions`.
#[derive(Debug, clap::Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Prints the script.
pub(crate) fn run(args: &CompletionsArgs) -> Result<(), CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "chronolith", &mut script);
    print(&String::from_utf8_lossy(&script))
}
