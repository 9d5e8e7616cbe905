//! Reads a folder of models again while they are served.
//!
//! A version whose files have not changed keeps its model. One whose new files do not load keeps the model that was served before,
//! and is among the rejected ones. A model that was unloaded stays so until it is loaded by name.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;
use std::{fs, io};

use super::{NotFound, Precisions, Rejected, Repository, RepositoryError, ServedModel, Source, folder};

/// What tells whether the files of a version have changed: their names, sizes and times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint(Vec<(std::ffi::OsString, u64, Option<SystemTime>)>);

/// What reading the models again changed.
#[derive(Debug)]
pub struct Reloaded {
    /// The models as they are now.
    pub repository: Repository,
    /// Models to be served from now on.
    pub added: Vec<Arc<ServedModel>>,
    /// Models that are served no longer.
    pub removed: Vec<Arc<ServedModel>>,
}

impl Fingerprint {
    /// Of the files of a version's folder.
    pub(super) fn of(folder: &Path) -> io::Result<Fingerprint> {
        let mut files = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            // Follows links, as reading the files does.
            let metadata = fs::metadata(entry.path())?;
            files.push((entry.file_name(), metadata.len(), metadata.modified().ok()));
        }
        files.sort();
        Ok(Fingerprint(files))
    }
}

impl Repository {
    /// The models of `source` as it is now; of one name only, which is also loaded if it was unloaded, if `only` is given.
    ///
    /// # Errors
    /// [`RepositoryError`] if there is nothing to read again, or no model would be left. A model that does not load is no error.
    pub fn reload(
        &self,
        source: &Source,
        precisions: &Precisions,
        only: Option<&str>,
    ) -> Result<Reloaded, RepositoryError> {
        let (models, rejected) = match source {
            Source::Embedded => return Err(RepositoryError::Fixed),
            Source::File(path) => {
                let model = super::load_file(path, precisions)?;
                return Ok(self.replaced(vec![Arc::new(model)], Vec::new(), BTreeSet::new()));
            }
            Source::Folder(path) => folder::reload(path, precisions, self, only)?,
        };
        let mut unloaded = self.unloaded.clone();
        if let Some(name) = only {
            unloaded.remove(name);
        }
        Ok(self.replaced(models, rejected, unloaded))
    }

    /// The models without those of a name, until it is loaded.
    ///
    /// # Errors
    /// [`NotFound`] if there is no such model.
    pub fn unload(&self, name: &str) -> Result<Reloaded, NotFound> {
        self.find(Some(name), None)?;
        let models = self.all().filter(|model| model.name != name).cloned().collect();
        let mut unloaded = self.unloaded.clone();
        unloaded.insert(name.to_owned());
        Ok(self.replaced(models, self.rejected.clone(), unloaded))
    }

    fn replaced(
        &self,
        models: Vec<Arc<ServedModel>>,
        rejected: Vec<Arc<Rejected>>,
        unloaded: BTreeSet<String>,
    ) -> Reloaded {
        let among = |model: &Arc<ServedModel>, others: &[&Arc<ServedModel>]| {
            others.iter().any(|other| Arc::ptr_eq(model, other))
        };
        let (before, after): (Vec<_>, Vec<_>) = (self.all().collect(), models.iter().collect());
        let added = models.iter().filter(|model| !among(model, &before)).cloned().collect();
        let removed = self.all().filter(|model| !among(model, &after)).cloned().collect();
        let repository =
            Repository { models: super::by_name(models), default: self.default.clone(), rejected, unloaded };
        Reloaded { repository, added, removed }
    }
}
