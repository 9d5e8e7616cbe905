//! Between the generated messages and the protocol's own types.

use std::collections::HashMap;

use bytes::Bytes;

use super::generated::infer_parameter::ParameterChoice;
use super::generated::model_infer_request::{InferInputTensor, InferRequestedOutputTensor};
use super::generated::model_infer_response::InferOutputTensor;
use super::generated::model_metadata_response::TensorMetadata as WrittenMetadata;
use super::generated::repository_index_response::ModelIndex;
use super::generated::{
    self, DataType, InferParameter, InferStatistics, InferTensorContents, ModelConfig, ModelInferRequest,
    ModelInferResponse, ModelInput, ModelMetadataResponse, ModelOutput, StatisticDuration,
};
use crate::server::error::ApiError;
use crate::server::oip::describe::{IndexEntry, ModelMetadata, PLATFORM, TensorMetadata};
use crate::server::oip::infer::InferAnswer;
use crate::server::oip::statistics::{ModelStatistics, Total};
use crate::server::oip::{
    Contents, InferRequest, InputTensor, MAX_ENTRIES, OutputData, OutputTensor, RequestedOutput, SERVER, Scalar,
    unreadable,
};
use crate::server::request::shortened;

/// The request in a message.
pub(super) fn request(message: ModelInferRequest) -> Result<InferRequest, ApiError> {
    let ModelInferRequest { id, parameters, inputs, outputs, raw_input_contents, .. } = message;
    if inputs.len() > MAX_ENTRIES || parameters.len() > MAX_ENTRIES {
        return Err(unreadable(format!("there are more than {MAX_ENTRIES} inputs or parameters")));
    }
    let raw = !raw_input_contents.is_empty();
    if raw && raw_input_contents.len() != inputs.len() {
        let (has, needs) = (raw_input_contents.len(), inputs.len());
        return Err(unreadable(format!("raw_input_contents has {has} entries for {needs} inputs")));
    }
    let mut raw = raw_input_contents.into_iter();
    let inputs = inputs.into_iter().map(|tensor| input(tensor, raw.next())).collect::<Result<_, _>>()?;
    let outputs = outputs.into_iter().map(output).collect::<Result<_, _>>()?;
    let mut parameters = parameters.into_iter().map(parameter).collect::<Result<Vec<_>, _>>()?;
    // A map has no order, and an error should be the same each time.
    parameters.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(InferRequest { id, parameters, inputs, outputs, binary_outputs: false })
}

fn input(tensor: InferInputTensor, raw: Option<Bytes>) -> Result<InputTensor, ApiError> {
    let InferInputTensor { name, datatype, shape, contents, .. } = tensor;
    let contents = match (contents.unwrap_or_default(), raw) {
        (contents, Some(raw)) if contents == InferTensorContents::default() => Contents::Raw(raw),
        (_, Some(_)) => {
            let reason = "it has both contents and raw_input_contents".to_owned();
            return Err(ApiError::BadTensor { name: shortened(&name), reason });
        }
        (contents, None) => match datatype.as_str() {
            "FP32" => Contents::Numbers(contents.fp32_contents),
            "UINT8" => Contents::Numbers(contents.uint_contents.into_iter().map(|number| number as f32).collect()),
            "BYTES" => Contents::Texts(contents.bytes_contents),
            // The datatype is refused where all are.
            _ => Contents::Numbers(Vec::new()),
        },
    };
    Ok(InputTensor { name, datatype, shape, contents })
}

fn output(tensor: InferRequestedOutputTensor) -> Result<RequestedOutput, ApiError> {
    let InferRequestedOutputTensor { name, mut parameters } = tensor;
    let classification = match parameters.remove("classification").and_then(|choice| choice.parameter_choice) {
        None => 0,
        Some(ParameterChoice::Int64Param(count)) if count >= 0 => count as u64,
        Some(ParameterChoice::Uint64Param(count)) => count,
        Some(_) => {
            let name = shortened(&name);
            return Err(unreadable(format!("output {name:?}: classification must be a whole number, at least 0")));
        }
    };
    Ok(RequestedOutput { name, classification, binary: None })
}

fn parameter((name, value): (String, InferParameter)) -> Result<(String, Scalar), ApiError> {
    let value = match value.parameter_choice {
        Some(ParameterChoice::BoolParam(value)) => Scalar::Bool(value),
        Some(ParameterChoice::Int64Param(value)) => Scalar::Integer(value),
        Some(ParameterChoice::Uint64Param(value)) => {
            i64::try_from(value).map_or(Scalar::Number(value as f64), Scalar::Integer)
        }
        Some(ParameterChoice::DoubleParam(value)) => Scalar::Number(value),
        Some(ParameterChoice::StringParam(value)) => Scalar::Text(value),
        None => return Err(unreadable(format!("the parameter {:?} has no value", shortened(&name)))),
    };
    Ok((name, value))
}

