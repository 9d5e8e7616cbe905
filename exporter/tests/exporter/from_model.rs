//! Training that starts from a model file: the network equals the file's at every width, and can be trained.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use anywidth::engine::{Evaluation, Width};
use anywidth::image::Preprocessing;
use prost::Message;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use tch::{Device, Kind, Tensor};
use tract_onnx::pb::GraphProto;

use crate::runtimes::{anywidth, decode, largest_difference, random_images};
use exporter::data::{Augmentation, Dataset, Images, PhotoSet, Source};
use exporter::model::{Architecture, Mode, Network, start};
use exporter::onnx::{self, Exported, Head, Metadata, Training};
use exporter::train::loss::Weighting;
use exporter::train::method::OnePass;
use exporter::train::optimiser::SgdSettings;
use exporter::train::progress::Progress;
use exporter::train::schedule::{Decay, Schedule};
use exporter::train::{Material, Method, Outcome, Precision, Recipe, Run, Start};

const VGG8: Architecture = Architecture::Vgg8 { channels: [10, 14, 12] };
const LENET: Architecture = Architecture::Lenet { channels: 7 };

fn one_pass() -> Method {
    let weighting = Weighting { narrowest: 0.125, emphasis: vec![] };
    Method::OnePass(OnePass { weighting, coverage: true, distillation: 0.0, teacher: None })
}

fn recipe(architecture: Architecture) -> Recipe {
    Recipe {
        dataset: Dataset::Cifar10.into(),
        architecture,
        start: Start::default(),
        method: one_pass(),
        epochs: 1,
        batch: 50,
        schedule: Schedule { peak: 1e-6, warm_up: 0.0, decay: Decay::Linear },
        sgd: SgdSettings { momentum: 0.9, nesterov: true, weight_decay: 5e-4 },
        label_smoothing: 0.0,
        average: 0.5,
        augmentation: Augmentation::default(),
        held_out: 0,
        seed: 1,
        precision: Precision::Float32,
        balanced: false,
    }
}

/// The recipe of a training that starts from `model`.
fn from(model: &Exported, architecture: Architecture) -> Recipe {
    Recipe { start: Start { model: Some(model.origin().clone()), ..Start::default() }, seed: 2, ..recipe(architecture) }
}

/// A network as after training: every normalization has its own tensors, and one channel in each is dead.
fn trained(architecture: Architecture) -> Network {
    let network = recipe(architecture).network();
    let mut random = ChaCha8Rng::seed_from_u64(3);
    tch::no_grad(|| {
        for (name, tensor) in network.tensors().into_iter().filter(|(name, _)| name.starts_with("norm")) {
            let least = if name.ends_with("variance") { 0.5 } else { -0.5 };
            let mut values: Vec<f32> = (0..tensor.numel()).map(|_| random.random_range(least..1.5)).collect();
            if name.ends_with("gamma") {
                values[2] = 0.0;
            }
            tensor.shallow_clone().copy_(&Tensor::from_slice(&values));
        }
    });
    network
}

/// The file of `network`, as exported after a training by `recipe`.
fn exported(network: &Network, recipe: &Recipe, folder: &Path) -> PathBuf {
    let widths = vec![(Width::FULL, 0.5)];
    let metadata = Metadata {
        labels: recipe.dataset.labels(),
        accuracy: widths.clone(),
        temperature: widths,
        gain: None,
        evaluation: Some(Evaluation { split: "validation".into(), images: 2000 }),
        preprocessing: Preprocessing::default(),
        training: Some(Training { recipe: recipe.clone(), epochs_done: None, exporter_version: "0.1.0" }),
    };
    let path = folder.join("model.onnx");
    fs::write(&path, onnx::model(network, &metadata)).expect("written");
    path
}

fn images(count: usize) -> Images {
    let mut random = ChaCha8Rng::seed_from_u64(4);
    let pixels = (0..count * 3 * 32 * 32).map(|_| random.random()).collect();
    Images::new(pixels, (0..count).map(|index| (index % 10) as u16).collect(), Dataset::Cifar10.shape())
}

