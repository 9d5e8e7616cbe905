//! The gRPC encoding: calls, metadata and status codes.
//!
//! The protocol's service, `grpc.health.v1.Health` and reflection, on the server's own port. `grpc-timeout` is the request's budget.

mod convert;
#[allow(missing_docs, unreachable_pub, clippy::all, reason = "generated")]
#[rustfmt::skip]
mod generated;
mod limited;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::from_fn_with_state;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};
use tonic_health::server::HealthReporter;

use super::describe::{self, ModelMetadata};
use super::infer::{InferAnswer, Prepared, infer};
use super::statistics::ModelStatistics;
use super::{EXTENSIONS, SERVER};
use crate::policy::MAX_BUDGET;
use crate::server::Service;
use crate::server::error::ApiError;
use crate::server::request::{Ask, WrittenParameters};
use generated::grpc_inference_service_server::{GrpcInferenceService, GrpcInferenceServiceServer};
use generated::{
    ModelConfigRequest, ModelConfigResponse, ModelInferRequest, ModelInferResponse, ModelMetadataRequest,
    ModelMetadataResponse, ModelReadyRequest, ModelReadyResponse, ModelStatisticsRequest, ModelStatisticsResponse,
    RepositoryIndexRequest, RepositoryIndexResponse, RepositoryModelLoadRequest, RepositoryModelLoadResponse,
    RepositoryModelUnloadRequest, RepositoryModelUnloadResponse, ServerLiveRequest, ServerLiveResponse,
    ServerMetadataRequest, ServerMetadataResponse, ServerReadyRequest, ServerReadyResponse,
};
use limited::Reservation;

/// The descriptors of the protocol, for reflection.
const DESCRIPTORS: &[u8] = include_bytes!("descriptors.binpb");
/// The name of the protocol's service in `grpc.health.v1`.
const SERVICE: &str = "inference.GRPCInferenceService";

type Answer<T> = Result<Response<T>, Status>;

/// The protocol's service.
#[derive(Debug)]
struct Inference {
    service: Arc<Service>,
}

/// What `grpc.health.v1` reports.
#[derive(Clone)]
pub(in crate::server) struct Health(HealthReporter);

/// The routes of all gRPC services. What the returned [`Health`] is told is what callers of the health service hear.
pub(in crate::server) fn routes(service: &Arc<Service>) -> (Router<Arc<Service>>, Health) {
    let (reporter, health) = tonic_health::server::health_reporter();
    let inference = GrpcInferenceServiceServer::new(Inference { service: service.clone() })
        .max_decoding_message_size(service.limits.max_body_bytes);
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let mut routes = Router::new()
        .route_service("/inference.GRPCInferenceService/{method}", inference)
        .layer(from_fn_with_state(service.clone(), limited::limit))
        .route_service("/grpc.health.v1.Health/{method}", health);
    // The descriptors are ours, and a test reads them.
    if let (Ok(v1), Ok(v1alpha)) = (reflection().build_v1(), reflection().build_v1alpha()) {
        routes = routes
            .route_service("/grpc.reflection.v1.ServerReflection/{method}", v1)
            .route_service("/grpc.reflection.v1alpha.ServerReflection/{method}", v1alpha);
    }
    (routes, Health(reporter))
}

impl Health {
    /// Reports whether the server is ready.
    pub(in crate::server) async fn report(&self, ready: bool) {
        let status = if ready { tonic_health::ServingStatus::Serving } else { tonic_health::ServingStatus::NotServing };
        for name in ["", SERVICE] {
            self.0.set_service_status(name, status).await;
        }
    }
}

impl std::fmt::Debug for Health {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Health")
    }
}

#[tonic::async_trait]
impl GrpcInferenceService for Inference {
    async fn server_live(&self, _: Request<ServerLiveRequest>) -> Answer<ServerLiveResponse> {
        Ok(Response::new(ServerLiveResponse { live: true }))
    }

