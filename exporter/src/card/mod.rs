//! The model card: what a network is, how it was trained, and what was measured, as Markdown.

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

/// What a card tells beyond the network itself. Lists are by the network's widths, narrow to wide.
#[derive(Debug)]
pub struct Card<'a> {
    /// The model's name.
    pub name: &'a str,
    /// The version that the card is about.
    pub version: u64,
    /// How it was trained.
    pub recipe: &'a Recipe,
    /// Epochs that are done.
    pub epochs: usize,
    /// Images that the validation and the test accuracies are of.
    pub images: [usize; 2],
    /// Accuracy on the validation split.
    pub validation: &'a [f64],
    /// Accuracy on the test set.
    pub test: &'a [f64],
    /// What logits are divided by, fitted on the validation split.
    pub temperature: &'a [f64],
    /// Expected calibration error on the test set, at that temperature.
    pub calibration: &'a [f64],
    /// What answers that stop early are worth on the test set.
    pub exits: &'a [EarlyExit],
    /// Accuracy on test images as users send them.
    pub arrivals: &'a [Arrival],
    /// Accuracy on the test set at full width, as the mean over classes.
    pub recall: f64,
    /// The most frequent mistakes at full width: how often, of how many, which class, what it was taken for.
    pub mistakes: &'a [(usize, usize, &'a str, &'a str)],
    /// The commit of the exporter's source, if it is known.
    pub commit: Option<&'a str>,
    /// The command that trains the same network.
    pub command: &'a str,
    /// Was it trained on a GPU, on which that command gives another one each time?
    pub gpu: bool,
    /// The same network without the triangle, if there is one to compare with.
    pub dense: Option<&'a Dense>,
    /// The command that trains its teacher, if it has one that is not [`Card::dense`].
    pub teacher: Option<&'a str>,
    /// What else a reader should know about the data.
    pub notes: &'a [String],
}

/// How right a network is about images that were sent in one way.
#[derive(Debug)]
pub struct Arrival {
    /// The way.
    pub what: String,
    /// How many images.
    pub images: usize,
    /// Accuracy by the network's widths.
    pub accuracy: Vec<f64>,
}

/// A network to compare with: the same without the triangle, trained at full width alone.
#[derive(Debug)]
pub struct Dense {
    /// Accuracy on the test set.
    pub test: f64,
    /// What one image takes.
    pub cost: Cost,
    /// The command that trains it.
    pub command: String,
}

/// Probabilities that are off by more than this are remarked on.
const LARGE_ERROR: f64 = 0.1;

