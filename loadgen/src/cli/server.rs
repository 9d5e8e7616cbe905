//! Queries the server for its models and profile before a run.

use std::cell::Cell;
use std::time::Instant;

use anyhow::{Context, bail};
use bytes::Bytes;
use hyper::{Method, StatusCode, Uri};

use crate::client::{Answer, Client};
use crate::models::{Model, ModelsError};
use crate::profile::Profile;
use crate::target::Target;
use crate::units::Units;

/// Maximum size of an answer.
const MAX_BYTES: usize = 16 << 20;

/// A model from `/models` (the default if `name` is `None`); `None` if the server is not an anywidth server.
pub(super) async fn model(target: &Target, name: Option<&str>) -> anyhow::Result<Option<Model>> {
    let listing = get(target, "/models").await?;
    if listing.status != StatusCode::OK {
        return Ok(None);
    }
    match Model::find(&listing.body, name) {
        Ok(model) => Ok(Some(model)),
        Err(ModelsError::NotAListing(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The units of a model (the default if `name` is `None`).
pub(super) async fn units(target: &Target, name: Option<&str>) -> anyhow::Result<Units> {
    let authority = &target.authority;
    let Some(model) = model(target, name).await? else {
        bail!("{authority} lists no models: it is not an anywidth server, so its capacity is unknown")
    };
    let answer = get(target, "/profile").await?;
    if answer.status != StatusCode::OK {
        let status = answer.status.as_u16();
        bail!("{authority} has no /profile (status {status}): give rates per second and budgets in milliseconds");
    }
    Ok(Units::of(&Profile::find(&answer.body, Some(&model.name))?)?)
}

async fn get(target: &Target, path: &'static str) -> anyhow::Result<Answer> {
    let (client, at) = (Client::new(target), Cell::new(Instant::now()));
    let answer = client.ask(Method::GET, Uri::from_static(path), Bytes::new(), MAX_BYTES, &at).await;
    answer.with_context(|| format!("{} does not answer GET {path}", target.authority))
}
