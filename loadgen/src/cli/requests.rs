//! Flags for the contents of requests.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use anywidth::engine::{Width, WidthError};
use clap::Args;
use hyper::Uri;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};

use crate::images::{self, Image};
use crate::mix::{Mix, MixError};
use crate::units::{Time, Units, UnitsError};
use crate::workload::Workload;

#[derive(Debug, Args)]
#[command(next_help_heading = "Requests")]
pub(super) struct RequestFlags {
    /// Latency budget of each request in milliseconds, end to end; or, as 20x, a multiple of one image's time at full
    /// width as reported by /profile; several by shares, such as 10:0.5,20x:0.4,none:0.1
    #[arg(long, default_value = "none", value_name = "MS", allow_negative_numbers = true, value_parser = budgets)]
    budget_ms: Mix<Option<Time>>,

    /// Width that requests pin; auto lets the server choose; several by shares, such as auto:0.9,1:0.1
    #[arg(long, default_value = "auto", value_name = "WIDTH", allow_negative_numbers = true, value_parser = widths)]
    width: Mix<Option<Width>>,

    /// Deadline by which answers count as on time, instead of their budget; for servers without budgets
    #[arg(long, value_name = "MS", allow_negative_numbers = true)]
    deadline_ms: Option<Time>,

    /// Model to request [default: the server's]
    #[arg(long, value_name = "NAME")]
    model: Option<String>,

    /// Additional query parameters for every request, such as top_k=1&priority=high
    #[arg(long, default_value = "", hide_default_value = true, value_name = "QUERY")]
    query: String,

    /// Path of every request; another one for servers with another API
    #[arg(long, default_value = "/classify", value_name = "PATH", value_parser = path)]
    path: String,

    /// Header of every request, as for curl; repeat for several
    #[arg(long, value_name = "NAME:VALUE", value_parser = header)]
    header: Vec<(HeaderName, HeaderValue)>,

    /// Image, or folder of images (not its subfolders), to send; repeat for several, sent in turn [default: four small
    /// samples]
    #[arg(long, value_name = "FILE|FOLDER")]
    image: Vec<PathBuf>,

    /// Folder of labelled images to send, one folder per class named as the model's label ('_' for a '/' in it), in random order;
    /// the report then has the share of right answers
    #[arg(long, value_name = "FOLDER", conflicts_with = "image")]
    labelled: Option<PathBuf>,
}

/// Maximum length of a query: far more than the server's parameters need.
const MAX_QUERY_BYTES: usize = 2_000;

impl RequestFlags {
    /// Whether a time is given in units of the server.
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
        if length > MAX_QUERY_BYTES {
            bail!("--query and --model have {length} bytes together: at most {MAX_QUERY_BYTES} are allowed");
        }
        Ok(Workload {
            path: self.path.clone(),
            budgets_ms: self.budget_ms.try_map(|&budget| ms(budget))?,
            widths: self.width.clone(),
            model: self.model.clone(),
            query: self.query.clone(),
            deadline: ms(self.deadline_ms)?.map(|deadline_ms| Duration::from_secs_f64(deadline_ms / 1e3)),
        })
    }

    pub(super) fn headers(&self) -> HeaderMap {
        self.header.iter().cloned().collect()
    }

    /// The images to send; `seed` orders labelled ones.
    pub(super) fn images(&self, seed: u64) -> anyhow::Result<Vec<Image>> {
        match (&self.labelled, &self.image[..]) {
            (Some(folder), _) => Ok(images::labelled(folder, seed)?),
            (None, []) => Ok(images::samples()),
            (None, paths) => Ok(images::load(paths)?),
        }
    }
}

fn path(text: &str) -> anyhow::Result<String> {
    match text.parse::<Uri>() {
        Ok(uri) if uri.path() == text && text.starts_with('/') => Ok(text.to_owned()),
        _ => bail!("not the path of a URL, such as /classify (parameters go into --query)"),
    }
}

fn header(text: &str) -> anyhow::Result<(HeaderName, HeaderValue)> {
    let (name, value) = text.split_once(':').context("a header is NAME:VALUE, such as X-Priority: high")?;
    let name = name.trim().parse().with_context(|| format!("{name:?} is not the name of a header"))?;
    let value = value.trim().parse().with_context(|| format!("{value:?} is not the value of a header"))?;
    Ok((name, value))
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
