//! The destination of a model: its name, folder and version, all checked before training.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use anywidth::engine::Model;

use exporter::data::Source;
use exporter::file::check_writable;

/// The destination of a model, and additions to its card.
#[derive(Debug, clap::Args)]
pub(super) struct Target {
    /// Folder of models [default: my-models, which git ignores here].
    #[arg(long)]
    models: Option<PathBuf>,
    /// Model name, which is also its folder's name [default: the data set's].
    #[arg(long)]
    name: Option<String>,
    /// Model version [default: one more than the highest existing one].
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    version: Option<u64>,
    /// Commit of the source, for the card [default: from git, if run in the exporter's own repository].
    #[arg(long)]
    commit: Option<String>,
    /// A sentence for the card's notes; may be repeated.
    #[arg(long)]
    pub(super) note: Vec<String>,
}

/// Separate from the models shipped with the server.
const DEFAULT_MODELS: &str = "my-models";

/// The folder of a model among others.
#[derive(Debug)]
pub(super) struct Destination {
    pub(super) models: PathBuf,
    pub(super) name: String,
}

/// Maximum length of a name that the server accepts.
const LONGEST_NAME: usize = 64;

impl Target {
    /// Whether any flag is given.
    pub(super) fn is_said(&self) -> bool {
        let said = self.name.is_some() || self.version.is_some() || self.commit.is_some() || !self.note.is_empty();
        said || self.models.is_some()
    }

    /// The destination of a model for `source`; fails if it is not writable or holds a different model.
    pub(super) fn destination(&self, source: &Source) -> anyhow::Result<Destination> {
        let models = self.models.clone().unwrap_or_else(|| DEFAULT_MODELS.into());
        let destination = Destination { models, name: self.model_name(source.name())? };
        let folder = destination.folder();
        check_writable(&folder).with_context(|| format!("{} cannot be written", folder.display()))?;
        let before = if self.name.is_none() { highest(&folder) } else { None };
        if let Some(version) = before {
            let file = folder.join(version.to_string()).join(FILE);
            let other = || format!("{}: version {version} cannot be read; choose another --name", folder.display());
            let model = Model::from_onnx(&fs::read(file).with_context(other)?).with_context(other)?;
            ensure!(
                model.metadata().labels.as_ref() == Some(&source.labels()),
                "{} holds a model of other classes; choose --name",
                folder.display()
            );
        }
        Ok(destination)
    }

    /// The version of a model at `destination`.
    pub(super) fn version(&self, destination: &Destination) -> u64 {
        self.version.unwrap_or_else(|| highest(&destination.folder()).unwrap_or(0) + 1)
    }

    /// The exporter's commit, if known.
    pub(super) fn commit(&self) -> Option<String> {
        self.commit.clone().or_else(|| own_commit(Path::new(".")))
    }

    fn model_name(&self, source: &str) -> anyhow::Result<String> {
        let Some(name) = &self.name else {
            let name = slug(source);
            ensure!(!name.is_empty(), "{source:?} has no letter that a model's name may have (A to Z); choose --name");
            return Ok(name);
        };
        let like = slug(name);
        let instead = if like.is_empty() { String::new() } else { format!("; {like} would be one") };
        ensure!(
            !name.is_empty() && like == *name,
            "name: {name:?} is no name of a model, which is 1 to {LONGEST_NAME} letters, digits, '-', '_' and '.', and begins \
             with neither '.' nor '-'{instead}"
        );
        Ok(name.clone())
    }
}

impl Destination {
    /// The model's folder.
    pub(super) fn folder(&self) -> PathBuf {
        self.models.join(&self.name)
    }

    /// The file of a version.
    pub(super) fn file(&self, version: u64) -> PathBuf {
        self.folder().join(version.to_string()).join(FILE)
    }
}

const FILE: &str = "model.onnx";

/// `text` with each run of characters not allowed in a model's name replaced by `-`; may be empty.
fn slug(text: &str) -> String {
    let allowed = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
    let words: Vec<&str> = text.split(|character| !allowed(character)).filter(|word| !word.is_empty()).collect();
    words.join("-").trim_start_matches(['.', '-']).chars().take(LONGEST_NAME).collect()
}

/// The highest existing version.
fn highest(folder: &Path) -> Option<u64> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let whole = entries.filter(|entry| entry.path().join(FILE).exists());
    whole.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).max()
}

/// The commit in `folder`, if it is in this package's repository.
fn own_commit(folder: &Path) -> Option<String> {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").arg("-C").arg(folder).args(arguments).output().ok()?;
        let text = output.status.success().then(|| String::from_utf8(output.stdout).ok()).flatten()?;
        Some(text.trim().to_owned())
    };
    let root = PathBuf::from(git(&["rev-parse", "--show-toplevel"])?);
    let manifest = fs::read_to_string(root.join("exporter/Cargo.toml")).ok()?;
    let own = manifest.contains(concat!("name = \"", env!("CARGO_PKG_NAME"), "\""));
    if own { git(&["rev-parse", "HEAD"]) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_a_name_that_a_server_takes_or_none() {
        for (folder, name) in [
            ("photos", "photos"),
            ("my photos (2024)", "my-photos-2024"),
            ("..hidden", "hidden"),
            ("-foo", "foo"),
            ("三角形", ""),
            ("größe_1.5", "gr-e_1.5"),
        ] {
            assert_eq!(slug(folder), name);
        }
        assert_eq!(slug(&"a".repeat(300)).len(), LONGEST_NAME);
    }

    #[test]
    fn only_versions_with_a_model_count() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        assert_eq!(highest(&folder.path().join("none")), None);
        for (entry, file) in [("2", FILE), ("10", FILE), ("11", "other"), ("x", FILE)] {
            fs::create_dir(folder.path().join(entry)).expect("a folder");
            fs::write(folder.path().join(entry).join(file), "").expect("written");
        }
        assert_eq!(highest(folder.path()), Some(10));
    }

    #[test]
    fn the_commit_is_that_of_this_package_and_of_no_repository_around_it() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let git = |arguments: &str| {
            let identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"];
            let mut command = Command::new("git");
            command.arg("-C").arg(folder.path()).args(identity).args(arguments.split(' '));
            assert!(command.output().expect("git starts").status.success(), "{arguments}");
        };
        git("init");
        git("commit --allow-empty --message one");
        assert_eq!(own_commit(folder.path()), None);
        let manifest = folder.path().join("exporter");
        fs::create_dir(&manifest).expect("a folder");
        fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"), manifest.join("Cargo.toml")).expect("copied");
        assert!(own_commit(&manifest).is_some_and(|commit| commit.len() >= 40));
    }
}
