//! The sources of settings: flags, environment variables and a file.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;

use clap::{Arg, ArgMatches, value_parser};

use super::file::File;
use super::setting::PREFIX;
use super::value::SettingValue;
use super::{FileError, SETTINGS, Setting, ValueError};

/// The sources in ascending precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Origin {
    File,
    Variable,
    Flag,
}

/// The value of each setting from the source with the highest precedence.
#[derive(Debug)]
pub struct Sources {
    file: Option<File>,
    given: BTreeMap<&'static str, (OsString, Origin)>,
}

/// The key of the flag and the variable that name the settings file. It is not a setting, so a file cannot name another.
pub(super) const CONFIG: &str = "config";

/// The `--config` flag and the flag of every setting.
pub fn flags() -> impl Iterator<Item = Arg> {
    let help = format!(
        "Settings file in TOML; its keys are the flags' names, as in max_batch = 8. A variable overrides the file, and a \
         flag overrides both. [env: {PREFIX}CONFIG]"
    );
    let config = Arg::new(CONFIG).long(CONFIG).value_name("FILE").value_parser(value_parser!(OsString)).help(help);
    std::iter::once(config).chain(SETTINGS.iter().map(Setting::arg))
}

impl Sources {
    /// Collects the values of flags, variables and the settings file. Checks the file, but not the flags and variables. An empty
    /// variable counts as unset: `NAME: ${NAME:-}` in a Compose file creates one.
    ///
    /// # Errors
    /// [`FileError`] if the file cannot be read or is invalid.
    pub fn collect(flags: &ArgMatches, variable: impl Fn(&str) -> Option<OsString>) -> Result<Sources, FileError> {
        // A command may define only some of the flags.
        let flag = |key: &str| {
            let values: Vec<_> = flags.try_get_raw(key).ok().flatten()?.collect();
            Some((values.join(OsStr::new(",")), Origin::Flag))
        };
        let variable = |name: String| Some((variable(&name).filter(|value| !value.is_empty())?, Origin::Variable));
        let path = flag(CONFIG).or_else(|| variable(format!("{PREFIX}CONFIG")));
        let file = path.map(|(path, _)| File::read(Path::new(&path))).transpose()?;
        let in_file = |key: &str| Some((file.as_ref()?.text(key)?.into(), Origin::File));
        let strongest = |key: &str, name: String| flag(key).or_else(|| variable(name)).or_else(|| in_file(key));
        let given = |setting: &Setting| Some((setting.key, strongest(setting.key, setting.variable())?));
        let mut given: BTreeMap<_, _> = SETTINGS.iter().filter_map(given).collect();

        // `models` and `model` exclude each other: the source with the higher precedence wins.
        let [models, model] = ["models", "model"].map(|key| given.get(key).map(|(_, origin)| *origin));
        if models != model {
            given.remove(if models > model { "model" } else { "models" });
        }
        Ok(Sources { file, given })
    }

    /// The origin of a value: a flag, a variable, or the file's absolute path and line. `None` for a default.
    pub fn origin(&self, setting: &Setting) -> Option<String> {
        let (_, origin) = self.given.get(setting.key)?;
        match origin {
            Origin::Flag => Some(setting.flag()),
            Origin::Variable => Some(setting.variable()),
            Origin::File => self.file.as_ref()?.location(setting.key),
        }
    }

    /// The value of a setting in TOML; `None` if it is unset and has no fixed default.
    ///
    /// # Errors
    /// [`ValueError`] if the setting does not accept the value.
    pub fn value(&self, setting: &Setting) -> Result<Option<toml::Value>, ValueError> {
        let value = self.text(setting).map(|text| (setting.kind.check)(setting, text));
        value.transpose().map_err(|error| self.located(setting, error))
    }

    /// The value of the setting with this key.
    pub(super) fn read<T: SettingValue>(&self, key: &str) -> Result<T, ValueError> {
        let setting = Setting::named(key);
        setting.parse(self.text(setting)).map_err(|error| self.located(setting, error))
    }

    /// The error for a value that conflicts with another setting.
    pub(super) fn invalid(&self, key: &str, reason: String) -> ValueError {
        let setting = Setting::named(key);
        self.located(setting, setting.invalid(self.text(setting), reason))
    }

    fn text(&self, setting: &Setting) -> Option<&OsStr> {
        let given = self.given.get(setting.key).map(|(text, _)| text.as_os_str());
        given.or(setting.default.fixed().map(OsStr::new))
    }

    fn located(&self, setting: &Setting, mut error: ValueError) -> ValueError {
        // The error names the flag already.
        if let Some(origin) = self.origin(setting).filter(|origin| *origin != setting.flag()) {
            error.name = format!("{origin}: {}", error.name);
        }
        error
    }
}
