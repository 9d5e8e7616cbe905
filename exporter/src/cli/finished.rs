//! Runs that are finished, and the dense one that stands beside another or teaches it.

use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};

use exporter::file::md5_of;
use exporter::train::difference::{Difference, differences};
use exporter::train::{Recipe, Run, Teacher};

/// The run in `folder`, all of whose epochs are done.
pub(super) fn finished(folder: &Path) -> anyhow::Result<Run> {
    let run = Run::resume(super::checkpoint(folder))?;
    let (done, epochs) = (run.history().len(), run.recipe().epochs);
    ensure!(done == epochs, "{}: {done} of {epochs} epochs are done", folder.display());
    Ok(run)
}

/// Is `run`, of this `folder`, by the dense counterpart of `recipe`?
pub(super) fn check_dense(run: &Run, folder: &Path, recipe: &Recipe) -> anyhow::Result<()> {
    let text = |Difference { field, values: [expected, found] }: &Difference| {
        format!("{field} is {found}, expected {expected}")
    };
    let text: Vec<String> = differences(&recipe.dense(), run.recipe()).iter().map(text).collect();
    ensure!(text.is_empty(), "{}: not the dense network of this recipe: {}", folder.display(), text.join("; "));
    Ok(())
}

/// What a recipe says of the run in `folder` as a teacher.
pub(super) fn teacher(folder: &Path) -> anyhow::Result<Teacher> {
    let path = super::checkpoint(folder);
    let bytes = fs::read(&path).with_context(|| path.display().to_string())?;
    let name = folder.canonicalize().with_context(|| folder.display().to_string())?;
    Ok(Teacher {
        run: name.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
        md5: md5_of(&bytes),
    })
}
