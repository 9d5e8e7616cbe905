//! `anywidth classify`: classifies image files without a server.

use std::path::PathBuf;

use anyhow::anyhow;
use clap::Args;
use serde_json::json;

use super::subject::{Chosen, Seen, look};
use super::table::printable;
use super::{Failure, complain, print};
use crate::config::width;
use crate::engine::{Pass, Prediction, Width};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// JPEG, PNG or WebP files
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,

    #[command(flatten)]
    chosen: Chosen,

    /// Share of the network's channels to run, above 0 and up to 1
    #[arg(long, default_value = "1", value_parser = width)]
    width: Width,

    /// Number of classes to show [default: 5, or all if there are fewer]
    #[arg(long, value_name = "N")]
    top_k: Option<usize>,

    /// Write the answers as JSON, one line per image
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let (width, images) = (arguments.width, &arguments.images);
    let served = arguments.chosen.find()?;
    let top_k = top_k(arguments.top_k, served.model.classes())?;
    let mut seen = Seen { pass: Pass::new(served.model.clone(), 1), served };
    let mut broken = 0;
    for (index, image) in images.iter().enumerate() {
        match look(&seen.served, &mut seen.pass, image, width) {
            Err(error) if images.len() == 1 => return Err(error.into()),
            // A broken image does not stop the others.
            Err(error) => {
                broken += 1;
                complain("error", &format!("{error:#}"));
            }
            Ok(()) => {
                let predictions = seen.predict(seen.pass.logits(0), width, top_k);
                let name = image.display().to_string();
                print(&match (arguments.json, images.len()) {
                    (true, _) => as_json(&seen, &name, width, &predictions),
                    (false, 1) => as_text(&seen, width, &predictions),
                    (false, _) => {
                        let gap = if index > 0 { "\n" } else { "" };
                        format!("{gap}{}: {}", printable(&name), as_text(&seen, width, &predictions))
                    }
                })?;
            }
        }
    }
    match broken {
        0 => Ok(()),
        broken => Err(Failure::Error(anyhow!("{broken} of {} images cannot be used", images.len()))),
    }
}

fn top_k(asked: Option<usize>, classes: usize) -> Result<usize, Failure> {
    match asked {
        None => Ok(classes.min(5)),
        Some(top_k) if (1..=classes).contains(&top_k) => Ok(top_k),
        Some(top_k) => Err(Failure::Usage(anyhow!("--top-k is {top_k}: it must be from 1 to {classes}"))),
    }
}

fn as_json(seen: &Seen, image: &str, width: Width, predictions: &[Prediction]) -> String {
    let answer = json!({
        "image": image,
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
