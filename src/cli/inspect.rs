//! `anywidth inspect`: prints a model's layers and the cost of each width.

use std::path::PathBuf;

use clap::Args;

use super::table::{printable, table};
use super::{Failure, find_model, print};
use crate::engine::{GainRow, Model, Shape, Width};
use crate::repository::ServedModel;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// ONNX file, or the name of a served model [default: cifar10, else the first by name]
    #[arg(value_name = "NAME|FILE")]
    model: Option<String>,

    /// Folder of models, laid out as for the server [default: the built-in models] [env: ANYWIDTH_MODELS]
    #[arg(long, value_name = "FOLDER")]
    models: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let served = find_model(arguments.model.as_deref(), arguments.models.as_ref())?;
    Ok(print(&describe(&served))?)
}

fn describe(served: &ServedModel) -> String {
    let (model, preprocessing) = (&served.model, served.input.preprocessing());
    let [black, white] = preprocessing.range();
    let filter = preprocessing.filter().name();
    let layers = model.layers();
    let rows = layers
        .iter()
        .map(|layer| vec![layer.name.to_string(), layer.kind.to_string(), shape(layer.input), shape(layer.output)]);
    format!(
        "{name}: {input} to {classes} classes; {packed} of packed weights serve every width\n\
         images: crop {crop}, black {black}, white {white}, filter {filter}\n{notes}\n{layers}\n{widths}",
        name = served.name,
        input = shape(model.input()),
        classes = model.classes(),
        packed = bytes(model.packed_bytes() as u64),
        crop = preprocessing.crop(),
        notes = model.notes().iter().map(|note| format!("note: {}\n", printable(note))).collect::<String>(),
        layers = table(&["layer", "kind", "input", "output"], rows.collect()),
        widths = table(
            &["width", "multiply-adds", "of full", "parameters", "activations", "accuracy"],
            shown_widths(model).into_iter().map(|width| cost(model, width)).collect(),
        ),
    ) + &whose_accuracy(model)
        + &gain(model)
}

/// The images on which the accuracies were measured, as stated in the file.
fn whose_accuracy(model: &Model) -> String {
    let metadata = model.metadata();
    match &metadata.evaluation {
        _ if metadata.accuracy.is_empty() => String::new(),
        Some(evaluation) => format!("\naccuracy: on {}, as stated in the file\n", printable(&evaluation.to_string())),
        None => "\naccuracy: as stated in the file, which does not name the images\n".into(),
    }
}

/// For five bins of each width of the gain table, the smallest probability and the accuracy.
fn gain(model: &Model) -> String {
    let Some(gain) = &model.metadata().gain else { return String::new() };
    let share = |part: u32, all: u32| format!("{:.0} %", 100.0 * f64::from(part) / f64::from(all.max(1)));
    let row = |row: &GainRow| {
        let last = row.bins() - 1;
        let at = [0, last / 4, last / 2, last * 3 / 4, last];
        let bin = |bin: usize| format!("{:.2}: {}", row.lower_bound(bin), share(row.correct()[bin], row.images()[bin]));
        let mut cells = vec![row.width().to_string(), row.bins().to_string()];
        cells.extend(at.map(bin));
        cells
    };
    format!(
        "\ngain table: {} images in bins by top probability; for five bins of each width, the smallest probability and the accuracy\n{}",
        grouped(gain.images()),
        table(
            &["width", "bins", "least sure", "quarter", "half", "three quarters", "surest"],
            gain.rows().iter().map(row).collect()
        )
    )
}

/// At most `MOST` evenly spaced steps of the grid, full width included.
fn shown_widths(model: &Model) -> Vec<Width> {
    const MOST: usize = 16;
    let grid = model.grid();
    let every = grid.len().div_ceil(MOST).max(1);
    grid.iter().rev().step_by(every).rev().copied().collect()
}

fn cost(model: &Model, width: Width) -> Vec<String> {
    let (cost, full) = (model.cost(width), model.cost(Width::FULL));
    let accuracy = model.metadata().accuracy.iter().find(|(measured, _)| *measured == width);
    vec![
        width.to_string(),
        grouped(cost.multiply_adds),
        format!("{:.1} %", 100.0 * cost.multiply_adds as f64 / full.multiply_adds.max(1) as f64),
        grouped(cost.parameters),
        bytes(cost.activation_bytes),
        accuracy.map_or("-".to_owned(), |(_, accuracy)| format!("{:.2} %", accuracy * 100.0)),
    ]
}

fn shape(shape: Shape) -> String {
    format!("{} x {} x {}", shape.channels, shape.height, shape.width)
}

fn bytes(count: u64) -> String {
    match count {
        0..10_240 => format!("{} B", grouped(count)),
        10_240..10_485_760 => format!("{} KiB", grouped(count >> 10)),
        _ => format!("{} MiB", grouped(count >> 20)),
    }
}

/// Digits in groups of three.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!([0, 999, 1000, 1234567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([10, 20_480, 20 << 20].map(bytes), ["10 B", "20 KiB", "20 MiB"]);
    }
}
