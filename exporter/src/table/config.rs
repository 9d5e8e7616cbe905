//! A file of rows: one network on one data set by several methods, in TOML.
//!
//! What stands in `[train]` and in a row's own `train` are the flags of `exporter train`, so a row can be trained by hand with
//! the command that the page shows.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use thiserror::Error;
use toml::{Table, Value};

use crate::train::method::STATISTICS;

/// One table of the page.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// The heading, such as "LeNet-3C1L on CIFAR-10".
    pub title: String,
    /// A data set with a name.
    #[serde(default)]
    pub dataset: Option<String>,
    /// A folder of images, instead.
    #[serde(default)]
    pub data: Option<PathBuf>,
    /// Where the area under the accuracy-width curve begins.
    pub narrowest: f64,
    /// Epochs that the paper trains for.
    #[serde(default)]
    pub paper_epochs: Option<usize>,
    /// Flags of `exporter train` for all rows.
    #[serde(default)]
    pub train: Table,
    /// The rows, in the order in which they are trained and shown.
    pub row: Vec<Row>,
    /// The file's name without its extension.
    #[serde(skip)]
    pub name: String,
}

/// One row of a table, trained once for each seed.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// What its runs are called: letters, digits and hyphens.
    pub name: String,
    /// What it is called on the page.
    pub title: String,
    /// Seeds; a run for each.
    #[serde(default = "one_seed")]
    pub seeds: Vec<u64>,
    /// Numbers of widths whose normalization statistics are measured after training; the row has a line for each.
    #[serde(default)]
    pub statistics: Vec<usize>,
    /// Widths of ordinary networks that are trained one by one, and together make one line.
    #[serde(default)]
    pub widths: Vec<f64>,
    /// The paper's area in percent, for each of the row's lines.
    #[serde(default)]
    pub paper: Vec<f64>,
    /// Flags of `exporter train` for this row, which win over those for all.
    #[serde(default)]
    pub train: Table,
}

/// A training that a row asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct RunId {
    /// The row's name, the width if there are several, and the seed.
    pub name: String,
    /// The width of an ordinary network, if the row has some.
    pub width: Option<f64>,
    /// Its seed.
    pub seed: u64,
}

/// Why a file of rows cannot be used.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The system did not give it.
    #[error("{} cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is no file of rows.
    #[error("{}: {reason}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        reason: String,
    },
}

/// Flags that a table sets by itself.
const OWN: [&str; 8] = ["seed", "run", "resume", "data", "width", "statistics", "device", "threads"];

fn one_seed() -> Vec<u64> {
    vec![1]
}

