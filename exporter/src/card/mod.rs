//! The model card in Markdown: the network, its training, and its measurements.

mod markdown;

use std::fmt::Write;

use anywidth::engine::{Model, Width};

use crate::data::{Augmentation, Source};
use crate::evaluate::{EarlyExit, area_under_curve};
use crate::model::{Cost, Network};
use crate::train::method::{Awn, AwnRs, Method, OnePass};
use crate::train::{Origin, Recipe, named_widths};
use crate::words::{counted, interval, thousands, were};

use markdown::{escaped, fenced, span};

/// The contents of a card beyond the network. Lists are by the network's widths, narrow to wide.
#[derive(Debug)]
pub struct Card<'a> {
    /// The model's name.
    pub name: &'a str,
    /// The version that the card describes.
    pub version: u64,
    /// How it was trained.
    pub recipe: &'a Recipe,
    /// Completed epochs.
    pub epochs: usize,
    /// Numbers of images of the validation and the test accuracies.
    pub images: [usize; 2],
    /// Accuracy on the validation split.
    pub validation: &'a [f64],
    /// Accuracy on the test set.
    pub test: &'a [f64],
    /// Temperature: the divisor of the logits, fitted on the validation split.
    pub temperature: &'a [f64],
    /// Expected calibration error on the test set, at that temperature.
    pub calibration: &'a [f64],
    /// Accuracy and cost of early exit on the test set.
    pub exits: &'a [EarlyExit],
    /// Accuracy on test images as users send them: encoded and resized.
    pub arrivals: &'a [Arrival],
    /// Mean over classes of the accuracy on the test set at full width.
    pub recall: f64,
    /// The most frequent mistakes at full width: count, images of the class, class, prediction.
    pub mistakes: &'a [(usize, usize, &'a str, &'a str)],
    /// The commit of the exporter's source, if known.
    pub commit: Option<&'a str>,
    /// The command that trains the same network.
    pub command: &'a str,
    /// Whether it was trained on a GPU, where the command is not reproducible.
    pub gpu: bool,
    /// The dense counterpart of the network, if there is one to compare with.
    pub dense: Option<&'a Dense>,
    /// The command that trains its teacher, if it has one that is not [`Card::dense`].
    pub teacher: Option<&'a str>,
    /// Further notes on the data.
    pub notes: &'a [String],
}

/// Accuracy on images that are encoded in one way.
#[derive(Debug)]
pub struct Arrival {
    /// The encoding.
    pub what: String,
    /// Number of images.
    pub images: usize,
    /// Accuracy by the network's widths.
    pub accuracy: Vec<f64>,
}

/// A network to compare with: dense weights, trained at full width only.
#[derive(Debug)]
pub struct Dense {
    /// Accuracy on the test set.
    pub test: f64,
    /// Cost of one image.
    pub cost: Cost,
    /// The command that trains it.
    pub command: String,
}

/// How accuracy falls with load.
const UNDER_LOAD: &str = "\
Under load an image gets the width that is worth its time. Test accuracy by the multiply-adds that load leaves per image, on
average:

![Accuracy by mean multiply-adds under load](load.svg)

";
/// Calibration errors above this get a remark.
const LARGE_ERROR: f64 = 0.1;

