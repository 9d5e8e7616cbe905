//! The models that are served, by name and version.
//!
//! Promises that every [`ServedModel`] loads, reads images and has a name that is safe in a URL and in a metric's
//! label; that a folder with a bad model serves the good ones and keeps the bad one's reason; and that there is
//! at least one good model. Knows nothing of requests.

mod embedded;
mod file;
mod folder;
mod warm_up;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use crate::engine::{DataFiles, LoadError, MAX_FILE_BYTES, MetadataError, Model, Width};
use crate::image::{InputSpec, InputSpecError, Preprocessing};

/// A model under the name and version that callers know it by.
#[derive(Debug, Clone)]
pub struct ServedModel {
    /// Its name: letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// Its version, a positive number; the highest is served by default.
    pub version: u64,
    /// The network.
    pub model: Arc<Model>,
    /// The image that it reads, with the preprocessing that the file asks for.
    pub input: InputSpec,
}

/// All models that are served.
#[derive(Debug)]
pub struct Repository {
    /// Versions in ascending order under each name, never an empty list.
    models: BTreeMap<String, Vec<Arc<ServedModel>>>,
    default: String,
    rejected: Vec<Rejected>,
}

/// A model of the folder that is not served.
#[derive(Debug)]
pub struct Rejected {
    /// Path in the folder, such as `digits/3`.
    pub path: String,
    /// What is wrong with it.
    pub reason: ModelError,
}

/// Where models come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The models inside the binary.
    Embedded,
    /// `<folder>/<name>/<version>/model.onnx`.
    Folder(PathBuf),
    /// One ONNX file: name and version are those of its folders if they are `<name>/<version>/model.onnx`, else the
    /// file's own name, and version 1.
    File(PathBuf),
}

/// Why one model cannot be served.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(#[from] std::io::Error),
    /// The file is larger than what the engine reads.
    #[error("the file has more than {MAX_FILE_BYTES} bytes")]
    TooLarge,
    /// The name would not be safe in a URL or a label.
    #[error("a model's name has 1 to {MAX_NAME} letters, digits, '-', '_' or '.', and does not begin with '.'")]
    BadName,
    /// The folder below a model's name is not a number.
    #[error("a version is a whole number from 1, without leading zeros")]
    BadVersion,
    /// A name without any version.
    #[error("there is no version in it: <name>/<version>/model.onnx is expected")]
    NoVersion,
    /// More models than the limit.
    #[error("there are more than {MAX_MODELS} models")]
    TooMany,
    /// The file is not a model that the engine runs.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The model does not read images.
    #[error(transparent)]
    Input(#[from] InputSpecError),
    /// The file asks for an image that cannot be made.
    #[error(transparent)]
    Preprocessing(MetadataError),
    /// The model answers a plain image with infinity or NaN.
    #[error(
        "its scores are not finite: at width {width} class {class} scores {score} for {image} image; the weights are too large \
         for float32, or not those of a trained network"
    )]
    NonFinite {
        /// The class, counted from 0.
        class: usize,
        /// Its score.
        score: f32,
        /// The width that ran.
        width: Width,
        /// The image: `a black`, `a white`.
        image: &'static str,
    },
}

/// Why there is nothing to serve.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RepositoryError {
    /// A model that was asked for by name does not load.
    #[error("{path}: {reason}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: ModelError,
    },
    /// The folder cannot be listed.
    #[error("cannot list the models in {path}: {reason}", path = path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        reason: std::io::Error,
    },
    /// No model of the folder loads.
    #[error("no model to serve in {path}: <name>/<version>/model.onnx is expected in it{}", list(.rejected), path = path.display())]
    NoModel {
        /// The folder.
        path: PathBuf,
        /// What is wrong with each.
        rejected: Vec<Rejected>,
    },
    /// The model inside the binary does not load: a fault of the build.
    #[error("the embedded model {name} does not load: {reason}")]
    Embedded {
        /// The model.
        name: &'static str,
        /// What is wrong with it.
        reason: ModelError,
    },
    /// The default model is not among those that load.
    #[error("the default model {name:?} is not served; there are: {known}")]
    NoDefault {
        /// What was asked for.
        name: String,
        /// The names that there are.
        known: String,
    },
}

