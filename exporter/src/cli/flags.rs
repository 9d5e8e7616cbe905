//! The flags of `exporter train`, and the ranges of what is said by them alone.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use anyhow::ensure;
use clap::ValueEnum;
use tch::{Cuda, Device};

use exporter::data::{Border, Dataset};
use exporter::model::{Family, Weights};
use exporter::train::Precision;
use exporter::train::schedule::Decay;

use super::command::quoted;
use super::material::Resources;
use super::method::MethodFlags;
use super::target::Target;

/// Flags of `exporter train`. What is not given comes from the network's and the data set's own recipe.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("images").args(["dataset", "data"]).required(true).multiple(true))]
pub(crate) struct Args {
    /// A data set with a name: mnist, fashion-mnist, cifar10 or cifar100; without it, --data names a folder of your own
    /// images.
    #[arg(conflicts_with_all = ABOUT_PHOTOS, value_parser = dataset)]
    pub(super) dataset: Option<Dataset>,
    /// Folder with the data set's files [default: data/<DATASET>]; or your own images, in a folder for each class, or
    /// in such folders below train, val and test.
    #[arg(long)]
    pub(super) data: Option<PathBuf>,
    #[command(flatten)]
    pub(super) photos: PhotoFlags,
    /// Folder for the run's checkpoint [default: runs/<DATASET>, or runs/ and the name of the folder of images].
    #[arg(long)]
    pub(super) run: Option<PathBuf>,
    /// Go on where the run's checkpoint stands; the other flags must be those that it was begun with.
    #[arg(long)]
    pub(super) resume: bool,
    /// What trains: cpu, or a GPU as cuda or cuda:N, which takes a libtorch with CUDA. A GPU does not give the same network
    /// every time.
    #[arg(long, default_value = "cpu", value_parser = device)]
    pub(super) device: Device,
    /// Processor threads. Only one thread gives the same network every time.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) threads: u16,
    /// The network [default: vgg-8 for photographs, lenet-3c1l for MNIST and Fashion-MNIST].
    #[arg(long, value_enum)]
    pub(super) network: Option<Family>,
    #[command(flatten)]
    pub(super) method: MethodFlags,
    /// Channels: one number for lenet-3c1l and mlp, of every hidden layer; three for vgg-8 and resnet-20, of their stages;
    /// nine for mobilenet-v2, of the stem, the seven stages and the last convolution [default: 64,128,256 for vgg-8; for the
    /// others the published ones, with triangular weights times the root of 2, because half of those do not exist].
    #[arg(long, value_delimiter = ',', value_parser = channels)]
    pub(super) channels: Vec<usize>,
    /// Times that every image is seen; more is better, with less and less gain [default for images of your own: as
    /// many as make 4000 steps, from 10 to 100; with --start 800 steps, from 10 to 30].
    #[arg(long)]
    pub(super) epochs: Option<usize>,
    /// Images in a step [default: 128, less for fewer than 2048 images of your own].
    #[arg(long)]
    pub(super) batch: Option<usize>,
    /// The highest learning rate [default: 0.1 for 128 images in a step, 0.01 for methods that add the losses of several
    /// widths; as much less as the images are fewer].
    #[arg(long)]
    pub(super) rate: Option<f64>,
    /// Share of all steps in which the learning rate rises [default: 0.15, and 0 for methods that add losses].
    #[arg(long)]
    pub(super) warm_up: Option<f64>,
    /// How the learning rate falls [default: cosine for lenet-3c1l and mlp, linear for the others; step for methods that add
    /// losses].
    #[arg(long, value_enum)]
    pub(super) decay: Option<Decay>,
    /// Share of the last step's direction that is kept.
    #[arg(long, default_value_t = 0.9)]
    pub(super) momentum: f64,
    /// Look ahead along the momentum [default: true, but for methods that add losses].
    #[arg(long)]
    pub(super) nesterov: Option<bool>,
    /// Pull towards zero, on all weights but those of batch normalization [default: 0.0005; 0 for MNIST and Fashion-MNIST with
    /// methods that add losses].
    #[arg(long)]
    pub(super) weight_decay: Option<f64>,
    /// Share of the target that is spread over all classes [default: 0.1 for vgg-8, mobilenet-v2 and resnet-20, otherwise 0].
    #[arg(long)]
    pub(super) label_smoothing: Option<f64>,
    /// Begin with the weights of this model.onnx of the exporter's, such as models/cifar10/1/model.onnx, instead of random
    /// ones: the same network, with the same channels, for images of any size. The last layer keeps what it
    /// knows of classes with the same names, and begins as usual for others.
    #[arg(long, value_name = "MODEL", conflicts_with_all = ["copies", "whitened_stem"])]
    pub(super) start: Option<PathBuf>,
    /// Begin with rows that pass one channel through, where the channel counts allow it [default: false, for vgg-8 true].
    #[arg(long)]
    pub(super) copies: Option<bool>,
    /// Begin with the components of the training images' patches in the first layer [default: false, for vgg-8 true].
    #[arg(long)]
    pub(super) whitened_stem: Option<bool>,
    /// Measure and export an average over the last steps, of which each one leaves this share [default: 0, which is no
    /// average, for vgg-8, mobilenet-v2 and resnet-20 0.998, but for methods that
    /// add losses].
    #[arg(long)]
    pub(super) average: Option<f64>,
    /// Smallest share of an image's area that is cut out, for images of your own [default: 0.3].
    #[arg(long)]
    pub(super) crop: Option<f64>,
    /// Brightness, contrast and saturation change by up to this much [default: 0, for images of your own 0.2].
    #[arg(long)]
    pub(super) jitter: Option<f64>,
    /// Share of the images that come as users send them: larger, and compressed as JPEG [default: 0.3].
    #[arg(long, value_name = "SHARE")]
    pub(super) arrival: Option<f64>,
    /// Share of the images in which light and dark are exchanged, as ink on paper is for digits on black [default: 0, for
    /// MNIST and Fashion-MNIST 0.5].
    #[arg(long, value_name = "SHARE")]
    pub(super) inverted: Option<f64>,
    /// Pixels that images are shifted by at most.
    #[arg(long)]
    pub(super) pad: Option<usize>,
    /// What comes in where an image was shifted away [default: black, for vgg-8 reflect].
    #[arg(long, value_enum)]
    pub(super) border: Option<Border>,
    /// Mirror every second image.
    #[arg(long)]
    pub(super) flip: Option<bool>,
    /// Side in pixels of a grey square that covers a part of each image; 0 for none.
    #[arg(long, default_value_t = 0)]
    pub(super) cutout: usize,
    /// Training images of a data set with a name that are kept for validation.
    #[arg(long, default_value_t = 5000, requires = "dataset")]
    pub(super) held_out: usize,
    /// Let the images of rare classes count for no more than others [default for images of your own: they count so that
    /// all classes count alike, each at most ten times as much as the mean image].
    #[arg(long)]
    pub(super) unbalanced: bool,
    /// Seed of everything that is random.
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
    /// What the convolutions compute in while training [default: bfloat16; for vgg-8 float32, which is
    /// faster where the processor has no instructions for bfloat16].
    #[arg(long, value_enum)]
    pub(super) precision: Option<Precision>,
}

