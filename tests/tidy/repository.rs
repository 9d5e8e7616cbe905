//! The files of the repository, and what a rule reports about them.

use std::path::{Path, PathBuf};
use std::{fmt, fs};

/// Folders that builds and trainings create: of these names, and at these paths.
const MADE: [&str; 3] = ["target", "libtorch", "node_modules"];
const MADE_AT: [&str; 4] = ["data", "runs", "exporter/data", "exporter/runs"];

/// A line that breaks a rule.
#[derive(Debug, PartialEq)]
pub(crate) struct Violation {
    /// Relative to the repository.
    pub(crate) file: String,
    /// Counts from 1.
    pub(crate) line: usize,
    /// What holds everywhere else.
    pub(crate) rule: String,
    /// What to do.
    pub(crate) remedy: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Violation { file, line, rule, remedy } = self;
        write!(formatter, "{file}:{line}: {rule}; {remedy}")
    }
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files of the repository whose names end in one of these ways, in order.
pub(crate) fn files(endings: &[&str]) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![root().to_owned()]);
    let made = |name: &str, path: &Path| {
        let hidden = name.starts_with('.') && name != ".github";
        hidden || MADE.contains(&name) || MADE_AT.iter().any(|made| path == root().join(made))
    };
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
            let kind = entry.file_type().unwrap();
            if kind.is_dir() && !made(&name, &path) {
                folders.push(path);
            } else if kind.is_file() && endings.iter().any(|ending| name.ends_with(ending)) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Checks the Rust files below `folder`, the repository if it is empty: `rule` is given a path relative to the repository and
/// the text.
pub(crate) fn check(folder: &str, rule: impl Fn(&str, &str) -> Vec<Violation>) {
    let (mut violations, mut seen) = (Vec::new(), 0);
    for path in files(&[".rs"]) {
        let name = path.strip_prefix(root()).unwrap().to_str().unwrap();
        if name.starts_with(folder) {
            seen += 1;
            violations.extend(rule(name, &fs::read_to_string(&path).unwrap()));
        }
    }
    assert!(seen > 50, "only {seen} files are in {folder:?}");
    report(&violations);
}

/// Fails with every violation.
pub(crate) fn report(violations: &[Violation]) {
    let violations: Vec<_> = violations.iter().map(Violation::to_string).collect();
    assert!(violations.is_empty(), "{} violations:\n{}", violations.len(), violations.join("\n"));
}
