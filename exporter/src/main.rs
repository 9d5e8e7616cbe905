//! The command `exporter`: fetches data, trains, evaluates, exports.

mod cli;
mod memory;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    memory::keep_freed();
    match cli::Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", cli::printable(&format!("{error:#}")));
            ExitCode::FAILURE
        }
    }
}