/// Flags for images of one's own.
#[derive(Debug, clap::Args)]
pub(super) struct PhotoFlags {
    /// Sides of the square that images of your own become, in pixels, from 28 to 128, for mobilenet-v2 from 32 to 224: larger
    /// shows more, and takes longer.
    #[arg(long, default_value_t = 64)]
    pub(super) size: usize,
    /// Share of each class to validate on, where there is no folder val.
    #[arg(long, default_value_t = 0.15, value_parser = share)]
    pub(super) validation: f64,
    /// Share of each class to test with, where there is no folder test.
    #[arg(long, default_value_t = 0.15, value_parser = share)]
    pub(super) test: f64,
    #[command(flatten)]
    pub(super) resources: Resources,
    #[command(flatten)]
    pub(super) target: Target,
}

/// Flags that say nothing of a data set with a name.
const ABOUT_PHOTOS: [&str; 11] =
    ["crop", "size", "validation", "test", "memory", "name", "models", "version", "note", "commit", "unbalanced"];

/// Sides of images that a network can be made for.
const SIZES: RangeInclusive<usize> = 28..=224;

impl Args {
    /// Are the flags such as can be used together, whatever the images are?
    pub(super) fn check(&self) -> anyhow::Result<()> {
        let PhotoFlags { size, resources, target, .. } = &self.photos;
        ensure!(
            SIZES.contains(size),
            "size: {size} is not from {} to {}, what the networks here are made for; images of any size are scaled to it: a \
             large one shows the most, and the default of 64 is much faster",
            SIZES.start(),
            SIZES.end(),
        );
        resources.check()?;
        if let Device::Cuda(index) = self.device {
            let gpus = Cuda::device_count();
            ensure!(
                (index as i64) < gpus,
                "device: no cuda:{index}: this libtorch sees {gpus} GPUs; cpu is always there \
                 (docs/your-own-images.md says how to build with CUDA)"
            );
        }
        let unused = self.method.method.weights() != Weights::Triangular && target.is_said();
        ensure!(
            !unused,
            "only any-width networks become models when they are trained: no --name, --models, --version, --note or --commit"
        );
        self.method.check()
    }
}

fn dataset(text: &str) -> Result<Dataset, String> {
    Dataset::from_str(text, false).map_err(|_| {
        let known = Dataset::value_variants().iter().map(|dataset| dataset.name()).collect::<Vec<&str>>().join(", ");
        format!(
            "the data sets with a name are {known}; a folder of your own images is named with --data: --data={}",
            quoted(text)
        )
    })
}

pub(super) fn device(text: &str) -> Result<Device, String> {
    let index = match text {
        "cpu" => return Ok(Device::Cpu),
        "cuda" => Some(0),
        _ => text.strip_prefix("cuda:").and_then(|index| index.parse().ok()),
    };
    index.map(Device::Cuda).ok_or_else(|| format!("{text:?} is none of cpu, cuda and cuda:N"))
}

fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|error| format!("{text:?}: {error}"))?;
    if share > 0.0 && share < 0.5 { Ok(share) } else { Err(format!("{share} is not above 0 and below 0.5")) }
}

/// More channels than this in a layer are a slip of the finger.
const MOST_CHANNELS: usize = 4096;

fn channels(text: &str) -> Result<usize, String> {
    let count = text.parse().map_err(|error| format!("{text:?}: {error}"))?;
    let allowed = (1..=MOST_CHANNELS).contains(&count);
    if allowed { Ok(count) } else { Err(format!("{count} is not between 1 and {MOST_CHANNELS}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_the_processor_or_a_gpu_with_its_number() {
        let devices = [("cpu", Device::Cpu), ("cuda", Device::Cuda(0)), ("cuda:3", Device::Cuda(3))];
        for (text, expected) in devices {
            assert_eq!(device(text), Ok(expected));
        }
        for text in ["", "gpu", "cuda:", "cuda:-1", "cuda:x", "cuda0", "CPU"] {
            assert_eq!(device(text), Err(format!("{text:?} is none of cpu, cuda and cuda:N")));
        }
    }
}
