//! The `chronolith` binary: hands over to `cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    chronolith::cli::run()
}
