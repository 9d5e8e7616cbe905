//! `anywidth classify`: one image, without a server.

use anyhow::anyhow;
use clap::Args;
use serde_json::json;

use super::subject::{Seen, Subject};
use super::table::printable;
use super::{Failure, print};
use crate::engine::{Width, WidthError};
use crate::scheduler::Prediction;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    subject: Subject,

    /// Share of the network's channels to run, above 0 and up to 1
    #[arg(long, default_value = "1", value_parser = read_width)]
    width: Width,

    /// How many classes to name [default: 5, or as many as there are]
    #[arg(long, value_name = "N")]
    top_k: Option<usize>,

    /// Write the answer as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let width = arguments.width;
    let seen = arguments.subject.see(width)?;
    let top_k = top_k(arguments.top_k, seen.served.model.classes())?;
    let predictions = seen.predict(seen.pass.logits(0), width, top_k);
    let text = match arguments.json {
        true => as_json(&seen, width, &predictions),
        false => as_text(&seen, width, &predictions),
    };
    Ok(print(&text)?)
}

fn top_k(asked: Option<usize>, classes: usize) -> Result<usize, Failure> {
    match asked {
        None => Ok(classes.min(5)),
        Some(top_k) if (1..=classes).contains(&top_k) => Ok(top_k),
        Some(top_k) => Err(Failure::Usage(anyhow!("--top-k is {top_k}: it must be from 1 to {classes}"))),
    }
}

fn read_width(text: &str) -> Result<Width, WidthError> {
    text.parse()
}

fn as_json(seen: &Seen, width: Width, predictions: &[Prediction]) -> String {
    let answer = json!({
        "model": seen.served.name,
        "version": seen.served.version.to_string(),
        "width": width,
        "predictions": seen.as_json(predictions),
    });
    format!("{answer}\n")
}

fn as_text(seen: &Seen, width: Width, predictions: &[Prediction]) -> String {
    let labels: Vec<_> = predictions.iter().map(|prediction| printable(&seen.label(prediction))).collect();
    let longest = labels.iter().map(|label| label.chars().count()).max().unwrap_or(0);
    let mut text = format!("{} at width {width}\n", seen.served.name);
    for (label, prediction) in labels.iter().zip(predictions) {
        text += &format!("  {label:<longest$}  {:>6.2} %\n", prediction.probability * 100.0);
    }
    text
}
