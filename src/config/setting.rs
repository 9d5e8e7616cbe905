//! One setting, under each of its names.

use std::any::TypeId;
use std::error::Error;
use std::ffi::OsStr;
use std::path::PathBuf;

use clap::builder::Resettable;
use clap::{Arg, ArgAction, Command, FromArgMatches};

use super::{Flags, MOST_THREADS};
use crate::engine::Width;
use crate::telemetry::LogFormat;

/// What a setting is called, and what it is.
#[derive(Debug)]
pub struct Setting {
    /// In a file: `max_batch`.
    pub key: String,
    /// On the command line: `--max-batch`.
    pub flag: String,
    /// In the environment: `ANYWIDTH_MAX_BATCH`.
    pub variable: String,
    /// What holds where nothing is said: a value, or in words what it depends on.
    pub default: Option<String>,
    /// What it is, and when to change it.
    pub about: String,
    /// What its value is in a file.
    pub(super) kind: Kind,
    arg: Arg,
}

/// What a value is in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Number,
    Text,
    /// Texts.
    List,
}

impl Setting {
    pub(crate) fn of(arg: &Arg) -> Setting {
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        // What depends on something is said at the help's end.
        let (about, depends) = match help.split_once("[default: ") {
            Some((about, default)) => (about.trim_end(), Some(default.trim_end_matches(']'))),
            None => (help.as_str(), None),
        };
        let default = arg.get_default_values().first().map(|value| value.to_string_lossy().into_owned());
        Setting {
            key: arg.get_id().to_string(),
            flag: format!("--{}", arg.get_long().unwrap_or_default()),
            variable: arg.get_env().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
            default: default.or_else(|| depends.map(str::to_owned)),
            about: about.to_owned(),
            kind: Kind::of(arg),
            arg: arg.clone(),
        }
    }

    /// Tries the value as if it was typed; the error, of one line, says what it is and what is allowed.
    pub(crate) fn check(&self, value: &OsStr) -> Result<(), String> {
        let command = Command::new("anywidth").arg(self.arg.clone().env(Resettable::Reset));
        let mut typed = OsStr::new(&self.flag).to_owned();
        typed.push("=");
        typed.push(value);
        match command.try_get_matches_from([OsStr::new("anywidth"), &typed]) {
            Ok(_) => Ok(()),
            Err(error) => {
                let own = || error.source().map_or("it must be text in UTF-8".to_owned(), ToString::to_string);
                let allowed = self.allowed().map_or_else(own, |allowed| format!("it must be {allowed}"));
                Err(format!("{} is {}: {allowed}", self.flag, shown(value)))
            }
        }
    }

    /// What its value must be, in words, where its type tells.
    fn allowed(&self) -> Option<String> {
        let parser = self.arg.get_value_parser();
        let is = |kind: TypeId| parser.type_id() == kind;
        if let Some(values) = parser.possible_values() {
            return Some(values.map(|value| value.get_name().to_owned()).collect::<Vec<_>>().join(" or "));
        }
        if is(TypeId::of::<Width>()) {
            return Some(format!("a number {WIDTHS}"));
        }
        if is(TypeId::of::<u16>()) {
            return Some(format!("a whole number from 0 to {}", u16::MAX));
        }
        if is(TypeId::of::<f64>()) {
            return Some(format!("a number{}", self.bounds("inf")));
        }
        let whole = [TypeId::of::<u32>(), TypeId::of::<u64>(), TypeId::of::<usize>()].into_iter().any(is);
        whole.then(|| format!("a whole number{}", self.bounds(&usize::MAX.to_string())))
    }

    /// What is said of this value, which lies beyond every bound, when all settings are validated.
    fn bounds(&self, beyond: &str) -> String {
        let command = Flags::command_without_variables();
        let matches = command.try_get_matches_from(["anywidth", &format!("{}={beyond}", self.flag)]);
        let flags = matches.and_then(|matches| Flags::from_arg_matches(&matches));
        let said =
            flags.ok().and_then(|flags| flags.validate(MOST_THREADS as usize).err()).map(|error| error.to_string());
        said.and_then(|said| Some(format!(" {}", said.split_once(": it must be ")?.1))).unwrap_or_default()
    }
}

/// What a width is, in words.
const WIDTHS: &str = "above 0 and up to 1";

/// Reads a width; the error says what is allowed.
pub(crate) fn width(text: &str) -> Result<Width, String> {
    text.parse::<Width>().map_err(|error| format!("{error}: a width is a number {WIDTHS}"))
}

/// A value for an error's text: numbers as they are.
fn shown(value: &OsStr) -> String {
    const LONGEST: usize = 40;
    let text: String = value.to_string_lossy().chars().take(LONGEST).collect();
    if text.parse::<f64>().is_ok() { text } else { format!("{text:?}") }
}

impl Kind {
    fn of(arg: &Arg) -> Kind {
        if matches!(arg.get_action(), ArgAction::Append) {
            return Kind::List;
        }
        let value = arg.get_value_parser().type_id();
        let texts = [TypeId::of::<String>(), TypeId::of::<PathBuf>(), TypeId::of::<LogFormat>()];
        if texts.iter().any(|text| value == *text) { Kind::Text } else { Kind::Number }
    }
}
