//! Loads a folder of models: `<name>/<version>/model.onnx`.

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::system_files::is_system_file;

use super::{
    Fingerprint, MAX_MODELS, ModelError, Precisions, Rejected, Repository, RepositoryError, ServedModel, is_name,
};

/// The model file of a version.
const FILE: &str = "model.onnx";

/// Name and version from the path of a file laid out as in a folder of models.
pub(super) fn identity(path: &Path) -> Option<(&str, u64)> {
    let mut parts = path.iter().rev().map(|part| part.to_str());
    let (FILE, text, name) = (parts.next()??, parts.next()??, parts.next()??) else { return None };
    Some((name, version(text)?))
}

/// Loads the folder's models. Returns those that load, at least one, and the rejected ones with their reasons.
pub(super) fn load(path: &Path, precisions: &Precisions) -> Result<(Vec<ServedModel>, Vec<Rejected>), RepositoryError> {
    let names = folders(path).map_err(|reason| RepositoryError::Folder { path: path.to_owned(), reason })?;
    let (mut models, mut rejected) = (Vec::new(), Vec::new());
    for name in names {
        load_versions(path, &name, &mut models, &mut rejected, |version, folder, fingerprint| {
            Some(ServedModel::from_file(&name, version, &folder.join(FILE), precisions, fingerprint.cloned()))
        });
    }
    if models.is_empty() {
        return Err(RepositoryError::NoModel { path: path.to_owned(), rejected });
    }
    Ok((models, rejected))
}

/// The models and rejected versions of a folder.
type Found = (Vec<Arc<ServedModel>>, Vec<Arc<Rejected>>);

/// Reads the folder again, for what is served of it now; only the models of one name, if `only` is given, and the others stay.
/// Unloaded models are read only by name.
pub(super) fn reload(
    path: &Path,
    precisions: &Precisions,
    served: &Repository,
    only: Option<&str>,
) -> Result<Found, RepositoryError> {
    let names = folders(path).map_err(|reason| RepositoryError::Folder { path: path.to_owned(), reason })?;
    let (mut models, mut rejected) = (Vec::new(), Vec::new());
    let (mut kept, mut still_rejected) = (Vec::new(), Vec::new());
    let is_read = |name: &&String| only.map_or_else(|| !served.unloaded.contains(*name), |only| only == *name);
    for name in names.iter().filter(is_read) {
        load_versions(path, name, &mut models, &mut rejected, |version, folder, fingerprint| {
            let before = served.find(Some(name), Some(version)).ok();
            let is_same = |other: &Option<Fingerprint>| fingerprint.is_some() && other.as_ref() == fingerprint;
            if let Some(model) = before.filter(|model| is_same(&model.fingerprint)) {
                return Some(Ok(model.clone()));
            }
            let is_unchanged =
                |other: &&Arc<Rejected>| is_same(&other.fingerprint) && other.path == format!("{name}/{version}");
            if let Some(other) = served.rejected.iter().find(is_unchanged) {
                still_rejected.push(other.clone());
                kept.extend(before.cloned());
                return None;
            }
            let file = folder.join(FILE);
            let model = ServedModel::from_file(name, version, &file, precisions, fingerprint.cloned()).map(Arc::new);
            // What was served before is better than nothing.
            kept.extend(before.filter(|_| model.is_err() && folder.exists()).cloned());
            Some(model)
        });
    }
    models.extend(kept);
    let mut rejected: Vec<_> = rejected.into_iter().map(Arc::new).chain(still_rejected).collect();
    if let Some(only) = only {
        models.extend(served.all().filter(|model| model.name != only).cloned());
        rejected.extend(served.rejected.iter().filter(|other| other.name() != only).cloned());
    }
    match models.is_empty() {
        true => Err(RepositoryError::NoneLeft { path: path.to_owned() }),
        false => Ok((models, rejected)),
    }
}

/// Adds the versions of a name that `load` loads from their folders, and those that it does not; `None` is neither.
fn load_versions<Model>(
    root: &Path,
    name: &str,
    models: &mut Vec<Model>,
    rejected: &mut Vec<Rejected>,
    mut load: impl FnMut(u64, &Path, Option<&Fingerprint>) -> Option<Result<Model, ModelError>>,
) {
    let mut reject = |path: String, reason, fingerprint| rejected.push(Rejected { path, reason, fingerprint });
    if !is_name(name) {
        // The name is printed to the terminal and the log.
        return reject(name.replace(char::is_control, "\u{fffd}"), ModelError::BadName, None);
    }
    let versions = match folders(&root.join(name)) {
        Ok(versions) if versions.is_empty() => return reject(name.to_owned(), ModelError::NoVersion, None),
        Ok(versions) => versions,
        Err(error) => return reject(name.to_owned(), error.into(), None),
    };
    for text in versions {
        let folder = root.join(name).join(&text);
        // Before the files are read: a later change is seen as one.
        let fingerprint = Fingerprint::of(&folder).ok();
        let model = match version(&text) {
            _ if models.len() == MAX_MODELS => Some(Err(ModelError::TooMany)),
            None => Some(Err(ModelError::BadVersion)),
            Some(version) => load(version, &folder, fingerprint.as_ref()),
        };
        match model {
            Some(Ok(model)) => models.push(model),
            Some(Err(reason)) => reject(format!("{name}/{text}"), reason, fingerprint),
            None => {}
        }
    }
}

/// The folders directly below `path`, sorted by name. Files, such as a model's card, and system files are ignored.
fn folders(path: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name();
        // Not `file_type`, which does not follow links: Kubernetes mounts volumes as links. A dangling link is reported.
        let is_folder = match std::fs::metadata(entry.path()) {
            Ok(metadata) => metadata.is_dir(),
            Err(_) => entry.file_type()?.is_symlink(),
        };
        if !is_system_file(&name) && is_folder {
            names.push(name.to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn version(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|_| plain)
}
