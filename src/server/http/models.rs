//! `/models`: the served models with their inputs and classes.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::engine::{self, Width};
use crate::image::Preprocessing;
use crate::repository::{Rejected, ServedModel};
use crate::server::Service;

/// The served models and the rejected ones.
#[derive(Serialize, ToSchema)]
pub(super) struct Models {
    /// The model for requests that name none.
    default: String,
    models: Vec<Listed>,
    limits: BodyLimits,
    /// Models in the folder that do not load.
    rejected: Vec<RejectedModel>,
}

/// Limits of a request.
#[derive(Serialize, ToSchema)]
struct BodyLimits {
    max_body_bytes: usize,
    max_files: usize,
}

/// A model in its default version.
#[derive(Serialize, ToSchema)]
#[schema(as = Model)]
struct Listed {
    name: String,
    version: String,
    /// Every version, ascending.
    versions: Vec<String>,
    input: Input,
    /// How an image is converted to the input.
    preprocessing: Preprocessing,
    /// The numbers that it multiplies: `f32` or `bf16`.
    precision: String,
    classes: usize,
    labels: Vec<String>,
    /// The steps at which the cost changes. Requests may name any width above 0 and up to 1.
    widths: Vec<Width>,
    /// Accuracy on held-out data, as stated in the model file; empty if it states none.
    accuracy: Vec<Accuracy>,
    /// The images on which these accuracies were measured; null if the file does not state it.
    evaluation: Option<Evaluation>,
    /// How the model was trained, as stated in the file; null if it does not.
    training: Option<serde_json::Value>,
}

/// The shape of the network's input.
#[derive(Serialize, ToSchema)]
struct Input {
    channels: usize,
    height: usize,
    width: usize,
}

/// The accuracy at a width.
#[derive(Serialize, ToSchema)]
struct Accuracy {
    width: Width,
    accuracy: f64,
}

/// The images on which accuracies were measured.
#[derive(Serialize, ToSchema)]
struct Evaluation {
    /// `validation` for images used for model selection, `test` for images that no choice depended on, or another name.
    split: String,
    /// Number of images.
    #[schema(minimum = 1)]
    images: u64,
}

/// A model that does not load.
#[derive(Serialize, ToSchema)]
struct RejectedModel {
    path: String,
    error: String,
}

/// The served models with their inputs and classes.
#[utoipa::path(get, path = "/models", responses((status = 200, description = "Every model.", body = Models)))]
pub(super) async fn models(State(service): State<Arc<Service>>) -> Json<Models> {
    let repository = service.repository();
    Json(Models {
        default: repository.default_name().to_owned(),
        models: repository.by_name().filter_map(|(_, versions)| Listed::of(versions)).collect(),
        limits: BodyLimits { max_body_bytes: service.limits.max_body_bytes, max_files: service.limits.max_files },
        rejected: repository.rejected().iter().map(|rejected| RejectedModel::of(rejected)).collect(),
    })
}

impl Listed {
    /// `None` only for an empty list of versions.
    fn of(versions: &[Arc<ServedModel>]) -> Option<Listed> {
        let ServedModel { name, version, model, input, .. } = versions.last()?.as_ref();
        let (shape, metadata) = (model.input(), model.metadata());
        let accuracy = metadata.accuracy.iter().map(|&(width, accuracy)| Accuracy { width, accuracy });
        Some(Listed {
            name: name.clone(),
            version: version.to_string(),
            versions: versions.iter().map(|served| served.version.to_string()).collect(),
            input: Input { channels: shape.channels, height: shape.height, width: shape.width },
            preprocessing: input.preprocessing(),
            precision: model.precision().to_string(),
            classes: model.classes(),
            labels: (0..model.classes()).map(|class| metadata.label(class)).collect(),
            widths: model.grid().to_vec(),
            accuracy: accuracy.collect(),
            evaluation: metadata.evaluation.clone().map(Evaluation::from),
            training: metadata.training.clone(),
        })
    }
}

impl From<engine::Evaluation> for Evaluation {
    fn from(engine::Evaluation { split, images }: engine::Evaluation) -> Evaluation {
        Evaluation { split, images }
    }
}

impl RejectedModel {
    fn of(rejected: &Rejected) -> RejectedModel {
        RejectedModel { path: rejected.path.clone(), error: rejected.reason.to_string() }
    }
}