/// The message of an answer; its tensors are raw if those of the request were.
pub(super) fn answer(answer: InferAnswer, raw: bool) -> ModelInferResponse {
    let InferAnswer { model_name, model_version, id, outputs, told, .. } = answer;
    let text = |text: &str| ParameterChoice::StringParam(text.to_owned());
    let mut parameters = vec![
        ("width", ParameterChoice::DoubleParam(told.width)),
        ("reason", text(told.reason)),
        ("precision", text(told.precision)),
    ];
    parameters.extend(told.widths.map(|widths| ("widths", ParameterChoice::StringParam(widths))));
    parameters.extend(told.late.then_some(("late", ParameterChoice::BoolParam(true))));
    let choice = |(name, choice): (&str, _)| (name.to_owned(), InferParameter { parameter_choice: Some(choice) });
    let raw_output_contents =
        if raw { outputs.iter().map(|output| output.data.raw().into()).collect() } else { vec![] };
    ModelInferResponse {
        model_name,
        model_version,
        id,
        parameters: parameters.into_iter().map(choice).collect(),
        outputs: outputs.into_iter().map(|output| tensor(output, raw)).collect(),
        raw_output_contents,
    }
}

fn tensor(output: OutputTensor, raw: bool) -> InferOutputTensor {
    let OutputTensor { name, shape, data, .. } = output;
    let (datatype, contents) = match data {
        OutputData::Numbers(numbers) => {
            ("FP32", InferTensorContents { fp32_contents: numbers, ..InferTensorContents::default() })
        }
        OutputData::Classes(classes) => {
            let bytes_contents = classes.into_iter().map(Bytes::from).collect();
            ("BYTES", InferTensorContents { bytes_contents, ..InferTensorContents::default() })
        }
    };
    InferOutputTensor {
        name,
        datatype: datatype.to_owned(),
        shape: shape.map(|dim| dim as i64).to_vec(),
        parameters: HashMap::new(),
        contents: (!raw).then_some(contents),
    }
}

/// A model's configuration, in Triton's form.
pub(super) fn config(metadata: ModelMetadata, max_batch_size: usize) -> ModelConfig {
    let dims = |tensor: &TensorMetadata| tensor.shape[1..].to_vec();
    let data_type = DataType::TypeFp32.into();
    let input = |tensor: TensorMetadata| ModelInput { dims: dims(&tensor), name: tensor.name, data_type };
    let output = |tensor: TensorMetadata| ModelOutput { dims: dims(&tensor), name: tensor.name, data_type };
    ModelConfig {
        name: metadata.name,
        platform: PLATFORM.to_owned(),
        max_batch_size: i32::try_from(max_batch_size).unwrap_or(i32::MAX),
        input: metadata.inputs.into_iter().map(input).collect(),
        output: metadata.outputs.into_iter().map(output).collect(),
        backend: SERVER.to_owned(),
    }
}

impl From<ModelMetadata> for ModelMetadataResponse {
    fn from(metadata: ModelMetadata) -> ModelMetadataResponse {
        let ModelMetadata { name, versions, inputs, outputs, properties } = metadata;
        let tensors = |tensors: Vec<TensorMetadata>| tensors.into_iter().map(WrittenMetadata::from).collect();
        ModelMetadataResponse {
            name,
            versions,
            platform: PLATFORM.to_owned(),
            inputs: tensors(inputs),
            outputs: tensors(outputs),
            properties: properties.into_iter().collect(),
        }
    }
}

impl From<TensorMetadata> for WrittenMetadata {
    fn from(TensorMetadata { name, datatype, shape }: TensorMetadata) -> WrittenMetadata {
        WrittenMetadata { name, datatype: datatype.to_owned(), shape }
    }
}

impl From<IndexEntry> for ModelIndex {
    fn from(IndexEntry { name, version, state, reason }: IndexEntry) -> ModelIndex {
        ModelIndex { name, version, state: state.to_owned(), reason }
    }
}

impl From<ModelStatistics> for generated::ModelStatistics {
    fn from(statistics: ModelStatistics) -> generated::ModelStatistics {
        let total = |Total { count, time }: Total| Some(StatisticDuration { count, ns: time.as_nanos() as u64 });
        let inference_stats = InferStatistics {
            success: total(statistics.success),
            fail: total(statistics.fail),
            queue: total(statistics.queue),
            compute_input: total(statistics.compute_input),
            compute_infer: total(statistics.compute_infer),
            compute_output: total(Total::default()),
            cache_hit: total(Total::default()),
            cache_miss: total(Total::default()),
        };
        generated::ModelStatistics {
            name: statistics.name,
            version: statistics.version,
            inference_count: statistics.inference_count,
            execution_count: statistics.execution_count,
            inference_stats: Some(inference_stats),
        }
    }
}
