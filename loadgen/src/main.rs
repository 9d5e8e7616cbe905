//! The binary: see [`anywidth_load::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    anywidth_load::cli::run()
}
