//! Writes a trained network as a model folder: `<models>/<name>/` with `<version>/model.onnx`, a card and its figures.

use std::path::Path;

use anyhow::Context;
use anywidth::engine::{Evaluation, GainTable, Model, Outcome, Width};
use anywidth::image::Preprocessing;
use tch::Tensor;

use exporter::card::{Arrival, Card, Dense};
use exporter::data::Images;
use exporter::data::arrival::{MEASURED, as_sent, invert, sent};
use exporter::evaluate::{
    EarlyExit, Strategies, THRESHOLDS, accuracies, accuracies_of, all_logits, area_under_curve, calibration_errors,
    early_exits, gain_table, outcomes, predictions, strategies, temperatures,
};
use exporter::file::write_whole;
use exporter::model::{Mode, Network};
use exporter::onnx::{self, Metadata, Training};
use exporter::plot::{Confusion, Curve, accuracy_curve, share_curve};
use exporter::train::progress::by_width;
use exporter::train::{Run, named_widths};
use exporter::words::{counted, interval, were};

use super::command::{by_recipe, command, quoted};
use super::engine::accuracies_by_precision;
use super::material::Measures;
use super::say::{note, printable};
use super::target::{Destination, Target};

/// Number of test images below which the accuracy is uncertain by ten points.
const FEW: usize = 100;
/// Number of mistakes printed.
const MISTAKES: usize = 5;

/// Measures the network of `run`, compares it with `dense` if given, and writes all files of the model to `destination`.
pub(super) fn ship(
    run: &Run,
    measures: &Measures,
    target: &Target,
    destination: &Destination,
    dense: Option<&Run>,
) -> anyhow::Result<()> {
    let (recipe, network) = (run.recipe(), run.network());
    let (name, version) = (&destination.name, target.version(destination));
    let epochs = run.history().len();
    let epochs_done = (!run.is_finished()).then_some(epochs);

    let sent = as_sent(&measures.validation, &recipe.augmentation, recipe.seed);
    let (logits, labels) = all_logits(network, &sent, Mode::EVALUATION);
    let (validation, temperature) = (accuracies_of(&logits, &labels), temperatures(&logits, &labels));
    let widths = network.widths();
    let gain = |counted: &[Width]| gain_table(&logits, &labels, (&widths, &temperature), counted);
    let images = measures.test()?;
    let arrivals = arrivals(network, &images, recipe.augmentation.inverted > 0.0);
    let (logits, labels) = all_logits(network, &images, Mode::EVALUATION);
    let (test, calibration) = (accuracies_of(&logits, &labels), calibration_errors(&logits, &labels, &temperature));
    let taken_for = predictions(&logits.get(-1));
    let pairs = images.labels().iter().map(|&label| usize::from(label)).zip(taken_for);
    let confusion = Confusion::count(&recipe.dataset.labels(), pairs);
    let dense = dense.map(|run| Dense {
        test: accuracies(run.network(), &images, Mode::EVALUATION)[0],
        cost: run.network().cost(),
        command: command(run),
    });

    let mut metadata = Metadata {
        labels: recipe.dataset.labels(),
        accuracy: Metadata::by_width(&validation),
        temperature: Metadata::by_width(&temperature),
        gain: None,
        evaluation: Some(Evaluation { split: "validation".into(), images: measures.validation.len() as u64 }),
        preprocessing: Preprocessing::for_training(),
        training: Some(Training { recipe: recipe.clone(), epochs_done, exporter_version: env!("CARGO_PKG_VERSION") }),
    };
    let bytes = onnx::model(network, &metadata);
    let served = Model::from_onnx(&bytes).context("the engine refuses this network")?;
    // Only the engine knows the steps between which a server chooses.
    let counted = GainTable::widths_of(served.grid());
    let gain = gain(&counted);
    let under_load = load_curve(name, &served, &gain, &outcomes(&logits, &labels, (&widths, &temperature), &counted));
    metadata.gain = Some(gain);
    let bytes = onnx::model(network, &metadata);
    let bytes = onnx::with_precisions(&bytes, &widths, &accuracies_by_precision(&bytes, &sent, &widths)?)?;
    let exits = exits(&logits, &labels, &temperature, &served);
    let (commit, command) = (target.commit(), command(run));
    // The card describes either the teacher or, if the teacher is the dense network, its training.
    let teacher = recipe.method.teacher().filter(|_| dense.is_none()).map(|_| by_recipe(&recipe.dense()));
    let card = Card {
        name,
        version,
        recipe,
        epochs,
        images: [measures.validation.len(), images.len()],
        validation: &validation,
        test: &test,
        temperature: &temperature,
        calibration: &calibration,
        arrivals: &arrivals,
        exits: &exits,
        recall: confusion.mean_recall(),
        mistakes: &confusion.worst(MISTAKES),
        commit: commit.as_deref(),
        command: &command,
        gpu: run.gpu(),
        dense: dense.as_ref(),
        teacher: teacher.as_deref(),
        notes: &target.note,
    };
    let title = format!("{name}: confusion matrix on the test images");
    let texts = [
        ("accuracy.svg", curve(name, network, [(&validation, measures.validation.len()), (&test, images.len())])),
        ("confusion.svg", confusion.svg(&title)),
        ("confidence.svg", confidence_curve(name, &exits)),
        ("load.svg", under_load),
        ("README.md", card.text(network, &served)),
    ];
    write_all(destination, version, &texts, &bytes)?;
    tell(&destination.file(version), &network.widths(), &test, images.len(), &confusion);
    let models = printable(&word(&destination.models));
    println!("serve it with: anywidth serve --models {models} --default-model {name}");
    Ok(())
}

