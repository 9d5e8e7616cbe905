//! One ONNX node as plain data, with typed access to its attributes.

use std::collections::HashMap;
use std::sync::Arc;

use super::tensor::Tensor;
use super::{LoadError, text};

/// One ONNX node of the standard operators.
#[derive(Debug)]
pub(super) struct ParsedNode {
    /// Its name, or the name of its first output; for messages.
    pub(super) name: String,
    pub(super) operator: String,
    /// Names of its inputs; empty if omitted.
    pub(super) inputs: Vec<String>,
    /// Names of its outputs; empty if unused.
    pub(super) outputs: Vec<String>,
    pub(super) attributes: HashMap<String, Attribute>,
}

/// An attribute's value.
#[derive(Debug)]
pub(super) enum Attribute {
    Int(i64),
    Float(f32),
    Text(String),
    Ints(Vec<i64>),
    Floats(Vec<f32>),
    Tensor(Arc<Tensor>),
    /// A graph, a list of strings, or another type that no supported operator has.
    Other,
}

impl Attribute {
    /// How many numbers it holds.
    pub(super) fn numbers(&self) -> usize {
        match self {
            Attribute::Int(_) | Attribute::Float(_) => 1,
            Attribute::Ints(values) => values.len(),
            Attribute::Floats(values) => values.len(),
            Attribute::Tensor(tensor) => tensor.len(),
            Attribute::Text(_) | Attribute::Other => 0,
        }
    }
}

impl ParsedNode {
    pub(super) fn int(&self, name: &str, default: i64) -> Result<i64, LoadError> {
        match self.attributes.get(name) {
            None => Ok(default),
            Some(Attribute::Int(value)) => Ok(*value),
            Some(_) => Err(self.mistyped(name, "an integer")),
        }
    }

    pub(super) fn flag(&self, name: &str, default: bool) -> Result<bool, LoadError> {
        Ok(self.int(name, i64::from(default))? != 0)
    }

    pub(super) fn ints(&self, name: &str) -> Result<Option<&[i64]>, LoadError> {
        match self.attributes.get(name) {
            None => Ok(None),
            Some(Attribute::Ints(values)) => Ok(Some(values)),
            Some(_) => Err(self.mistyped(name, "a list of integers")),
        }
    }

    pub(super) fn float(&self, name: &str, default: f32) -> Result<f32, LoadError> {
        match self.attributes.get(name) {
            None => Ok(default),
            Some(Attribute::Float(value)) => Ok(*value),
            Some(_) => Err(self.mistyped(name, "a number")),
        }
    }

    pub(super) fn text<'a>(&'a self, name: &str, default: &'a str) -> Result<&'a str, LoadError> {
        match self.attributes.get(name) {
            None => Ok(default),
            Some(Attribute::Text(value)) => Ok(value),
            Some(_) => Err(self.mistyped(name, "a string")),
        }
    }

    fn mistyped(&self, attribute: &str, expected: &str) -> LoadError {
        self.malformed(format!("attribute {attribute} must be {expected}"))
    }

    /// An error about an inconsistent node.
    pub(super) fn malformed(&self, what: impl AsRef<str>) -> LoadError {
        LoadError::malformed(&self.name, what.as_ref())
    }

    /// An error about an unsupported node. `what` names the feature; `allowed` states what is supported, or what to do.
    pub(super) fn unsupported(&self, what: impl AsRef<str>, allowed: impl AsRef<str>) -> LoadError {
        LoadError::Unsupported {
            node: text::name(&self.name),
            what: text::clip(what.as_ref(), 90),
            allowed: text::clip(allowed.as_ref(), text::MAX_REASON),
        }
    }
}
