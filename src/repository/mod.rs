//! The served models, by name and version.
//!
//! Contract: every [`ServedModel`] loads, reads images, and has a name that is safe in a URL and in a metric's label. A folder
//! with an invalid model serves the others and keeps the reason. There is at least one model. This module must not know requests.

mod embedded;
mod file;
mod folder;
mod precisions;
mod reload;
mod warm_up;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use crate::engine::{
    DataFiles, LoadError, MAX_FILE_BYTES, MetadataError, Model, ModelFile, Precision, PrecisionChoice, Width,
};
use crate::image::{InputSpec, InputSpecError, Preprocessing};

pub use precisions::{Precisions, PrecisionsError};
pub use reload::{Fingerprint, Reloaded};

/// A model with the name and version under which it is served.
#[derive(Debug, Clone)]
pub struct ServedModel {
    /// The name: letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// The version, positive. The highest is served by default.
    pub version: u64,
    /// The network.
    pub model: Arc<Model>,
    /// The input image, with the preprocessing stated in the file.
    pub input: InputSpec,
    /// What its files were when they were read; `None` without a folder of its own.
    pub fingerprint: Option<Fingerprint>,
}

/// All served models.
#[derive(Debug)]
pub struct Repository {
    /// The versions of each name in ascending order; never empty.
    models: BTreeMap<String, Vec<Arc<ServedModel>>>,
    default: String,
    rejected: Vec<Arc<Rejected>>,
    /// Names that a caller has unloaded.
    unloaded: BTreeSet<String>,
}

/// A model of the folder that cannot be served.
#[derive(Debug)]
pub struct Rejected {
    /// Path in the folder, such as `digits/3`.
    pub path: String,
    /// The error.
    pub reason: ModelError,
    /// What the files of the version were when they were read.
    pub fingerprint: Option<Fingerprint>,
}

/// The source of the models.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The models embedded in the binary.
    Embedded,
    /// `<folder>/<name>/<version>/model.onnx`.
    Folder(PathBuf),
    /// One ONNX file. If its path ends in `<name>/<version>/model.onnx`, name and version come from the path; otherwise the name is
    /// the file's, and the version is 1.
    File(PathBuf),
}

/// Why one model cannot be served.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(#[from] std::io::Error),
    /// The file exceeds the engine's size limit.
    #[error("the file exceeds the limit of {MAX_FILE_BYTES} bytes")]
    TooLarge,
    /// The processor lacks the instructions of the precision.
    #[error("precision {precision} needs {}, which this processor lacks; f32 and auto run on every one", precision.needs())]
    Precision {
        /// The precision asked for.
        precision: Precision,
    },
    /// The name is not safe in a URL or a label.
    #[error("a model's name must have 1 to {MAX_NAME} letters, digits, '-', '_' or '.', and must not begin with '.'")]
    BadName,
    /// The folder's name is not a version number.
    #[error("a version is a whole number from 1, without leading zeros")]
    BadVersion,
    /// The model's folder contains no version.
    #[error("the folder contains no version; expected: <name>/<version>/model.onnx")]
    NoVersion,
    /// More models than the limit.
    #[error("there are more than {MAX_MODELS} models")]
    TooMany,
    /// The engine cannot run the file.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The model's input is not an image.
    #[error(transparent)]
    Input(#[from] InputSpecError),
    /// The stated preprocessing is invalid.
    #[error(transparent)]
    Preprocessing(MetadataError),
    /// The model computes infinity or NaN for a test image.
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
        /// The test image: `a black`, `a white`.
        image: &'static str,
    },
}