/// Accuracy and cost of exiting at the first named width whose calibrated probability reaches a threshold; `logits` are
/// `[widths, N, classes]`.
fn exits(logits: &Tensor, labels: &Tensor, temperature: &[f64], served: &Model) -> Vec<EarlyExit> {
    let widths = named_widths();
    let row = |width: Width| width.active(temperature.len()) - 1;
    let honest = widths.map(|width| logits.get(row(width) as i64) / temperature[row(width)]);
    let costs = widths.map(|width| served.cost(width).multiply_adds);
    early_exits(&Tensor::stack(&honest, 0), labels, &costs, &THRESHOLDS)
}

fn confidence_curve(name: &str, exits: &[EarlyExit]) -> String {
    let line = |name: &str, share: &dyn Fn(&EarlyExit) -> f64| Curve {
        name: name.into(),
        points: exits.iter().map(|exit| (exit.threshold, share(exit))).collect(),
        images: None,
    };
    let lines = [line("accuracy", &|exit| exit.accuracy), line("mean multiply-adds, of full width", &|exit| exit.cost)];
    share_curve(&format!("{name}: accuracy and cost by confidence"), "confidence", &lines)
}

/// Accuracy by the mean multiply-adds that load leaves per image. `outcomes` are those of test images at the widths of `gain`.
pub(super) fn load_curve(name: &str, served: &Model, gain: &GainTable, outcomes: &[Vec<Outcome>]) -> String {
    let costs: Vec<u64> = gain.rows().iter().map(|row| served.cost(row.width()).multiply_adds).collect();
    let Strategies { one_width, mixture, by_gain } = strategies(gain, outcomes, &costs);
    let line = |name: &str, points| Curve { name: name.into(), points, images: None };
    let lines =
        [line("one width for all", one_width), line("mixture of two widths", mixture), line("by gain", by_gain)];
    let axis = "mean multiply-adds per image, of full width";
    share_curve(&format!("{name}: accuracy by mean multiply-adds under load"), axis, &lines)
}

/// Number of test images measured per encoding.
const SENT: usize = 2000;

/// Accuracy on test images as users send them, from the mildest encoding to the strongest.
fn arrivals(network: &Network, images: &Images, inverted: bool) -> Vec<Arrival> {
    let (count, all) = (images.len().min(SENT), images.len());
    // Evenly spread: a folder lists its images by class.
    let images = images.select(&(0..count).map(|index| index * all / count).collect::<Vec<usize>>());
    let measured = |what: String, images: &Images| Arrival {
        what,
        images: images.len(),
        accuracy: accuracies(network, images, Mode::EVALUATION),
    };
    let mut arrivals = vec![measured("exact pixels, as PNG".into(), &images)];
    if inverted {
        arrivals.push(measured("exact pixels, inverted brightness".into(), &images.mapped(invert)));
    }
    for sending in MEASURED {
        let shape = images.shape();
        let size = |side: usize| (side as f64 * sending.enlarged).round();
        let larger = match sending.enlarged > 1.0 {
            true => format!("enlarged to {}x{}, ", size(shape.width), size(shape.height)),
            false => String::new(),
        };
        let arrived = images.mapped(|image| image.copy_from_slice(&sent(image, shape, sending)));
        arrivals.push(measured(format!("{larger}JPEG of quality {}", sending.quality), &arrived));
    }
    arrivals
}

