//! Replaces a model file atomically, and only if the new file loads.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, ensure};

use super::props;
use crate::engine::{MAX_FILE_BYTES, Precision, PrecisionChoice};
use crate::repository::{Precisions, Repository, RepositoryError, ServedModel, Source};

/// A new version of a model file. Its temporary file lies beside `target`, so that external data files are found.
pub(super) struct Rewritten {
    /// The model file it derives from.
    model: PathBuf,
    temporary: PathBuf,
    target: PathBuf,
    /// The target's path in messages.
    named: String,
}

/// Reads a model file of at most [`MAX_FILE_BYTES`].
pub(super) fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let context = || format!("cannot read {}", path.display());
    ensure!(fs::metadata(path).with_context(context)?.is_file(), "{} is not a file", path.display());
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut bytes).with_context(context)?;
    ensure!(bytes.len() <= MAX_FILE_BYTES, "{} has more than {MAX_FILE_BYTES} bytes", path.display());
    Ok(bytes)
}

impl Rewritten {
    /// Prepares the replacement of `target` by a file derived from `model`, whose content is `bytes`. An existing `target` must
    /// hold the same network.
    pub(super) fn new(model: &Path, bytes: &[u8], target: &Path) -> anyhow::Result<Rewritten> {
        let named = target.display().to_string();
        // A symbolic link is kept and its target replaced.
        let target = fs::canonicalize(target).unwrap_or_else(|_| target.to_owned());
        if target.exists() {
            let same = read(&target).is_ok_and(|found| props::network(&found) == props::network(bytes));
            ensure!(same, "{named} exists and is a different model: choose another --output");
        }
        let temporary = target.with_file_name(format!("anywidth-label-{}.onnx", std::process::id()));
        Ok(Rewritten { model: model.to_owned(), temporary, target, named })
    }

    /// Loads these bytes as the server would, for this precision.
    pub(super) fn load(&self, bytes: &[u8], precision: Precision) -> anyhow::Result<ServedModel> {
        self.store(bytes).with_context(|| format!("cannot write {}", self.named))?;
        let repository = Repository::load_with(
            &Source::File(self.temporary.clone()),
            None,
            &Precisions::all(PrecisionChoice::Fixed(precision)),
        );
        // The measurement that follows may be interrupted and must leave no file behind.
        let _ = fs::remove_file(&self.temporary);
        let repository = repository.map_err(|error| match error {
            RepositoryError::File { reason, .. } => anyhow!("{}: {reason}", self.named),
            error => error.into(),
        })?;
        let served = repository.find(None, None)?;
        Ok(ServedModel { name: self.named.clone(), ..served.as_ref().clone() })
    }

    /// Replaces the target by a file of these bytes, if it loads.
    pub(super) fn finish(self, bytes: &[u8]) -> anyhow::Result<()> {
        self.load(bytes, Precision::F32)?;
        self.store(bytes)
            .and_then(|()| fs::rename(&self.temporary, &self.target))
            .with_context(|| format!("cannot write {}", self.named))
    }

    fn store(&self, bytes: &[u8]) -> io::Result<()> {
        let mut file = File::create(&self.temporary)?;
        file.write_all(bytes)?;
        file.set_permissions(fs::metadata(&self.model)?.permissions())?;
        file.sync_all()
    }
}

impl Drop for Rewritten {
    fn drop(&mut self) {
        // Fails after a successful rename, when there is nothing to remove.
        let _ = fs::remove_file(&self.temporary);
    }
}
