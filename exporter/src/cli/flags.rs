//! The flags of `exporter train`, and the ranges of single flags.

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

/// Flags of `exporter train`. Missing ones default to the settings of the network and the data set.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("images").args(["dataset", "data"]).required(true).multiple(true))]
pub(crate) struct Args {
    /// A built-in data set: mnist, fashion-mnist, cifar10 or cifar100. Without it, --data is a folder of your own
    /// images.
    #[arg(conflicts_with_all = ABOUT_PHOTOS, value_parser = dataset)]
    pub(super) dataset: Option<Dataset>,
    /// Folder with the data set's files [default: data/<DATASET>]; or your own images, in one folder per class, or in
    /// such folders below train, val and test.
    #[arg(long)]
    pub(super) data: Option<PathBuf>,
    #[command(flatten)]
    pub(super) photos: PhotoFlags,
    /// Folder for the run's checkpoint [default: runs/<DATASET>, or runs/ and the name of the image folder].
    #[arg(long)]
    pub(super) run: Option<PathBuf>,
    /// Continue from the run's checkpoint; all other flags must be those it was started with.
    #[arg(long)]
    pub(super) resume: bool,
    /// Device for training: cpu, or a GPU as cuda or cuda:N, which needs a libtorch with CUDA. Training on a GPU is not
    /// reproducible.
    #[arg(long, default_value = "cpu", value_parser = device)]
    pub(super) device: Device,
    /// CPU threads. Training is reproducible only with one thread.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) threads: u16,
    /// The network [default: vgg-8 for photographs, lenet-3c1l for MNIST and Fashion-MNIST].
    #[arg(long, value_enum)]
    pub(super) network: Option<Family>,
    #[command(flatten)]
    pub(super) method: MethodFlags,
    /// Channels: one number for lenet-3c1l and mlp (every hidden layer); three for vgg-8 and resnet-20 (the stages);
    /// nine for mobilenet-v2 (the stem, the seven stages and the last convolution) [default: 64,128,256 for vgg-8; for
    /// the others the published ones, times the square root of 2 for triangular weights, because these have half the
    /// connections].
    #[arg(long, value_delimiter = ',', value_parser = channels)]
    pub(super) channels: Vec<usize>,
    /// Passes over the training images; more is better, with diminishing returns [default for your own images: enough
    /// for 4000 steps, from 10 to 100; with --start 800 steps, from 10 to 30].
    #[arg(long)]
    pub(super) epochs: Option<usize>,
    /// Batch size [default: 128, smaller for fewer than 2048 images of your own].
    #[arg(long)]
    pub(super) batch: Option<usize>,
    /// Peak learning rate [default: 0.1 for a batch of 128, 0.01 for methods that add the losses of several widths;
    /// proportionally smaller for a smaller batch].
    #[arg(long)]
    pub(super) rate: Option<f64>,
    /// Share of all steps in which the learning rate rises [default: 0.15; 0 for methods that add losses].
    #[arg(long)]
    pub(super) warm_up: Option<f64>,
    /// Decay of the learning rate [default: cosine for lenet-3c1l and mlp, linear for the others; step for methods that
    /// add losses].
    #[arg(long, value_enum)]
    pub(super) decay: Option<Decay>,
    /// Momentum of SGD.
    #[arg(long, default_value_t = 0.9)]
    pub(super) momentum: f64,
    /// Nesterov momentum [default: true; false for methods that add losses].
    #[arg(long)]
    pub(super) nesterov: Option<bool>,
    /// Weight decay, for all weights except those of batch normalization [default: 0.0005; 0 for MNIST and
    /// Fashion-MNIST with methods that add losses].
    #[arg(long)]
    pub(super) weight_decay: Option<f64>,
    /// Label smoothing: share of the target that is spread over all classes [default: 0.1 for vgg-8, mobilenet-v2 and
    /// resnet-20, otherwise 0].
    #[arg(long)]
    pub(super) label_smoothing: Option<f64>,
    /// Initialize from a model.onnx written by this exporter, such as models/cifar10/1/model.onnx, instead of random
    /// weights. The network and its channels must match; the image size may differ. The last layer keeps the rows of
    /// classes with the same names; other rows are initialized as usual.
    #[arg(long, value_name = "MODEL", conflicts_with_all = ["copies", "whitened_stem"])]
    pub(super) start: Option<PathBuf>,
    /// Initialize rows that pass one channel through, where the channel counts allow it [default: false; true for
    /// vgg-8].
    #[arg(long)]
    pub(super) copies: Option<bool>,
    /// Initialize the first layer with the principal components of the training images' patches [default: false; true
    /// for vgg-8].
    #[arg(long)]
    pub(super) whitened_stem: Option<bool>,
    /// Decay of an exponential moving average of the weights, which is measured and exported; 0 for none [default: 0;
    /// 0.998 for vgg-8, mobilenet-v2 and resnet-20, except with methods that add losses].
    #[arg(long)]
    pub(super) average: Option<f64>,
    /// Smallest share of an image's area in a random crop, for your own images [default: 0.3].
    #[arg(long)]
    pub(super) crop: Option<f64>,
    /// Maximum relative change of brightness, contrast and saturation [default: 0; 0.2 for your own images].
    #[arg(long)]
    pub(super) jitter: Option<f64>,
    /// Share of the images augmented as users send them: enlarged and compressed as JPEG [default: 0.3].
    #[arg(long, value_name = "SHARE")]
    pub(super) arrival: Option<f64>,
    /// Share of the images with inverted brightness, such as ink on paper for digits on black [default: 0; 0.5 for
    /// MNIST and Fashion-MNIST].
    #[arg(long, value_name = "SHARE")]
    pub(super) inverted: Option<f64>,
    /// Maximum random shift in pixels.
    #[arg(long)]
    pub(super) pad: Option<usize>,
    /// Fill at the border of a shifted image [default: black; reflect for vgg-8].
    #[arg(long, value_enum)]
    pub(super) border: Option<Border>,
    /// Mirror images at random.
    #[arg(long)]
    pub(super) flip: Option<bool>,
    /// Side in pixels of a random grey square in each image; 0 for none.
    #[arg(long, default_value_t = 0)]
    pub(super) cutout: usize,
    /// Number of training images held out for validation, for a built-in data set.
    #[arg(long, default_value_t = 5000, requires = "dataset")]
    pub(super) held_out: usize,
    /// Do not weight rare classes [default for your own images: all classes have the same weight, each image at most
    /// ten times the mean].
    #[arg(long)]
    pub(super) unbalanced: bool,
    /// Random seed.
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
    /// Number format of convolutions in training [default: bfloat16; float32 for vgg-8, which is faster on processors
    /// without bfloat16 instructions].
    #[arg(long, value_enum)]
    pub(super) precision: Option<Precision>,
}