/// Why the repository cannot be loaded.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RepositoryError {
    /// The model file does not load.
    #[error("{path}: {reason}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The error.
        reason: ModelError,
    },
    /// The folder cannot be listed.
    #[error("cannot list the models in {path}: {reason}", path = path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The system's error.
        reason: std::io::Error,
    },
    /// No model of the folder loads.
    #[error("no model to serve in {path}; expected: <name>/<version>/model.onnx{}", list(.rejected), path = path.display())]
    NoModel {
        /// The folder.
        path: PathBuf,
        /// The models that do not load.
        rejected: Vec<Rejected>,
    },
    /// No model of the folder would be left.
    #[error("no model of {path} would be left to serve", path = path.display())]
    NoneLeft {
        /// The folder.
        path: PathBuf,
    },
    /// A precision for a model that does not exist.
    #[error("there is no model {name:?} to set the precision of")]
    NoSuchPrecision {
        /// The name.
        name: String,
    },
    /// The new models cannot be made ready.
    #[error("the new models cannot be made ready: {reason}")]
    NotReady {
        /// The error.
        reason: String,
    },
    /// The models are part of the program.
    #[error("the models are built into the program; start it with --models FOLDER to load others")]
    Fixed,
    /// An embedded model does not load, which is a bug.
    #[error("the embedded model {name} does not load: {reason}")]
    Embedded {
        /// The model.
        name: &'static str,
        /// The error.
        reason: ModelError,
    },
    /// The default model is not among the loaded ones.
    #[error("the default model {name:?} is not served; available: {known}")]
    NoDefault {
        /// What was requested.
        name: String,
        /// The available names.
        known: String,
    },
}

/// Why a requested model is not found.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NotFound {
    /// No model of this name.
    #[error("there is no model {name:?}; available: {known}")]
    Name {
        /// What was requested.
        name: String,
        /// The available names.
        known: String,
    },
    /// The model has no such version.
    #[error("model {name} has no version {version}; available: {known}")]
    Version {
        /// The model.
        name: String,
        /// What was requested.
        version: u64,
        /// The available versions.
        known: String,
    },
}

/// Maximum length of a name.
const MAX_NAME: usize = 64;
/// Maximum number of models, counting every version.
const MAX_MODELS: usize = 256;
/// The default model if it is served and no other is configured.
const USUAL_DEFAULT: &str = "cifar10";

impl Repository {
    /// As [`Repository::load_with`], with `f32` for every model.
    ///
    /// # Errors
    /// As [`Repository::load_with`].
    pub fn load(source: &Source, default: Option<&str>) -> Result<Repository, RepositoryError> {
        Repository::load_with(source, default, &Precisions::all(PrecisionChoice::Fixed(Precision::F32)))
    }

    /// Loads the models of `source`. The default model is `default`, else `cifar10`, else the first by name.
    ///
    /// # Errors
    /// [`RepositoryError`] if no model loads, or the file or the default model does not, or if a precision is for a model that does not
    /// exist.
    pub fn load_with(
        source: &Source,
        default: Option<&str>,
        precisions: &Precisions,
    ) -> Result<Repository, RepositoryError> {
        let (models, rejected): (Vec<ServedModel>, _) = match source {
            Source::Embedded => (embedded::load(precisions)?, Vec::new()),
            Source::Folder(path) => folder::load(path, precisions)?,
            Source::File(path) => (vec![load_file(path, precisions)?], Vec::new()),
        };
        let is_known = |name: &str| {
            let rejected = rejected.iter().map(Rejected::name);
            models.iter().map(|model| model.name.as_str()).chain(rejected).any(|known| known == name)
        };
        if let Some(name) = precisions.names().find(|name| !is_known(name)) {
            return Err(RepositoryError::NoSuchPrecision { name: name.to_owned() });
        }
        Repository::new(models, rejected, default)
    }

    /// A repository of `models`, which must not be empty. The default is chosen as in [`Repository::load_with`].
    ///
    /// # Errors
    /// [`RepositoryError::NoDefault`] if the default is not among them.
    pub fn new(
        models: Vec<ServedModel>,
        rejected: Vec<Rejected>,
        default: Option<&str>,
    ) -> Result<Repository, RepositoryError> {
        let by_name = by_name(models.into_iter().map(Arc::new).collect());
        let usual = by_name.get_key_value(USUAL_DEFAULT).or_else(|| by_name.first_key_value());
        let default = match (default, usual) {
            (None, Some((name, _))) => name.clone(),
            (Some(name), _) if by_name.contains_key(name) => name.to_owned(),
            (name, _) => {
                let name = name.unwrap_or(USUAL_DEFAULT).to_owned();
                return Err(RepositoryError::NoDefault { name, known: join(by_name.keys()) });
            }
        };
        let rejected = rejected.into_iter().map(Arc::new).collect();
        Ok(Repository { models: by_name, default, rejected, unloaded: BTreeSet::new() })
    }

    /// The model `name`, or the default model; in `version`, or its highest version.
    ///
    /// # Errors
    /// [`NotFound`] lists what is available.
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

    /// The name of the default model.
    pub fn default_name(&self) -> &str {
        &self.default
    }

