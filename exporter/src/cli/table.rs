//! `exporter table`: trains the missing rows, measures them, and writes the page of results.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use anywidth::engine::Width;
use clap::{CommandFactory, Parser};
use tch::Device;

use exporter::data::{Images, Source};
use exporter::evaluate::accuracies_at;
use exporter::file::{check_writable, write_whole};
use exporter::model::{Mode, Network};
use exporter::plot::{Curve as Drawn, accuracy_curve};
use exporter::table::config::nearest;
use exporter::table::page::{Line, Section, page};
use exporter::table::{Config, Curve, Outcome, Row, RunId, Trained};
use exporter::train::difference::differences;
use exporter::train::progress::Progress;
use exporter::train::{Method, Outcome as Ending, Recipe, Run, TrainError, recalibration_images};

use super::flags::Args as TrainArgs;
use super::material::Material;
use super::say::printable;
use super::train::{Plan, Stop, lessons, stop_on_signal};
use super::{Cli, Command};

/// Flags of `exporter table`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Table files, such as configs/*.toml.
    #[arg(required = true)]
    configs: Vec<PathBuf>,
    /// Folder with a folder of files for each built-in data set.
    #[arg(long, default_value = "data")]
    data: PathBuf,
    /// Folder for the checkpoints of unfinished runs.
    #[arg(long, default_value = "runs/table")]
    runs: PathBuf,
    /// Output page. The results of runs and the figures are in the folder next to it with the same name.
    #[arg(long, default_value = "docs/paper.md")]
    page: PathBuf,
    /// Train only the runs of this file, row or run: lenet-cifar10, lenet-cifar10/us-net or lenet-cifar10/us-net-1; may
    /// be repeated.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Do not train: write the page from existing results.
    #[arg(long, conflicts_with = "only")]
    no_training: bool,
    /// Device for training: cpu, or a GPU as cuda or cuda:N.
    #[arg(long, default_value = "cpu", value_parser = super::flags::device)]
    device: Device,
    /// CPU threads. Training is reproducible only with one thread.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: u16,
}

/// One run of a row.
struct Job<'a> {
    config: &'a Config,
    row: &'a Row,
    id: RunId,
    /// The result, if the run is finished.
    trained: Option<Trained>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let flags = train_flags();
    let configs = args.configs.iter().map(|path| Config::read(path, &flags)).collect::<Result<Vec<_>, _>>()?;
    for (index, config) in configs.iter().enumerate() {
        let again = configs[..index].iter().any(|other| other.name == config.name);
        ensure!(!again, "{}: two files of rows have this name, and so would their runs", config.name);
    }
    check_writable(&args.results()).with_context(|| format!("{} cannot be written", args.results().display()))?;
    // Checks all rows before training the first.
    let mut jobs = Vec::new();
    for config in &configs {
        for row in &config.row {
            for id in config.runs(row) {
                let name = format!("{}/{}", config.name, id.name);
                jobs.push(Job::of(args, config, row, id).context(name)?);
            }
        }
    }
    write_page(args, &configs, &jobs)?;
    if args.no_training {
        return Ok(());
    }
    for only in &args.only {
        let names: Vec<String> = jobs.iter().map(Job::name).collect();
        let near = nearest(only, names.iter().map(String::as_str));
        ensure!(
            jobs.iter().any(|job| job.is(only)),
            "--only {only}: there is no such file, row or run; the nearest one is {near}"
        );
    }
    let wanted = |job: &Job<'_>| args.only.is_empty() || args.only.iter().any(|only| job.is(only));
    for job in jobs.iter().filter(|job| job.trained.is_none() && wanted(job)) {
        job.check_ready(args).with_context(|| job.name())?;
    }
    tch::set_num_threads(i32::from(args.threads));
    tch::Cuda::cudnn_set_benchmark(true);
    let stop = stop_on_signal()?;
    for index in 0..jobs.len() {
        let job = &jobs[index];
        if job.trained.is_some() || !wanted(job) {
            continue;
        }
        eprintln!("{}", printable(&job.name()));
        let Some(trained) = job.train(args, &stop).with_context(|| job.name())? else {
            eprintln!("stopped; the same command continues");
            return Ok(());
        };
        let path = job.result(args);
        trained.write(&path).with_context(|| path.display().to_string())?;
        jobs[index].trained = Some(trained);
        write_page(args, &configs, &jobs)?;
    }
    Ok(())
}