/// The logits of `network`, after checking that the engine computes the same from the file at several widths.
fn assert_computes(network: &Network, file: &Path) {
    let images = random_images([4, 3, 32, 32], 5);
    for millionths in [1, 125_000, 400_000, 500_000, 777_777, 1_000_000] {
        let width = Width::from_millionths(millionths).expect("a width");
        let expected = anywidth(file, &images, width);
        let found = tch::no_grad(|| network.logits(&images, width, Mode::EVALUATION));
        let largest = expected.abs().max().double_value(&[]);
        let difference = largest_difference(&found, &expected);
        assert!(difference < 1e-3 * largest, "{:?} at {width}: {difference} of {largest}", network.architecture);
    }
}

#[test]
fn a_network_that_starts_from_a_file_computes_what_the_file_does_at_every_width() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for architecture in [VGG8, LENET] {
        let file = exported(&trained(architecture), &recipe(architecture), folder.path());
        let model = Exported::read(&file).expect("our own file");
        let recipe = from(&model, architecture);
        let network = recipe.network();
        assert_eq!(model.fill(&network, &recipe.dataset.labels()).expect("the same network"), Head::Kept);
        assert_computes(&network, &file);

        let batch = images(100).batch(0..100);
        start::calibrated(&network, &batch.images);
        assert_computes(&network, &file);
        for (name, tensor) in network.tensors() {
            assert_eq!(tensor.isfinite().all().int64_value(&[]), 1, "{name}");
        }

        // Training mode is close to evaluation, and gradients are neither lost nor too large.
        let loss = |training| {
            let mode = Mode { training, precision: Kind::Float };
            network.logits(&batch.images, Width::FULL, mode).cross_entropy_for_logits(&batch.labels)
        };
        let [evaluated, trained] = [false, true].map(|training| loss(training).double_value(&[]));
        if architecture == LENET {
            assert!((trained / evaluated - 1.0).abs() < 1e-3, "{evaluated} becomes {trained}");
        }
        assert!(trained.is_finite() && trained < 3.0 * evaluated, "{evaluated} becomes {trained}");
        loss(true).backward();
        for parameter in network.parameters() {
            assert_eq!(parameter.tensor.grad().isfinite().all().int64_value(&[]), 1, "{}", parameter.name);
        }
    }
}

#[test]
fn rows_of_a_folded_convolution_get_the_length_of_random_ones() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = exported(&trained(LENET), &recipe(LENET), folder.path());
    let model = Exported::read(&file).expect("our own file");
    let network = from(&model, LENET).network();
    model.fill(&network, &[]).expect("the same network");
    start::calibrated(&network, &images(20).batch(0..20).images);
    for node in &network.graph.nodes {
        let Some(matrix) = node.layer.matrix() else { continue };
        let lengths = matrix.masked().square().sum_dim_intlist([1i64, 2, 3].as_slice(), false, Kind::Double);
        assert!((lengths - 2.0).abs().max().double_value(&[]) < 1e-4, "{}", node.name);
    }
}

#[test]
fn a_run_from_a_file_is_worth_what_the_file_is_and_goes_on_like_any_other() {
    tch::set_num_threads(1);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = exported(&trained(VGG8), &recipe(VGG8), folder.path());
    let model = Exported::read(&file).expect("our own file");
    let (recipe, images) = (from(&model, VGG8), images(150));
    let material = Material { train: &images, validation: &images, loaders: 1, device: Device::Cpu };
    let run = |name: &str| {
        let network = recipe.network();
        model.fill(&network, &recipe.dataset.labels()).expect("the same network");
        Run::with(recipe.clone(), network, folder.path().join(name))
    };
    let mut whole = run("whole");
    whole.train(material, &Progress::silent(), &|| false).expect("trained");

    // Stopped before its first step, it resumes from its checkpoint alone, to the same network.
    run("stopped").train(material, &Progress::silent(), &|| true).expect("stopped");
    let mut resumed = Run::resume(folder.path().join("stopped")).expect("a checkpoint");
    assert_eq!(resumed.recipe(), &recipe);
    assert_eq!(resumed.train(material, &Progress::silent(), &|| false).expect("trained"), Outcome::Finished);
    for ((name, one), (_, other)) in whole.network().tensors().into_iter().zip(resumed.network().tensors()) {
        assert_eq!(one, other, "{name}");
    }
}

