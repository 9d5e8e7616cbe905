//! A model file that takes the place of another only once it is complete and loads.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, ensure};

use super::props;
use crate::engine::MAX_FILE_BYTES;
use crate::repository::{Repository, RepositoryError, ServedModel, Source};

/// A file on its way to `target`. It is written beside it, so that weights in a file next to the model are found.
pub(super) struct Rewritten {
    /// What it is written from.
    model: PathBuf,
    temporary: PathBuf,
    target: PathBuf,
    /// The target as messages name it.
    named: String,
}

/// The bytes of a model file.
pub(super) fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let context = || format!("cannot read {}", path.display());
    ensure!(fs::metadata(path).with_context(context)?.is_file(), "{} is not a file", path.display());
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut bytes).with_context(context)?;
    ensure!(bytes.len() <= MAX_FILE_BYTES, "{} has more than {MAX_FILE_BYTES} bytes", path.display());
    Ok(bytes)
}

impl Rewritten {
    /// A file that is to become `target`, written from `model`, whose bytes are given. What is at `target` already must be
    /// the same network.
    pub(super) fn new(model: &Path, bytes: &[u8], target: &Path) -> anyhow::Result<Rewritten> {
        let named = target.display().to_string();
        // A link stays one: what it leads to is replaced.
        let target = fs::canonicalize(target).unwrap_or_else(|_| target.to_owned());
        if target.exists() {
            let same = read(&target).is_ok_and(|found| props::network(&found) == props::network(bytes));
            ensure!(same, "{named} is there already, and is not this model: choose another --output");
        }
        let temporary = target.with_file_name(format!("anywidth-label-{}.onnx", std::process::id()));
        Ok(Rewritten { model: model.to_owned(), temporary, target, named })
    }

    /// The model that these bytes are, read as a server would read them.
    pub(super) fn load(&self, bytes: &[u8]) -> anyhow::Result<ServedModel> {
        self.store(bytes).with_context(|| format!("cannot write {}", self.named))?;
        let repository = Repository::load(&Source::File(self.temporary.clone()), None);
        // Measuring takes a while: nothing is left behind by whoever ends it.
        let _ = fs::remove_file(&self.temporary);
        let repository = repository.map_err(|error| match error {
            RepositoryError::File { reason, .. } => anyhow!("{}: {reason}", self.named),
            error => error.into(),
        })?;
        let served = repository.find(None, None)?;
        Ok(ServedModel { name: self.named.clone(), ..served.as_ref().clone() })
    }

    /// Lets a file of these bytes take its place, if it loads.
    pub(super) fn finish(self, bytes: &[u8]) -> anyhow::Result<()> {
        self.load(bytes)?;
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
        // Once it has taken its place, there is nothing left to remove.
        let _ = fs::remove_file(&self.temporary);
    }
}
