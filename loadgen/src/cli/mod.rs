//! The command line: one file per subcommand, and the exit codes.

mod compare;
mod files;
mod output;
mod progress;
mod requests;
mod run;
mod schedule;
mod server;
mod simulate;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Open-loop load for anywidth: requests go out on schedule, whether or not answers come back
///
/// A generator that waits for an answer before it asks again asks a slow server less often, and makes it look better than
/// it is. This one does not wait, counts every latency from the planned time, and measures its own lateness.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Send load to a server and report what became of it
    Run(Box<run::Arguments>),
    /// Put two runs side by side
    Compare(compare::Arguments),
    /// Play the server's width rule, and others beside it, under the same load on virtual time
    Simulate(simulate::Arguments),
}

/// Why a command ended, told apart for the exit code.
#[derive(Debug)]
enum Failure {
    /// The command was asked for something that makes no sense: exit code 2, as for an unknown flag.
    Usage(anyhow::Error),
    /// It could not do what was asked: exit code 1.
    Error(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure::Error(error.into())
    }
}

/// Runs the command line of this process, and says how it ended.
pub fn run() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Run(arguments) => run::run(*arguments),
        Command::Compare(arguments) => compare::run(&arguments),
        Command::Simulate(arguments) => simulate::run(&arguments),
    };
    let (error, code) = match outcome {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Usage(error)) => (error, ExitCode::from(2)),
        Err(Failure::Error(error)) => (error, ExitCode::FAILURE),
    };
    eprintln!("error: {error:#}");
    code
}
