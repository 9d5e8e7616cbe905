//! `exporter train`: checks everything before reading images, then trains a run and exports it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, bail, ensure};

use exporter::data::photos::Shares;
use exporter::data::{Dataset, Source};
use exporter::evaluate::accuracies;
use exporter::file::check_writable;
use exporter::model::{Architecture, Mode, Weights};
use exporter::onnx::{Exported, Head};
use exporter::train::difference::differences;
use exporter::train::progress::{Progress, by_width};
use exporter::train::{Material as Lessons, Origin, Outcome, Recipe, Run, Teacher, some_of};
use exporter::words::{counted, thousands};

use super::finished::{check_dense, finished, teacher};
use super::flags::{Args, PhotoFlags};
use super::material::Material;
use super::method::MethodName;
use super::photos::PhotoFolder;
use super::say::{note, printable};
use super::ship::{ship, word};
use super::target::Destination;

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    args.check()?;
    tch::set_num_threads(i32::from(args.threads));
    // All steps have the same shapes, so cuDNN's autotuning pays off.
    tch::Cuda::cudnn_set_benchmark(true);
    let mut plan = Plan::of(args)?;
    let (folder, destination) = (plan.past.folder.clone(), plan.destination.take());
    if plan.past.begun.as_ref().is_some_and(Run::is_finished) {
        let line = format!("{}: already finished; {} writes its model", folder.display(), next(args, &folder));
        eprintln!("{}", printable(&line));
        return Ok(());
    }
    let (mut run, material) = plan.begin(args)?;
    let stop = stop_on_signal()?;
    match (run.train(lessons(args, &material), &Progress::new(), &|| stop.is_told())?, destination) {
        (Outcome::Interrupted, _) => eprintln!("{}", printable(&stopped(args, &run, &folder))),
        (Outcome::Finished, Some(destination)) => {
            ship(&run, &material.measures, &args.photos.target, &destination, run.teacher())
                .with_context(|| format!("trained, but no model was written; {} tries again", next(args, &folder)))?
        }
        (Outcome::Finished, None) => {
            let widths = run.recipe().progress_widths();
            let accuracy = run.history().last().map_or(String::new(), |epoch| by_width(&widths, &epoch.accuracy));
            eprintln!("finished; validation {accuracy}; next: {}", printable(&next(args, &folder)));
        }
    }
    Ok(())
}

/// Whether a signal has requested a stop.
pub(super) struct Stop(Arc<AtomicBool>);

impl Stop {
    pub(super) fn is_told(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Stops training between two steps on Ctrl-C or SIGTERM.
pub(super) fn stop_on_signal() -> anyhow::Result<Stop> {
    let stop = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&stop);
    ctrlc::set_handler(move || told.store(true, Ordering::Relaxed)).context("cannot listen for Ctrl-C")?;
    Ok(Stop(stop))
}

/// The training material of a run.
pub(super) fn lessons<'a>(args: &Args, material: &'a Material) -> Lessons<'a> {
    let loaders = args.photos.resources.loaders(args.threads);
    Lessons { train: &*material.train, validation: &material.measures.validation, loaders, device: args.device }
}

/// A checked training, before an image is read.
pub(super) struct Plan {
    images: Images,
    past: Past,
    /// The destination of the model, if one will be written.
    destination: Option<Destination>,
}

/// Existing state that the recipe must match.
struct Past {
    /// The run's folder.
    folder: PathBuf,
    /// The model to start from.
    start: Option<Exported>,
    /// The teacher.
    taught: Option<Taught>,
    /// The existing run.
    begun: Option<Run>,
}

/// A finished run as a teacher, and its description in a recipe.
struct Taught {
    folder: PathBuf,
    run: Run,
    by: Teacher,
}

impl Taught {
    /// The teacher in `folder`; keeps the name that `begun` has for it.
    fn of(folder: &Path, begun: Option<&Run>) -> anyhow::Result<Taught> {
        let run = finished(folder)?;
        let by = teacher(&run, folder)?;
        let known = begun.and_then(|run| run.recipe().method.teacher().cloned()).filter(|known| known.md5 == by.md5);
        Ok(Taught { by: known.unwrap_or(by), folder: folder.into(), run })
    }

    /// The teacher must have trained on the images that `recipe` trains on, and on none that it holds out.
    fn check(&self, recipe: &Recipe) -> anyhow::Result<()> {
        check_dense(&self.run, &self.folder, recipe).context("teacher")
    }
}

/// Images that are not read yet.
pub(super) enum Images {
    Known(Dataset),
    Photos(PhotoFolder),
}

impl Plan {
    /// The images that `args` select.
    pub(super) fn images(args: &Args) -> anyhow::Result<Images> {
        Images::of(args)
    }

