//! The output tensors: which ones a request wants, and how answers become tensors.

use super::tensor::little_endian;
use super::{MAX_ENTRIES, unreadable};
use crate::repository::ServedModel;
use crate::scheduler::Answer;
use crate::server::error::ApiError;
use crate::server::request::shortened;

/// An output that a request wants.
#[derive(Debug, Default)]
pub(super) struct RequestedOutput {
    pub(super) name: String,
    /// The number of most probable classes to return in its place; 0 for its values.
    pub(super) classification: u64,
    /// Whether its data are binary; `None` as the request's other outputs.
    pub(super) binary: Option<bool>,
}

/// An output of an answer.
#[derive(Debug)]
pub(super) struct OutputTensor {
    pub(super) name: String,
    pub(super) shape: [usize; 2],
    pub(super) data: OutputData,
    /// As in [`RequestedOutput`].
    pub(super) binary: Option<bool>,
}

/// The elements of an output, in row-major order.
#[derive(Debug)]
pub(super) enum OutputData {
    /// FP32.
    Numbers(Vec<f32>),
    /// BYTES, each `score:index:label`.
    Classes(Vec<String>),
}

/// What an output contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// The network's output, under its name in the file.
    Logits,
    /// The calibrated probabilities.
    Probabilities,
}

/// Outputs that a request wants, checked.
#[derive(Debug)]
pub(super) struct Selection(Vec<Selected>);

#[derive(Debug)]
struct Selected {
    name: String,
    source: Source,
    classes: Option<usize>,
    binary: Option<bool>,
}

/// The name of [`Source::Probabilities`].
const PROBABILITIES: &str = "probabilities";

/// The outputs of a model, with their names.
pub(super) fn of(served: &ServedModel) -> Vec<(&str, Source)> {
    let logits = served.model.tensors().output.as_str();
    // A file may call its logits so; then they are what it says.
    let probabilities = (logits != PROBABILITIES).then_some((PROBABILITIES, Source::Probabilities));
    [(logits, Source::Logits)].into_iter().chain(probabilities).collect()
}

impl Selection {
    /// The wanted outputs, or all of them.
    pub(super) fn of(wanted: Vec<RequestedOutput>, served: &ServedModel) -> Result<Selection, ApiError> {
        if wanted.len() > MAX_ENTRIES {
            return Err(unreadable(format!("there are more than {MAX_ENTRIES} outputs")));
        }
        let known = of(served);
        if wanted.is_empty() {
            let all = known.into_iter();
            let all = all.map(|(name, source)| Selected { name: name.to_owned(), source, classes: None, binary: None });
            return Ok(Selection(all.collect()));
        }
        let mut selected: Vec<Selected> = Vec::with_capacity(wanted.len());
        for RequestedOutput { name, classification, binary } in wanted {
            let Some(&(_, source)) = known.iter().find(|(known, _)| *known == name) else {
                let known: Vec<_> = known.into_iter().map(|(name, _)| name).collect();
                let name = shortened(&name);
                return Err(ApiError::NoSuchTensor { kind: "output", name, known: known.join(", ") });
            };
            if selected.iter().any(|other| other.name == name) {
                return Err(unreadable(format!("the output {name:?} is repeated")));
            }
            // More classes than there are is all of them, as in Triton.
            let classes = served.model.classes().min(usize::try_from(classification).unwrap_or(usize::MAX));
            selected.push(Selected { name, source, classes: (classes > 0).then_some(classes), binary });
        }
        Ok(Selection(selected))
    }

    /// The tensors of the answers, one row for each.
    pub(super) fn tensors(self, served: &ServedModel, answers: &[Answer]) -> Vec<OutputTensor> {
        let tensor = |Selected { name, source, classes, binary }: Selected| {
            let (columns, data) = match classes {
                None => (
                    served.model.classes(),
                    OutputData::Numbers(answers.iter().flat_map(|a| source.of(a)).copied().collect()),
                ),
                Some(count) => {
                    let rows = answers.iter().flat_map(|answer| classified(served, answer, source, count));
                    (count, OutputData::Classes(rows.collect()))
                }
            };
            OutputTensor { name, shape: [answers.len(), columns], data, binary }
        };
        self.0.into_iter().map(tensor).collect()
    }
}

impl OutputData {
    /// The elements as they lie in memory, little-endian. Each element of BYTES follows its length, a `u32`.
    pub(super) fn raw(&self) -> Vec<u8> {
        match self {
            OutputData::Numbers(numbers) => little_endian(numbers),
            OutputData::Classes(classes) => {
                let element = |text: &String| [&(text.len() as u32).to_le_bytes(), text.as_bytes()].concat();
                classes.iter().flat_map(element).collect()
            }
        }
    }
}

impl Source {
    fn of(self, answer: &Answer) -> &[f32] {
        match self {
            Source::Logits => &answer.scores.logits,
            Source::Probabilities => &answer.scores.probabilities,
        }
    }
}

/// The most probable classes, each as the classification extension writes it.
fn classified(served: &ServedModel, answer: &Answer, source: Source, count: usize) -> Vec<String> {
    let values = source.of(answer);
    let text = |index: usize| format!("{}:{index}:{}", values[index], served.model.metadata().label(index));
    answer.scores.top(count).into_iter().map(|best| text(best.index)).collect()
}
