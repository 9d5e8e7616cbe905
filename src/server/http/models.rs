//! `/models`: what is served, and what each model reads and answers.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::engine::{self, Width};
use crate::image::Preprocessing;
use crate::repository::{Rejected, ServedModel};
use crate::server::Service;

/// The models that are served, and those that are not.
#[derive(Serialize, ToSchema)]
pub(super) struct Models {
    /// The name that answers when a request names none.
    default: String,
    models: Vec<Listed>,
    limits: BodyLimits,
    /// The models of the folder that do not load.
    rejected: Vec<RejectedModel>,
}

/// What a request may be at most.
#[derive(Serialize, ToSchema)]
struct BodyLimits {
    max_body_bytes: usize,
    max_files: usize,
}

/// A model, in the version that answers when a request names none.
#[derive(Serialize, ToSchema)]
#[schema(as = Model)]
struct Listed {
    name: String,
    version: String,
    /// Every version, ascending.
    versions: Vec<String>,
    input: Input,
    /// How an image becomes the input.
    preprocessing: Preprocessing,
    classes: usize,
    labels: Vec<String>,
    /// Any width above 0 and up to 1 can be asked for; these are the steps at which the work changes.
    widths: Vec<Width>,
    /// Measured by whoever made the model, on held-out data; empty where the file does not say.
    accuracy: Vec<Accuracy>,
    /// The images that these accuracies were measured on; null where the file does not say.
    evaluation: Option<Evaluation>,
    /// How it was trained, in the words of whoever made it; null where the file does not say.
    training: Option<serde_json::Value>,
}

/// What the network reads.
#[derive(Serialize, ToSchema)]
struct Input {
    channels: usize,
    height: usize,
    width: usize,
}

/// How often the network is right at a width.
#[derive(Serialize, ToSchema)]
struct Accuracy {
    width: Width,
    accuracy: f64,
}

/// The images that accuracies were measured on.
#[derive(Serialize, ToSchema)]
struct Evaluation {
    /// `validation` for images that chose among networks, `test` for images that no choice depended on, or another word.
    split: String,
    /// How many they were.
    #[schema(minimum = 1)]
    images: u64,
}

/// A model that does not load.
#[derive(Serialize, ToSchema)]
struct RejectedModel {
    path: String,
    error: String,
}

/// What is served, and what each model reads and answers.
#[utoipa::path(get, path = "/models", responses((status = 200, description = "Every model.", body = Models)))]
pub(super) async fn models(State(service): State<Arc<Service>>) -> Json<Models> {
    let repository = service.repository();
    Json(Models {
        default: repository.default_name().to_owned(),
        models: repository.by_name().filter_map(|(_, versions)| Listed::of(versions)).collect(),
        limits: BodyLimits { max_body_bytes: service.limits.max_body_bytes, max_files: service.limits.max_files },
        rejected: repository.rejected().iter().map(RejectedModel::of).collect(),
    })
}

impl Listed {
    /// `None` only without any version.
    fn of(versions: &[Arc<ServedModel>]) -> Option<Listed> {
        let ServedModel { name, version, model, input } = versions.last()?.as_ref();
        let (shape, metadata) = (model.input(), model.metadata());
        let accuracy = metadata.accuracy.iter().map(|&(width, accuracy)| Accuracy { width, accuracy });
        Some(Listed {
            name: name.clone(),
            version: version.to_string(),
            versions: versions.iter().map(|served| served.version.to_string()).collect(),
            input: Input { channels: shape.channels, height: shape.height, width: shape.width },
            preprocessing: input.preprocessing(),
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
