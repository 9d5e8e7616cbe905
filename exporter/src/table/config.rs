//! A table file in TOML: one network on one data set by several methods.
//!
//! `[train]` and a row's `train` are flags of `exporter train`, so a row can also be trained by the command that the
//! page shows.

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
    /// A built-in data set.
    #[serde(default)]
    pub dataset: Option<String>,
    /// A folder of images, as the alternative.
    #[serde(default)]
    pub data: Option<PathBuf>,
    /// Lower end of the area under the accuracy-width curve.
    pub narrowest: f64,
    /// Epochs in the paper.
    #[serde(default)]
    pub paper_epochs: Option<usize>,
    /// Flags of `exporter train` for all rows.
    #[serde(default)]
    pub train: Table,
    /// The rows, in the order of training and display.
    pub row: Vec<Row>,
    /// The file's name without its extension.
    #[serde(skip)]
    pub name: String,
}

/// A row of a table, trained once per seed.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// Name of its runs: letters, digits and hyphens.
    pub name: String,
    /// Title on the page.
    pub title: String,
    /// Seeds; one run each.
    #[serde(default = "one_seed")]
    pub seeds: Vec<u64>,
    /// Numbers of widths whose normalization statistics are measured after training; one line each.
    #[serde(default)]
    pub statistics: Vec<usize>,
    /// Widths of separately trained ordinary networks, which form one line together.
    #[serde(default)]
    pub widths: Vec<f64>,
    /// The paper's area in percent, for each line of the row.
    #[serde(default)]
    pub paper: Vec<f64>,
    /// Flags of `exporter train` for this row, which override those for all.
    #[serde(default)]
    pub train: Table,
}

/// A training of a row.
#[derive(Debug, Clone, PartialEq)]
pub struct RunId {
    /// The row's name, the width if there are several, and the seed.
    pub name: String,
    /// The width of an ordinary network, if the row has several.
    pub width: Option<f64>,
    /// Its seed.
    pub seed: u64,
}

/// Why a table file cannot be used.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{} cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The file is not a table in TOML.
    #[error("{}: {reason}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// The parser's message.
        reason: String,
    },
    /// The table's settings are invalid.
    #[error("{}: {reason}", path.display())]
    Setting {
        /// The file.
        path: PathBuf,
        /// The invalid setting.
        reason: TableError,
    },
}

/// Why a table's settings are refused.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum TableError {
    /// No images, or two sources of them.
    #[error("dataset or data: exactly one of the two is required")]
    Images,
    /// The lower end of the area is out of range.
    #[error("narrowest: {0} is not in 0..1")]
    Narrowest(f64),
    /// A flag that tables set themselves.
    #[error("{section}: {name} is set by the table itself")]
    OwnFlag {
        /// `train` or the row.
        section: String,
        /// The flag.
        name: String,
    },
    /// An unknown flag.
    #[error("{section}: {name:?} is not a flag of exporter train; the nearest one is {near:?}")]
    UnknownFlag {
        /// `train` or the row.
        section: String,
        /// The flag.
        name: String,
        /// The most similar flag.
        near: String,
    },
    /// An invalid row.
    #[error("row {row:?}: {reason}")]
    Row {
        /// The row's name.
        row: String,
        /// The invalid setting.
        reason: RowError,
    },
}

/// Why a row's settings are refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RowError {
    /// The name is empty or has other characters.
    #[error("a name has letters, digits and hyphens only")]
    Name,
    /// Another row has the same name.
    #[error("the name is duplicated")]
    Duplicate,
    /// A list has the same value twice.
    #[error("a seed, a width or a number of statistics is duplicated")]
    Repeated,
    /// A number of statistics is out of range.
    #[error("statistics: {count} is not from {} to {}", STATISTICS.start(), STATISTICS.end())]
    Statistics {
        /// The number.
        count: usize,
    },
    /// No seeds.
    #[error("seeds: at least one is required")]
    NoSeeds,
    /// The number of the paper's values is not that of the row's lines.
    #[error("paper: {values} values for {lines}")]
    Paper {
        /// The number of values.
        values: usize,
        /// The number of lines.
        lines: usize,
    },
}

/// Flags that tables set themselves.
const OWN: [&str; 8] = ["seed", "run", "resume", "data", "width", "statistics", "device", "threads"];

fn one_seed() -> Vec<u64> {
    vec![1]
}

