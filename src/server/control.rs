//! Changes the served models while the server runs: reads a folder again, loads and unloads by name.
//!
//! New versions are read, proved, warmed up and measured on a thread of low priority, beside the ones that are served; then
//! requests find the new ones at once. Requests that found an old version are still answered by it, and its memory is freed after
//! the last of them.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, oneshot};
use tracing::{info, warn};

use super::Service;
use super::error::ApiError;
use crate::engine::Width;
use crate::repository::{Precisions, Reloaded, RepositoryError, ServedModel, Source};
use crate::scheduler::measure;

/// How models are loaded while the server runs.
#[derive(Debug)]
pub struct ModelControl {
    /// Where they are.
    pub source: Source,
    /// The numbers that they multiply.
    pub precisions: Precisions,
    /// The narrowest width of a profile.
    pub narrowest: Width,
    /// How long new models are measured.
    pub measuring: Duration,
    /// Whether callers may load and unload.
    pub mode: ModelControlMode,
}

/// Whether callers may load and unload models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ModelControlMode {
    /// They may not.
    #[default]
    None,
    /// They may, by name.
    Explicit,
}

/// The text is no mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it must be none or explicit")]
pub struct UnknownControlMode;

/// The state of the control.
#[derive(Debug)]
pub(super) struct Control {
    settings: Arc<ModelControl>,
    /// Held by the one change under way.
    changing: Mutex<()>,
}

/// What a change did, for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// Models that are served since.
    pub added: usize,
    /// Models that were served before.
    pub removed: usize,
}

/// Pause between looks for the last request of an old version.
const RELEASE_PAUSE: Duration = Duration::from_millis(50);

impl FromStr for ModelControlMode {
    type Err = UnknownControlMode;

    fn from_str(text: &str) -> Result<ModelControlMode, UnknownControlMode> {
        match text {
            "none" => Ok(ModelControlMode::None),
            "explicit" => Ok(ModelControlMode::Explicit),
            _ => Err(UnknownControlMode),
        }
    }
}

impl Control {
    pub(super) fn new(settings: ModelControl) -> Control {
        Control { settings: Arc::new(settings), changing: Mutex::new(()) }
    }
}

impl Service {
    /// Reads the models again; only those of `only`, if it is given. Versions whose files are as before stay.
    ///
    /// # Errors
    /// [`RepositoryError`] if there is nothing to read again; what is served then stays. A file that does not load is no error.
    pub async fn reload(self: &Arc<Service>, only: Option<String>) -> Result<Changes, RepositoryError> {
        let Some(control) = &self.control else { return Err(RepositoryError::Fixed) };
        let _changing = control.changing.lock().await;
        let (service, settings) = (self.clone(), control.settings.clone());
        let (send, prepared) = oneshot::channel();
        let prepare = move || {
            lower_priority();
            // The caller waits; if it is gone, the server is stopping.
            let _ = send.send(service.prepare(&settings, only.as_deref()));
        };
        std::thread::Builder::new()
            .name("reload".into())
            .spawn(prepare)
            .map_err(|error| RepositoryError::NotReady { reason: error.to_string() })?;
        let failed = || RepositoryError::NotReady { reason: "a thread panicked; see the log".into() };
        let prepared = prepared.await.unwrap_or_else(|_| Err(failed()))?;
        Ok(self.publish(prepared))
    }

    /// Serves a model no longer, until it is loaded by name.
    pub(super) async fn unload(self: &Arc<Service>, name: &str) -> Result<Changes, ApiError> {
        let control = self.control_by_callers()?;
        let _changing = control.changing.lock().await;
        let reloaded = self.repository().unload(name)?;
        if reloaded.repository.all().next().is_none() {
            return Err(ApiError::NotLoaded { reason: "it is the only model".into() });
        }
        Ok(self.publish((reloaded, Vec::new())))
    }

    /// Loads the versions of a model, or loads them again if their files have changed.
    pub(super) async fn load(self: &Arc<Service>, name: &str) -> Result<Changes, ApiError> {
        self.control_by_callers()?;
        let changes = self.reload(Some(name.to_owned())).await;
        let changes = changes.map_err(|error| ApiError::NotLoaded { reason: error.to_string() })?;
        let repository = self.repository();
        let rejected = repository.rejected().iter().find(|rejected| rejected.name() == name);
        if let Some(rejected) = rejected {
            return Err(ApiError::NotLoaded { reason: format!("{}: {}", rejected.path, rejected.reason) });
        }
        repository.find(Some(name), None)?;
        Ok(changes)
    }

    fn control_by_callers(&self) -> Result<&Control, ApiError> {
        self.control
            .as_ref()
            .filter(|control| control.settings.mode == ModelControlMode::Explicit)
            .ok_or(ApiError::ControlForbidden)
    }

    /// Reads the models and measures the new ones.
    fn prepare(&self, settings: &ModelControl, only: Option<&str>) -> Result<Prepared, RepositoryError> {
        let ModelControl { source, precisions, narrowest, measuring, .. } = settings;
        let reloaded = self.repository().reload(source, precisions, only)?;
        let max_batch = self.scheduler.settings().max_batch;
        let profiles = measure(&reloaded.added, *narrowest, max_batch, *measuring);
        let profiles = profiles.map_err(|error| RepositoryError::NotReady { reason: error.to_string() })?;
        Ok((reloaded, profiles))
    }

    /// Serves what was prepared.
    fn publish(self: &Arc<Service>, (reloaded, profiles): Prepared) -> Changes {
        let Reloaded { repository, added, removed } = reloaded;
        let changes = Changes { added: added.len(), removed: removed.len() };
        for (model, profile) in added.iter().zip(profiles) {
            self.scheduler.add(model.clone(), profile);
        }
        let before = self.repository();
        let is_known = |rejected: &Arc<_>| before.rejected().iter().any(|known| Arc::ptr_eq(known, rejected));
        for rejected in repository.rejected().iter().filter(|rejected| !is_known(rejected)) {
            warn!(model = rejected.path, reason = %rejected.reason, "a model is not served, or in the version before");
        }
        self.metrics.models_rejected.set(repository.rejected().len() as i64);
        *self.repository.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Arc::new(repository);
        for model in &removed {
            self.scheduler.retire(model);
            self.metrics.model_removed(&model.name, &version_labels(model));
            info!(model = model.name, version = model.version, "a model is served no longer");
        }
        for model in &added {
            self.show(model);
            info!(model = model.name, version = model.version, "a model is served");
        }
        drop((added, removed));
        if changes.removed > 0 {
            tokio::spawn(self.clone().release_retired());
        }
        changes
    }

    /// Waits until nobody refers to a retired model.
    async fn release_retired(self: Arc<Service>) {
        while self.scheduler.release_retired() > 0 {
            tokio::time::sleep(RELEASE_PAUSE).await;
        }
    }

    /// Shows a served model in the metrics.
    pub(super) fn show(&self, served: &ServedModel) {
        let [version, precision] = version_labels(served);
        self.metrics.model_info.with_label_values(&[&served.name, &version, &precision]).set(1);
    }
}

/// What is about to be served, with the profiles of the added models.
type Prepared = (Reloaded, Vec<crate::policy::Profile>);

fn version_labels(served: &ServedModel) -> [String; 2] {
    [served.version.to_string(), served.model.precision().name().to_owned()]
}

/// Lets everything else run first. Where the system refuses, loading only slows others down.
fn lower_priority() {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::nice(19);
}