#[test]
fn what_is_told_of_the_file_is_what_it_says_of_itself_and_what_it_started_from() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let place = folder.path().join("cifar10/3");
    fs::create_dir_all(&place).expect("a folder");
    let file = exported(&trained(LENET), &Recipe { epochs: 36, ..recipe(LENET) }, &place);
    let first = Exported::read(&file).expect("our own file").origin().clone();
    assert_eq!((first.file.as_str(), first.data.as_str(), first.epochs), ("cifar10/3/model.onnx", "CIFAR-10", 36));
    let (mean, std) = Dataset::Cifar10.statistics();
    assert_eq!((&first.normalisation.mean, &first.normalisation.std), (&mean, &std));

    let start = Start { model: Some(first), ..Start::default() };
    let file = exported(&trained(LENET), &Recipe { epochs: 4, start, ..recipe(LENET) }, &place);
    assert_eq!(Exported::read(&file).expect("our own file").origin().epochs, 40);
}

#[test]
fn a_file_of_other_classes_leaves_the_last_layer_as_it_was() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = exported(&trained(VGG8), &recipe(VGG8), folder.path());
    let model = Exported::read(&file).expect("our own file");
    let recipe = Recipe { dataset: Dataset::Cifar100.into(), ..from(&model, VGG8) };
    let (network, random) = (recipe.network(), recipe.network());
    assert_eq!(network.normalisation, model.origin().normalisation);
    assert_eq!(model.fill(&network, &recipe.dataset.labels()).expect("the same hidden layers"), Head::OtherClasses);
    assert_eq!(network.graph.classifier.weight, random.graph.classifier.weight);
    let first = |network: &Network| network.parameters()[0].tensor.detach();
    assert_ne!(first(&network), first(&random));
}

#[test]
fn a_dense_network_starts_with_nothing_above_the_triangle_and_is_no_start_for_an_any_width_one() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = exported(&trained(LENET), &recipe(LENET), folder.path());
    let model = Exported::read(&file).expect("our own file");
    let dense = from(&model, LENET).dense().network();
    model.fill(&dense, &recipe(LENET).dataset.labels()).expect("a triangle is dense too");
    let images = random_images([2, 3, 32, 32], 6);
    let found = tch::no_grad(|| dense.logits(&images, Width::FULL, Mode::EVALUATION));
    assert!(largest_difference(&found, &anywidth(&file, &images, Width::FULL)) < 1e-3);

    let file = exported(&recipe(LENET).dense().network(), &recipe(LENET), folder.path());
    let message = refusal(&file, &recipe(LENET));
    assert!(message.contains("conv2.weight has weights above the triangle, as a dense network has"), "{message}");
}

/// The error of starting a training by `recipe` from `file`.
fn refusal(file: &Path, recipe: &Recipe) -> String {
    let filled = Exported::read(file).and_then(|model| model.fill(&recipe.network(), &recipe.dataset.labels()));
    filled.expect_err("not the file of such a network").to_string()
}

#[test]
fn files_of_another_network_or_of_none_are_refused_with_what_differs() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = exported(&trained(VGG8), &recipe(VGG8), folder.path());
    let mnist = Recipe { dataset: Dataset::Mnist.into(), ..recipe(VGG8) };
    for (other, reason) in [
        (
            recipe(LENET),
            "its network is vgg-8 with 10, 14 and 12 channels in its three stages, but LeNet-3C1L with 7 ch",
        ),
        (recipe(Architecture::Vgg8 { channels: [10, 14, 16] }), "but vgg-8 with 10, 14 and 16 channels"),
        (mnist, "the image that it reads is 3x32x32, but 1x28x28 is to be trained"),
    ] {
        let message = refusal(&file, &other);
        assert!(message.contains(reason), "{message}");
    }

    let bytes = fs::read(&file).expect("the file");
    let write = |bytes: &[u8]| fs::write(&file, bytes).expect("written");
    write(b"PNG, or whatever it is");
    assert_eq!(refusal(&file, &recipe(VGG8)), "is not an ONNX file, or is truncated");
    for end in [1, bytes.len() / 2, bytes.len() - 1] {
        write(&bytes[..end]);
        assert_eq!(refusal(&file, &recipe(VGG8)), "is not an ONNX file, or is truncated", "{end} bytes");
    }
    write(b"");
    assert!(refusal(&file, &recipe(VGG8)).ends_with("it has no metadata \"anywidth.training\""));
    assert_eq!(refusal(&folder.path().join("none"), &recipe(VGG8)), "cannot be read");
    fs::File::create(&file).and_then(|file| file.set_len((512 << 20) + 1)).expect("a large file");
    assert!(refusal(&file, &recipe(VGG8)).starts_with("has more than 536870912 bytes"));
}