/// Why a caller's model is not served.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotFound {
    /// No such name.
    #[error("there is no model {name:?}; there are: {known}")]
    Name {
        /// What was asked for.
        name: String,
        /// The names that there are.
        known: String,
    },
    /// No such version of the model.
    #[error("model {name} has no version {version}; there are: {known}")]
    Version {
        /// The model.
        name: String,
        /// What was asked for.
        version: u64,
        /// The versions that there are.
        known: String,
    },
}

/// The longest name.
const MAX_NAME: usize = 64;
/// The most models, all versions counted.
const MAX_MODELS: usize = 256;
/// The default model, where it is served and no other is asked for.
const USUAL_DEFAULT: &str = "cifar10";

impl Repository {
    /// Loads what `source` holds. The default model is `default`, else `cifar10`, else the first by name.
    ///
    /// # Errors
    /// [`RepositoryError`] when nothing can be served, or not what was asked for.
    pub fn load(source: &Source, default: Option<&str>) -> Result<Repository, RepositoryError> {
        let (models, rejected) = match source {
            Source::Embedded => (embedded::load()?, Vec::new()),
            Source::Folder(path) => folder::load(path)?,
            Source::File(path) => (vec![load_file(path)?], Vec::new()),
        };
        Repository::new(models, rejected, default)
    }

    /// The repository of these models, of which there must be one; the default is chosen as by [`Repository::load`].
    ///
    /// # Errors
    /// [`RepositoryError::NoDefault`] when the default is not among them.
    pub fn new(
        models: Vec<ServedModel>,
        rejected: Vec<Rejected>,
        default: Option<&str>,
    ) -> Result<Repository, RepositoryError> {
        let mut by_name: BTreeMap<String, Vec<Arc<ServedModel>>> = BTreeMap::new();
        for model in models {
            by_name.entry(model.name.clone()).or_default().push(Arc::new(model));
        }
        for versions in by_name.values_mut() {
            versions.sort_by_key(|model| model.version);
        }
        let usual = by_name.get_key_value(USUAL_DEFAULT).or_else(|| by_name.first_key_value());
        let default = match (default, usual) {
            (None, Some((name, _))) => name.clone(),
            (Some(name), _) if by_name.contains_key(name) => name.to_owned(),
            (name, _) => {
                let name = name.unwrap_or(USUAL_DEFAULT).to_owned();
                return Err(RepositoryError::NoDefault { name, known: join(by_name.keys()) });
            }
        };
        Ok(Repository { models: by_name, default, rejected })
    }

    /// The model of that name, or the default one; of that version, or its highest.
    ///
    /// # Errors
    /// [`NotFound`], which names what there is.
    pub fn find(&self, name: Option<&str>, version: Option<u64>) -> Result<&Arc<ServedModel>, NotFound> {
        let name = name.unwrap_or(&self.default);
        let versions = self.models.get(name).ok_or_else(|| NotFound::Name {
            name: name.chars().take(MAX_NAME).collect(),
            known: join(self.models.keys()),
        })?;
        let found = match version {
            None => versions.last(),
            Some(version) => versions.iter().find(|model| model.version == version),
        };
        found.ok_or_else(|| NotFound::Version {
            name: name.to_owned(),
            version: version.unwrap_or_default(),
            known: join(versions.iter().map(|model| model.version)),
        })
    }

    /// The name of the model that answers when none is named.
    pub fn default_name(&self) -> &str {
        &self.default
    }

    /// Every name in alphabetical order, with its versions in ascending order.
    pub fn by_name(&self) -> impl Iterator<Item = (&str, &[Arc<ServedModel>])> {
        self.models.iter().map(|(name, versions)| (name.as_str(), versions.as_slice()))
    }

