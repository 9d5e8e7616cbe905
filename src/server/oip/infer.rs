//! Runs a request: from tensors to jobs, and from answers to tensors.

use std::sync::Arc;
use std::time::Instant;

use super::outputs::Selection;
use super::{InferRequest, OutputTensor, parameters, tensor};
use crate::policy::WidthReason;
use crate::repository::ServedModel;
use crate::scheduler::{Answer, Input};
use crate::server::Service;
use crate::server::answered::Answered;
use crate::server::error::{ApiError, File};
use crate::server::memory::Reserved;
use crate::server::request::{Ask, Parameters, WrittenParameters};

/// The answer to a request.
#[derive(Debug)]
pub(super) struct InferAnswer {
    pub(super) model_name: String,
    pub(super) model_version: String,
    pub(super) id: String,
    pub(super) outputs: Vec<OutputTensor>,
    /// Whether outputs are binary unless they say otherwise.
    pub(super) binary_outputs: bool,
    /// What `parameters` say of the answer.
    pub(super) told: Told,
    pub(super) answered: Answered,
}

/// What an answer tells of the widths that ran.
#[derive(Debug)]
pub(super) struct Told {
    /// The widest of the images, as a decimal number.
    pub(super) width: f64,
    /// Why that width.
    pub(super) reason: &'static str,
    /// The width of each image, separated by commas; of several images only.
    pub(super) widths: Option<String>,
    /// Whether an answer was ready only after its deadline.
    pub(super) late: bool,
    pub(super) precision: &'static str,
}

/// A request whose model and parameters are known.
pub(super) struct Prepared {
    pub(super) ask: Ask,
    id: String,
    images: Vec<Input>,
    input_name: String,
    selection: Selection,
    binary_outputs: bool,
}

impl Prepared {
    /// Reads a request for `served` that arrived at `arrived`. `written` are its parameters outside of the body.
    pub(super) fn read(
        service: &Service,
        served: Arc<ServedModel>,
        request: InferRequest,
        mut written: WrittenParameters,
        arrived: Instant,
    ) -> Result<Prepared, ApiError> {
        let InferRequest { id, parameters, inputs, outputs, mut binary_outputs } = request;
        binary_outputs |= parameters::read(parameters, &mut written)?;
        let parameters = Parameters::read(written)?;
        let selection = Selection::of(outputs, &served)?;
        let input = tensor::only(inputs)?;
        let input_name = input.name.clone();
        let images = input.images(&served, service.limits.max_files)?;
        let ask = Ask::new(&parameters, served, arrived);
        Ok(Prepared { ask, id, images, input_name, selection, binary_outputs })
    }
}

/// Runs the request. Its images hold `reserved` until the last of them has run.
pub(super) async fn infer(service: &Service, request: Prepared, reserved: Reserved) -> Result<InferAnswer, ApiError> {
    let Prepared { ask, id, images, input_name, selection, binary_outputs } = request;
    let several = images.len() > 1;
    let jobs = images.into_iter().map(|image| ask.job(image.with_bytes(|bytes| reserved.hold(bytes)))).collect();
    drop(reserved);
    let file = |index| several.then(|| File { index, name: format!("{input_name}[{index}]") });
    let answers = service.run(jobs, |index, error| ApiError::of_job(error, file(index), false)).await?;
    let served = ask.model.as_ref();
    Ok(InferAnswer {
        model_name: served.name.clone(),
        model_version: served.version.to_string(),
        id,
        outputs: selection.tensors(served, &answers),
        binary_outputs,
        told: Told::of(served, &answers),
        answered: Answered::of(&served.name, &answers, ask.arrived),
    })
}

impl Told {
    fn of(served: &ServedModel, answers: &[Answer]) -> Told {
        let widest = answers.iter().max_by_key(|answer| answer.width);
        let all = || answers.iter().map(|answer| answer.width.to_string()).collect::<Vec<_>>().join(",");
        Told {
            width: widest.map_or(1.0, |answer| answer.width.as_f64()),
            reason: widest.map_or(WidthReason::Full, |answer| answer.reason).word(),
            widths: (answers.len() > 1).then(all),
            late: answers.iter().any(|answer| answer.late),
            precision: served.model.precision().name(),
        }
    }
}
