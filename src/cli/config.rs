//! `anywidth config`: prints the effective settings as a valid settings file.

use super::{Failure, configuration, print};
use crate::config::{DefaultValue, SETTINGS, Setting, Sources};

pub(super) fn run(sources: &Sources) -> Result<(), Failure> {
    for sentence in super::unknown_variables() {
        super::complain("warning", &sentence);
    }
    configuration(sources)?;
    Ok(print(&text(sources)?)?)
}

/// One line per setting, with its origin. An unset setting is a comment.
fn text(sources: &Sources) -> anyhow::Result<String> {
    let mut lines = Vec::new();
    for setting in SETTINGS {
        lines.push(match sources.value(setting)? {
            Some(value) => (format!("{} = {value}", setting.key), origin(setting, sources)),
            None => (format!("# {}", setting.key), unset(setting)),
        });
    }
    let column = lines.iter().map(|(setting, _)| setting.chars().count()).max().unwrap_or_default();
    let mut text = format!("# Effective settings of anywidth {}, each with its origin.\n", env!("CARGO_PKG_VERSION"));
    for (setting, origin) in lines {
        text += &format!("{setting:column$}  # {origin}\n");
    }
    Ok(text)
}

fn unset(setting: &Setting) -> String {
    match setting.default {
        DefaultValue::Depends(words) => format!("default: {words}"),
        DefaultValue::Absent | DefaultValue::Fixed(_) => "not set".to_owned(),
    }
}

fn origin(setting: &Setting, sources: &Sources) -> String {
    // A file name may contain line breaks; escaping keeps the comment on one line.
    sources.origin(setting).map_or("default".to_owned(), |origin| origin.escape_debug().to_string())
}