    /// Reads the images, and returns the existing run or a new one.
    pub(super) fn begin(self, args: &Args) -> anyhow::Result<(Run, Material)> {
        let Plan { images, past, .. } = self;
        let material = images.read(args)?;
        let recipe = past.recipe(args, &material.source)?;
        eprintln!("{}", printable(&summary(&recipe, &material)));
        if gains_by_a_start(&recipe, material.train.labels().len()) && past.begun.is_none() {
            note("with so few images, --start models/cifar10/1/model.onnx usually gives a better network in less time");
        }
        let run = past.run(recipe, &material)?;
        Ok((run, material))
    }

    pub(super) fn of(args: &Args) -> anyhow::Result<Plan> {
        let images = Images::of(args)?;
        let folder = args.run.clone().unwrap_or_else(|| PathBuf::from("runs").join(images.name()));
        let begun = begun(&folder, args.resume)?;
        let taught = args
            .method
            .teacher
            .as_deref()
            .map(|folder| Taught::of(folder, begun.as_ref()))
            .transpose()
            .context("teacher")?;
        let start = args.start.as_deref().map(exported).transpose()?;
        let past = Past { folder, start, taught, begun };
        let source = images.source(past.before().map(Run::recipe));
        let recipe = past.recipe(args, &source)?;
        if let Source::Photos(photos) = &source {
            recipe.check_count(photos.images[0])?;
        }
        if let Some(model) = &past.start {
            // Tested on a temporary network.
            model.fill(&recipe.network(), &source.labels()).with_context(|| model.origin().file.clone())?;
        }
        let ships = matches!(images, Images::Photos(_)) && args.method.method.weights() == Weights::Triangular;
        let ships = ships && !past.begun.as_ref().is_some_and(Run::is_finished);
        let destination = ships.then(|| args.photos.target.destination(&source)).transpose()?;
        Ok(Plan { images, past, destination })
    }
}

impl Past {
    /// The existing run, if any has seen these images.
    fn before(&self) -> Option<&Run> {
        self.begun.as_ref().or(self.taught.as_ref().map(|taught| &taught.run))
    }

    /// The recipe for images of `source`; it must match the existing run and the teacher.
    fn recipe(&self, args: &Args, source: &Source) -> anyhow::Result<Recipe> {
        let (model, teacher) = (self.start.as_ref().map(Exported::origin), self.taught.as_ref().map(|it| &it.by));
        let recipe = args.recipe(source, model, teacher)?;
        if let Some(run) = &self.begun {
            check_same(run.recipe(), &recipe, &self.folder)?;
        }
        if let Some(taught) = &self.taught {
            taught.check(&recipe)?;
        }
        Ok(recipe)
    }

    /// The existing run, or a new one by `recipe`.
    fn run(self, recipe: Recipe, material: &Material) -> anyhow::Result<Run> {
        let checkpoint = super::checkpoint(&self.folder);
        let run = match (self.begun, &self.start) {
            (Some(run), _) => run,
            (None, None) => Run::new(recipe, checkpoint),
            (None, Some(model)) => started(model, recipe, material, checkpoint)?,
        };
        Ok(match self.taught {
            Some(taught) => run.taught_by(taught.run),
            None => run,
        })
    }
}

impl Images {
    fn of(args: &Args) -> anyhow::Result<Images> {
        match (args.dataset, &args.data) {
            (Some(dataset), _) => Ok(Images::Known(dataset)),
            (None, Some(root)) => {
                let PhotoFlags { size, validation, test, .. } = args.photos;
                Ok(Images::Photos(PhotoFolder::list(root, size, Shares { validation, test }, args.seed)?))
            }
            (None, None) => bail!("a data set, or --data with a folder of images"),
        }
    }

    fn name(&self) -> &str {
        match self {
            Images::Known(dataset) => dataset.name(),
            Images::Photos(folder) => &folder.folder,
        }
    }

    /// Their description; for photographs, the fields known only after reading are taken from a started run.
    pub(super) fn source(&self, begun: Option<&Recipe>) -> Source {
        match (self, begun.map(|recipe| &recipe.dataset)) {
            (Images::Known(dataset), _) => (*dataset).into(),
            (Images::Photos(folder), Some(Source::Photos(photos))) => Source::Photos(folder.described(Some(photos))),
            (Images::Photos(folder), _) => Source::Photos(folder.described(None)),
        }
    }

    fn read(self, args: &Args) -> anyhow::Result<Material> {
        match self {
            Images::Known(dataset) => {
                Material::known(dataset, super::data_folder(args.data.as_ref(), dataset), args.held_out, args.seed)
            }
            Images::Photos(folder) => Material::photos(folder, args.photos.resources.memory),
        }
    }
}

/// The run in `folder`, to be resumed; `None` for a new run.
fn begun(folder: &Path, resume: bool) -> anyhow::Result<Option<Run>> {
    let checkpoint = super::checkpoint(folder);
    check_writable(folder).with_context(|| format!("{} cannot be written", folder.display()))?;
    if resume {
        ensure!(
            checkpoint.exists(),
            "there is no run in {} to resume: omit --resume to start one, or name its folder with --run",
            folder.display()
        );
        return Ok(Some(Run::resume(checkpoint)?));
    }
    ensure!(
        !checkpoint.exists(),
        "{}: a run already exists; add --resume to continue it, or name another folder with --run",
        checkpoint.display()
    );
    Ok(None)
}