/// Measures the slimmable network of `run`, and writes an ordinary network for each named width. One file cannot hold
/// all widths, because the activations of one width are not a prefix of another's.
pub(super) fn ship_sliced(run: &Run, measures: &Measures, destination: &Destination) -> anyhow::Result<()> {
    let (recipe, images) = (run.recipe(), measures.test()?);
    let sent = as_sent(&measures.validation, &recipe.augmentation, recipe.seed);
    let method = recipe.method.name().to_lowercase();
    for width in recipe.progress_widths() {
        let network = run.network().sliced(width);
        let (logits, labels) = all_logits(&network, &sent, Mode::EVALUATION);
        let metadata = Metadata {
            labels: recipe.dataset.labels(),
            accuracy: vec![(Width::FULL, accuracies_of(&logits, &labels)[0])],
            temperature: vec![(Width::FULL, temperatures(&logits, &labels)[0])],
            gain: None,
            evaluation: Some(Evaluation { split: "validation".into(), images: measures.validation.len() as u64 }),
            preprocessing: Preprocessing::for_training(),
            training: None,
        };
        let path = destination.folder().join(format!("{method}-width-{width}.onnx"));
        write_whole(&path, &onnx::model(&network, &metadata)).with_context(|| path.display().to_string())?;
        let test = 100.0 * accuracies(&network, &images, Mode::EVALUATION)[0];
        println!("wrote {}: test accuracy {test:.2}", printable(&path.display().to_string()));
    }
    note(&format!(
        "these are ordinary networks, one for each width, for any ONNX runtime; anywidth serves files that have every width, \
         which {} cannot give",
        recipe.method.name()
    ));
    Ok(())
}

/// Writes the model last: every version then has a card, and every folder a model.
fn write_all(destination: &Destination, version: u64, texts: &[(&str, String)], model: &[u8]) -> anyhow::Result<()> {
    let write = |path: &Path, bytes: &[u8]| write_whole(path, bytes).with_context(|| path.display().to_string());
    for (name, text) in texts {
        write(&destination.folder().join(name), text.as_bytes())?;
    }
    let file = destination.file(version);
    write(&file, model).inspect_err(|_| {
        // Removes only an empty folder.
        let _ = file.parent().map(std::fs::remove_dir);
    })
}

/// Quotes a path for a shell, so that it cannot be taken for a flag.
pub(super) fn word(path: &Path) -> String {
    let text = path.to_string_lossy();
    quoted(&if text.starts_with('-') { format!("./{text}").into() } else { text })
}

/// Accuracies with their number of images.
type Measured<'a> = (&'a [f64], usize);

fn curve(name: &str, network: &Network, [validation, test]: [Measured<'_>; 2]) -> String {
    let widths: Vec<f64> = network.widths().into_iter().map(Width::as_f64).collect();
    let curve = |split: &str, (accuracy, images): Measured<'_>| {
        let points = widths.iter().copied().zip(accuracy.iter().copied()).collect();
        Curve { name: format!("{split}, {}", counted(images, "image")), points, images: Some(images) }
    };
    let curves = [curve("validation", validation), curve("test", test)];
    accuracy_curve(&format!("{name}: accuracy by width, with 95 % intervals"), &curves)
}

fn tell(file: &Path, widths: &[Width], test: &[f64], images: usize, confusion: &Confusion) {
    let file = printable(&file.display().to_string());
    println!("wrote {file}, its card README.md and the figures in it");
    let quarter = super::quarter();
    let area = 100.0 * area_under_curve(widths, test, quarter);
    println!("test accuracy {}; {area:.2} over all widths from {quarter} to 1", by_width(widths, test));
    println!("test accuracy at full width, mean over classes: {:.2}", 100.0 * confusion.mean_recall());
    let (low, high) = interval(test[test.len() - 1], images);
    let [low, high] = [low, high].map(|share| 100.0 * share);
    println!("of {}: the 95 % interval at full width is {low:.1} to {high:.1} %", counted(images, "test image"));
    if images < FEW {
        note(&format!(
            "{} say little: a folder test with some hundred does, or a larger share with --test",
            counted(images, "test image")
        ));
    }
    for (count, of, class, taken_for) in confusion.worst(MISTAKES) {
        println!("  {count} of {} of {class:?} {} taken for {taken_for:?}", counted(of, "image"), were(count));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_and_no_flag() {
        assert_eq!(word(Path::new("my models")), "'my models'");
        assert_eq!(word(Path::new("-models")), "./-models");
    }
}
