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

/// Open-loop load generator for anywidth: sends requests on schedule, whether or not answers arrive
///
/// A closed-loop generator waits for an answer before it sends the next request, so a slow server receives fewer
/// requests and looks better than it is. This generator does not wait, measures every latency from the scheduled time,
/// and reports its own lateness.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Send load to a server and report the outcomes
    Run(Box<run::Arguments>),
    /// Compare two runs
    Compare(compare::Arguments),
    /// Simulate the server's width rule and other policies under the same load, on virtual time
    Simulate(simulate::Arguments),
}

/// A failed command, by exit code.
#[derive(Debug)]
enum Failure {
    /// Invalid arguments: exit code 2, as for an unknown flag.
    Usage(anyhow::Error),
    /// Any other failure: exit code 1.
    Error(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure::Error(error.into())
    }
}

/// Runs the command line of this process and returns its exit code.
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