impl Args {
    /// The folder of the results.
    fn results(&self) -> PathBuf {
        self.page.with_extension("")
    }
}

impl<'a> Job<'a> {
    fn of(args: &Args, config: &'a Config, row: &'a Row, id: RunId) -> anyhow::Result<Job<'a>> {
        let mut job = Job { config, row, id, trained: None };
        let flags = job.flags(args, false)?;
        flags.check()?;
        ensure!(flags.method.teacher.is_none() && flags.start.is_none(), "teacher and start are not for tables");
        let source = Plan::images(&flags)?.source(None);
        let recipe = flags.recipe(&source, None, None)?;
        let measured = job.row.statistics.is_empty() || recipe.method.statistics_for(2).is_some();
        ensure!(measured, "statistics: {} does not measure any after training", recipe.method.name());
        job.trained = Trained::read(&job.result(args))?;
        if let Some(trained) = &job.trained {
            job.check_same(args, trained, &recipe)?;
        }
        Ok(job)
    }

    /// Checks that an existing result is that of the row's recipe.
    fn check_same(&self, args: &Args, trained: &Trained, recipe: &Recipe) -> anyhow::Result<()> {
        let mut found = trained.recipe.clone();
        if let Source::Photos(_) = recipe.dataset {
            // These fields are known only after the images are read.
            found.dataset.clone_from(&recipe.dataset);
        }
        let mut text = super::in_words(&differences(&found, recipe));
        if let Outcome::Finished { curves, .. } = &trained.outcome {
            let wanted: Vec<Option<usize>> = self.row.statistics.iter().copied().map(Some).collect();
            let measured: Vec<Option<usize>> = curves.iter().map(|curve| curve.statistics).collect();
            if measured != wanted && !(wanted.is_empty() && measured == [None]) {
                text = format!("statistics: measured for {measured:?}, the row now says {:?}", self.row.statistics);
            }
        }
        let (path, run) = (self.result(args), self.run_folder(args));
        ensure!(
            text.is_empty(),
            "{}: {text}; to train it anew, remove the file and the folder {}",
            path.display(),
            run.display()
        );
        Ok(())
    }

    /// The folder of its checkpoint.
    fn run_folder(&self, args: &Args) -> PathBuf {
        args.runs.join(&self.config.name).join(&self.id.name)
    }

    fn name(&self) -> String {
        format!("{}/{}", self.config.name, self.id.name)
    }

    /// Whether `--only` selects this run by `name`.
    fn is(&self, name: &str) -> bool {
        name == self.config.name || name == format!("{}/{}", self.config.name, self.row.name) || name == self.name()
    }

    /// The file of its result.
    fn result(&self, args: &Args) -> PathBuf {
        args.results().join(&self.config.name).join(format!("{}.json", self.id.name))
    }

    /// Its flags of `exporter train`.
    fn flags(&self, args: &Args, resume: bool) -> anyhow::Result<Box<TrainArgs>> {
        let data = match (&self.config.dataset, &self.config.data) {
            (Some(dataset), _) => args.data.join(dataset),
            (None, data) => data.clone().unwrap_or_default(),
        };
        let mut words = vec!["exporter".to_owned(), "train".into()];
        words.extend(self.config.arguments(self.row, &self.id));
        words.push(format!("--data={}", data.display()));
        words.push(format!("--run={}", self.run_folder(args).display()));
        words.push(format!("--threads={}", args.threads));
        words.extend(resume.then(|| "--resume".into()));
        match Cli::try_parse_from(words).map_err(|error| anyhow::Error::msg(first_line(&error.to_string())))?.command {
            Command::Train(mut flags) => {
                flags.device = args.device;
                Ok(flags)
            }
            _ => bail!("no training"),
        }
    }

    /// Checks that its images exist, and that a started run has the same recipe.
    fn check_ready(&self, args: &Args) -> anyhow::Result<()> {
        let flags = self.flags(args, self.is_begun(args))?;
        let data = flags.data.as_deref().unwrap_or(Path::new("."));
        ensure!(
            data.is_dir(),
            "{} cannot be read: there is no such folder; `exporter data fetch` fetches the data sets, --data says where they are",
            data.display()
        );
        Plan::of(&flags).map(|_| ())
    }

    fn is_begun(&self, args: &Args) -> bool {
        super::checkpoint(&self.run_folder(args)).exists()
    }

    /// Trains and measures it; `None` if it was stopped.
    fn train(&self, args: &Args, stop: &Stop) -> anyhow::Result<Option<Trained>> {
        let flags = self.flags(args, self.is_begun(args))?;
        let (mut run, material) = Plan::of(&flags)?.begin(&flags)?;
        let ending = match run.train(lessons(&flags, &material), &Progress::new(), &|| stop.is_told()) {
            Ok(Ending::Finished) => finished(&run, &material, self.row, self.config.narrowest)?,
            Ok(Ending::Interrupted) => return Ok(None),
            Err(error @ (TrainError::Diverged { .. } | TrainError::Overflow { .. })) => {
                eprintln!("{error}");
                Outcome::Diverged { reason: error.to_string() }
            }
            Err(error) => return Err(error.into()),
        };
        Ok(Some(Trained { recipe: run.recipe().clone(), machine: machine(args), outcome: ending }))
    }
}

