//! Constant folding: computes what does not depend on the image, such as masked weights and shape arithmetic.

mod create;
mod elementwise;
mod index;
mod movement;
mod reduce;

use std::cmp::Ordering;
use std::sync::Arc;

use super::element;
use super::node::ParsedNode;
use super::tensor::{Data, Int, Tensor, bulk, position, volume};
use super::{FOLDED_ALWAYS, FOLDED_PER_NUMBER, LoadError, MAX_FOLDED, MAX_RANK, at_most};

/// The operators that constant folding supports.
const OPERATORS: &str = "Abs Add And Cast CastLike Ceil Concat Constant ConstantOfShape Div Dropout Equal Exp Expand Flatten Floor \
    Gather Greater GreaterOrEqual Identity Less LessOrEqual Log Max Min Mod Mul Neg Not Or Pow Range Reciprocal \
    ReduceL2 ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Reshape Slice Sqrt Squeeze Sub \
    Transpose Trilu Unsqueeze Where";

/// Whether constant folding supports an operator.
pub(super) fn folds(operator: &str) -> bool {
    OPERATORS.split(' ').any(|known| known == operator)
}

pub(super) use index::sliced;

/// Counts the numbers computed for a file.
pub(super) struct Budget {
    spent: usize,
    limit: usize,
}

impl Budget {
    /// The budget of a file that holds `held` numbers.
    pub(super) fn new(held: usize) -> Budget {
        let limit = held.saturating_mul(FOLDED_PER_NUMBER).saturating_add(FOLDED_ALWAYS).min(MAX_FOLDED);
        Budget { spent: 0, limit }
    }

    /// Charges the size of a tensor of shape `dims`.
    fn spend(&mut self, node: &ParsedNode, dims: &[usize]) -> Result<(), LoadError> {
        check_size(node, dims)?;
        self.spent = self.spent.saturating_add(bulk(dims));
        at_most("the size of all constants that the file computes", self.spent, self.limit)
    }
}

/// Rejects a tensor beyond the size limit.
fn check_size(node: &ParsedNode, dims: &[usize]) -> Result<(), LoadError> {
    at_most(format!("the size of the constant that node {} computes", node.name), bulk(dims), MAX_FOLDED)
}

/// Refuses a value of more than [`MAX_RANK`] axes.
pub(super) fn check_rank(node: &ParsedNode, rank: usize) -> Result<(), LoadError> {
    at_most(format!("the number of axes of what node {} gives", node.name), rank, MAX_RANK)
}

/// Folds a node; `None` if it needs an unknown integer.
pub(super) fn fold(
    node: &ParsedNode,
    inputs: &[Option<Arc<Tensor>>],
    budget: &mut Budget,
) -> Result<Option<Arc<Tensor>>, LoadError> {
    let fold = Fold { node, inputs };
    match fold.run(budget) {
        Ok(tensor) => Ok(Some(tensor)),
        Err(Stop::Unknown) => Ok(None),
        Err(Stop::Wrong(error)) => Err(*error),
    }
}

/// Why there is no value.
enum Stop {
    Unknown,
    Wrong(Box<LoadError>),
}

impl From<LoadError> for Stop {
    fn from(error: LoadError) -> Stop {
        Stop::Wrong(Box::new(error))
    }
}

type Folded = Result<Arc<Tensor>, Stop>;

struct Fold<'a> {
    node: &'a ParsedNode,
    inputs: &'a [Option<Arc<Tensor>>],
}