#[test]
fn a_file_that_somebody_changed_is_refused_with_the_place() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = exported(&trained(VGG8), &recipe(VGG8), folder.path());
    let whole = decode(&file);
    type Change = fn(&mut GraphProto);
    let changes: [(Change, &str); 7] = [
        (|graph| graph.node[3].op_type = "Tanh".into(), "node relu_2 is another"),
        (|graph| drop(graph.node.pop()), "nodes, expected"),
        (|graph| drop(graph.initializer.remove(3)), "conv1.bias is missing"),
        (|graph| graph.initializer[2].dims = vec![5, 27], "conv1.weight is [5, 27], expected [5, 3, 3, 3]"),
        (|graph| graph.initializer[2].raw_data.truncate(7), "conv1.weight is not stored as 32-bit floats"),
        (|graph| graph.initializer[2].raw_data[..4].fill(0xFF), "conv1.weight has a value that is not a number"),
        (|graph| graph.initializer[1].raw_data.fill(0), "std is not above 0"),
    ];
    for (change, reason) in changes {
        let mut model = whole.clone();
        change(model.graph.as_mut().expect("a graph"));
        fs::write(&file, model.encode_to_vec()).expect("written");
        let message = refusal(&file, &recipe(VGG8));
        assert!(message.contains("was not written by this exporter") && message.contains(reason), "{message}");
    }
}

/// The recipe of a training on photographs of `classes`, `size` pixels per side, that starts from `model`.
fn with_photos(model: &Exported, architecture: Architecture, classes: Vec<String>, size: usize) -> Recipe {
    let statistics = vec![0.5; 3];
    let photos = PhotoSet {
        folder: "photos".into(),
        classes,
        size,
        shares: [0.15; 2],
        images: [70, 15, 15],
        mean: statistics.clone(),
        std: statistics,
        broken: [0; 3],
    };
    Recipe { dataset: Source::Photos(photos), ..from(model, architecture) }
}

/// Smooth images `[N, 3, side, side]`, the same at every size: waves of a few periods.
fn waves(count: usize, side: usize, seed: u64) -> Tensor {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut pixels = Vec::new();
    for _ in 0..count * 3 {
        let [down, right, phase] = [4.0, 4.0, 6.3].map(|most: f32| random.random_range(-most..most));
        for place in 0..side * side {
            // The middle of a pixel, in 0..1.
            let [y, x] = [place / side, place % side].map(|at| (at as f32 + 0.5) / side as f32);
            pixels.push(0.5 + 0.4 * (std::f32::consts::TAU * (down * y + right * x) + phase).sin());
        }
    }
    Tensor::from_slice(&pixels).view([count as i64, 3, side as i64, side as i64])
}

#[test]
fn a_network_for_larger_images_says_of_them_about_what_the_file_says_of_them_reduced() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    // Initial normalizations: random ones amplify small differences too much.
    let source = recipe(VGG8).network();
    start::calibrated(&source, &waves(60, 32, 1));
    let file = exported(&source, &recipe(VGG8), folder.path());
    let model = Exported::read(&file).expect("our own file");
    // Two and four times as large: the maps have as many pixels as the file's.
    for size in [64, 128] {
        let recipe =
            with_photos(&model, VGG8, Dataset::Cifar10.labels().iter().map(|&name| name.into()).collect(), size);
        let network = recipe.network();
        assert_eq!(model.fill(&network, &recipe.dataset.labels()).expect("the same network"), Head::Kept);
        let off = |width| {
            let logits =
                |network: &Network, side| tch::no_grad(|| network.logits(&waves(20, side, 2), width, Mode::EVALUATION));
            let expected = logits(&source, 32);
            let spread =
                (&expected - expected.mean_dim([0i64].as_slice(), true, Kind::Float)).square().mean(Kind::Float);
            let error = (logits(&network, size) - expected).square().mean(Kind::Float);
            (error / spread).sqrt().double_value(&[])
        };
        let widths = [250_000, 1_000_000].map(|millionths| Width::from_millionths(millionths).expect("a width"));
        let before = widths.map(off);
        model.fit(&network, &waves(60, size, 3)).expect("the same network");
        let after = widths.map(off);
        for (before, after) in before.into_iter().zip(after) {
            assert!(after < 0.5 && after < 0.6 * before, "{size} pixels: {before} becomes {after}");
        }

        // Training mode is close to evaluation, including the stages that the file does not have.
        start::calibrated(&network, &waves(60, size, 3));
        let batch = waves(60, size, 3);
        let [evaluated, trained] = [false, true].map(|training| {
            tch::no_grad(|| network.logits(&batch, Width::FULL, Mode { training, precision: Kind::Float }))
        });
        let difference = largest_difference(&evaluated, &trained) / evaluated.abs().max().double_value(&[]);
        assert!(difference < 1e-2, "{size} pixels: {difference}");
    }
}

