//! The command line: one file per subcommand, and the exit codes.

mod classify;
mod inspect;
mod profile;
mod serve;
mod subject;
mod table;

use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::Flags;
use crate::repository::{Repository, ServedModel, Source};

/// An inference server for Any-Width Networks: one file, one copy of the weights, every width
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Flags,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve models over HTTP (what happens without a subcommand)
    Serve(Box<Flags>),
    /// Classify one image, without a server
    Classify(classify::Arguments),
    /// Show what a model sees in one image at every width
    Profile(profile::Arguments),
    /// Show a model's layers, and what each width costs
    Inspect(inspect::Arguments),
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
    let arguments = Arguments::parse();
    let outcome = match arguments.command {
        None => serve::run(arguments.serve),
        Some(Command::Serve(flags)) => serve::run(*flags),
        Some(Command::Classify(arguments)) => classify::run(&arguments),
        Some(Command::Profile(arguments)) => profile::run(&arguments),
        Some(Command::Inspect(arguments)) => inspect::run(&arguments),
    };
    let (error, code) = match outcome {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Usage(error)) => (error, ExitCode::from(2)),
        Err(Failure::Error(error)) => (error, ExitCode::FAILURE),
    };
    eprintln!("error: {error:#}");
    code
}

/// Writes to standard output. Whoever reads it may have seen enough: that is no error.
fn print(text: &str) -> io::Result<()> {
    match io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome,
    }
}

/// The model that a person means: a file, where there is one of that name, else a model by its name.
fn find_model(model: Option<&str>, folder: Option<&PathBuf>) -> anyhow::Result<ServedModel> {
    let source = match (model, folder) {
        (Some(path), _) if Path::new(path).is_file() => Source::File(path.into()),
        (_, Some(folder)) => Source::Folder(folder.clone()),
        (_, None) => Source::Embedded,
    };
    let repository = Repository::load(&source, None)?;
    let name = model.filter(|_| !matches!(source, Source::File(_)));
    Ok(repository.find(name, None)?.as_ref().clone())
}
