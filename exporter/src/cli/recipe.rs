//! Builds a recipe from flags and the defaults of the network and the data set.

use exporter::data::{Augmentation, Source};
use exporter::train::optimiser::SgdSettings;
use exporter::train::schedule::Schedule;
use exporter::train::{Origin, Recipe, Start, Teacher};

use super::flags::Args;
use super::standard::{Standard, usual_network};

impl Args {
    /// The recipe for images of `source`, starting from `model` and taught by `teacher` if given.
    pub(super) fn recipe(
        &self,
        source: &Source,
        model: Option<&Origin>,
        teacher: Option<&Teacher>,
    ) -> anyhow::Result<Recipe> {
        let network = self.network.unwrap_or_else(|| usual_network(source));
        let kind = self.method.method;
        let standard = Standard::of(network, kind, source, model.is_some());
        let batch = self.batch.unwrap_or(standard.batch);
        let architecture = network.of(&self.channels, kind.weights())?;
        let recipe = Recipe {
            dataset: source.clone(),
            architecture,
            start: match model {
                Some(model) => Start { model: Some(model.clone()), ..Start::default() },
                None => Start {
                    copies: self.copies.unwrap_or(standard.start.copies),
                    whitened_stem: self.whitened_stem.unwrap_or(standard.start.whitened_stem),
                    model: None,
                },
            },
            method: self.method.method(source, architecture, teacher)?,
            epochs: self.epochs.unwrap_or(standard.epochs),
            batch,
            schedule: Schedule {
                // Linear scaling rule (Goyal et al., "Accurate, Large Minibatch SGD", 2017).
                peak: self.rate.unwrap_or(standard.rate * (batch as f64 / 128.0)),
                warm_up: self.warm_up.unwrap_or(standard.warm_up),
                decay: self.decay.unwrap_or(standard.decay),
            },
            sgd: SgdSettings {
                momentum: self.momentum,
                nesterov: self.nesterov.unwrap_or(standard.nesterov),
                weight_decay: self.weight_decay.unwrap_or(standard.weight_decay),
            },
            label_smoothing: self.label_smoothing.unwrap_or(standard.label_smoothing),
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
        recipe.check()?;
        Ok(recipe)
    }
}

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
            ("--method dense --narrowest 0.5", "--narrowest is a setting of --method one-pass and awn-rs and us-net"),
            (
                "--method dense --emphasis 0.5=0.5",
                "--emphasis is a setting of --method one-pass, which dense does not have",
            ),
            ("--method dense --teacher RUN", "--teacher is a setting of --method one-pass, which dense does not have"),
            (
                "--method us-net --widths 0.5,1",
                "--widths is a setting of --method awn and s-net, which us-net does not",
            ),
            ("--width 0.5", "--width is a setting of --method dense, which one-pass does not have"),
            ("--method awn --widths 0.5", "widths: two or more are required, ascending to 1"),
            ("--method s-net --widths 0.5,0.25,1", "widths: two or more are required, ascending to 1"),
            ("--method us-net --samples 1", "samples: 1 is not from 2 to 64"),
            ("--method us-net --statistics 1", "statistics: 1 is not from 2 to 256"),
            ("--method awn-rs --narrowest 1", "narrowest: 1 leaves one width only"),
            ("--network lenet-3c1l --method mutualnet", "LeNet-3C1L reads images of one size only"),
            ("--network vgg-8 --method mutualnet --resolutions 4", "resolutions: 4 is not from"),
            ("--network mobilenet-v2 --channels 4", "1 numbers, MobileNetV2 has nine"),
            ("--network resnet-20 --copies true", "copies: ResNet-20 passes channels through anyway"),
            ("--network mlp --whitened-stem true", "whitened stem: MLP does not begin with a convolution"),
            ("--network vgg-8 --channels 64", "1 numbers, vgg-8 has three"),
            ("--network vgg-8 --channels 1,8,8", "a layer of vgg-8 would have none, with 1, 8 and 8 channels"),
        ] {
            let message = reason(flags).expect_err(flags);
            assert!(message.contains(expected), "{flags}: {message}");
        }
    }
}
