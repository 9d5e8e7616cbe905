//! Training learns, resumes exactly, and never loses its last good state.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use exporter::data::{Augmentation, Dataset, Images};
use exporter::model::{Architecture, Network};
use exporter::train::loss::Weighting;
use exporter::train::method::OnePass;
use exporter::train::optimiser::SgdSettings;
use exporter::train::progress::Progress;
use exporter::train::schedule::{Decay, Schedule};
use exporter::train::{Material, Method, Outcome, Precision, Recipe, Run, Start, Teacher, TrainError};

fn one_pass() -> Method {
    let weighting = Weighting { narrowest: 0.3, emphasis: vec![(0.5, 0.2)] };
    Method::OnePass(OnePass { weighting, coverage: true, distillation: 0.0, teacher: None })
}

fn recipe() -> Recipe {
    Recipe {
        dataset: Dataset::Mnist.into(),
        architecture: Architecture::Lenet { channels: 6 },
        start: Start::default(),
        method: one_pass(),
        epochs: 3,
        batch: 20,
        schedule: Schedule { peak: 0.1, warm_up: 0.2, decay: Decay::Linear },
        sgd: SgdSettings { momentum: 0.9, nesterov: true, weight_decay: 5e-4 },
        label_smoothing: 0.0,
        average: 0.0,
        augmentation: Augmentation { pad: 1, ..Augmentation::default() },
        held_out: 0,
        seed: 5,
        precision: Precision::Float32,
        balanced: false,
    }
}

/// Noise with a bright bar whose row is its class.
fn images(count: usize, seed: u64) -> Images {
    let labels: Vec<u16> = (0..count).map(|index| (index % 10) as u16).collect();
    Images::new(bars(&labels, seed), labels, Dataset::Mnist.shape())
}

fn bars(labels: &[u16], seed: u64) -> Vec<u8> {
    let shape = Dataset::Mnist.shape();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut pixels = Vec::new();
    for &label in labels {
        let bar = 4 + 2 * usize::from(label);
        pixels.extend((0..shape.height * shape.width).map(|place| match place / shape.width {
            row if row == bar || row == bar + 1 => 255 - random.random_range(0..60u8),
            _ => random.random_range(0..60u8),
        }));
    }
    pixels
}

fn never() -> bool {
    false
}

fn train(run: &mut Run, stop: &dyn Fn() -> bool) -> Result<Outcome, TrainError> {
    tch::set_num_threads(1);
    train_with(run, 1, stop)
}

fn train_with(run: &mut Run, loaders: usize, stop: &dyn Fn() -> bool) -> Result<Outcome, TrainError> {
    let (train, validation) = (images(100, 1), images(50, 2));
    run.train(
        Material { train: &train, validation: &validation, loaders, device: tch::Device::Cpu },
        &Progress::silent(),
        stop,
    )
}

fn bytes(network: &Network) -> Vec<Vec<f32>> {
    let flat = |tensor: &tch::Tensor| Vec::try_from(tensor.detach().view([-1])).expect("a flat tensor of floats");
    network.tensors().into_iter().map(|(_, tensor)| flat(tensor)).collect()
}

fn without_seconds(run: &Run) -> Vec<(f64, Vec<f64>)> {
    run.history().iter().map(|epoch| (epoch.loss, epoch.accuracy.clone())).collect()
}

#[test]
fn a_run_learns_a_simple_data_set_at_every_trained_width() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut run = Run::new(Recipe { epochs: 12, ..recipe() }, folder.path().join("checkpoint"));
    assert_eq!(train(&mut run, &never).expect("a run"), Outcome::Finished);
    let last = run.history().last().expect("an epoch");
    assert!(last.loss < run.history()[0].loss / 2.0, "{:?}", run.history());
    assert!(last.accuracy[1..].iter().all(|&share| share > 0.8), "{:?}", last.accuracy);
}

/// A recipe with everything that has state or depends on the images.
fn full_recipe() -> Recipe {
    Recipe {
        method: distilled(0.5, None),
        architecture: Architecture::Vgg8 { channels: [8, 10, 12] },
        start: Start { copies: true, whitened_stem: true, model: None },
        average: 0.7,
        label_smoothing: 0.1,
        balanced: true,
        augmentation: Augmentation { pad: 1, flip: true, jitter: 0.2, ..Augmentation::default() },
        ..recipe()
    }
}

#[test]
fn a_resumed_run_gives_the_same_network_as_an_uninterrupted_one() {
    for recipe in [recipe(), full_recipe(), full_recipe().dense(), taught(full_recipe())] {
        resumes_as_if_uninterrupted(&recipe);
    }
}

/// The recipe with a teacher.
fn taught(recipe: Recipe) -> Recipe {
    let teacher = Some(Teacher { run: "dense".into(), md5: "0".repeat(32) });
    Recipe { method: distilled(0.9, teacher), ..recipe }
}

