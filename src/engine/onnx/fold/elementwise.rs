//! Elementwise operators on one constant, or on two with broadcasting.

use std::cmp::Ordering;

use super::index::{broadcast, spread};
use super::{Budget, Fold, Stop, truth, unequal};
use crate::engine::onnx::tensor::{Data, Int, Tensor};

impl Fold<'_> {
    pub(super) fn unary(&self, budget: &mut Budget) -> Result<Tensor, Stop> {
        let (input, operator) = (self.input(0)?, self.node.operator.as_str());
        budget.spend(self.node, &input.dims)?;
        let data = match &input.data {
            Data::Float(values) => {
                let of: fn(f32) -> f32 = match operator {
                    "Abs" => f32::abs,
                    "Neg" => |value| -value,
                    "Sqrt" => f32::sqrt,
                    "Reciprocal" => f32::recip,
                    "Exp" => f32::exp,
                    "Log" => f32::ln,
                    "Floor" => f32::floor,
                    "Ceil" => f32::ceil,
                    _ => return Err(self.wrong("of fractions")),
                };
                Data::Float(values.iter().copied().map(of).collect())
            }
            Data::Int(values) => {
                let of: fn(Int) -> Int = match operator {
                    "Abs" => |value| value.known().and_then(i64::checked_abs).map_or(Int::Unknown, Int::Known),
                    "Neg" => Int::neg,
                    "Not" => |value| truth(unequal(value).map(|is| !is)),
                    _ => return Err(self.wrong("of integers")),
                };
                Data::Int(values.iter().copied().map(of).collect())
            }
        };
        Ok(Tensor { dims: input.dims.clone(), data })
    }

    pub(super) fn extremum(&self, budget: &mut Budget) -> Result<Tensor, Stop> {
        let first = self.input(0)?;
        budget.spend(self.node, &first.dims)?;
        let mut result = first.as_ref().clone();
        for index in 1..self.inputs.len() {
            result = self.binary(&result, self.input(index)?, budget)?;
        }
        Ok(result)
    }

    pub(super) fn binary(&self, a: &Tensor, b: &Tensor, budget: &mut Budget) -> Result<Tensor, Stop> {
        let dims = broadcast(&a.dims, &b.dims);
        let dims = dims.ok_or_else(|| self.wrong("its inputs' shapes do not fit"))?;
        budget.spend(self.node, &dims)?;
        let operator = self.node.operator.as_str();
        let pairs = spread(&a.dims, &dims).zip(spread(&b.dims, &dims));
        let data = match (&a.data, &b.data) {
            (Data::Float(a), Data::Float(b)) => match float_operator(operator) {
                Some(of) => Data::Float(pairs.map(|(i, j)| of(a[i], b[j])).collect()),
                None => {
                    let of = comparison(operator).ok_or_else(|| self.wrong("of fractions"))?;
                    let ints = pairs.map(|(i, j)| truth(Some(a[i].partial_cmp(&b[j]).is_some_and(of))));
                    Data::Int(ints.collect())
                }
            },
            (Data::Int(a), Data::Int(b)) => match int_operator(operator) {
                Some(of) => Data::Int(pairs.map(|(i, j)| of(a[i], b[j])).collect()),
                None => {
                    let of = comparison(operator).ok_or_else(|| self.wrong("of integers"))?;
                    Data::Int(pairs.map(|(i, j)| truth(a[i].compare(b[j]).map(of))).collect())
                }
            },
            (Data::Float(a), Data::Int(b)) if operator == "Pow" => {
                let powers = pairs.map(|(i, j)| Ok(a[i].powf(b[j].known().ok_or(Stop::Unknown)? as f32)));
                Data::Float(powers.collect::<Result<_, Stop>>()?)
            }
            _ => return Err(self.wrong("of an integer and a fraction")),
        };
        Ok(Tensor { dims, data })
    }

    pub(super) fn select(&self, budget: &mut Budget) -> Result<Tensor, Stop> {
        let (condition, yes, no) = (self.input(0)?, self.input(1)?, self.input(2)?);
        let fit = || self.wrong("its inputs' shapes do not fit");
        let dims = broadcast(&yes.dims, &no.dims).and_then(|dims| broadcast(&condition.dims, &dims)).ok_or_else(fit)?;
        budget.spend(self.node, &dims)?;
        let chosen = condition.as_ints().ok_or_else(|| self.wrong("its condition is a fraction"))?;
        let at = spread(&condition.dims, &dims).zip(spread(&yes.dims, &dims)).zip(spread(&no.dims, &dims));
        let data = match (&yes.data, &no.data) {
            (Data::Float(yes), Data::Float(no)) => {
                let pick = |((c, y), n)| Ok(if unequal(chosen[c]).ok_or(Stop::Unknown)? { yes[y] } else { no[n] });
                Data::Float(at.map(pick).collect::<Result<_, Stop>>()?)
            }
            (Data::Int(yes), Data::Int(no)) => {
                let pick = |((c, y), n): ((usize, usize), usize)| match unequal(chosen[c]) {
                    Some(true) => yes[y],
                    Some(false) => no[n],
                    None if yes[y] == no[n] => yes[y],
                    None => Int::Unknown,
                };
                Data::Int(at.map(pick).collect())
            }
            _ => return Err(self.wrong("of an integer and a fraction")),
        };
        Ok(Tensor { dims, data })
    }
}

fn float_operator(operator: &str) -> Option<fn(f32, f32) -> f32> {
    Some(match operator {
        "Add" => |a, b| a + b,
        "Sub" => |a, b| a - b,
        "Mul" => |a, b| a * b,
        "Div" => |a, b| a / b,
        "Pow" => f32::powf,
        "Max" => f32::max,
        "Min" => f32::min,
        _ => return None,
    })
}

fn int_operator(operator: &str) -> Option<fn(Int, Int) -> Int> {
    Some(match operator {
        "Add" => Int::add,
        "Sub" => |a, b| a.add(b.neg()),
        "Mul" => Int::mul,
        "Div" => Int::div,
        "Mod" => Int::rem,
        "Max" => |a, b| pick(a, b, Ordering::Greater),
        "Min" => |a, b| pick(a, b, Ordering::Less),
        "And" => |a, b| truth(unequal(a).zip(unequal(b)).map(|(a, b)| a && b)),
        "Or" => |a, b| truth(unequal(a).zip(unequal(b)).map(|(a, b)| a || b)),
        _ => return None,
    })
}

fn pick(a: Int, b: Int, wanted: Ordering) -> Int {
    a.compare(b).map_or(Int::Unknown, |order| if order == wanted { a } else { b })
}

fn comparison(operator: &str) -> Option<fn(Ordering) -> bool> {
    Some(match operator {
        "Equal" => Ordering::is_eq,
        "Greater" => Ordering::is_gt,
        "GreaterOrEqual" => Ordering::is_ge,
        "Less" => Ordering::is_lt,
        "LessOrEqual" => Ordering::is_le,
        _ => return None,
    })
}
