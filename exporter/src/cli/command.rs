//! Converts a recipe to the command that trains by it, with every flag explicit.

use clap::ValueEnum;

use exporter::data::{Augmentation, Source};
use exporter::train::optimiser::SgdSettings;
use exporter::train::schedule::Schedule;
use exporter::train::{Recipe, Run, Start};

/// The command that trained `run`, with every flag explicit.
pub(super) fn command(run: &Run) -> String {
    let device = if run.gpu() { " --device cuda" } else { "" };
    by_recipe(run.recipe()) + device
}

/// The command that trains by `recipe`.
pub(super) fn by_recipe(recipe: &Recipe) -> String {
    let mut flags = match &recipe.dataset {
        Source::Known(dataset) => format!("exporter train {}", dataset.name()),
        Source::Photos(photos) => {
            let [validation, test] = photos.shares;
            let shares = format!("--validation {validation} --test {test}");
            format!("exporter train --data={} --size {} {shares}", quoted(&photos.folder), photos.size)
        }
    };
    let mut add = |text: String| flags.push_str(&text);
    add(format!(" {} --epochs {} --batch {}", recipe.architecture.flags(), recipe.epochs, recipe.batch));
    let Schedule { peak, warm_up, decay } = recipe.schedule;
    add(format!(" --rate {peak} --warm-up {warm_up} --decay {}", flag(decay)));
    let SgdSettings { momentum, nesterov, weight_decay } = recipe.sgd;
    add(format!(" --momentum {momentum} --nesterov {nesterov} --weight-decay {weight_decay}"));
    add(format!(" --label-smoothing {}", recipe.label_smoothing));
    add(super::method::flags(&recipe.method));
    match &recipe.start {
        Start { model: Some(model), .. } => add(format!(" --start={}", quoted(&model.file))),
        Start { copies, whitened_stem, .. } => add(format!(" --copies {copies} --whitened-stem {whitened_stem}")),
    }
    add(format!(" --average {}", recipe.average));
    let Augmentation { pad, border, flip, cutout, crop, jitter, arrival, inverted } = recipe.augmentation;
    add(format!(" --pad {pad} --border {} --flip {flip} --cutout {cutout}", flag(border)));
    add(format!(" --arrival {arrival} --inverted {inverted}"));
    match recipe.dataset {
        Source::Photos(_) => add(format!(" --crop {crop} --jitter {jitter}")),
        Source::Known(_) if jitter > 0.0 => add(format!(" --jitter {jitter} --held-out {}", recipe.held_out)),
        Source::Known(_) => add(format!(" --held-out {}", recipe.held_out)),
    }
    add(format!(" --seed {} --precision {}", recipe.seed, flag(recipe.precision)));
    if !recipe.balanced && matches!(recipe.dataset, Source::Photos(_)) {
        add(" --unbalanced".into());
    }
    flags
}

