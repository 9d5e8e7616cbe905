//! `anywidth config`: the settings that hold, as a file that says the same.

use super::{Failure, print};
use crate::config::{Flags, Origins, Setting};

pub(super) fn run(flags: Flags, origins: &Origins) -> Result<(), Failure> {
    for sentence in super::unknown_variables() {
        super::complain("warning", &sentence);
    }
    let flags = flags.prefer_stronger(origins);
    super::validate(flags.clone(), origins)?;
    Ok(print(&text(&flags, origins)?)?)
}

/// A line for each setting, with where it came from; one that is not set is a comment.
fn text(flags: &Flags, origins: &Origins) -> anyhow::Result<String> {
    let values = toml::Table::try_from(flags)?;
    let line = |setting: &Setting| match values.get(&setting.key) {
        Some(value) => (format!("{} = {value}", setting.key), origin(setting, origins)),
        None => (format!("# {}", setting.key), unset(setting)),
    };
    let lines: Vec<_> = Flags::list().iter().map(line).collect();
    let column = lines.iter().map(|(setting, _)| setting.chars().count()).max().unwrap_or_default();
    let mut text = format!("# The settings of anywidth {}, and where each came from.\n", env!("CARGO_PKG_VERSION"));
    for (setting, origin) in lines {
        text += &format!("{setting:column$}  # {origin}\n");
    }
    Ok(text)
}

fn unset(setting: &Setting) -> String {
    setting.default.as_ref().map_or("not set".to_owned(), |default| format!("default: {default}"))
}

fn origin(setting: &Setting, origins: &Origins) -> String {
    // Whatever characters a file's name has, the comment is one line.
    origins.whole_place(setting).map_or("default".to_owned(), |place| place.escape_debug().to_string())
}