/// Measures a finished run.
///
/// `narrowest` is the narrowest compared width.
fn finished(run: &Run, material: &Material, row: &Row, narrowest: f64) -> anyhow::Result<Outcome> {
    let (recipe, validation, test) = (run.recipe(), &material.measures.validation, material.measures.test()?);
    let mut seconds: Vec<f64> = run.history().iter().map(|epoch| epoch.seconds).collect();
    seconds.sort_by(f64::total_cmp);
    let mut curves = Vec::new();
    if row.statistics.is_empty() {
        curves.push(curve(run.network(), None, recipe, validation, &test));
    }
    for &count in &row.statistics {
        let widths = recipe.method.statistics_for(count).context("a method without statistics of its own")?;
        let network = run.network().copied().with_norms_for(&widths);
        network.recalibrate(&recalibration_images(&*material.train)?.images);
        curves.push(curve(&network, Some(count), recipe, validation, &test));
    }
    let costs = costs(run.network(), recipe, narrowest);
    Ok(Outcome::Finished {
        epoch_seconds: seconds[seconds.len() / 2],
        parameters: costs.iter().map(|&(width, parameters, _)| (width, parameters)).collect(),
        multiply_adds: costs.iter().map(|&(width, _, multiply_adds)| (width, multiply_adds)).collect(),
        curves,
    })
}

fn curve(network: &Network, statistics: Option<usize>, recipe: &Recipe, validation: &Images, test: &Images) -> Curve {
    let widths = recipe.trained_widths();
    let accuracy = |images| accuracies_at(network, &widths, images, Mode::EVALUATION);
    let widths = match &recipe.method {
        Method::Dense(dense) => vec![dense.width],
        _ => widths.iter().map(|width| width.as_f64()).collect(),
    };
    Curve { statistics, test: accuracy(test), validation: accuracy(validation), widths }
}

/// Parameters and multiply-adds at the narrowest compared width and at full width.
fn costs(network: &Network, recipe: &Recipe, narrowest: f64) -> Vec<(f64, u64, u64)> {
    if let Method::Dense(dense) = &recipe.method {
        let cost = network.cost();
        return vec![(dense.width, cost.parameters, cost.multiply_adds)];
    }
    let at = |width: Width| {
        let cost = network.sliced(width).cost();
        (width.as_f64(), cost.parameters, cost.multiply_adds)
    };
    let compared = Width::try_from(narrowest).unwrap_or(Width::FULL);
    [recipe.method.narrowest().max(compared), Width::FULL].map(at).into()
}

