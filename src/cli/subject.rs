//! What `classify` and `profile` work on: one image and one model.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};

use super::find_model;
use crate::dataset;
use crate::engine::{Pass, Width};
use crate::picture::{Limits, Picture};
use crate::repository::ServedModel;
use crate::scheduler::{Prediction, predict};

#[derive(Debug, Args)]
pub(super) struct Subject {
    /// JPEG, PNG or WebP file
    image: PathBuf,

    /// Model to run: the name of a served model, or an ONNX file [default: cifar10, else the first by name]
    #[arg(long, value_name = "NAME|FILE")]
    model: Option<String>,

    /// Folder of models, as of the server; without this the built-in models are known
    #[arg(long, env = "ANYWIDTH_MODELS", value_name = "FOLDER")]
    models: Option<PathBuf>,
}

/// The model after it has run on the image.
pub(super) struct Seen {
    pub(super) served: ServedModel,
    pub(super) pass: Pass,
}

impl Subject {
    /// Runs the model on the image at this width.
    pub(super) fn see(&self, width: Width) -> anyhow::Result<Seen> {
        let limits = Limits::default();
        let bytes = dataset::read(&self.image, limits.max_bytes)?;
        let picture =
            Picture::decode(&bytes, &limits).with_context(|| format!("cannot use {}", self.image.display()))?;
        let served = find_model(self.model.as_deref(), self.models.as_ref())?;
        let mut pass = Pass::new(served.model.clone(), 1);
        pass.push(&picture.input(&served.frame));
        pass.widen(&[width]);
        Ok(Seen { served, pass })
    }
}

impl Seen {
    /// What these scores, reached at this width, say.
    pub(super) fn predict(&self, logits: &[f32], width: Width, top_k: usize) -> Vec<Prediction> {
        predict(logits, width, self.served.model.metadata(), top_k)
    }

    pub(super) fn label(&self, prediction: &Prediction) -> String {
        self.served.model.metadata().label(prediction.index)
    }

    /// Predictions as the server writes them.
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
