//! The pages of settings and metrics say what the program has.

use std::fmt::Write;

use anywidth::config::{DefaultValue, SETTINGS, Setting};
use anywidth::telemetry::{Description, Metrics};

use crate::support::documents::page;

/// A table's row; what separates cells is no part of one.
fn row(cells: &[String]) -> String {
    let cells: Vec<_> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    format!("| {} |\n", cells.join(" | "))
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

#[test]
fn the_page_of_settings_says_what_the_table_has() {
    let mut text = String::from(CONFIGURATION);
    for setting in SETTINGS {
        let Setting { key, unit, default, meaning, advice, .. } = setting;
        let names = [setting.flag(), setting.variable(), format!("{key} =")].map(|name| code(&name)).join(" · ");
        let value = setting.allowed().map_or(unit.to_string(), |allowed| format!("{unit}: {allowed}"));
        let default = match default {
            DefaultValue::Absent => "none".to_owned(),
            DefaultValue::Fixed(value) => code(value),
            DefaultValue::Depends(words) => words.to_string(),
        };
        // What stands for a name would be a tag.
        let meaning = meaning.replace('<', "\\<");
        write!(text, "\n## {key}\n\n{meaning} {advice}\n\n{names} · {value} · default: {default}\n").unwrap();
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

<!-- Written by `make docs` from the table in src/config/table.rs; a test compares. -->

Each setting is a flag of `anywidth serve`, an environment variable and a key of a file. A flag overrides a variable, a variable
overrides the file, and the file overrides the default. An empty variable counts as unset: the program's default then applies, also
in a container whose image sets another value. The server checks all settings before it binds a port. A mistake ends it with exit
code 2 and one line that names the flag, the variable, or the file and the line.

    anywidth serve --port 9000
    ANYWIDTH_PORT=9000 anywidth serve
    anywidth serve --config anywidth.toml       # or ANYWIDTH_CONFIG; in the file: port = 9000

The file is [TOML](https://toml.io) of at most 64 KiB, with one line per setting; text is in quotes. Relative paths start at the
directory in which the server starts, as on the command line. A setting with several values is a repeated flag, a variable with
commas, and a list in the file: `cors_origin = [\"https://a.example\", \"https://b.example\"]`.

`anywidth config` takes the same flags, variables and file, and prints the effective settings with the origin of each. Its output is
a valid file of settings.
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
