//! `anywidth config`: the effective settings, as a file that says the same.

use super::{Failure, configuration, print};
use crate::config::{DefaultValue, SETTINGS, Setting, Sources};

pub(super) fn run(sources: &Sources) -> Result<(), Failure> {
    for sentence in super::unknown_variables() {
        super::complain("warning", &sentence);
    }
    configuration(sources)?;
    Ok(print(&text(sources)?)?)
}

/// A line for each setting, with where it came from; one that is not set is a comment.
fn text(sources: &Sources) -> anyhow::Result<String> {
    let mut lines = Vec::new();
    for setting in SETTINGS {
        lines.push(match sources.value(setting)? {
            Some(value) => (format!("{} = {value}", setting.key), origin(setting, sources)),
            None => (format!("# {}", setting.key), unset(setting)),
        });
    }
    let column = lines.iter().map(|(setting, _)| setting.chars().count()).max().unwrap_or_default();
    let mut text = format!("# The settings of anywidth {}, and where each came from.\n", env!("CARGO_PKG_VERSION"));
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
    // Whatever characters a file's name has, the comment is one line.
    sources.origin(setting).map_or("default".to_owned(), |origin| origin.escape_debug().to_string())
}