impl Config {
    /// Reads the file `path`, whose flags have to be among `flags`, the names of `exporter train`'s.
    ///
    /// # Errors
    /// [`ConfigError`] names the line, the row or the flag that is wrong, and the nearest one that is known.
    pub fn read(path: &Path, flags: &[String]) -> Result<Config, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.into(), source })?;
        let content = |reason: String| ConfigError::Content { path: path.into(), reason };
        let config: Config = toml::from_str(&text).map_err(|error| content(unknown_key(&error.to_string())))?;
        let name = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        let config = Config { name, ..config };
        config.check(flags).map_err(content)?;
        Ok(config)
    }

    /// The trainings that `row` asks for.
    pub fn runs(&self, row: &Row) -> Vec<RunId> {
        let widths: Vec<Option<f64>> =
            if row.widths.is_empty() { vec![None] } else { row.widths.iter().copied().map(Some).collect() };
        let of_seed = |&seed: &u64| {
            widths.clone().into_iter().map(move |width| {
                let at = width.map_or_else(String::new, |width| format!("-{width}"));
                RunId { name: format!("{}{at}-{seed}", row.name), width, seed }
            })
        };
        row.seeds.iter().flat_map(of_seed).collect()
    }

    /// The arguments of `exporter train` for one of `row`'s runs, each in one word.
    pub fn arguments(&self, row: &Row, run: &RunId) -> Vec<String> {
        let mut flags = self.train.clone();
        flags.extend(row.train.clone());
        flags.insert("seed".into(), Value::Integer(run.seed as i64));
        if let Some(width) = run.width {
            flags.insert("width".into(), Value::Float(width));
        }
        if let Some(&most) = row.statistics.iter().max() {
            flags.insert("statistics".into(), Value::Integer(most as i64));
        }
        let images = self.dataset.clone().into_iter();
        images.chain(flags.iter().flat_map(|(name, value)| arguments(name, value))).collect()
    }

    fn check(&self, flags: &[String]) -> Result<(), String> {
        if self.dataset.is_some() == self.data.is_some() {
            return Err("dataset or data: one of the two says where the images are".into());
        }
        if !(0.0..1.0).contains(&self.narrowest) {
            return Err(format!("narrowest: {} is not in 0..1", self.narrowest));
        }
        check_flags("train", &self.train, flags)?;
        for (index, row) in self.row.iter().enumerate() {
            let place = format!("row {:?}", row.name);
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            if row.name.is_empty() || !row.name.bytes().all(plain) {
                return Err(format!("{place}: a name has letters, digits and hyphens only"));
            }
            if self.row[..index].iter().any(|other| other.name == row.name) {
                return Err(format!("{place} is there twice"));
            }
            if twice(&row.seeds) || twice(&row.widths) || twice(&row.statistics) {
                return Err(format!("{place}: a seed, a width or a number of statistics is there twice"));
            }
            if let Some(count) = row.statistics.iter().find(|count| !STATISTICS.contains(*count)) {
                let (least, most) = (STATISTICS.start(), STATISTICS.end());
                return Err(format!("{place}: statistics: {count} is not allowed, {least} to {most}"));
            }
            if row.seeds.is_empty() {
                return Err(format!("{place}: seeds: none, at least one is expected"));
            }
            let lines = row.statistics.len().max(1);
            if !row.paper.is_empty() && row.paper.len() != lines {
                return Err(format!("{place}: paper: {} values for {lines}", row.paper.len()));
            }
            check_flags(&place, &row.train, flags)?;
        }
        Ok(())
    }
}

impl Row {
    /// What its lines on the page are called: one for each number of statistics, if there are some.
    pub fn lines(&self) -> Vec<String> {
        if self.statistics.is_empty() {
            return vec![self.title.clone()];
        }
        self.statistics.iter().map(|count| format!("{}, statistics for {count} widths", self.title)).collect()
    }
}

fn twice<T: PartialEq>(values: &[T]) -> bool {
    values.iter().enumerate().any(|(index, value)| values[..index].contains(value))
}

/// A flag as words of a command line; a list repeats it.
fn arguments(name: &str, value: &Value) -> Vec<String> {
    match value {
        Value::Array(values) => values.iter().flat_map(|value| arguments(name, value)).collect(),
        Value::Boolean(true) if SWITCHES.contains(&name) => vec![format!("--{name}")],
        Value::Boolean(false) if SWITCHES.contains(&name) => Vec::new(),
        Value::String(text) => vec![format!("--{name}={text}")],
        Value::Integer(number) => vec![format!("--{name}={number}")],
        Value::Float(number) => vec![format!("--{name}={number}")],
        Value::Boolean(value) => vec![format!("--{name}={value}")],
        // Neither is the value of a flag, and the flag says so.
        Value::Datetime(_) | Value::Table(_) => vec![format!("--{name}={value:?}")],
    }
}

/// Flags without a value.
const SWITCHES: [&str; 3] = ["no-coverage", "separate-passes", "unbalanced"];

fn check_flags(place: &str, table: &Table, flags: &[String]) -> Result<(), String> {
    for name in table.keys() {
        if OWN.contains(&name.as_str()) {
            return Err(format!("{place}: {name} is set by the table itself"));
        }
        if !flags.contains(name) {
            let near = nearest(name, flags.iter().map(String::as_str));
            return Err(format!("{place}: {name:?} is no flag of exporter train; the nearest one is {near:?}"));
        }
    }
    Ok(())
}

/// The one of the `known` names that is most like `name`.
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> &'a str {
    known.min_by_key(|other| strsim::damerau_levenshtein(name, other)).unwrap_or("")
}