/// Reads the model file `path`, to start from.
fn exported(path: &Path) -> anyhow::Result<Exported> {
    Exported::read(path).with_context(|| path.display().to_string())
}

/// A run with the weights of `model`; prints its accuracy on these images.
fn started(model: &Exported, recipe: Recipe, material: &Material, checkpoint: PathBuf) -> anyhow::Result<Run> {
    let network = recipe.network();
    let head = model.fill(&network, &recipe.dataset.labels())?;
    if model.image() != network.image() {
        model.fit(&network, &some_of(&*material.train)?.images)?;
    }
    let Origin { file, data, epochs, .. } = model.origin();
    let classes = recipe.dataset.labels().len();
    let worth = match head {
        Head::Kept => None,
        Head::Partly(shared) if shared == classes => None,
        Head::Partly(shared) => {
            Some(format!("the last layer knows {shared} of the {classes} classes, the others begin as usual"))
        }
        Head::OtherClasses => Some("its classes are others, so the last layer begins as usual".into()),
        Head::OtherMaps => Some("its images are of another size, so the last layer begins as usual".into()),
    };
    let worth = worth.unwrap_or_else(|| {
        let accuracy = accuracies(&network, &material.measures.validation, Mode::EVALUATION);
        format!("validation {}", by_width(&network.widths(), &accuracy))
    });
    let worth = match (model.image(), network.image()) {
        (theirs, ours) if theirs == ours => worth,
        (theirs, ours) => {
            let [theirs, ours] = [theirs, ours].map(|image| format!("{}x{}", image.width, image.height));
            format!("its convolutions, which read {theirs} pixels, read {ours}; {worth}")
        }
    };
    eprintln!("{}", printable(&format!("starts from {file} ({data}, {}): {worth}", counted(*epochs, "epoch"))));
    Ok(Run::with(recipe, network, checkpoint))
}

/// A run resumes only with its own recipe.
fn check_same(begun: &Recipe, now: &Recipe, folder: &Path) -> anyhow::Result<()> {
    let differences = differences(begun, now);
    let text = super::in_words(&differences);
    ensure!(differences.is_empty(), "{}: {text}", super::checkpoint(folder).display());
    Ok(())
}

/// The command that exports the run in `folder`.
fn next(args: &Args, folder: &Path) -> String {
    let data = if args.dataset.is_none() { args.data.as_ref() } else { None };
    let data = data.map_or(String::new(), |data| format!(" --data={}", word(data)));
    match args.method.method {
        method if method != MethodName::Dense => format!("exporter export {}{data}", word(folder)),
        _ => format!("exporter export RUN --dense {}{data}", word(folder)),
    }
}

/// Whether starting from a shipped model is likely to be better for so few photographs.
fn gains_by_a_start(recipe: &Recipe, images: usize) -> bool {
    let shipped = recipe.architecture == Architecture::Vgg8 { channels: [64, 128, 256] };
    let photos = matches!(recipe.dataset, Source::Photos(_));
    photos && shipped && recipe.start.model.is_none() && images < FEW
}

/// Number of training photographs below which starting from a model is better than random weights.
const FEW: usize = 2000;

/// The message for a stopped run.
fn stopped(args: &Args, run: &Run, folder: &Path) -> String {
    let (done, epochs) = (run.history().len(), counted(run.recipe().epochs, "epoch"));
    let goes_on = format!("stopped after {done} of {epochs}; the same command with --resume continues");
    let unmeasured = args.method.method == MethodName::Dense || run.recipe().method.is_recalibrated();
    if done == 0 || unmeasured {
        return goes_on;
    }
    format!("{goes_on}, {} --unfinished writes a model of the current state", next(args, folder))
}

/// The message before training.
fn summary(recipe: &Recipe, material: &Material) -> String {
    let (train, validation, shape) =
        (material.train.labels().len(), material.measures.validation.len(), recipe.dataset.shape());
    let test = material.measures.test_count();
    let all = test.map_or(String::new(), |test| {
        format!(", {} to test with ({} in all)", thousands(test as u64), thousands((train + validation + test) as u64))
    });
    format!(
        "{}: {} to train on, {} to validate on{all}, in {} classes; {} with {}, for {}x{} pixels; {} of {}",
        recipe.dataset,
        counted(train, "image"),
        thousands(validation as u64),
        recipe.dataset.labels().len(),
        recipe.architecture.name(),
        recipe.architecture.size(),
        shape.width,
        shape.height,
        counted(recipe.epochs, "epoch"),
        counted(train / recipe.batch.max(1), "step"),
    )
}
