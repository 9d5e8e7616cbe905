//! `anywidth profile`: prints a model's predictions for one image at every width, from a single pass.

use clap::Args;
use serde_json::json;

use super::subject::{Seen, Subject};
use super::table::table;
use super::{Failure, print};
use crate::engine::{Prediction, Width};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    subject: Subject,

    /// Write the answer as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let seen = arguments.subject.see(Width::FULL)?;
    let steps = seen.pass.logits_by_width(0, seen.served.model.grid());
    let steps: Vec<_> = steps.iter().map(|(width, logits)| (*width, seen.predict(logits, *width, 2))).collect();
    let text = if arguments.json { as_json(&seen, &steps) } else { as_text(&seen, &steps) };
    Ok(print(&text)?)
}

fn as_json(seen: &Seen, steps: &[(Width, Vec<Prediction>)]) -> String {
    let step = |(width, predictions): &(Width, Vec<Prediction>)| json!({ "width": width, "predictions": seen.as_json(predictions) });
    let answer = json!({
        "model": seen.served.name,
        "version": seen.served.version.to_string(),
        "all_widths": steps.iter().map(step).collect::<Vec<_>>(),
    });
    format!("{answer}\n")
}

fn as_text(seen: &Seen, steps: &[(Width, Vec<Prediction>)]) -> String {
    let row = |(width, predictions): &(Width, Vec<Prediction>)| {
        let classes = predictions
            .iter()
            .flat_map(|prediction| [seen.label(prediction), format!("{:.2} %", prediction.probability * 100.0)]);
        std::iter::once(width.to_string()).chain(classes).collect()
    };
    let head = ["width", "top class", "", "second class", ""];
    format!("{}\n\n{}", seen.served.name, table(&head, steps.iter().map(row).collect()))
}
