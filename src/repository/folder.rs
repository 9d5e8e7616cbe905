//! Loads a folder of models: `<name>/<version>/model.onnx`.

use std::io;
use std::path::Path;

use crate::system_files::is_system_file;

use super::{MAX_MODELS, ModelError, Precisions, Rejected, RepositoryError, ServedModel, is_name};

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
        load_versions(path, &name, precisions, &mut models, &mut rejected);
    }
    if models.is_empty() {
        return Err(RepositoryError::NoModel { path: path.to_owned(), rejected });
    }
    Ok((models, rejected))
}

fn load_versions(
    root: &Path,
    name: &str,
    precisions: &Precisions,
    models: &mut Vec<ServedModel>,
    rejected: &mut Vec<Rejected>,
) {
    let mut reject = |path: String, reason| rejected.push(Rejected { path, reason });
    if !is_name(name) {
        // The name is printed to the terminal and the log.
        return reject(name.replace(char::is_control, "\u{fffd}"), ModelError::BadName);
    }
    let versions = match folders(&root.join(name)) {
        Ok(versions) if versions.is_empty() => return reject(name.to_owned(), ModelError::NoVersion),
        Ok(versions) => versions,
        Err(error) => return reject(name.to_owned(), error.into()),
    };
    for text in versions {
        let model = match version(&text) {
            _ if models.len() == MAX_MODELS => Err(ModelError::TooMany),
            None => Err(ModelError::BadVersion),
            Some(version) => ServedModel::from_file(name, version, &root.join(name).join(&text).join(FILE), precisions),
        };
        match model {
            Ok(model) => models.push(model),
            Err(reason) => reject(format!("{name}/{text}"), reason),
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
