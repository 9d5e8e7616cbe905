//! Where each setting came from.

use clap::ArgMatches;
use clap::parser::ValueSource;

use super::{File, Setting};

/// Where a setting came from, the weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// The file of settings.
    File,
    /// A variable of the environment.
    Variable,
    /// The command line.
    Flag,
}

/// What says so.
#[derive(Debug, Clone, Copy)]
pub struct Origins<'a> {
    matches: &'a ArgMatches,
    file: Option<&'a File>,
}

impl<'a> Origins<'a> {
    /// `matches` are of a command that takes settings, which had the values of `file` as defaults.
    pub fn new(matches: &'a ArgMatches, file: Option<&'a File>) -> Origins<'a> {
        Origins { matches, file }
    }

    /// Where the setting with this key came from.
    pub fn of(&self, key: &str) -> Origin {
        match self.matches.value_source(key) {
            Some(ValueSource::CommandLine) => Origin::Flag,
            Some(ValueSource::EnvVariable) => Origin::Variable,
            _ if self.file.is_some_and(|file| file.line(key).is_some()) => Origin::File,
            _ => Origin::Default,
        }
    }

    /// The place where somebody set it: a flag, a variable, a line of the file as it was named.
    pub fn place(&self, setting: &Setting) -> Option<String> {
        self.place_with(setting, File::place)
    }

    /// The same, with the whole path of the file.
    pub fn whole_place(&self, setting: &Setting) -> Option<String> {
        self.place_with(setting, File::whole_place)
    }

    fn place_with(&self, setting: &Setting, of_file: fn(&File, &str) -> Option<String>) -> Option<String> {
        match self.of(&setting.key) {
            Origin::Flag => Some(setting.flag.clone()),
            Origin::Variable => Some(setting.variable.clone()),
            Origin::File => self.file.and_then(|file| of_file(file, &setting.key)),
            Origin::Default => None,
        }
    }
}
