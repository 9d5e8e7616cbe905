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

use anyhow::{anyhow, bail};
use clap::builder::Resettable;
use clap::error::ErrorKind;
use clap::{Arg, ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};

use self::signals::EndAtOnce;
use crate::config::{Config, File, Flags, Origin, Origins, Setting};
use crate::repository::{Repository, ServedModel, Source};

const WITHOUT_A_COMMAND: &str = "Without a command it serves, and takes the options of `anywidth serve`.";

/// An inference server for Any-Width Networks: one file, one copy of the weights, every width
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true, after_help = WITHOUT_A_COMMAND)]
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
    /// Show the settings that hold, and where each came from; the output can be used as a file of settings
    Config(Box<Flags>),
    /// Ask the server on this machine whether it is ready, as containers do; the exit code says it
    Healthcheck(healthcheck::Arguments),
    /// Classify images, without a server
    Classify(classify::Arguments),
    /// Show what a model sees in one image at every width
    Profile(profile::Arguments),
    /// Measure a model at every width on a folder of labelled images
    Evaluate(evaluate::Arguments),
    /// Show a model's layers, and what each width costs
    Inspect(inspect::Arguments),
    /// Write labels, and accuracies and temperatures measured on labelled images, into a model file
    Label(label::Arguments),
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
    // First of all, for process 1 is told of no signal without a handler.
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

/// Writes a line to standard error; where nobody takes it, it is given up after a while.
fn complain(kind: &str, text: &str) {
    let line = format!("{kind}: {text}\n");
    let (done, ended) = mpsc::channel();
    thread::spawn(move || {
        let _ = io::stderr().write_all(line.as_bytes());
        let _ = done.send(());
    });
    let _ = ended.recv_timeout(PATIENCE);
}

/// The longest time to wait for somebody to take the last lines, before the process ends.
const PATIENCE: Duration = Duration::from_secs(2);

fn execute(typed: &[OsString], signals: &EndAtOnce) -> Result<(), Failure> {
    let (matches, file) = read(typed)?;
    let arguments = Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let origins = Origins::new(of_subcommand(&matches), file.as_ref());
    match arguments.command {
        None => serve::run(arguments.serve, &origins, signals),
        Some(Command::Serve(flags)) => serve::run(*flags, &origins, signals),
        Some(Command::Config(flags)) => config::run(*flags, &origins),
        Some(Command::Healthcheck(arguments)) => healthcheck::run(&arguments),
        Some(Command::Classify(arguments)) => classify::run(&arguments),
        Some(Command::Profile(arguments)) => profile::run(&arguments),
        Some(Command::Evaluate(arguments)) => evaluate::run(&arguments),
        Some(Command::Inspect(arguments)) => inspect::run(&arguments),
        Some(Command::Label(arguments)) => label::run(&arguments),
    }
}

/// Reads the command line, and where it names a file of settings, reads it again with what the file says as defaults.
fn read(typed: &[OsString]) -> Result<(ArgMatches, Option<File>), Failure> {
    let command = command(typed.get(1));
    let matches = matches_of(&command, typed)?;
    let path = of_subcommand(&matches).try_get_one::<PathBuf>("config").ok().flatten();
    let Some(path) = path else { return Ok((matches, None)) };
    let file = File::read(path).map_err(|error| Failure::Usage(error.into()))?;
    Ok((matches_of(&file.as_defaults(command), typed)?, Some(file)))
}

/// What was typed, and what the variables say. Where it is a variable that makes no sense, the error names it; all else is
/// for clap to say, which ends the process.
fn matches_of(command: &clap::Command, typed: &[OsString]) -> Result<ArgMatches, Failure> {
    command.clone().try_get_matches_from(typed).map_err(|error| match bad_variable(command, typed, &error) {
        Some(problem) => Failure::Usage(anyhow!(problem)),
        None => error.exit(),
    })
}