#[test]
fn a_network_for_smaller_images_has_the_convolutions_that_it_has_room_for() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let cifar10 = Exported::read(&exported(&trained(VGG8), &recipe(VGG8), folder.path())).expect("our own file");
    let classes = || vec!["a".to_owned(), "b".to_owned()];
    let large = with_photos(&cifar10, VGG8, classes(), 128);
    let file = exported(&large.network(), &large, folder.path());
    let model = Exported::read(&file).expect("our own file");
    let small = with_photos(&model, VGG8, classes(), 32);
    let network = small.network();
    assert_eq!(model.fill(&network, &classes()).expect("the same network"), Head::Kept);
    let convolutions = |network: &Network| {
        let nodes = network.graph.nodes.iter();
        let convolutions = nodes.filter_map(|node| Some((node.name.clone(), node.layer.matrix()?.masked())));
        convolutions.collect::<HashMap<_, _>>()
    };
    let (mine, theirs) = (convolutions(&network), convolutions(&large.network()));
    assert!(mine.len() == 7 && theirs.len() == 11);
    for (name, weights) in mine.iter().filter(|(name, _)| *name != "conv1") {
        assert!(largest_difference(weights, &theirs[name]) < 1e-4, "{name}");
    }
    assert!(network.logits(&waves(2, 32, 1), Width::FULL, Mode::EVALUATION).isfinite().all().int64_value(&[]) == 1);
}

#[test]
fn a_last_layer_that_reads_maps_of_another_size_begins_as_usual() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = exported(&trained(LENET), &recipe(LENET), folder.path());
    let model = Exported::read(&file).expect("our own file");
    let labels: Vec<String> = Dataset::Cifar10.labels().iter().map(|&name| name.into()).collect();
    for (size, head) in [(40, Head::OtherMaps), (28, Head::OtherMaps), (32, Head::Kept), (33, Head::Kept)] {
        let recipe = with_photos(&model, LENET, labels.clone(), size);
        let (network, random) = (recipe.network(), recipe.network());
        assert_eq!(model.fill(&network, &labels).expect("the same convolutions"), head, "{size} pixels");
        assert_eq!(network.graph.classifier.weight == random.graph.classifier.weight, head == Head::OtherMaps);
        let first = |network: &Network| network.parameters()[0].tensor.detach();
        assert_ne!(first(&network), first(&random));
    }
}

#[test]
fn classes_of_the_same_name_keep_what_the_file_knows_of_them_whatever_their_order() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = exported(&trained(VGG8), &recipe(VGG8), folder.path());
    let model = Exported::read(&file).expect("our own file");
    let labels: Vec<String> = ["truck", "zebra", "cat"].map(String::from).into();
    let recipe = with_photos(&model, VGG8, labels.clone(), 32);
    let (network, random) = (recipe.network(), recipe.network());
    assert_eq!(model.fill(&network, &labels).expect("the same network"), Head::Partly(2));
    let images = random_images([4, 3, 32, 32], 5);
    let found = tch::no_grad(|| network.logits(&images, Width::FULL, Mode::EVALUATION));
    let expected = anywidth(&file, &images, Width::FULL);
    for (ours, theirs) in [(0, 9), (2, 3)] {
        let [found, expected] = [found.select(1, ours), expected.select(1, theirs)];
        assert!(largest_difference(&found, &expected) < 1e-3 * expected.abs().max().double_value(&[]), "class {ours}");
    }
    assert_eq!(network.graph.classifier.weight.get(1), random.graph.classifier.weight.get(1));
}