/// Flags for the user's own images.
#[derive(Debug, clap::Args)]
pub(super) struct PhotoFlags {
    /// Image size for your own images, in pixels per side, from 28 to 128 (mobilenet-v2: 32 to 224). A larger size
    /// keeps more detail and takes longer.
    #[arg(long, default_value_t = 64)]
    pub(super) size: usize,
    /// Share of each class for validation, without a folder val.
    #[arg(long, default_value_t = 0.15, value_parser = share)]
    pub(super) validation: f64,
    /// Share of each class for testing, without a folder test.
    #[arg(long, default_value_t = 0.15, value_parser = share)]
    pub(super) test: f64,
    #[command(flatten)]
    pub(super) resources: Resources,
    #[command(flatten)]
    pub(super) target: Target,
}

/// Flags that conflict with a built-in data set.
const ABOUT_PHOTOS: [&str; 11] =
    ["crop", "size", "validation", "test", "memory", "name", "models", "version", "note", "commit", "unbalanced"];

/// Image sizes that networks support.
const SIZES: RangeInclusive<usize> = 28..=224;

impl Args {
    /// Checks that the flags can be combined, independent of the images.
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
            "the built-in data sets are {known}; for a folder of your own images use --data: --data={}",
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

/// Maximum number of channels of a layer.
const MAX_CHANNELS: usize = 4096;

pub(super) fn channels(text: &str) -> Result<usize, String> {
    let count = text.parse().map_err(|error| format!("{text:?}: {error}"))?;
    let allowed = (1..=MAX_CHANNELS).contains(&count);
    if allowed { Ok(count) } else { Err(format!("{count} is not between 1 and {MAX_CHANNELS}")) }
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