impl Fold<'_> {
    fn run(&self, budget: &mut Budget) -> Folded {
        let node = self.node;
        Ok(Arc::new(match node.operator.as_str() {
            "Constant" => return self.constant(),
            "Identity" | "Dropout" => return Ok(self.input(0)?.clone()),
            "Cast" => {
                let to = node.int("to", 0)?;
                return self.cast(kind(to).ok_or_else(|| self.half(to))?, budget);
            }
            // A value that is not constant is an activation or, rarely, an unknown integer; both are treated as float.
            "CastLike" => {
                let ints = self.optional(1).is_some_and(|like| like.as_floats().is_none());
                return self.cast(if ints { Kind::Int } else { Kind::Float }, budget);
            }
            "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => {
                let input = self.input(0)?;
                let dims = self.new_dims(input)?;
                budget.spend(node, &dims)?;
                let fits = volume(&dims) == Some(input.len());
                return if fits { Ok(input.with_dims(dims)) } else { Err(self.wrong("its shapes do not fit")) };
            }
            "Abs" | "Neg" | "Not" | "Sqrt" | "Reciprocal" | "Exp" | "Log" | "Floor" | "Ceil" => self.unary(budget)?,
            "Max" | "Min" => self.extremum(budget)?,
            "Where" => self.select(budget)?,
            "Transpose" => self.transpose(budget)?,
            "Slice" => self.slice(budget)?,
            "Gather" => self.gather(budget)?,
            "Concat" => self.concat(budget)?,
            "Expand" => self.expand(budget)?,
            "ConstantOfShape" => self.filled(budget)?,
            "Range" => self.range(budget)?,
            "Trilu" => self.triangle(budget)?,
            operator if operator.starts_with("Reduce") => self.reduce(budget)?,
            _ => self.binary(self.input(0)?, self.input(1)?, budget)?,
        }))
    }

    fn wrong(&self, what: &str) -> Stop {
        self.node.malformed(format!("{}: {what}", self.node.operator)).into()
    }

    fn input(&self, index: usize) -> Result<&Arc<Tensor>, Stop> {
        let input = self.inputs.get(index).and_then(Option::as_ref);
        input.ok_or_else(|| self.node.malformed(format!("input {index} is missing")).into())
    }

    fn optional(&self, index: usize) -> Option<&Arc<Tensor>> {
        self.inputs.get(index).and_then(Option::as_ref)
    }

    /// The integers of an input, or of the attribute that replaces it in older operator sets.
    fn ints(&self, index: usize, attribute: &str) -> Result<Option<Vec<i64>>, Stop> {
        match self.optional(index) {
            Some(tensor) => known(tensor, self).map(Some),
            None => Ok(self.node.ints(attribute)?.map(<[i64]>::to_vec)),
        }
    }

    fn cast(&self, to: Kind, budget: &mut Budget) -> Folded {
        let input = self.input(0)?;
        budget.spend(self.node, &input.dims)?;
        let data = match (&input.data, to) {
            (Data::Float(_), Kind::Float) | (Data::Int(_), Kind::Int) => return Ok(input.clone()),
            (Data::Float(values), Kind::Int) => {
                Data::Int(values.iter().map(|&value| Int::Known(value as i64)).collect())
            }
            (Data::Float(values), Kind::Bool) => {
                Data::Int(values.iter().map(|&value| Int::Known(i64::from(value != 0.0))).collect())
            }
            (Data::Int(values), Kind::Bool) => Data::Int(values.iter().map(|&value| truth(unequal(value))).collect()),
            (Data::Int(values), Kind::Float) => {
                let float = |value: &Int| value.known().map(|value| value as f32).ok_or(Stop::Unknown);
                Data::Float(values.iter().map(float).collect::<Result<_, _>>()?)
            }
        };
        Ok(Arc::new(Tensor { dims: input.dims.clone(), data }))
    }

    fn half(&self, to: i64) -> Stop {
        let name = i32::try_from(to).map_or("unknown", element::type_name);
        self.node.unsupported(format!("a cast to {name}"), element::TO_FLOAT32).into()
    }

    fn axis(&self, axis: i64, rank: usize) -> Result<usize, Stop> {
        position(axis, rank).ok_or_else(|| self.wrong(&format!("axis {axis} of {rank} axes")))
    }

    fn axes(&self, axes: &[i64], rank: usize) -> Result<Vec<usize>, Stop> {
        axes.iter().map(|&axis| self.axis(axis, rank)).collect()
    }
}

/// The engine's representation of a type.
enum Kind {
    Float,
    Int,
    Bool,
}

/// The kind of an ONNX type; `None` for half precision, complex numbers and strings.
fn kind(data_type: i64) -> Option<Kind> {
    match data_type {
        1 | 11 => Some(Kind::Float),
        2..=7 | 12 | 13 => Some(Kind::Int),
        9 => Some(Kind::Bool),
        _ => None,
    }
}

fn known(tensor: &Tensor, fold: &Fold) -> Result<Vec<i64>, Stop> {
    let ints = tensor.as_ints().ok_or_else(|| fold.wrong("integers are expected, not fractions"))?;
    ints.iter().map(|int| int.known().ok_or(Stop::Unknown)).collect()
}

/// Whether an integer is nonzero; `None` if unknown.
fn unequal(value: Int) -> Option<bool> {
    value.compare(Int::Known(0)).map(Ordering::is_ne)
}

fn truth(value: Option<bool>) -> Int {
    value.map_or(Int::Unknown, |value| Int::Known(value.into()))
}