    /// Every version of every model.
    pub fn all(&self) -> impl Iterator<Item = &Arc<ServedModel>> {
        self.models.values().flatten()
    }

    /// The models of the folder that are not served, with the reasons.
    pub fn rejected(&self) -> &[Rejected] {
        &self.rejected
    }
}

impl ServedModel {
    /// Reads a model file's contents, which hold all of its weights, and runs the model once.
    ///
    /// # Errors
    /// [`ModelError`] says what is wrong with it.
    pub fn from_onnx(name: &str, version: u64, bytes: &[u8]) -> Result<ServedModel, ModelError> {
        check_name(name)?;
        ServedModel::new(name, version, Model::from_onnx(bytes)?)
    }

    /// Reads a model file with the data files that lie beside it.
    fn from_file(name: &str, version: u64, path: &Path) -> Result<ServedModel, ModelError> {
        check_name(name)?;
        let (bytes, mut folder) = (file::read(path)?, file::Folder::of(path));
        let files: &mut dyn DataFiles = &mut folder;
        ServedModel::new(name, version, Model::from_onnx_with(&bytes, files)?)
    }

    fn new(name: &str, version: u64, model: Model) -> Result<ServedModel, ModelError> {
        let shape = model.input();
        let input =
            InputSpec::new(shape.channels, shape.height, shape.width)?.with_preprocessing(preprocessing(&model)?);
        let model = Arc::new(model);
        warm_up::warm_up(&model, input.preprocessing().range())?;
        Ok(ServedModel { name: name.to_owned(), version, model, input })
    }
}

/// The preprocessing that the file asks for: see [`crate::engine::Metadata::preprocessing`].
fn preprocessing(model: &Model) -> Result<Preprocessing, ModelError> {
    let Some(entry) = &model.metadata().preprocessing else { return Ok(Preprocessing::default()) };
    Preprocessing::from_json(entry)
        .map_err(|cause| ModelError::Preprocessing(MetadataError::new("anywidth.preprocessing", &cause.to_string())))
}

fn load_file(path: &Path) -> Result<ServedModel, RepositoryError> {
    let (name, version) = folder::identity(path)
        .map(|(name, version)| (name.to_owned(), version))
        .unwrap_or_else(|| (name_of(&path.file_stem().unwrap_or_default().to_string_lossy()), 1));
    ServedModel::from_file(&name, version, path)
        .map_err(|reason| RepositoryError::File { path: path.to_owned(), reason })
}

/// A name for a file that is called so.
fn name_of(stem: &str) -> String {
    let plain = |symbol: char| if is_name(&format!("a{symbol}")) { symbol } else { '-' };
    let name: String = stem.chars().map(plain).take(MAX_NAME).collect();
    match name.trim_matches(|symbol| "-.".contains(symbol)) {
        "" => "model".into(),
        name => name.into(),
    }
}

fn check_name(name: &str) -> Result<(), ModelError> {
    if is_name(name) { Ok(()) } else { Err(ModelError::BadName) }
}

fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(allowed) && !name.starts_with('.')
}

fn join(words: impl Iterator<Item: ToString>) -> String {
    words.map(|word| word.to_string()).collect::<Vec<_>>().join(", ")
}

/// The first few of them, each cut to its share of a line.
fn list(rejected: &[Rejected]) -> String {
    const LISTED: usize = 3;
    const LONGEST: usize = 180;
    let share = LONGEST / rejected.len().clamp(1, LISTED);
    let cut = |model: &Rejected| {
        let text = format!("; {}: {}", model.path, model.reason);
        if text.chars().count() <= share { text } else { text.chars().take(share - 3).chain("...".chars()).collect() }
    };
    let mut text: String = rejected.iter().take(LISTED).map(cut).collect();
    if rejected.len() > LISTED {
        text += &format!("; and {} more", rejected.len() - LISTED);
    }
    text
}

#[cfg(test)]
mod tests;