impl Config {
    /// Reads the file `path`; `flags` are the names of `exporter train`'s flags.
    ///
    /// # Errors
    /// [`ConfigError`] names the invalid line, row or flag, and the nearest valid one.
    pub fn read(path: &Path, flags: &[String]) -> Result<Config, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.into(), source })?;
        let config: Config = toml::from_str(&text)
            .map_err(|error| ConfigError::Parse { path: path.into(), reason: unknown_key(&error.to_string()) })?;
        let name = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        let config = Config { name, ..config };
        config.check(flags).map_err(|reason| ConfigError::Setting { path: path.into(), reason })?;
        Ok(config)
    }

    /// The trainings of `row`.
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

    /// The arguments of `exporter train` for a run of `row`, one word each.
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

    fn check(&self, flags: &[String]) -> Result<(), TableError> {
        if self.dataset.is_some() == self.data.is_some() {
            return Err(TableError::Images);
        }
        if !(0.0..1.0).contains(&self.narrowest) {
            return Err(TableError::Narrowest(self.narrowest));
        }
        check_flags("train", &self.train, flags)?;
        for (index, row) in self.row.iter().enumerate() {
            row.check(&self.row[..index]).map_err(|reason| TableError::Row { row: row.name.clone(), reason })?;
            check_flags(&format!("row {:?}", row.name), &row.train, flags)?;
        }
        Ok(())
    }
}

impl Row {
    /// Checks the row, which follows the rows `before`.
    fn check(&self, before: &[Row]) -> Result<(), RowError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        let lines = self.statistics.len().max(1);
        if self.name.is_empty() || !self.name.bytes().all(plain) {
            return Err(RowError::Name);
        }
        if before.iter().any(|other| other.name == self.name) {
            return Err(RowError::Duplicate);
        }
        if twice(&self.seeds) || twice(&self.widths) || twice(&self.statistics) {
            return Err(RowError::Repeated);
        }
        if let Some(&count) = self.statistics.iter().find(|count| !STATISTICS.contains(*count)) {
            return Err(RowError::Statistics { count });
        }
        if self.seeds.is_empty() {
            return Err(RowError::NoSeeds);
        }
        if !self.paper.is_empty() && self.paper.len() != lines {
            return Err(RowError::Paper { values: self.paper.len(), lines });
        }
        Ok(())
    }

    /// Titles of its lines: one per number of statistics, if there are any.
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

/// A flag as command-line words; a list repeats the flag.
fn arguments(name: &str, value: &Value) -> Vec<String> {
    match value {
        Value::Array(values) => values.iter().flat_map(|value| arguments(name, value)).collect(),
        Value::Boolean(true) if SWITCHES.contains(&name) => vec![format!("--{name}")],
        Value::Boolean(false) if SWITCHES.contains(&name) => Vec::new(),
        Value::String(text) => vec![format!("--{name}={text}")],
        Value::Integer(number) => vec![format!("--{name}={number}")],
        Value::Float(number) => vec![format!("--{name}={number}")],
        Value::Boolean(value) => vec![format!("--{name}={value}")],
        // Invalid as a flag's value; the flag's parser reports it.
        Value::Datetime(_) | Value::Table(_) => vec![format!("--{name}={value:?}")],
    }
}

/// Flags without a value.
const SWITCHES: [&str; 3] = ["no-coverage", "separate-passes", "unbalanced"];

fn check_flags(section: &str, table: &Table, flags: &[String]) -> Result<(), TableError> {
    for name in table.keys() {
        if OWN.contains(&name.as_str()) {
            return Err(TableError::OwnFlag { section: section.into(), name: name.clone() });
        }
        if !flags.contains(name) {
            let near = nearest(name, flags.iter().map(String::as_str)).to_owned();
            return Err(TableError::UnknownFlag { section: section.into(), name: name.clone(), near });
        }
    }
    Ok(())
}

/// The most similar of the `known` names.
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> &'a str {
    known.min_by_key(|other| strsim::damerau_levenshtein(name, other)).unwrap_or("")
}

/// The parser's message, with the nearest valid key for an unknown one.
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
            (
                "epochs = 3",
                "epoks = 3",
                "train: \"epoks\" is not a flag of exporter train; the nearest one is \"epochs\"",
            ),
            ("epochs = 4", "epocs = 4", "row \"us-net\": \"epocs\" is not a flag"),
            ("epochs = 4", "seed = 4", "row \"us-net\": seed is set by the table itself"),
            ("widths = [0.5, 1]", "width = [0.5, 1]", "the nearest one is \"widths\""),
            ("title = \"LeNet on MNIST\"", "titel = \"LeNet\"", "the nearest one is \"title\""),
            ("name = \"dense\"", "name = \"us-net\"", "row \"us-net\": the name is duplicated"),
            ("name = \"dense\"", "name = \"../dense\"", "letters, digits and hyphens only"),
            ("seeds = [1, 2]", "seeds = []", "seeds: at least one"),
            ("seeds = [1, 2]", "seeds = [1, 1]", "a seed, a width or a number of statistics is duplicated"),
            ("statistics = [4, 10]", "statistics = [1, 10]", "statistics: 1 is not from 2 to 256"),
            ("paper = [1.5, 2.5]", "paper = [1.5]", "paper: 1 values for 2"),
            ("dataset = \"mnist\"", "", "dataset or data: exactly one of the two"),
            ("narrowest = 0.25", "narrowest = 25", "narrowest: 25 is not in 0..1"),
        ] {
            let message = read(&TEXT.replace(from, to)).expect_err(reason);
            assert!(message.contains("lenet.toml: ") && message.contains(reason), "{message}");
        }
    }
}
