//! The flags that say what requests ask for.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use anywidth::engine::{Width, WidthError};
use bytes::Bytes;
use clap::Args;

use crate::images;
use crate::mix::{Mix, MixError};
use crate::units::{Time, Units, UnitsError};
use crate::workload::Workload;

#[derive(Debug, Args)]
#[command(next_help_heading = "What they ask for")]
pub(super) struct RequestFlags {
    /// Milliseconds that each request gives the server, end to end; or, as 20x, so many times what one image takes it at
    /// full width, as its /profile says; several by shares, such as 10:0.5,20x:0.4,none:0.1
    #[arg(long, default_value = "none", value_name = "MS", allow_negative_numbers = true, value_parser = budgets)]
    budget_ms: Mix<Option<Time>>,

    /// Width that requests pin; auto leaves it to the server; several by shares, such as auto:0.9,1:0.1
    #[arg(long, default_value = "auto", value_name = "WIDTH", allow_negative_numbers = true, value_parser = widths)]
    width: Mix<Option<Width>>,

    /// Judge every answer by this instead of by its budget; for servers that know no budgets
    #[arg(long, value_name = "MS", allow_negative_numbers = true)]
    deadline_ms: Option<Time>,

    /// Model to ask for [default: the server's]
    #[arg(long, value_name = "NAME")]
    model: Option<String>,

    /// More query parameters for every request, such as top_k=1&priority=high
    #[arg(long, default_value = "", hide_default_value = true, value_name = "QUERY")]
    query: String,

    /// Image, or folder of images, to send; may be repeated, and they take turns; of a folder, those directly in it [default: four small samples]
    #[arg(long, value_name = "FILE|FOLDER")]
    image: Vec<PathBuf>,
}

/// The longest query that is taken: far more than all parameters of the server need.
const MOST_QUERY_BYTES: usize = 2_000;

impl RequestFlags {
    /// Is a time written in units of the server?
    pub(super) fn in_units(&self) -> bool {
        let times = self.budget_ms.values().iter().flatten().chain(&self.deadline_ms);
        times.copied().any(|time| matches!(time, Time::Images(_)))
    }

    pub(super) fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    pub(super) fn workload(&self, units: Option<&Units>) -> anyhow::Result<Workload> {
        let ms = |time: Option<Time>| time.map(|time| time.ms(units)).transpose();
        let length = self.query.len() + self.model.as_ref().map_or(0, String::len);
        if length > MOST_QUERY_BYTES {
            bail!("--query and --model have {length} bytes: together they may have {MOST_QUERY_BYTES}");
        }
        Ok(Workload {
            budgets_ms: self.budget_ms.try_map(|&budget| ms(budget))?,
            widths: self.width.clone(),
            model: self.model.clone(),
            query: self.query.clone(),
            deadline: ms(self.deadline_ms)?.map(|deadline_ms| Duration::from_secs_f64(deadline_ms / 1e3)),
        })
    }

    pub(super) fn images(&self) -> anyhow::Result<Vec<Bytes>> {
        match &self.image[..] {
            [] => Ok(images::samples()),
            paths => Ok(images::load(paths)?),
        }
    }
}

fn budgets(text: &str) -> Result<Mix<Option<Time>>, MixError> {
    let read = |value: &str| value.parse().map(Some).map_err(|error: UnitsError| error.to_string());
    Mix::read(text, |value| if value == "none" { Ok(None) } else { read(value) })
}

fn widths(text: &str) -> Result<Mix<Option<Width>>, MixError> {
    let read = |value: &str| {
        let width = value.parse().map(Some);
        width.map_err(|error: WidthError| format!("{error}: a width is a decimal above 0 and up to 1, or auto"))
    };
    Mix::read(text, |value| if value == "auto" { Ok(None) } else { read(value) })
}
