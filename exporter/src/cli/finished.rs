//! Finished runs, and the dense counterpart of a run.

use std::path::Path;

use anyhow::{Context, ensure};

use exporter::train::difference::{Difference, differences};
use exporter::train::{Recipe, Run, Teacher};

/// The run in `folder`; fails unless all its epochs are done.
pub(super) fn finished(folder: &Path) -> anyhow::Result<Run> {
    let run = resumed(folder)?;
    let (done, epochs) = (run.history().len(), run.recipe().epochs);
    ensure!(
        run.is_finished(),
        "{}: {done} of {epochs} epochs are done, finish it (train --resume), or export it with --unfinished",
        folder.display()
    );
    Ok(run)
}

/// Checks that `run` can be measured: statistics that are recalibrated after the last epoch do not exist before it.
pub(super) fn check_measurable(run: &Run, folder: &Path) -> anyhow::Result<()> {
    let method = &run.recipe().method;
    ensure!(
        run.is_finished() || !method.is_recalibrated(),
        "{}: the normalization statistics of {} are measured after the last epoch; continue with train --resume first",
        folder.display(),
        method.name()
    );
    Ok(())
}

/// The run in `folder`; fails unless an epoch is done.
pub(super) fn begun(folder: &Path) -> anyhow::Result<Run> {
    let run = resumed(folder)?;
    ensure!(!run.history().is_empty(), "{}: no epoch is complete, so there is nothing to export", folder.display());
    check_measurable(&run, folder)?;
    Ok(run)
}

/// The run in `folder`, at any stage.
fn resumed(folder: &Path) -> anyhow::Result<Run> {
    let checkpoint = super::checkpoint(folder);
    ensure!(
        checkpoint.exists(),
        "the run in {} cannot be read: there is none; `train` makes one, and --run names its folder",
        folder.display()
    );
    Ok(Run::resume(checkpoint)?)
}

/// The finished run in `folder`; fails unless it is the dense counterpart of `recipe`, and its teacher if it has one.
pub(super) fn dense(folder: &Path, recipe: &Recipe) -> anyhow::Result<Run> {
    let run = finished(folder)?;
    check_dense(&run, folder, recipe)?;
    if let Some(teacher) = recipe.method.teacher() {
        let found = run.network().md5();
        ensure!(
            found == teacher.md5,
            "{}: not the run that taught, which was in a folder {:?}: the network's MD5 is {found}, expected {}",
            folder.display(),
            teacher.run,
            teacher.md5
        );
    }
    Ok(run)
}

/// Checks that `run` is the dense counterpart of `recipe`.
pub(super) fn check_dense(run: &Run, folder: &Path, recipe: &Recipe) -> anyhow::Result<()> {
    let text = |Difference { field, values: [expected, found] }: &Difference| {
        format!("{field} is {found}, expected {expected}")
    };
    let text: Vec<String> = differences(&recipe.dense(), run.recipe()).iter().map(text).collect();
    ensure!(text.is_empty(), "{}: not the dense network of this recipe: {}", folder.display(), text.join("; "));
    Ok(())
}

/// A recipe's description of `run` as a teacher.
pub(super) fn teacher(run: &Run, folder: &Path) -> anyhow::Result<Teacher> {
    let folder = folder.canonicalize().with_context(|| folder.display().to_string())?;
    let name = folder.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    Ok(Teacher { run: name, md5: run.network().md5() })
}