    /// The names in alphabetical order, each with its versions in ascending order.
    pub fn by_name(&self) -> impl Iterator<Item = (&str, &[Arc<ServedModel>])> {
        self.models.iter().map(|(name, versions)| (name.as_str(), versions.as_slice()))
    }

    /// Every version of every model.
    pub fn all(&self) -> impl Iterator<Item = &Arc<ServedModel>> {
        self.models.values().flatten()
    }

    /// The models of the folder that cannot be served, with the reasons.
    pub fn rejected(&self) -> &[Arc<Rejected>] {
        &self.rejected
    }
}

impl Rejected {
    /// The name of the model.
    pub fn name(&self) -> &str {
        self.path.split('/').next().unwrap_or_default()
    }
}

impl ServedModel {
    /// Loads a model from a file's contents, which must include all weights, and warms it up. It runs with `f32`.
    ///
    /// # Errors
    /// [`ModelError`] if the name is invalid or the model cannot be served.
    pub fn from_onnx(name: &str, version: u64, bytes: &[u8]) -> Result<ServedModel, ModelError> {
        ServedModel::from_bytes(name, version, bytes, &Precisions::all(PrecisionChoice::Fixed(Precision::F32)))
    }

    fn from_bytes(name: &str, version: u64, bytes: &[u8], precisions: &Precisions) -> Result<ServedModel, ModelError> {
        check_name(name)?;
        ServedModel::compile(name, version, ModelFile::read(bytes, None)?, precisions)
    }

    /// Loads a model file with its external data files.
    fn from_file(
        name: &str,
        version: u64,
        path: &Path,
        precisions: &Precisions,
        fingerprint: Option<Fingerprint>,
    ) -> Result<ServedModel, ModelError> {
        check_name(name)?;
        let (bytes, mut folder) = (file::read(path)?, file::Folder::of(path));
        let files: &mut dyn DataFiles = &mut folder;
        let model = ServedModel::compile(name, version, ModelFile::read(&bytes, Some(files))?, precisions)?;
        Ok(ServedModel { fingerprint, ..model })
    }

    fn compile(name: &str, version: u64, file: ModelFile, precisions: &Precisions) -> Result<ServedModel, ModelError> {
        let precision = precisions.of(name, &file);
        if !precision.is_available() {
            return Err(ModelError::Precision { precision });
        }
        ServedModel::new(name, version, file.compile(precision)?)
    }

    fn new(name: &str, version: u64, model: Model) -> Result<ServedModel, ModelError> {
        let shape = model.input();
        let input =
            InputSpec::new(shape.channels, shape.height, shape.width)?.with_preprocessing(preprocessing(&model)?);
        let model = Arc::new(model);
        warm_up::warm_up(&model, input.preprocessing().range())?;
        Ok(ServedModel { name: name.to_owned(), version, model, input, fingerprint: None })
    }
}

/// The preprocessing stated in the file: see [`crate::engine::Metadata::preprocessing`].
fn preprocessing(model: &Model) -> Result<Preprocessing, ModelError> {
    let Some(entry) = &model.metadata().preprocessing else { return Ok(Preprocessing::default()) };
    Preprocessing::from_json(entry)
        .map_err(|cause| ModelError::Preprocessing(MetadataError::new("anywidth.preprocessing", &cause.to_string())))
}

/// The versions of each name in ascending order.
fn by_name(models: Vec<Arc<ServedModel>>) -> BTreeMap<String, Vec<Arc<ServedModel>>> {
    let mut by_name: BTreeMap<String, Vec<Arc<ServedModel>>> = BTreeMap::new();
    for model in models {
        by_name.entry(model.name.clone()).or_default().push(model);
    }
    for versions in by_name.values_mut() {
        versions.sort_by_key(|model| model.version);
    }
    by_name
}

fn load_file(path: &Path, precisions: &Precisions) -> Result<ServedModel, RepositoryError> {
    let (name, version) = folder::identity(path)
        .map(|(name, version)| (name.to_owned(), version))
        .unwrap_or_else(|| (name_of(&path.file_stem().unwrap_or_default().to_string_lossy()), 1));
    ServedModel::from_file(&name, version, path, precisions, None)
        .map_err(|reason| RepositoryError::File { path: path.to_owned(), reason })
}

/// A valid model name from a file's stem.
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

/// The first few rejected models, each cut to its share of a line.
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