/// One-pass, with a share of the targets that does not come from labels.
fn distilled(distillation: f64, teacher: Option<Teacher>) -> Method {
    let Method::OnePass(one_pass) = one_pass() else { panic!("one-pass") };
    Method::OnePass(OnePass { distillation, teacher, ..one_pass })
}

/// The run with an untrained teacher, if its recipe names one.
fn with_teacher(run: Run) -> Run {
    let untrained = Run::new(run.recipe().dense(), PathBuf::new());
    if run.recipe().method.teacher().is_some() { run.taught_by(untrained) } else { run }
}

fn resumes_as_if_uninterrupted(recipe: &Recipe) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut whole = with_teacher(Run::new(recipe.clone(), folder.path().join("whole")));
    assert_eq!(train(&mut whole, &never).expect("a run"), Outcome::Finished);

    // Five steps per epoch: stopped before the first step, within the first epoch, within the second, and between them.
    let path = folder.path().join("parts");
    let mut run = with_teacher(Run::new(recipe.clone(), path.clone()));
    for (loaders, steps) in [(1, 0), (2, 3), (3, 4), (7, 3)] {
        let left = Cell::new(steps);
        let stop = || left.replace(left.get() - 1) == 0;
        assert_eq!(train_with(&mut run, loaders, &stop).expect("a part"), Outcome::Interrupted);
        run = with_teacher(Run::resume(path.clone()).expect("a checkpoint"));
    }
    assert_eq!(train(&mut run, &never).expect("the rest"), Outcome::Finished);
    assert_eq!(bytes(run.network()), bytes(whole.network()));
    assert_eq!(without_seconds(&run), without_seconds(&whole));
    assert_eq!(bytes(Run::resume(path).expect("a checkpoint").network()), bytes(whole.network()));
}

#[test]
fn a_teacher_alone_teaches_every_width_even_where_the_labels_say_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let recipe = Recipe { epochs: 12, ..recipe() };
    let mut dense = Run::new(recipe.dense(), folder.path().join("dense"));
    train(&mut dense, &never).expect("a run");
    let recipe = taught(recipe);
    let method = distilled(1.0, recipe.method.teacher().cloned());
    let recipe = Recipe { method, ..recipe };
    let mut run = Run::new(recipe, folder.path().join("checkpoint")).taught_by(dense);

    let labels: Vec<u16> = (0..100).map(|index| index % 10).collect();
    let unlabelled = Images::new(bars(&labels, 1), vec![0; 100], Dataset::Mnist.shape());
    let validation = images(50, 2);
    let material = Material { train: &unlabelled, validation: &validation, loaders: 1, device: tch::Device::Cpu };
    run.train(material, &Progress::silent(), &never).expect("a run");
    let last = run.history().last().expect("an epoch");
    assert!(last.accuracy[1..].iter().all(|&share| share > 0.8), "{:?}", last.accuracy);
}

#[test]
fn a_run_without_the_teacher_of_its_recipe_does_not_begin() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("checkpoint");
    let strange = Run::new(recipe(), path.clone()).taught_by(Run::new(recipe().dense(), path.clone()));
    for mut run in [Run::new(taught(recipe()), path.clone()), strange] {
        let message = train(&mut run, &never).expect_err("no teacher").to_string();
        assert!(message.starts_with("teacher: "), "{message}");
    }
    assert!(!path.exists());
}

#[test]
fn the_network_of_a_run_with_an_average_is_the_mean_of_its_last_steps() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("checkpoint");
    let recipe = Recipe { average: 0.999, ..recipe() };
    let plain = Recipe { average: 0.0, ..recipe.clone() };
    let after = |recipe: &Recipe, steps: i32| {
        let mut run = Run::new(recipe.clone(), path.clone());
        let left = Cell::new(steps);
        train(&mut run, &|| left.replace(left.get() - 1) == 0).expect("an interrupted run");
        bytes(run.network())
    };
    // After two early steps, the first (step 0) has the weight 1 / (1 + 10).
    let (first, second, averaged) = (after(&plain, 1), after(&plain, 2), after(&recipe, 2));
    assert_eq!(after(&recipe, 1), first);
    for ((first, second), averaged) in
        first.iter().flatten().zip(second.iter().flatten()).zip(averaged.iter().flatten())
    {
        assert!((first / 11.0 + second * 10.0 / 11.0 - averaged).abs() < 1e-6, "{first}, {second}: {averaged}");
    }
}

