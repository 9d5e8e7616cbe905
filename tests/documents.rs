//! The pages of settings and metrics say what the program has.
#![allow(clippy::unwrap_used)]

mod support;

use std::fmt::Write;

use anywidth::config::{Flags, Setting};
use anywidth::telemetry::{Description, Metrics};
use support::documents::page;

/// A table's row; what separates cells is no part of one.
fn row(cells: &[String]) -> String {
    let cells: Vec<_> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    format!("| {} |\n", cells.join(" | "))
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

#[test]
fn the_page_of_settings_says_what_the_flags_are() {
    let mut text = String::from(CONFIGURATION);
    for setting in Flags::list() {
        let Setting { key, flag, variable, default, about, .. } = &setting;
        let default = match default {
            Some(words) if words.contains(' ') => words.clone(),
            Some(value) => code(value),
            None => "none".to_owned(),
        };
        // What stands for a name would be a tag.
        let about = about.replace('<', "\\<");
        write!(text, "\n## {key}\n\n{about}.\n\n").unwrap();
        writeln!(text, "{} · {} · {} · default: {default}", code(flag), code(variable), code(&format!("{key} =")))
            .unwrap();
    }
    page("configuration.md", &text);
}

#[test]
fn the_page_of_metrics_says_what_the_table_has() {
    let mut text = String::from(METRICS);
    for Description { name, kind, labels, help } in Metrics::describe().unwrap() {
        let labels = labels.iter().map(|label| code(label)).collect::<Vec<_>>().join(", ");
        text += &row(&[code(&name), kind.to_owned(), labels, help]);
    }
    page("metrics.md", &text);
}

const CONFIGURATION: &str = "\
# Settings

<!-- Written by `make docs` from the flags in src/config/flags.rs; a test compares. -->

Each setting is a flag of `anywidth serve`, a variable and a key of a file. A flag beats a variable, a variable beats the file,
and the file beats the default. An empty variable counts as none: the program's default holds then, also in a container whose image
has another one. All of it is checked before a port is bound; what is wrong is one line and exit code 2, with the flag, the variable,
or the file and its line.

    anywidth serve --port 9000
    ANYWIDTH_PORT=9000 anywidth serve
    anywidth serve --config anywidth.toml       # or ANYWIDTH_CONFIG; in the file: port = 9000

The file is [TOML](https://toml.io), at most 64 KiB, a line for each setting: numbers as they are, text in quotes. Paths in it are
those of the directory in which the server starts, as on the command line. A setting of which there may be several is a flag that is
repeated, a variable with commas, and a list in the file: `cors_origin = [\"https://a.example\", \"https://b.example\"]`.

`anywidth config` takes the same flags, variables and file, and prints the settings that hold, each with where it came from. Its
output can be used as a file of settings.
";

const METRICS: &str = "\
# Metrics

<!-- Written by `make docs` from the table in src/telemetry/metrics.rs; a test compares. -->

`GET /metrics` shows them to Prometheus. Times are in seconds, counters end in `_total`. Labels have few values: models that
are served, widths of their grids (`none` where a request did not get so far), status codes, reasons. A histogram is three
series, as usual: `_bucket`, `_sum` and `_count`.

A model is counted by its name. Where several of its versions are asked for at once, counters add them up, and the two gauges of
a model say what holds for the version that ran last.

`reason` of batches is what kept the width from being wider: `full`, nothing; `budget`, one job would block a worker for half of the
short budgets in use; `load`, the backlog would be late; `arrivals`, what is expected would be late; `holding`, a wider width would
do, but has not for long enough; `overload`, not even the narrowest does. `reason` of refusals is a code of [the API](api.md#errors);
`how` an image missed its deadline is `shed`, without an answer, or `late`, answered after it.

| name | type | labels | what it says |
|---|---|---|---|
";