impl Card<'_> {
    /// The card's text for `network`; `served` is the engine's model of its file.
    pub fn text(&self, network: &Network, served: &Model) -> String {
        let mut text = self.head(network);
        text.push_str(&self.table(network, served));
        text.extend(self.dense.map(Dense::text));
        text.push_str(&self.as_sent());
        text.push_str(&self.early_exits());
        text.push_str(&self.figures());
        text.push_str(&self.how());
        text
    }

    fn head(&self, network: &Network) -> String {
        let images = network.image();
        let labels = self.recipe.dataset.labels();
        format!(
            "# {name}\n\n\
             An any-width {architecture} with {channels}, trained on {data}{start}. It reads \
             images of {columns}x{rows} pixels, {colour}, in 0..1 and tells {classes} classes apart: {labels}.\n\n\
             The file is `{version}/model.onnx` (ONNX, opset 17; the normalisation is inside the graph). Any ONNX runtime \
             runs it at full width; anywidth runs it at every width.\n\n",
            name = self.name,
            version = self.version,
            architecture = network.architecture.name(),
            channels = network.architecture.size(),
            data = escaped(&self.recipe.dataset.title()),
            start = self.start(),
            columns = images.width,
            rows = images.height,
            colour = if images.channels == 1 { "grey" } else { "RGB" },
            classes = labels.len(),
            labels = escaped(&labels.join(", ")),
        )
    }

    /// The model that training started from, so that the number of epochs is not misread.
    fn start(&self) -> String {
        let Some(Origin { file, md5, data, epochs, .. }) = &self.recipe.start.model else { return String::new() };
        let (file, data) = (span(file), escaped(data));
        format!(
            ", starting from the weights of {file} (MD5 {md5}), which had been trained on {data} for {}",
            counted(*epochs, "epoch")
        )
    }

    /// How the widths were trained together.
    fn method(&self) -> String {
        match &self.recipe.method {
            Method::OnePass(method) => {
                format!("One pass at full width gives the loss of every width{}", taught(method))
            }
            Method::Awn(Awn { widths, .. }) => {
                let widths: Vec<String> = widths.iter().map(f64::to_string).collect();
                format!("The losses of the widths {} are added in each step (AWN)", widths.join(", "))
            }
            Method::AwnRs(AwnRs { narrowest, samples, .. }) => format!(
                "The losses of {samples} widths are added in each step: {narrowest}, 1, and random ones in between (AWN+RS)"
            ),
            Method::SNet(_) | Method::UsNet(_) | Method::MutualNet(_) | Method::Dense(_) => {
                format!("Trained by {}", self.recipe.method.name())
            }
        }
    }

    fn table(&self, network: &Network, served: &Model) -> String {
        let [validation, test] = self.images.map(|count| counted(count, "image"));
        let mut text = format!(
            "Accuracies are measured on {test} of the test set and {validation} of the validation split.\n\n\
             | width | channels | test accuracy | validation accuracy | temperature | calibration error | parameters | multiply-adds |\n\
             |---|---|---|---|---|---|---|---|\n",
        );
        for width in named_widths() {
            let index = width.active(self.test.len()) - 1;
            let cost = served.cost(width);
            writeln!(
                text,
                "| {width} | {} | {:.2} % | {:.2} % | {:.2} | {:.2} % | {} | {} |",
                width.active(network.channels()),
                100.0 * self.test[index],
                100.0 * self.validation[index],
                self.temperature[index],
                100.0 * self.calibration[index],
                thousands(cost.parameters),
                thousands(cost.multiply_adds),
            )
            .expect("writing to a string");
        }
        let quarter = named_widths()[0];
        let area = |accuracy| 100.0 * area_under_curve(&network.widths(), accuracy, quarter);
        writeln!(
            text,
            "\nMean accuracy over all widths from {quarter} to 1 (area under the accuracy-width curve): {:.2} % on the \
             test set, {:.2} % on the validation split. Largest loss of test accuracy from one width to the next \
             in that range: {:.2} points. Test accuracy at full width, mean over classes: {:.2} %.\n",
            area(self.test),
            area(self.validation),
            100.0 * largest_drop(self.test, quarter),
            100.0 * self.recall,
        )
        .expect("writing to a string");
        text
    }

    /// Accuracy on images as users send them, and the loss by encoding.
    fn as_sent(&self) -> String {
        let Some(first) = self.arrivals.first() else { return String::new() };
        let widths = named_widths();
        let heads: Vec<String> = widths.iter().map(|width| format!(" {width} |")).collect();
        let mut text = format!(
            "Test accuracy on {} as users send them, with the server's own decoding and scaling.\n\n\
             | what is sent |{}\n|---|{}\n",
            counted(first.images, "test image"),
            heads.concat(),
            "---|".repeat(widths.len()),
        );
        for Arrival { what, accuracy, .. } in self.arrivals {
            let cells = widths.map(|width| format!(" {:.1} % |", 100.0 * accuracy[width.active(accuracy.len()) - 1]));
            writeln!(text, "| {what} |{}", cells.concat()).expect("writing to a string");
        }
        text + "\n"
    }

    /// Accuracy and cost by `confidence`.
    fn early_exits(&self) -> String {
        let widths = named_widths().map(|width| width.to_string()).join(", ");
        let mut text = format!(
            "With `confidence` a request stops at the first of the widths {widths} whose answer reaches that probability. On \
             the test set, with multiply-adds relative to full width:\n\n\
             | confidence | accuracy | mean multiply-adds |\n|---|---|---|\n"
        );
        for EarlyExit { threshold, accuracy, cost } in self.exits {
            writeln!(text, "| {threshold} | {:.2} % | {:.0} % |", 100.0 * accuracy, 100.0 * cost)
                .expect("writing to a string");
        }
        text + "\n![Accuracy and cost by confidence](confidence.svg)\n\n" + UNDER_LOAD
    }

    fn figures(&self) -> String {
        let mut text = String::from(
            "![Accuracy by width](accuracy.svg)\n\n![Confusion matrix on the test images](confusion.svg)\n\n",
        );
        if self.mistakes.is_empty() {
            return text;
        }
        let mistake = |&(count, of, class, taken_for): &(usize, usize, &str, &str)| {
            escaped(&format!("{count} of {of} of \"{class}\" {} taken for \"{taken_for}\"", were(count)))
        };
        let mistakes: Vec<String> = self.mistakes.iter().map(mistake).collect();
        writeln!(text, "The most frequent mistakes at full width: {}.\n", mistakes.join("; "))
            .expect("writing to a string");
        text
    }

    /// The statistical uncertainty of the test accuracy.
    fn precision(&self) -> String {
        let (full, count) = (self.test[self.test.len() - 1], self.images[1]);
        let (low, high) = interval(full, count);
        format!(
            "The test accuracy at full width, {:.2} % of {}, has a 95 % interval of {:.1} to {:.1} %: differences \
             within it are not significant. It is the result of a single training.",
            100.0 * full,
            counted(count, "image"),
            100.0 * low,
            100.0 * high,
        )
    }

    /// A remark on badly calibrated probabilities.
    fn calibration_remark(&self) -> String {
        let from = named_widths()[0].active(self.calibration.len()) - 1;
        let largest = self.calibration[from..].iter().copied().fold(0.0, f64::max);
        if largest <= LARGE_ERROR {
            return String::new();
        }
        format!(
            " At up to {:.1} % here, the probabilities are only a rough guide: do not rely on `confidence`, or validate \
             on more images.",
            100.0 * largest
        )
    }

    /// The augmentation of the validation split.
    fn validation_as_sent(&self) -> String {
        let Augmentation { arrival, inverted, .. } = self.recipe.augmentation;
        let percent = |share: f64| (100.0 * share).round();
        let mut parts = Vec::new();
        if arrival > 0.0 {
            parts.push(format!("{} % of them as users send them: enlarged and as JPEG", percent(arrival)));
        }
        if inverted > 0.0 {
            parts.push(format!("{} % with inverted brightness", percent(inverted)));
        }
        if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", and ")) }
    }

    /// The number of epochs.
    fn epochs(&self) -> String {
        let (done, planned) = (self.epochs, self.recipe.epochs);
        let more = if self.recipe.start.model.is_some() { " more" } else { "" };
        match done {
            _ if done == planned => counted(done, "epoch") + more,
            _ => format!("stopped after {done} of {}{more}", counted(planned, "epoch")),
        }
    }

    fn how(&self) -> String {
        let recipe = self.recipe;
        let narrowest = recipe.method.narrowest();
        let held_out = match &recipe.dataset {
            Source::Known(_) => format!("{} training images, chosen by the seed,", recipe.held_out),
            Source::Photos(photos) => counted(photos.images[1], "image"),
        };
        let mut text = format!(
            "Parameters and multiply-adds (of one image) exclude weights above the triangles and include the \
             normalisation; BatchNorm is folded. The calibration error is the expected calibration error on the test \
             set after temperature scaling (15 bins).{calibration} The accuracies and temperatures inside the file are those of \
             the validation split: {held_out} that the network was not trained on{sent}. The test set was measured \
             after training and influenced no choice in it. {precision} Widths \
             below {narrowest} were not trained.\n\n\
             ## Training\n\n\
             {method}; {epochs}, batch {}, seed {}. The command, which \
             {again}:\n\n{}\n",
            recipe.batch,
            recipe.seed,
            fenced("sh", self.command),
            calibration = self.calibration_remark(),
            sent = self.validation_as_sent(),
            precision = self.precision(),
            epochs = self.epochs(),
            again = if self.gpu {
                "on a GPU gives an equally good but not identical network each time, because its order of summation varies"
            } else if recipe.method.teacher().is_some() {
                "with that teacher, on one thread (the default) of the same kind of processor, gives the same network every \
                 time"
            } else {
                "on one thread (the default) of the same kind of processor gives the same network every time"
            },
            method = self.method(),
        );
        if let Source::Photos(_) = &recipe.dataset {
            text.push_str("`--data` is the folder's name without its path.\n\n");
        }
        if recipe.method.teacher().is_some() {
            let how = self.teacher.map_or(String::new(), |command| format!(" It is trained by {}.", span(command)));
            write!(text, "`--teacher` is the run's name without its path.{how}\n\n").expect("writing to a string");
        }
        if recipe.start.model.is_some() {
            text.push_str("`--start` is the model's name without its path.\n\n");
        }
        if let Some(commit) = self.commit {
            write!(text, "Source: commit `{commit}`, exporter {}.\n\n", env!("CARGO_PKG_VERSION"))
                .expect("writing to a string");
        }
        let json = serde_json::to_string(recipe).expect("a recipe has a JSON form");
        write!(text, "The whole recipe:\n\n{}", fenced("json", &json)).expect("writing to a string");
        if !self.notes.is_empty() {
            text.push_str("\n## Notes\n\n");
            self.notes.iter().for_each(|note| writeln!(text, "- {note}").expect("writing to a string"));
        }
        text
    }
}

/// How the targets are shared between labels and a teacher.
fn taught(method: &OnePass) -> String {
    let share = 100.0 * method.distillation;
    match &method.teacher {
        Some(_) => format!(
            ", {share:.0} % of whose target is the output of the dense network trained before by the same recipe"
        ),
        None if share > 0.0 => format!(", {share:.0} % of whose target, below full width, is the output of full width"),
        None => String::new(),
    }
}

impl Dense {
    fn text(&self) -> String {
        format!(
            "The same network with dense weights, trained only at full width by the same recipe: {:.2} % test \
             accuracy, {} parameters, {} multiply-adds ({}).\n\n",
            100.0 * self.test,
            thousands(self.cost.parameters),
            thousands(self.cost.multiply_adds),
            span(&self.command),
        )
    }
}

fn largest_drop(accuracy: &[f64], narrowest: Width) -> f64 {
    let curve = &accuracy[narrowest.active(accuracy.len()) - 1..];
    curve.windows(2).map(|pair| pair[0] - pair[1]).fold(0.0, f64::max)
}