#[test]
fn a_loss_that_is_no_number_ends_the_run_and_keeps_the_last_checkpoint() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("checkpoint");
    let mut run = Run::new(recipe(), path.clone());
    let left = Cell::new(6);
    train(&mut run, &|| left.replace(left.get() - 1) == 0).expect("an interrupted run");
    let good = fs::read(&path).expect("a checkpoint");

    // The same run with a weight that is not a number, as after a step that was too large.
    let mut broken = Run::resume(path.clone()).expect("a checkpoint");
    let mut bias = broken.network().graph.classifier.bias.detach();
    let _ = bias.fill_(f64::NAN);
    let error = train(&mut broken, &never).expect_err("no loss");
    assert!(matches!(error, TrainError::Diverged { step: 6, .. }), "{error}");
    assert_eq!(fs::read(&path).expect("a checkpoint"), good);
}

#[test]
fn a_network_whose_weights_are_no_numbers_is_not_saved() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("checkpoint");
    // The first step overflows; the loss before it was finite, and the run is stopped after it.
    let schedule = Schedule { peak: 1e300, ..recipe().schedule };
    let mut run = Run::new(Recipe { schedule, ..recipe() }, path.clone());
    train(&mut run, &|| true).expect("a run that has not begun");
    let good = fs::read(&path).expect("a checkpoint");
    let left = Cell::new(1);
    let error = train(&mut run, &|| left.replace(left.get() - 1) == 0).expect_err("no number");
    assert!(matches!(error, TrainError::Overflow { steps: 1, .. }), "{error}");
    assert_eq!(fs::read(&path).expect("a checkpoint"), good);
}

#[test]
fn a_checkpoint_that_is_missing_cut_off_or_something_else_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("checkpoint");
    let refusal = |path: &Path| Run::resume(path.into()).expect_err("no checkpoint").to_string();
    assert!(refusal(&path).contains("checkpoint"), "{}", refusal(&path));
    let mut run = Run::new(recipe(), path.clone());
    train(&mut run, &|| true).expect("an interrupted run");
    let good = fs::read(&path).expect("a checkpoint");
    for bytes in [&[][..], b"something else altogether", &good[..good.len() - 1], &good[..200]] {
        fs::write(&path, bytes).expect("written");
        assert!(refusal(&path).starts_with(&format!("checkpoint {}", path.display())));
    }
}

#[test]
fn a_run_does_not_go_on_with_another_number_of_images() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("checkpoint");
    train(&mut Run::new(recipe(), path.clone()), &never).expect("a run");
    let mut run = Run::resume(path).expect("a checkpoint");
    let (train, validation) = (images(40, 1), images(50, 2));
    let material = Material { train: &train, validation: &validation, loaders: 1, device: tch::Device::Cpu };
    let error = run.train(material, &Progress::silent(), &never).expect_err("other images");
    assert!(error.to_string().starts_with("checkpoint: started with another number of images: step 15"), "{error}");
}

#[test]
fn settings_out_of_range_are_refused_before_the_first_step() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let weighted = |narrowest, emphasis| {
        let weighting = Weighting { narrowest, emphasis };
        Method::OnePass(OnePass { weighting, coverage: true, distillation: 0.0, teacher: None })
    };
    let emphasis = |pair| weighted(0.3, vec![pair]);
    let narrowest = |narrowest| weighted(narrowest, Vec::new());
    let cases = [
        (Recipe { epochs: 0, ..recipe() }, "epochs: 0"),
        (Recipe { batch: 0, ..recipe() }, "batch: 0"),
        (Recipe { batch: 101, ..recipe() }, "batch: 101"),
        (Recipe { label_smoothing: 1.0, ..recipe() }, "label smoothing: 1"),
        (Recipe { method: distilled(1.5, None), ..recipe() }, "distillation: 1.5"),
        (Recipe { average: 1.0, ..recipe() }, "average: 1"),
        (Recipe { augmentation: Augmentation { pad: 28, ..recipe().augmentation }, ..recipe() }, "pad: 28"),
        (Recipe { augmentation: Augmentation { cutout: 29, ..recipe().augmentation }, ..recipe() }, "cutout: 29"),
        (Recipe { augmentation: Augmentation { crop: 0.0, ..recipe().augmentation }, ..recipe() }, "crop: 0"),
        (Recipe { augmentation: Augmentation { jitter: 1.0, ..recipe().augmentation }, ..recipe() }, "jitter: 1"),
        (Recipe { dataset: Dataset::Cifar10.into(), ..recipe() }, "images of 1x28x28"),
        (Recipe { method: emphasis((0.5, 1.0)), ..recipe() }, "emphasis"),
        (Recipe { method: emphasis((0.5, -0.1)), ..recipe() }, "emphasis"),
        (Recipe { method: emphasis((1.5, 0.1)), ..recipe() }, "width 1.5"),
        (Recipe { method: narrowest(0.0), ..recipe() }, "width 0"),
    ];
    for (recipe, reason) in cases {
        let path = folder.path().join("checkpoint");
        let message = train(&mut Run::new(recipe, path.clone()), &never).expect_err(reason).to_string();
        assert!(message.starts_with(reason), "{message}");
        assert!(!path.exists());
    }
}