/// The reader's message, with the nearest key to one that it does not know.
fn unknown_key(message: &str) -> String {
    let message = message.trim_end();
    let mut quoted = message.split('`').skip(1).step_by(2);
    match (message.contains("unknown field"), quoted.next()) {
        (true, Some(found)) => {
            let known: Vec<&str> = quoted.collect();
            format!("{message}; the nearest one is {:?}", nearest(found, known.into_iter()))
        }
        _ => message.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
        title = "LeNet on MNIST"
        dataset = "mnist"
        narrowest = 0.25
        train = { network = "lenet-3c1l", epochs = 3, nesterov = false }

        [[row]]
        name = "us-net"
        title = "US-Net"
        statistics = [4, 10]
        seeds = [1, 2]
        paper = [1.5, 2.5]
        train = { method = "us-net", epochs = 4, emphasis = ["0.25=0.1", "1=0.2"], separate-passes = true }

        [[row]]
        name = "dense"
        title = "dense"
        widths = [0.5, 1]
    "#;

    fn flags() -> Vec<String> {
        ["network", "epochs", "nesterov", "method", "emphasis", "separate-passes"].map(String::from).into()
    }

    fn read(text: &str) -> Result<Config, String> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("lenet.toml");
        std::fs::write(&path, text).expect("written");
        Config::read(&path, &flags()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_row_becomes_the_words_of_a_command_for_each_seed_and_width() {
        let config = read(TEXT).expect("a config");
        assert_eq!(config.name, "lenet");
        let [us_net, dense] = &config.row[..] else { panic!("two rows") };
        let runs = config.runs(us_net);
        assert_eq!(runs.iter().map(|run| run.name.as_str()).collect::<Vec<_>>(), ["us-net-1", "us-net-2"]);
        assert_eq!(
            config.arguments(us_net, &runs[1]).join(" "),
            "mnist --emphasis=0.25=0.1 --emphasis=1=0.2 --epochs=4 --method=us-net --nesterov=false --network=lenet-3c1l \
             --seed=2 --separate-passes --statistics=10"
        );
        assert_eq!(us_net.lines(), ["US-Net, statistics for 4 widths", "US-Net, statistics for 10 widths"]);
        let runs = config.runs(dense);
        assert_eq!(runs.iter().map(|run| run.name.as_str()).collect::<Vec<_>>(), ["dense-0.5-1", "dense-1-1"]);
        assert!(config.arguments(dense, &runs[0]).contains(&"--width=0.5".to_owned()));
    }

    #[test]
    fn what_is_wrong_is_named_with_what_was_perhaps_meant() {
        for (from, to, reason) in [
            ("epochs = 3", "epoks = 3", "train: \"epoks\" is no flag of exporter train; the nearest one is \"epochs\""),
            ("epochs = 4", "epocs = 4", "row \"us-net\": \"epocs\" is no flag"),
            ("epochs = 4", "seed = 4", "row \"us-net\": seed is set by the table itself"),
            ("widths = [0.5, 1]", "width = [0.5, 1]", "the nearest one is \"widths\""),
            ("title = \"LeNet on MNIST\"", "titel = \"LeNet\"", "the nearest one is \"title\""),
            ("name = \"dense\"", "name = \"us-net\"", "row \"us-net\" is there twice"),
            ("name = \"dense\"", "name = \"../dense\"", "letters, digits and hyphens only"),
            ("seeds = [1, 2]", "seeds = []", "seeds: none"),
            ("seeds = [1, 2]", "seeds = [1, 1]", "a seed, a width or a number of statistics is there twice"),
            ("statistics = [4, 10]", "statistics = [1, 10]", "statistics: 1 is not allowed, 2 to 256"),
            ("paper = [1.5, 2.5]", "paper = [1.5]", "paper: 1 values for 2"),
            ("dataset = \"mnist\"", "", "dataset or data: one of the two"),
            ("narrowest = 0.25", "narrowest = 25", "narrowest: 25 is not in 0..1"),
        ] {
            let message = read(&TEXT.replace(from, to)).expect_err(reason);
            assert!(message.contains("lenet.toml: ") && message.contains(reason), "{message}");
        }
    }
}