/// Quotes a word for a shell.
pub(super) fn quoted(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) { text.into() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

fn flag(value: impl ValueEnum) -> String {
    value.to_possible_value().map_or_else(String::new, |possible| possible.get_name().to_owned())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::cli::{Cli, Command, flags::Args};
    use clap::Parser;
    use exporter::data::{Dataset, PhotoSet};
    use exporter::model::Normalisation;
    use exporter::train::{Origin, Teacher};

    fn parsed(line: &str) -> Args {
        match Cli::try_parse_from(line.split_whitespace()).expect("flags that exist").command {
            Command::Train(args) => *args,
            other => panic!("{other:?}"),
        }
    }

    fn recipe(line: &str) -> Recipe {
        recipe_from(line, None, None)
    }

    /// Parses a recipe that starts from a model.
    fn recipe_from(line: &str, model: Option<&Origin>, teacher: Option<&Teacher>) -> Recipe {
        let args = parsed(line);
        let source = args.dataset.expect("a data set with a name").into();
        args.recipe(&source, model, teacher).expect("flags that go together")
    }

    #[test]
    fn the_command_on_a_card_gives_the_recipe_of_the_card() {
        for line in [
            "exporter train mnist",
            "exporter train fashion-mnist --epochs 3 --rate 0.07 --decay step --nesterov false --seed 9 --flip false",
            "exporter train cifar10 --emphasis 0.25=0.3 --no-coverage --precision float32 --pad 3 --label-smoothing 0.1",
            "exporter train cifar10 --network vgg-8 --distillation 0.5 --jitter 0.1 --held-out 9",
            "exporter train mnist --arrival 0.5 --inverted 0.25",
            "exporter train cifar10 --network vgg-8 --method dense --epochs 7",
            "exporter train cifar10 --network lenet-3c1l --method dense --width 0.25 --weight-decay 0",
            "exporter train cifar10 --network lenet-3c1l --method awn",
            "exporter train cifar10 --network resnet-20 --method awn --widths 0.3,1 --separate-passes",
            "exporter train fashion-mnist --method awn-rs --samples 6",
            "exporter train cifar100 --network mobilenet-v2 --method us-net --statistics 20 --narrowest 0.35",
            "exporter train cifar100 --network mobilenet-v2 --method mutualnet --resolutions 32,24",
            "exporter train mnist --network mlp --method s-net",
            "exporter train cifar10 --network vgg-8 --channels 8,9,10 --copies false --average 0 --cutout 8 --border black",
        ] {
            let recipe = recipe(line);
            assert_eq!(self::recipe(&by_recipe(&recipe)), recipe, "{line}");
        }
    }

    #[test]
    fn the_command_for_photographs_gives_their_recipe() {
        let photos = PhotoSet {
            folder: "my photos".into(),
            classes: vec!["a b".into(), "c".into()],
            size: 48,
            shares: [0.2, 0.1],
            images: [700, 200, 100],
            mean: vec![0.5; 3],
            std: vec![0.25; 3],
            broken: [0; 3],
        };
        let source = Source::Photos(photos);
        for line in [
            "exporter train --data x --size 48",
            "exporter train --data x --network vgg-8 --unbalanced --crop 0.5 --jitter 0 --batch 20",
        ] {
            let recipe = parsed(line).recipe(&source, None, None).expect("flags that go together");
            let command = by_recipe(&recipe);
            let folder = "--data='my photos'";
            assert!(command.contains(folder), "{command}");
            assert_eq!(
                parsed(&command.replace(folder, "--data x")).recipe(&source, None, None).expect("the same"),
                recipe,
                "{line}"
            );
        }
    }

    #[test]
    fn the_command_of_a_training_from_a_model_names_it_and_nothing_that_a_model_decides() {
        let model = Origin {
            file: "my models/1/model.onnx".into(),
            md5: "0".repeat(32),
            data: "CIFAR-10".into(),
            epochs: 36,
            normalisation: Normalisation { mean: vec![0.5; 3], std: vec![0.25; 3] },
        };
        let source = Source::Known(Dataset::Cifar10);
        let recipe =
            parsed("exporter train cifar10").recipe(&source, Some(&model), None).expect("flags that go together");
        let command = by_recipe(&recipe);
        let start = "--start='my models/1/model.onnx'";
        assert!(command.contains(start) && !command.contains("--copies"), "{command}");
        let again = parsed(&command.replace(start, "--start=x")).recipe(&source, Some(&model), None);
        assert_eq!(again.expect("the same"), recipe);
    }

    #[test]
    fn the_command_of_a_taught_network_names_the_teacher() {
        let teacher = Teacher { run: "my dense".into(), md5: "0".repeat(32) };
        let source = Source::Known(Dataset::Cifar10);
        let line = "exporter train cifar10 --network vgg-8";
        let recipe = parsed(line).recipe(&source, None, Some(&teacher)).expect("flags that go together");
        let command = by_recipe(&recipe);
        let flags = "--distillation 0.9 --teacher='my dense'";
        assert!(command.contains(flags), "{command}");
        let again = parsed(&command.replace("='my dense'", "=x")).recipe(&source, None, Some(&teacher));
        assert_eq!(again.expect("the same"), recipe);
        assert!(!by_recipe(&recipe.dense()).contains("--teacher"));
    }

    /// The command on every card in `models` gives the recipe in the card, whatever flags were added since.
    #[test]
    fn the_commands_on_the_cards_of_the_shipped_models_still_mean_their_recipes() {
        for name in ["mnist", "fashion-mnist", "cifar10-lenet", "cifar10", "cifar100"] {
            let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../models").join(name).join("README.md");
            let card = std::fs::read_to_string(&path).expect("a card");
            let line = |start: &str| card.lines().find(|line| line.starts_with(start)).expect(start);
            let stated: Recipe = serde_json::from_str(line("{")).expect("a recipe");
            let (model, teacher) = (stated.start.model.as_ref(), stated.method.teacher());
            assert_eq!(recipe_from(line("exporter train"), model, teacher), stated, "{name}");
        }
    }
}