    async fn server_ready(&self, _: Request<ServerReadyRequest>) -> Answer<ServerReadyResponse> {
        Ok(Response::new(ServerReadyResponse { ready: self.service.is_ready() }))
    }

    async fn model_ready(&self, request: Request<ModelReadyRequest>) -> Answer<ModelReadyResponse> {
        let ModelReadyRequest { name, version } = request.into_inner();
        // As in Triton, whose clients take an error for a failed connection.
        let ready = self.service.model(&name, &version).is_ok() && self.service.is_ready();
        Ok(Response::new(ModelReadyResponse { ready }))
    }

    async fn server_metadata(&self, _: Request<ServerMetadataRequest>) -> Answer<ServerMetadataResponse> {
        let (name, version) = (SERVER.to_owned(), env!("CARGO_PKG_VERSION").to_owned());
        let extensions = EXTENSIONS.map(str::to_owned).to_vec();
        Ok(Response::new(ServerMetadataResponse { name, version, extensions }))
    }

    async fn model_metadata(&self, request: Request<ModelMetadataRequest>) -> Answer<ModelMetadataResponse> {
        let ModelMetadataRequest { name, version } = request.into_inner();
        let served = self.service.model(&name, &version).map_err(|error| self.status(error))?;
        Ok(Response::new(ModelMetadata::of(&self.service, &served).into()))
    }

    async fn model_infer(&self, request: Request<ModelInferRequest>) -> Answer<ModelInferResponse> {
        let started_at = Instant::now();
        let _in_flight = self.service.begin_request();
        let (ask, outcome) = match self.read(request, started_at) {
            Ok((prepared, reservation, raw)) => {
                let ask = prepared.ask.clone();
                let answer = infer(&self.service, prepared, reservation.reserved()).await;
                (Some(ask), answer.map(|answer| respond(answer, raw)))
            }
            Err(error) => (None, Err(error)),
        };
        self.count(ask.as_ref(), &outcome, started_at);
        outcome.map_err(|error| self.status(error))
    }

    async fn model_config(&self, request: Request<ModelConfigRequest>) -> Answer<ModelConfigResponse> {
        let ModelConfigRequest { name, version } = request.into_inner();
        let served = self.service.model(&name, &version).map_err(|error| self.status(error))?;
        let metadata = ModelMetadata::of(&self.service, &served);
        let config = convert::config(metadata, self.service.limits.max_files);
        Ok(Response::new(ModelConfigResponse { config: Some(config) }))
    }

    async fn model_statistics(&self, request: Request<ModelStatisticsRequest>) -> Answer<ModelStatisticsResponse> {
        let ModelStatisticsRequest { name, version } = request.into_inner();
        let of = |served: &_| ModelStatistics::of(&self.service, served).into();
        let model_stats = match name.is_empty() {
            true => self.service.repository().all().map(|served| of(served)).collect(),
            false => vec![of(&*self.service.model(&name, &version).map_err(|error| self.status(error))?)],
        };
        Ok(Response::new(ModelStatisticsResponse { model_stats }))
    }

    async fn repository_index(&self, request: Request<RepositoryIndexRequest>) -> Answer<RepositoryIndexResponse> {
        let index = describe::index(&self.service, request.get_ref().ready);
        Ok(Response::new(RepositoryIndexResponse { models: index.into_iter().map(Into::into).collect() }))
    }

    async fn repository_model_load(
        &self,
        request: Request<RepositoryModelLoadRequest>,
    ) -> Answer<RepositoryModelLoadResponse> {
        let RepositoryModelLoadRequest { repository_name, model_name } = request.into_inner();
        let name = if model_name.is_empty() { repository_name } else { model_name };
        self.service.load(&name).await.map_err(|error| self.status(error))?;
        Ok(Response::new(RepositoryModelLoadResponse {}))
    }

