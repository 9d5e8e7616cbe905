//! One setting, under each of its names.

use std::any::TypeId;
use std::path::PathBuf;

use clap::builder::Resettable;
use clap::{Arg, ArgAction, Command};

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
    pub(super) fn of(arg: &Arg) -> Setting {
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

    /// Tries the value as if it was typed; the error is clap's, on one line.
    pub(super) fn check(&self, value: &str) -> Result<(), String> {
        let command = Command::new("anywidth").arg(self.arg.clone().env(Resettable::Reset));
        let typed = format!("{}={value}", self.flag);
        let Err(error) = command.try_get_matches_from(["anywidth", &typed]) else { return Ok(()) };
        let text = error.to_string();
        let lines = text.lines().map(str::trim).take_while(|line| !line.is_empty());
        let line = lines.collect::<Vec<_>>().join(" ");
        Err(line.strip_prefix("error: ").unwrap_or(&line).to_owned())
    }
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
