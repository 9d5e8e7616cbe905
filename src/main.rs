//! The binary: see [`anywidth::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    anywidth::cli::run()
}