    async fn repository_model_unload(
        &self,
        request: Request<RepositoryModelUnloadRequest>,
    ) -> Answer<RepositoryModelUnloadResponse> {
        let RepositoryModelUnloadRequest { repository_name, model_name } = request.into_inner();
        let name = if model_name.is_empty() { repository_name } else { model_name };
        self.service.unload(&name).await.map_err(|error| self.status(error))?;
        Ok(Response::new(RepositoryModelUnloadResponse {}))
    }
}

impl Inference {
    /// The request; also whether its tensors are raw, as those of the answer then are.
    fn read(
        &self,
        mut request: Request<ModelInferRequest>,
        arrived: Instant,
    ) -> Result<(Prepared, Reservation, bool), ApiError> {
        let reservation = request.extensions_mut().remove::<Reservation>().unwrap_or_default();
        let (metadata, _, message) = request.into_parts();
        let headers = metadata.into_headers();
        let served = self.service.model(&message.model_name, &message.model_version)?;
        let mut written = WrittenParameters::of("", &headers)?;
        if let Some(budget) = timeout(&headers) {
            written.set_default("grpc-timeout", "budget_ms", (budget.as_secs_f64() * 1e3).to_string())?;
        }
        let raw = !message.raw_input_contents.is_empty();
        let prepared = Prepared::read(&self.service, served, convert::request(message)?, written, arrived)?;
        Ok((prepared, reservation, raw))
    }

    /// The status of an error.
    fn status(&self, error: ApiError) -> Status {
        let (kind, code) = error.kind();
        let mut metadata = MetadataMap::new();
        metadata.insert("anywidth-code", tonic::metadata::MetadataValue::from_static(code));
        if let Some(wait) = self.service.retry_after(&error) {
            metadata.insert("retry-after-ms", (wait.as_millis() as u64).into());
        }
        Status::with_metadata(kind.grpc(), error.to_string(), metadata)
    }

    fn count(&self, ask: Option<&Ask>, outcome: &Result<Response<ModelInferResponse>, ApiError>, started_at: Instant) {
        let (answered, status) = match outcome {
            Ok(response) => (response.extensions().get(), StatusCode::OK),
            Err(error) => (None, error.kind().0.status()),
        };
        if let Err(reason) = outcome.as_ref().map_err(ApiError::refusal)
            && let Some(reason) = reason
        {
            self.service.metrics.request_refused(reason);
        }
        self.service.count(ask, answered, status, started_at);
    }
}

fn respond(answer: InferAnswer, raw: bool) -> Response<ModelInferResponse> {
    let answered = answer.answered.clone();
    let mut response = Response::new(convert::answer(answer, raw));
    // Read by the log line.
    response.extensions_mut().insert(answered);
    response
}

/// The time that `grpc-timeout` allows, if it is a budget: clients that want none send none, or years.
fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let amount: u64 = digits.parse().ok()?;
    let nanos_per_unit = match unit {
        "H" => 3_600_000_000_000,
        "M" => 60_000_000_000,
        "S" => 1_000_000_000,
        "m" => 1_000_000,
        "u" => 1_000,
        "n" => 1,
        _ => return None,
    };
    let timeout = Duration::from_nanos(amount.checked_mul(nanos_per_unit)?);
    (timeout > Duration::ZERO && timeout <= MAX_BUDGET).then_some(timeout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_a_budget() {
        let read = |text: &'static str| {
            timeout(&HeaderMap::from_iter([("grpc-timeout".parse().unwrap(), text.parse().unwrap())]))
        };
        assert_eq!(read("20m"), Some(Duration::from_millis(20)));
        assert_eq!(read("1500u"), Some(Duration::from_micros(1500)));
        assert_eq!(read("2S"), Some(Duration::from_secs(2)));
        for none in ["0m", "2H", "99999999H", "99999999999999999999S", "m", "", "5", "-1S", "5x"] {
            assert_eq!(read(none), None, "{none}");
        }
    }
}