impl Card<'_> {
    /// The card's text, for `network` and the file of it that `served` was read from.
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

    /// What it started from, so that nobody takes its epochs for all that it was trained.
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
            "Accuracies are of {test} of the test set and of {validation} of the validation split.\n\n\
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
             in that range: {:.2} points. Test accuracy at full width with every class counting alike, however many \
             images it has: {:.2} %.\n",
            area(self.test),
            area(self.validation),
            100.0 * largest_drop(self.test, quarter),
            100.0 * self.recall,
        )
        .expect("writing to a string");
        text
    }

    /// What users send, and what it costs.
    fn as_sent(&self) -> String {
        let Some(first) = self.arrivals.first() else { return String::new() };
        let widths = named_widths();
        let heads: Vec<String> = widths.iter().map(|width| format!(" {width} |")).collect();
        let mut text = format!(
            "Test accuracy of {} as users send them: each goes through the server's own decoding and scaling.\n\n\
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

    /// What a caller gets for `confidence`.
    fn early_exits(&self) -> String {
        let widths = named_widths().map(|width| width.to_string()).join(", ");
        let mut text = format!(
            "With `confidence` a request stops at the first of the widths {widths} whose answer is as probable as that. Of the \
             test set, with the multiply-adds as a share of those at full width:\n\n\
             | confidence | accuracy | mean multiply-adds |\n|---|---|---|\n"
        );
        for EarlyExit { threshold, accuracy, cost } in self.exits {
            writeln!(text, "| {threshold} | {:.2} % | {:.0} % |", 100.0 * accuracy, 100.0 * cost)
                .expect("writing to a string");
        }
        text + "\n![Accuracy and cost by confidence](confidence.svg)\n\n"
    }

    fn figures(&self) -> String {
        let mut text = String::from(
            "![Accuracy by width](accuracy.svg)\n\n![What the test images are taken for](confusion.svg)\n\n",
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

    /// What the number of test images leaves open.
    fn precision(&self) -> String {
        let (full, count) = (self.test[self.test.len() - 1], self.images[1]);
        let (low, high) = interval(full, count);
        format!(
            "The test accuracy at full width, {:.2} % of {}, has a 95 % interval of {:.1} to {:.1} %: differences \
             within it say nothing, and it is of one training.",
            100.0 * full,
            counted(count, "image"),
            100.0 * low,
            100.0 * high,
        )
    }

    /// A word on probabilities that are far from honest.
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

    /// Of which images the validation split consists.
    fn validation_as_sent(&self) -> String {
        let Augmentation { arrival, inverted, .. } = self.recipe.augmentation;
        let percent = |share: f64| (100.0 * share).round();
        let mut parts = Vec::new();
        if arrival > 0.0 {
            parts.push(format!("{} % of them sent as users send them, as JPEGs and enlarged", percent(arrival)));
        }
        if inverted > 0.0 {
            parts.push(format!("{} % with light and dark exchanged", percent(inverted)));
        }
        if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", and ")) }
    }

    /// For how long it was trained.
    fn epochs(&self) -> String {
        let (done, planned) = (self.epochs, self.recipe.epochs);
        let more = if self.recipe.start.model.is_some() { " more" } else { "" };
        match done {
            _ if done == planned => counted(done, "epoch") + more,
            _ => format!("{done} of {}{more}, after which it was stopped", counted(planned, "epoch")),
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
            "Parameters count what is held (nothing above the triangles, BatchNorm folded), multiply-adds what one \
             image needs, both with the normalisation. The calibration error is by how much the probability of the \
             answer, after the temperature, differs from how often it is right (expected calibration error of the \
             test set, 15 ranges).{calibration} The accuracies and temperatures inside the file are those of \
             the validation split: {held_out} that the network was not trained on{sent}. The test set was measured \
             after training, and decided nothing in it. {precision} Widths \
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
                "on a GPU gives another network of the same worth each time, for it adds up in no fixed order"
            } else if recipe.method.teacher().is_some() {
                "with that teacher, on one thread (the default) of the same kind of processor, gives the same network every \
                 time"
            } else {
                "on one thread (the default) of the same kind of processor gives the same network every time"
            },
            method = self.method(),
        );
        if let Source::Photos(_) = &recipe.dataset {
            text.push_str("`--data` has the folder's own name here; say where it lies.\n\n");
        }
        if recipe.method.teacher().is_some() {
            let how = self.teacher.map_or(String::new(), |command| format!(" It is trained by {}.", span(command)));
            write!(text, "`--teacher` has the run's own name here; say where it lies.{how}\n\n")
                .expect("writing to a string");
        }
        if recipe.start.model.is_some() {
            text.push_str("`--start` has the model's own name here; say where it lies.\n\n");
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

/// Who decided a share of the targets.
fn taught(method: &OnePass) -> String {
    let share = 100.0 * method.distillation;
    match &method.teacher {
        Some(_) => format!(
            ", {share:.0} % of whose target is what the network without the triangle says of the image, trained before by \
             the same recipe"
        ),
        None if share > 0.0 => format!(", {share:.0} % of whose target, below full width, is what full width says"),
        None => String::new(),
    }
}

impl Dense {
    fn text(&self) -> String {
        format!(
            "The same network without the triangle, trained at full width alone by the same recipe: {:.2} % test \
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