/// Writes the page and the figures from the existing results.
fn write_page(args: &Args, configs: &[Config], jobs: &[Job<'_>]) -> anyhow::Result<()> {
    let sections: Vec<Section> = configs.iter().map(|config| section(config, jobs)).collect();
    let write =
        |path: &Path, text: &str| write_whole(path, text.as_bytes()).with_context(|| path.display().to_string());
    for section in sections.iter().filter(|section| !section.lines.is_empty()) {
        let lines = section.lines.iter().filter(|line| line.curves[0].widths.len() > 1);
        let curves: Vec<Drawn> =
            lines.map(|line| Drawn { name: line.title.clone(), points: line.mean(), images: None }).collect();
        let title = format!("{}: test accuracy by width", section.title);
        let path = args.results().join(format!("{}.svg", section.name));
        write(&path, &accuracy_curve(&title, &curves))?;
    }
    write(&args.page, &page(&sections))
}

fn section(config: &Config, jobs: &[Job<'_>]) -> Section {
    let of_config = || jobs.iter().filter(|job| std::ptr::eq(job.config, config));
    let mut missing: Vec<String> =
        of_config().filter(|job| job.trained.is_none()).map(|job| job.row.name.clone()).collect();
    missing.dedup();
    let command = |row: String| format!("exporter table configs/*.toml --only {}/{row}", config.name);
    let diverged = of_config().filter_map(|job| match &job.trained.as_ref()?.outcome {
        Outcome::Diverged { reason } => Some((job.id.name.clone(), reason.clone())),
        Outcome::Finished { .. } => None,
    });
    let of_row = |row: &Row| {
        let jobs: Vec<&Job<'_>> = of_config().filter(|job| std::ptr::eq(job.row, row)).collect();
        lines(row, &jobs)
    };
    Section {
        title: config.title.clone(),
        name: config.name.clone(),
        narrowest: config.narrowest,
        paper_epochs: config.paper_epochs,
        lines: config.row.iter().flat_map(of_row).collect(),
        missing: missing.into_iter().map(command).collect(),
        diverged: diverged.collect(),
    }
}

/// The lines of `row`, from its finished runs.
fn lines(row: &Row, jobs: &[&Job<'_>]) -> Vec<Line> {
    let trained: Vec<&Trained> = jobs.iter().filter_map(|job| job.trained.as_ref()).collect();
    let line = |(index, title): (usize, String)| {
        let mut line = Line {
            title,
            curves: Vec::new(),
            seeds: Vec::new(),
            networks: (!row.widths.is_empty()).then_some(row.widths.len()),
            paper: row.paper.get(index).copied(),
            epochs: 0,
            epoch_seconds: 0.0,
            parameters: [u64::MAX, 0],
            multiply_adds: [u64::MAX, 0],
            machine: String::new(),
        };
        for Trained { recipe, machine, outcome } in &trained {
            let Outcome::Finished { epoch_seconds, parameters, multiply_adds, curves } = outcome else { continue };
            line.take(recipe.seed, &curves[index]);
            line.epochs = recipe.epochs;
            line.epoch_seconds = line.epoch_seconds.max(*epoch_seconds);
            line.machine.clone_from(machine);
            for (range, found) in [(&mut line.parameters, parameters), (&mut line.multiply_adds, multiply_adds)] {
                for &(_, count) in found {
                    *range = [range[0].min(count), range[1].max(count)];
                }
            }
        }
        (!line.curves.is_empty()).then_some(line)
    };
    row.lines().into_iter().enumerate().filter_map(line).collect()
}

/// The names of `exporter train`'s flags.
fn train_flags() -> Vec<String> {
    let command = Cli::command();
    let train = command.find_subcommand("train").expect("a subcommand of this program");
    train.get_arguments().filter_map(|argument| argument.get_long().map(str::to_owned)).collect()
}

/// Describes the device that computes.
fn machine(args: &Args) -> String {
    let threads = if args.threads == 1 { "one thread".into() } else { format!("{} threads", args.threads) };
    let described = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = described.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let name = name.map_or(std::env::consts::ARCH, |(_, name)| name);
    match args.device {
        Device::Cuda(_) => "a GPU".into(),
        _ => format!("{threads} of {name}"),
    }
}

fn first_line(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}
