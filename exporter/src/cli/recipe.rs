//! Flags, over what the network and the data set have of their own, become a recipe.

use anyhow::bail;

use exporter::data::{Augmentation, Source};
use exporter::model::Architecture;
use exporter::train::loss::Weighting;
use exporter::train::optimiser::Settings;
use exporter::train::schedule::Schedule;
use exporter::train::{Method, Origin, Recipe, Start, Teacher};

use super::flags::Args;
use super::standard::{Family, Standard};

impl Args {
    /// The recipe for images of `source`, starting from `model` and taught by `teacher` if there are any.
    pub(super) fn recipe(
        &self,
        source: &Source,
        model: Option<&Origin>,
        teacher: Option<&Teacher>,
    ) -> anyhow::Result<Recipe> {
        let network = self.network.unwrap_or(Family::usual(source));
        let standard = Standard::of(network, source, model.is_some());
        let batch = self.batch.unwrap_or(standard.batch);
        let emphasis = if self.emphasis.is_empty() { DEFAULT_EMPHASIS.into() } else { self.emphasis.clone() };
        let recipe = Recipe {
            dataset: source.clone(),
            architecture: self.architecture(network)?,
            start: match model {
                Some(model) => Start { model: Some(model.clone()), ..Start::default() },
                None => Start {
                    copies: self.copies.unwrap_or(standard.start.copies),
                    whitened_stem: self.whitened_stem.unwrap_or(standard.start.whitened_stem),
                    model: None,
                },
            },
            method: Method::OnePass,
            epochs: self.epochs.unwrap_or(standard.epochs),
            batch,
            schedule: Schedule {
                peak: self.rate.unwrap_or(rate(batch)),
                warm_up: self.warm_up,
                decay: self.decay.unwrap_or(standard.decay),
            },
            sgd: Settings { momentum: self.momentum, nesterov: !self.no_nesterov, weight_decay: self.weight_decay },
            loss_weights: Weighting { narrowest: self.narrowest.unwrap_or(DEFAULT_NARROWEST), emphasis },
            label_smoothing: self.label_smoothing.unwrap_or(standard.label_smoothing),
            distillation: self.distillation.unwrap_or(if teacher.is_some() { TAUGHT } else { 0.0 }),
            teacher: teacher.cloned(),
            coverage: !self.no_coverage,
            average: self.average.unwrap_or(standard.average),
            augmentation: Augmentation {
                pad: self.pad.unwrap_or(standard.augmentation.pad),
                border: self.border.unwrap_or(standard.augmentation.border),
                flip: self.flip.unwrap_or(standard.augmentation.flip),
                cutout: self.cutout,
                crop: self.crop.unwrap_or(standard.augmentation.crop),
                jitter: self.jitter.unwrap_or(standard.augmentation.jitter),
                arrival: self.arrival.unwrap_or(standard.augmentation.arrival),
                inverted: self.inverted.unwrap_or(standard.augmentation.inverted),
            },
            held_out: self.held_out,
            seed: self.seed,
            precision: self.precision.unwrap_or(standard.precision),
            balanced: standard.balanced && !self.unbalanced,
        };
        let distilled = self.distillation.is_some() || self.teacher.is_some();
        let about_widths = self.narrowest.is_some() || !self.emphasis.is_empty() || distilled;
        let recipe = match self.method {
            Method::OnePass => recipe,
            Method::Dense if about_widths => {
                let flags = "no --narrowest, no --emphasis, no --distillation, no --teacher";
                bail!("a dense network is trained at full width alone: {flags}");
            }
            Method::Dense => recipe.dense(),
        };
        recipe.check().map_err(anyhow::Error::msg)?;
        Ok(recipe)
    }

    fn architecture(&self, network: Family) -> anyhow::Result<Architecture> {
        Ok(match (network, &self.channels[..]) {
            (Family::Lenet, []) => Architecture::Lenet { channels: 45 },
            (Family::Lenet, &[channels]) => Architecture::Lenet { channels },
            (Family::Lenet, more) => bail!("channels: {} numbers, LeNet-3C1L has one", more.len()),
            (Family::Vgg8, []) => Architecture::Vgg8 { channels: [64, 128, 256] },
            (Family::Vgg8, &[first, second, third]) => Architecture::Vgg8 { channels: [first, second, third] },
            (Family::Vgg8, others) => bail!("channels: {} numbers, vgg-8 has three", others.len()),
        })
    }
}

/// The highest learning rate for steps of `batch` images: 0.1 for 128, and as much less as they are fewer (Goyal et al.,
/// "Accurate, Large Minibatch SGD", 2017).
fn rate(batch: usize) -> f64 {
    0.1 * (batch as f64 / 128.0)
}

/// Share of a target that a teacher decides, unless said otherwise.
const TAUGHT: f64 = 0.9;
const DEFAULT_NARROWEST: f64 = 0.125;
const DEFAULT_EMPHASIS: [(f64, f64); 3] = [(0.25, 0.2), (0.5, 0.1), (1.0, 0.1)];

#[cfg(test)]
mod tests {
    use clap::Parser;
    use exporter::data::Dataset;

    use crate::cli::{Cli, Command};

    #[test]
    fn flags_that_no_network_has_are_refused_with_the_reason() {
        let reason = |flags: &str| {
            let line = format!("exporter train cifar10 {flags}");
            let args = Cli::try_parse_from(line.split_whitespace()).map_err(|error| error.to_string())?;
            let Command::Train(args) = args.command else { panic!("the command is train") };
            args.recipe(&Dataset::Cifar10.into(), None, None).map(|_| ()).map_err(|error| error.to_string())
        };
        for (flags, expected) in [
            ("--channels 0", "0 is not between 1 and 4096"),
            ("--channels 5000", "5000 is not between 1 and 4096"),
            ("--network lenet-3c1l --channels 4,5", "2 numbers, LeNet-3C1L has one"),
            ("--method dense --narrowest 0.5", "a dense network is trained at full width alone"),
            ("--method dense --emphasis 0.5=0.5", "a dense network is trained at full width alone"),
            ("--method dense --teacher RUN", "a dense network is trained at full width alone"),
            ("--network vgg-8 --channels 64", "1 numbers, vgg-8 has three"),
            ("--network vgg-8 --channels 1,8,8", "a layer of vgg-8 would have none, with 1, 8 and 8 channels"),
        ] {
            let message = reason(flags).expect_err(flags);
            assert!(message.contains(expected), "{flags}: {message}");
        }
    }
}
