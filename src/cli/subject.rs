//! Arguments and helpers of the commands that run a model on image files: `classify`, `profile` and `evaluate`.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::Args;
use serde_json::{Value, json};

use super::find_model;
use crate::dataset;
use crate::engine::{Pass, Prediction, Width, predict};
use crate::image::{Image, ImageLimits};
use crate::repository::ServedModel;
use crate::scheduler::JobError;

#[derive(Debug, Args)]
pub(super) struct Subject {
    /// JPEG, PNG or WebP file
    image: PathBuf,

    #[command(flatten)]
    chosen: Chosen,
}

/// The flags that choose a model.
#[derive(Debug, Args)]
pub(super) struct Chosen {
    /// Model to run: the name of a served model, or an ONNX file [default: cifar10, else the first by name]
    #[arg(long, value_name = "NAME|FILE")]
    model: Option<String>,

    /// Folder of models, laid out as for the server [default: the built-in models] [env: ANYWIDTH_MODELS]
    #[arg(long, value_name = "FOLDER")]
    models: Option<PathBuf>,
}

/// A model, and the pass that ran it on an image.
pub(super) struct Seen {
    pub(super) served: ServedModel,
    pub(super) pass: Pass,
}

impl Subject {
    /// Runs the model on the image at this width.
    pub(super) fn see(&self, width: Width) -> anyhow::Result<Seen> {
        let served = self.chosen.find()?;
        let mut pass = Pass::new(served.model.clone(), 1);
        look(&served, &mut pass, &self.image, width)?;
        Ok(Seen { served, pass })
    }
}

impl Chosen {
    /// Loads the chosen model.
    pub(super) fn find(&self) -> anyhow::Result<ServedModel> {
        find_model(self.model.as_deref(), self.models.as_ref())
    }
}

/// Runs the model at `width` on an image file, as the only item of `pass`.
pub(super) fn look(served: &ServedModel, pass: &mut Pass, image: &Path, width: Width) -> anyhow::Result<()> {
    let limits = ImageLimits::default();
    ensure!(!image.is_dir(), "{} is a folder; name images in it, as in {}/*", image.display(), image.display());
    let bytes = dataset::read(image, limits.max_bytes)?;
    let decoded = Image::decode(&bytes, &limits).with_context(|| format!("cannot use {}", image.display()))?;
    pass.clear();
    pass.push(&decoded.input(&served.input));
    pass.widen(&[width]);
    let finite = pass.logits(0).iter().all(|score| score.is_finite());
    ensure!(finite, "{}: {}", image.display(), JobError::NonFinite);
    Ok(())
}

impl Seen {
    /// The `top_k` most probable classes for `logits`, which were computed at `width`.
    pub(super) fn predict(&self, logits: &[f32], width: Width, top_k: usize) -> Vec<Prediction> {
        predict(logits, width, self.served.model.metadata(), top_k)
    }

    pub(super) fn label(&self, prediction: &Prediction) -> String {
        self.served.model.metadata().label(prediction.index)
    }

    /// Predictions in the server's JSON format.
    pub(super) fn as_json(&self, predictions: &[Prediction]) -> Value {
        let labelled = |prediction: &Prediction| {
            json!({
                "label": self.label(prediction),
                "index": prediction.index,
                "probability": prediction.probability,
            })
        };
        predictions.iter().map(labelled).collect()
    }
}