/// What is wrong with a variable, if that is why the command line cannot be read.
fn bad_variable(command: &clap::Command, typed: &[OsString], error: &clap::Error) -> Option<String> {
    if !matches!(error.kind(), ErrorKind::InvalidValue | ErrorKind::ValueValidation | ErrorKind::InvalidUtf8) {
        return None;
    }
    let command = typed.get(1).and_then(|first| command.find_subcommand(first)).unwrap_or(command);
    let is_typed = |setting: &Setting| {
        let begins = |word: &OsString| word.to_string_lossy().split('=').next() == Some(&setting.flag);
        typed.iter().any(begins)
    };
    let problem = |setting: Setting| {
        let value = var_os(&setting.variable).filter(|_| !is_typed(&setting))?;
        let problem = setting.check(&value).err()?;
        Some(format!("{}: {problem}", setting.variable))
    };
    let flags = command.get_arguments().filter(|flag| flag.get_env().is_some());
    flags.map(Setting::of).find_map(problem)
}

/// What is said about variables that are named like settings.
fn unknown_variables() -> Vec<String> {
    crate::config::unknown_variables(std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned()))
}

/// What was typed for the subcommand, or for the server where there is none.
fn of_subcommand(matches: &ArgMatches) -> &ArgMatches {
    matches.subcommand().map_or(matches, |(_, matches)| matches)
}

/// The settings that hold, or which one does not, and where it was said.
fn validate(flags: Flags, origins: &Origins) -> Result<Config, Failure> {
    let cores = available_parallelism().map_or(1, usize::from);
    flags.validate(cores).map_err(|error| {
        let setting = Flags::list().into_iter().find(|setting| Some(setting.flag.as_str()) == error.flag());
        let place = setting.filter(|setting| origins.of(&setting.key) < Origin::Flag);
        match place.and_then(|setting| origins.place(&setting)) {
            Some(place) => Failure::Usage(anyhow!(error).context(place)),
            None => Failure::Usage(error.into()),
        }
    })
}

/// The command line's grammar. Where its `first` word is a subcommand, the variables of the flags beside the
/// subcommands are not read: whatever they hold is no matter of `inspect`.
fn command(first: Option<&OsString>) -> clap::Command {
    // The flags of the server are shown by `serve --help`: here they would bury the commands.
    let command = Arguments::command().mut_args(|flag| flag.hide(true));
    let command = without_empty_variables(command);
    match first.is_some_and(|first| command.find_subcommand(first).is_some()) {
        true => command.mut_args(|flag| flag.env(Resettable::Reset)),
        false => command,
    }
}

/// An empty variable counts as none: that is what `NAME: ${NAME:-}` in a Compose file makes of one that is not set.
fn without_empty_variables(command: clap::Command) -> clap::Command {
    let is_empty = |flag: &Arg| flag.get_env().and_then(var_os).is_some_and(|value| value.is_empty());
    let command = command.mut_args(|flag| if is_empty(&flag) { flag.env(Resettable::Reset) } else { flag });
    command.mut_subcommands(without_empty_variables)
}

/// Writes to standard output. Whoever reads it may have seen enough: that is no error.
fn print(text: &str) -> io::Result<()> {
    match io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome,
    }
}

/// The model that a person means: a file, where it looks like a path or there is one of that name, else a model by
/// its name, though there may be a folder of that name.
fn find_model(model: Option<&str>, folder: Option<&PathBuf>) -> anyhow::Result<ServedModel> {
    let is_folder = |model: &&str| Path::new(model).is_dir();
    let source = match (model, folder) {
        (Some(path), _) if is_file(path) => match is_folder(&path) {
            true => bail!(name_the_model(path)),
            false => Source::File(path.into()),
        },
        (_, Some(folder)) => Source::Folder(folder.clone()),
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

/// What to say where a folder is named instead of a model.
fn name_the_model(folder: &str) -> String {
    let name = Path::new(folder).file_name().map_or("its name".into(), |name| name.to_string_lossy().into_owned());
    format!("{folder} is a folder; name the model ({name}, with --models for its folder) or its file")
}

fn is_file(text: &str) -> bool {
    text.contains('/') || text.ends_with(".onnx") || Path::new(text).is_file()
}
