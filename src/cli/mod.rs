//! The command line: one file per subcommand, and the exit codes.

mod classify;
mod config;
mod evaluate;
mod healthcheck;
mod inspect;
mod label;
mod profile;
mod serve;
mod signals;
mod subject;
mod table;

use std::env::var_os;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread::{self, available_parallelism};
use std::time::Duration;

use anyhow::bail;
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};

use self::signals::EndAtOnce;
use crate::config::{Config, Sources, flags};
use crate::repository::{Repository, ServedModel, Source};

const WITHOUT_A_COMMAND: &str = "Without a command, anywidth serves with the options of `anywidth serve`.";

/// Settings that `healthcheck` accepts as flags.
const ADDRESS: [&str; 3] = ["config", "host", "port"];

/// An inference server for Any-Width Networks: one file, one copy of the weights, every width
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true, after_help = WITHOUT_A_COMMAND)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve models over HTTP (the default command)
    Serve,
    /// Show the effective settings and their origins; the output is a valid settings file
    Config,
    /// Check whether the server on this machine is ready, for container health checks; exit code 0 if it is
    Healthcheck(healthcheck::Arguments),
    /// Classify images, without a server
    Classify(classify::Arguments),
    /// Show a model's predictions for one image at every width
    Profile(profile::Arguments),
    /// Measure a model at every width on a folder of labelled images
    Evaluate(evaluate::Arguments),
    /// Show a model's layers and the cost of each width
    Inspect(inspect::Arguments),
    /// Write labels, and accuracies and temperatures measured on labelled images, to a model file
    Label(label::Arguments),
}

/// Why a command failed; the variant determines the exit code.
#[derive(Debug)]
enum Failure {
    /// Invalid arguments or settings: exit code 2, as for an unknown flag.
    Usage(anyhow::Error),
    /// The command itself failed: exit code 1.
    Error(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure::Error(error.into())
    }
}

/// Runs the command line of this process and returns its exit code.
pub fn run() -> ExitCode {
    // First of all: the kernel drops signals without a handler when they are sent to process 1.
    let signals = EndAtOnce::begin();
    let typed: Vec<_> = std::env::args_os().collect();
    let outcome = signals.map_err(Failure::from).and_then(|signals| execute(&typed, &signals));
    let (error, code) = match outcome {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Usage(error)) => (error, ExitCode::from(2)),
        Err(Failure::Error(error)) => (error, ExitCode::FAILURE),
    };
    complain("error", &format!("{error:#}"));
    code
}

/// Writes a line to standard error, waiting at most [`PATIENCE`] for a reader.
fn complain(kind: &str, text: &str) {
    let line = format!("{kind}: {text}\n");
    let (done, ended) = mpsc::channel();
    thread::spawn(move || {
        let _ = io::stderr().write_all(line.as_bytes());
        let _ = done.send(());
    });
    let _ = ended.recv_timeout(PATIENCE);
}

/// Longest wait for a reader of the last lines before the process exits.
const PATIENCE: Duration = Duration::from_secs(2);

fn execute(typed: &[OsString], signals: &EndAtOnce) -> Result<(), Failure> {
    let matches = command().get_matches_from(typed);
    let arguments = Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let sources = || sources(matches.subcommand().map_or(&matches, |(_, matches)| matches));
    match arguments.command {
        None | Some(Command::Serve) => serve::run(&sources()?, signals),
        Some(Command::Config) => config::run(&sources()?),
        Some(Command::Healthcheck(arguments)) => healthcheck::run(&arguments, &sources()?),
        Some(Command::Classify(arguments)) => classify::run(&arguments),
        Some(Command::Profile(arguments)) => profile::run(&arguments),
        Some(Command::Evaluate(arguments)) => evaluate::run(&arguments),
        Some(Command::Inspect(arguments)) => inspect::run(&arguments),
        Some(Command::Label(arguments)) => label::run(&arguments),
    }
}

/// The command line's grammar, with the flags of the settings.
fn command() -> clap::Command {
    let is_of_address = |flag: &clap::Arg| ADDRESS.contains(&flag.get_id().as_str());
    // `serve --help` shows these flags; here they would bury the commands.
    let command = Arguments::command().args(flags().map(|flag| flag.hide(true)));
    let command = command.mut_subcommand("serve", |serve| serve.args(flags()));
    let command = command.mut_subcommand("config", |config| config.args(flags()));
    command.mut_subcommand("healthcheck", |healthcheck| healthcheck.args(flags().filter(is_of_address)))
}

/// The settings given by flags, environment variables and the file.
fn sources(flags: &ArgMatches) -> Result<Sources, Failure> {
    Sources::collect(flags, |name| var_os(name)).map_err(|error| Failure::Usage(error.into()))
}

/// The validated configuration. An error names the invalid setting and its origin.
fn configuration(sources: &Sources) -> Result<Config, Failure> {
    let cores = available_parallelism().map_or(1, usize::from);
    Config::read(sources, cores).map_err(|error| Failure::Usage(error.into()))
}

/// Warnings about environment variables with the settings' prefix that name no setting.
fn unknown_variables() -> Vec<String> {
    crate::config::unknown_variables(std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned()))
}

/// Writes to standard output. A closed pipe is not an error.
fn print(text: &str) -> io::Result<()> {
    match io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome,
    }
}

/// Resolves a model argument: a file if it looks like a path or exists as a file, otherwise the name of a served model, even if
/// a folder of that name exists.
fn find_model(model: Option<&str>, folder: Option<&PathBuf>) -> anyhow::Result<ServedModel> {
    let variable = || var_os("ANYWIDTH_MODELS").filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let folder = folder.cloned().or_else(variable);
    let is_folder = |model: &&str| Path::new(model).is_dir();
    let source = match (model, folder) {
        (Some(path), _) if is_file(path) => match is_folder(&path) {
            true => bail!(name_the_model(path)),
            false => Source::File(path.into()),
        },
        (_, Some(folder)) => Source::Folder(folder),
        (_, None) => Source::Embedded,
    };
    let repository = Repository::load(&source, None)?;
    let name = model.filter(|_| !matches!(source, Source::File(_)));
    match (repository.find(name, None), name.filter(is_folder)) {
        (Ok(model), _) => Ok(model.as_ref().clone()),
        (Err(_), Some(path)) => bail!(name_the_model(path)),
        (Err(error), None) => Err(error.into()),
    }
}

/// The error for a folder given instead of a model.
fn name_the_model(folder: &str) -> String {
    let name = Path::new(folder).file_name().map_or("its name".into(), |name| name.to_string_lossy().into_owned());
    format!("{folder} is a folder; name the model ({name}, with --models for its folder) or its file")
}

fn is_file(text: &str) -> bool {
    text.contains('/') || text.ends_with(".onnx") || Path::new(text).is_file()
}
