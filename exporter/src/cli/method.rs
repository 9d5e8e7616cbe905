//! Which method trains the widths together, and the flags that only some methods have.

use anyhow::ensure;
use clap::ValueEnum;

use exporter::data::Source;
use exporter::model::{Architecture, Weights};
use exporter::train::loss::Weighting;
use exporter::train::method::{Awn, AwnRs, Dense, MutualNet, OnePass, SNet, UsNet};
use exporter::train::{Method, Teacher};

use super::command::quoted;

/// A method, without its settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Kind {
    /// Triangular weights, all widths from one pass in each step.
    OnePass,
    /// Triangular weights, the losses of a few widths added (the paper's AWN).
    Awn,
    /// Triangular weights, the losses of random widths added (the paper's AWN+RS).
    AwnRs,
    /// A slimmable network with normalization of its own for a few widths, to compare with.
    SNet,
    /// A universally slimmable network, whose statistics are measured after training, to compare with.
    UsNet,
    /// US-Net with random input resolutions, to compare with.
    #[value(name = "mutualnet")]
    MutualNet,
    /// An ordinary network of one width, to compare with or to teach.
    Dense,
}

/// The method and its settings.
#[derive(Debug, clap::Args)]
pub(super) struct MethodFlags {
    /// How the widths are trained together.
    #[arg(long, value_enum, default_value_t = Kind::OnePass)]
    pub(super) method: Kind,
    /// The narrowest width that is trained [default: 0.125 for one-pass, 0.25 for awn-rs, us-net and mutualnet].
    #[arg(long)]
    pub(super) narrowest: Option<f64>,
    /// A width that counts for more, as WIDTH=SHARE of the whole loss, for one-pass; may be repeated. The rest is spread
    /// evenly over all widths that are trained [default: 0.25=0.2 0.5=0.1 1=0.1].
    #[arg(long, value_parser = emphasis)]
    pub(super) emphasis: Vec<(f64, f64)>,
    /// Leave gradients as they are, for one-pass, instead of dividing each channel's by the share of the loss in which it
    /// takes part.
    #[arg(long)]
    pub(super) no_coverage: bool,
    /// Share of a target, for one-pass, that the image's label does not decide, but what the teacher says of the image;
    /// without a teacher what full width says, for the narrower ones [default: 0, with a teacher 0.9].
    #[arg(long)]
    pub(super) distillation: Option<f64>,
    /// The folder of a finished run with --method dense and otherwise the same flags, for one-pass: a network that teaches
    /// every width.
    #[arg(long, value_name = "RUN")]
    pub(super) teacher: Option<std::path::PathBuf>,
    /// The widths of every step, for awn and s-net, ascending to 1 [default: 0.25,0.5,0.75,1].
    #[arg(long, value_delimiter = ',')]
    pub(super) widths: Vec<f64>,
    /// Widths in a step, for awn-rs, us-net and mutualnet: the narrowest, the full one, and random ones [default: 4].
    #[arg(long)]
    pub(super) samples: Option<usize>,
    /// Widths whose normalization statistics are measured after training, for us-net and mutualnet [default: 10].
    #[arg(long)]
    pub(super) statistics: Option<usize>,
    /// Sides in pixels that images are scaled to at random for all but full width, for mutualnet [default: all, seven eighths, three
    /// quarters and five eighths of the images' own, as far as the network can read them].
    #[arg(long, value_delimiter = ',')]
    pub(super) resolutions: Vec<usize>,
    /// Run a pass for each width, for awn and awn-rs, as the paper does: the same gradients in several times the time.
    #[arg(long)]
    pub(super) separate_passes: bool,
    /// The share of every layer's channels, for dense [default: 1].
    #[arg(long)]
    pub(super) width: Option<f64>,
}

/// Share of a target that a teacher decides, unless said otherwise.
const TAUGHT: f64 = 0.9;
const EMPHASIS: [(f64, f64); 3] = [(0.25, 0.2), (0.5, 0.1), (1.0, 0.1)];
const WIDTHS: [f64; 4] = [0.25, 0.5, 0.75, 1.0];
const SAMPLES: usize = 4;
const STATISTICS: usize = 10;

impl Kind {
    /// What it trains.
    pub(super) fn weights(self) -> Weights {
        match self {
            Kind::OnePass | Kind::Awn | Kind::AwnRs => Weights::Triangular,
            Kind::SNet | Kind::UsNet | Kind::MutualNet => Weights::Sliced,
            Kind::Dense => Weights::Dense,
        }
    }

    /// Are the losses of its widths added, as the literature does, so that learning rates mean what they mean there?
    pub(super) fn adds_losses(self) -> bool {
        !matches!(self, Kind::OnePass | Kind::Dense)
    }

    fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

impl MethodFlags {
    /// The method for a network of `architecture` and images of `source`, taught by `teacher` if there is one.
    pub(super) fn method(
        &self,
        source: &Source,
        architecture: Architecture,
        teacher: Option<&Teacher>,
    ) -> anyhow::Result<Method> {
        self.check()?;
        let widths = if self.widths.is_empty() { WIDTHS.into() } else { self.widths.clone() };
        let narrowest = self.narrowest.unwrap_or(0.25);
        let samples = self.samples.unwrap_or(SAMPLES);
        let us_net = UsNet { narrowest, samples, statistics: self.statistics.unwrap_or(STATISTICS) };
        Ok(match self.method {
            Kind::OnePass => Method::OnePass(OnePass {
                weighting: Weighting {
                    narrowest: self.narrowest.unwrap_or(0.125),
                    emphasis: if self.emphasis.is_empty() { EMPHASIS.into() } else { self.emphasis.clone() },
                },
                coverage: !self.no_coverage,
                distillation: self.distillation.unwrap_or(if teacher.is_some() { TAUGHT } else { 0.0 }),
                teacher: teacher.cloned(),
            }),
            Kind::Awn => Method::Awn(Awn { widths, separate_passes: self.separate_passes }),
            Kind::AwnRs => Method::AwnRs(AwnRs { narrowest, samples, separate_passes: self.separate_passes }),
            Kind::SNet => Method::SNet(SNet { widths }),
            Kind::UsNet => Method::UsNet(us_net),
            Kind::MutualNet => {
                let image = source.shape();
                let (side, least) = (image.height, architecture.least_side(image));
                let usual = || {
                    let mut sides: Vec<usize> = [8, 7, 6, 5].map(|eighths| (side * eighths / 8).max(least)).into();
                    sides.dedup();
                    sides
                };
                let resolutions = if self.resolutions.is_empty() { usual() } else { self.resolutions.clone() };
                Method::MutualNet(MutualNet { us_net, resolutions })
            }
            Kind::Dense => Method::Dense(Dense { width: self.width.unwrap_or(1.0) }),
        })
    }

    /// Does the method have every setting that is given?
    pub(super) fn check(&self) -> anyhow::Result<()> {
        use Kind::{Awn, AwnRs, Dense, MutualNet, OnePass, SNet, UsNet};
        let settings: [(&str, bool, &[Kind]); 11] = [
            ("narrowest", self.narrowest.is_some(), &[OnePass, AwnRs, UsNet, MutualNet]),
            ("emphasis", !self.emphasis.is_empty(), &[OnePass]),
            ("no-coverage", self.no_coverage, &[OnePass]),
            ("distillation", self.distillation.is_some(), &[OnePass]),
            ("teacher", self.teacher.is_some(), &[OnePass]),
            ("widths", !self.widths.is_empty(), &[Awn, SNet]),
            ("samples", self.samples.is_some(), &[AwnRs, UsNet, MutualNet]),
            ("statistics", self.statistics.is_some(), &[UsNet, MutualNet]),
            ("resolutions", !self.resolutions.is_empty(), &[MutualNet]),
            ("separate-passes", self.separate_passes, &[Awn, AwnRs]),
            ("width", self.width.is_some(), &[Dense]),
        ];
        for (flag, given, methods) in settings {
            let known: Vec<String> = methods.iter().map(|method| method.name()).collect();
            ensure!(
                !given || methods.contains(&self.method),
                "--{flag} is a setting of --method {}, which {} does not have",
                known.join(" and "),
                self.method.name()
            );
        }
        Ok(())
    }
}

/// The flags that ask for `method`.
pub(super) fn flags(method: &Method) -> String {
    let list = |numbers: &[f64]| numbers.iter().map(f64::to_string).collect::<Vec<String>>().join(",");
    let separate = |separate| if separate { " --separate-passes" } else { "" };
    let us_net = |UsNet { narrowest, samples, statistics }: &UsNet| {
        format!(" --narrowest {narrowest} --samples {samples} --statistics {statistics}")
    };
    match method {
        Method::OnePass(OnePass { weighting: Weighting { narrowest, emphasis }, coverage, distillation, teacher }) => {
            let mut flags = format!(" --narrowest {narrowest}");
            emphasis.iter().for_each(|(width, share)| flags.push_str(&format!(" --emphasis {width}={share}")));
            if *distillation > 0.0 {
                flags.push_str(&format!(" --distillation {distillation}"));
            }
            teacher.iter().for_each(|teacher| flags.push_str(&format!(" --teacher={}", quoted(&teacher.run))));
            if !coverage {
                flags.push_str(" --no-coverage");
            }
            flags
        }
        Method::Awn(Awn { widths, separate_passes }) => {
            format!(" --method awn --widths {}{}", list(widths), separate(*separate_passes))
        }
        Method::AwnRs(AwnRs { narrowest, samples, separate_passes }) => {
            format!(" --method awn-rs --narrowest {narrowest} --samples {samples}{}", separate(*separate_passes))
        }
        Method::SNet(SNet { widths }) => format!(" --method s-net --widths {}", list(widths)),
        Method::UsNet(method) => format!(" --method us-net{}", us_net(method)),
        Method::MutualNet(MutualNet { us_net: shared, resolutions }) => {
            let sides = resolutions.iter().map(usize::to_string).collect::<Vec<String>>().join(",");
            format!(" --method mutualnet{} --resolutions {sides}", us_net(shared))
        }
        Method::Dense(Dense { width }) => format!(" --method dense --width {width}"),
    }
}

fn emphasis(text: &str) -> Result<(f64, f64), String> {
    let (width, share) = text.split_once('=').ok_or("expected WIDTH=SHARE, such as 0.25=0.2")?;
    let number = |text: &str| text.parse().map_err(|error| format!("{text:?}: {error}"));
    Ok((number(width)?, number(share)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_emphasis_that_is_no_pair_of_numbers_is_refused() {
        for text in ["", "0.25", "=", "a=0.1", "0.25=b"] {
            assert!(emphasis(text).is_err(), "{text}");
        }
        assert_eq!(emphasis("0.25=0.2"), Ok((0.25, 0.2)));
    }
}
