//! The command line: one file per subcommand, and the exit codes.

mod classify;
mod evaluate;
mod inspect;
mod profile;
mod serve;
mod subject;
mod table;

use std::ffi::OsString;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::builder::Resettable;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

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
    /// Measure a model at every width on a folder of labelled pictures
    Evaluate(evaluate::Arguments),
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
    let matches = command(std::env::args_os().nth(1)).get_matches();
    let arguments = Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let outcome = match arguments.command {
        None => serve::run(arguments.serve.prefer_typed(&matches)),
        Some(Command::Serve(flags)) => {
            let (_, matches) = matches.subcommand().expect("it was read from there");
            serve::run(flags.prefer_typed(matches))
        }
        Some(Command::Classify(arguments)) => classify::run(&arguments),
        Some(Command::Profile(arguments)) => profile::run(&arguments),
        Some(Command::Evaluate(arguments)) => evaluate::run(&arguments),
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

/// The command line's grammar. Where its `first` word is a subcommand, the variables of the flags beside the
/// subcommands are not read: whatever they hold is no matter of `inspect`.
fn command(first: Option<OsString>) -> clap::Command {
    let command = Arguments::command();
    match first.is_some_and(|first| command.find_subcommand(first).is_some()) {
        true => command.mut_args(|flag| flag.env(Resettable::Reset)),
        false => command,
    }
}

/// Writes to standard output. Whoever reads it may have seen enough: that is no error.
fn print(text: &str) -> io::Result<()> {
    match io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome,
    }
}

/// The model that a person means: a file, where it looks like a path or there is one of that name, else a model by
/// its name.
fn find_model(model: Option<&str>, folder: Option<&PathBuf>) -> anyhow::Result<ServedModel> {
    let source = match (model, folder) {
        (Some(path), _) if is_file(path) => Source::File(path.into()),
        (_, Some(folder)) => Source::Folder(folder.clone()),
        (_, None) => Source::Embedded,
    };
    let repository = Repository::load(&source, None)?;
    let name = model.filter(|_| !matches!(source, Source::File(_)));
    Ok(repository.find(name, None)?.as_ref().clone())
}

fn is_file(text: &str) -> bool {
    text.contains('/') || text.ends_with(".onnx") || Path::new(text).is_file()
}
