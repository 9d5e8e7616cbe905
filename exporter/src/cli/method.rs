//! The training method, and the flags of single methods.

use anyhow::ensure;
use clap::ValueEnum;

use exporter::data::Source;
use exporter::model::{Architecture, Weights};
use exporter::train::loss::Weighting;
use exporter::train::method::{Awn, AwnRs, Dense, MutualNet, OnePass, SNet, UsNet};
use exporter::train::{Method, Teacher};

use super::command::quoted;

/// A method without its settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum MethodName {
    /// Triangular weights, all widths from one pass per step.
    OnePass,
    /// Triangular weights, summed losses of a few fixed widths (AWN of the paper).
    Awn,
    /// Triangular weights, summed losses of random widths (AWN+RS of the paper).
    AwnRs,
    /// A slimmable network with separate normalization for a few widths, for comparison.
    SNet,
    /// A universally slimmable network, whose statistics are measured after training, for comparison.
    UsNet,
    /// US-Net with random input resolutions, for comparison.
    #[value(name = "mutualnet")]
    MutualNet,
    /// A dense network of one width, for comparison or as a teacher.
    Dense,
}

/// The method and its settings.
#[derive(Debug, clap::Args)]
pub(super) struct MethodFlags {
    /// Method that trains the widths together.
    #[arg(long, value_enum, default_value_t = MethodName::OnePass)]
    pub(super) method: MethodName,
    /// Narrowest trained width [default: 0.125 for one-pass, 0.25 for awn-rs, us-net and mutualnet].
    #[arg(long)]
    pub(super) narrowest: Option<f64>,
    /// For one-pass: a width with a larger weight, as WIDTH=SHARE of the total loss; may be repeated. The remaining
    /// share is spread evenly over all trained widths [default: 0.25=0.2 0.5=0.1 1=0.1].
    #[arg(long, value_parser = emphasis)]
    pub(super) emphasis: Vec<(f64, f64)>,
    /// For one-pass: do not divide each channel's gradient by the share of the loss in which the channel takes part.
    #[arg(long)]
    pub(super) no_coverage: bool,
    /// For one-pass: share of the target that comes from the teacher instead of the label; without a teacher, narrower
    /// widths learn from full width [default: 0; 0.9 with a teacher].
    #[arg(long)]
    pub(super) distillation: Option<f64>,
    /// For one-pass: folder of a finished run with --method dense and otherwise the same flags, whose network teaches
    /// every width.
    #[arg(long, value_name = "RUN")]
    pub(super) teacher: Option<std::path::PathBuf>,
    /// For awn and s-net: the widths of every step, ascending to 1 [default: 0.25,0.5,0.75,1].
    #[arg(long, value_delimiter = ',')]
    pub(super) widths: Vec<f64>,
    /// For awn-rs, us-net and mutualnet: widths per step, namely the narrowest, the full one, and random ones [default:
    /// 4].
    #[arg(long)]
    pub(super) samples: Option<usize>,
    /// For us-net and mutualnet: number of widths whose normalization statistics are measured after training [default:
    /// 10].
    #[arg(long)]
    pub(super) statistics: Option<usize>,
    /// For mutualnet: image sizes in pixels, of which each narrower width gets a random one [default: 1, 7/8, 3/4 and
    /// 5/8 of the images' size, as far as the network supports them].
    #[arg(long, value_delimiter = ',')]
    pub(super) resolutions: Vec<usize>,
    /// For awn and awn-rs: run a separate pass for each width, as the paper does; the same gradients in several times
    /// the time.
    #[arg(long)]
    pub(super) separate_passes: bool,
    /// For dense: share of every layer's channels [default: 1].
    #[arg(long)]
    pub(super) width: Option<f64>,
}

/// Default share of the target that comes from a teacher.
const TAUGHT: f64 = 0.9;
const EMPHASIS: [(f64, f64); 3] = [(0.25, 0.2), (0.5, 0.1), (1.0, 0.1)];
const WIDTHS: [f64; 4] = [0.25, 0.5, 0.75, 1.0];
const SAMPLES: usize = 4;
const STATISTICS: usize = 10;

impl MethodName {
    /// The weights that it trains.
    pub(super) fn weights(self) -> Weights {
        match self {
            MethodName::OnePass | MethodName::Awn | MethodName::AwnRs => Weights::Triangular,
            MethodName::SNet | MethodName::UsNet | MethodName::MutualNet => Weights::Sliced,
            MethodName::Dense => Weights::Dense,
        }
    }

    /// Whether it adds the losses of its widths, as in the literature, so that published learning rates apply.
    pub(super) fn adds_losses(self) -> bool {
        !matches!(self, MethodName::OnePass | MethodName::Dense)
    }

    fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

impl MethodFlags {
    /// The method for a network of `architecture` and images of `source`, with `teacher` if there is one.
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
            MethodName::OnePass => Method::OnePass(OnePass {
                weighting: Weighting {
                    narrowest: self.narrowest.unwrap_or(0.125),
                    emphasis: if self.emphasis.is_empty() { EMPHASIS.into() } else { self.emphasis.clone() },
                },
                coverage: !self.no_coverage,
                distillation: self.distillation.unwrap_or(if teacher.is_some() { TAUGHT } else { 0.0 }),
                teacher: teacher.cloned(),
            }),
            MethodName::Awn => Method::Awn(Awn { widths, separate_passes: self.separate_passes }),
            MethodName::AwnRs => Method::AwnRs(AwnRs { narrowest, samples, separate_passes: self.separate_passes }),
            MethodName::SNet => Method::SNet(SNet { widths }),
            MethodName::UsNet => Method::UsNet(us_net),
            MethodName::MutualNet => {
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
            MethodName::Dense => Method::Dense(Dense { width: self.width.unwrap_or(1.0) }),
        })
    }

    /// Checks that the method has every given setting.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        use MethodName::{Awn, AwnRs, Dense, MutualNet, OnePass, SNet, UsNet};
        let settings: [(&str, bool, &[MethodName]); 11] = [
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

/// The flags that select `method`.
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
