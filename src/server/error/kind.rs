//! What a caller can do about an error, and the status that says so in each protocol.

use axum::http::StatusCode;
use tonic::Code;

/// The kind of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) enum Kind {
    /// The request is malformed: correct it.
    BadRequest,
    /// The caller may not do this.
    Forbidden,
    /// What it names does not exist.
    NotFound,
    /// What it names does not accept this method.
    NoSuchMethod,
    /// The request did not arrive in time.
    SlowRequest,
    /// Its body, an image or their number exceeds a limit.
    TooLarge,
    /// Its target exceeds a limit.
    TargetTooLong,
    /// Its headers exceed a limit.
    HeadTooLarge,
    /// Its content is of a type that the server cannot read.
    UnsupportedType,
    /// It is well-formed and can never be answered as it is.
    CannotBeMet,
    /// The server is at fault.
    Internal,
    /// The load forbids it now: retry later.
    Overloaded,
    /// The server is stopping: retry elsewhere.
    Stopping,
    /// Its deadline passed.
    DeadlinePassed,
}

impl Kind {
    /// The status in HTTP.
    pub(in crate::server) fn status(self) -> StatusCode {
        match self {
            Kind::BadRequest => StatusCode::BAD_REQUEST,
            Kind::Forbidden => StatusCode::FORBIDDEN,
            Kind::NotFound => StatusCode::NOT_FOUND,
            Kind::NoSuchMethod => StatusCode::METHOD_NOT_ALLOWED,
            Kind::SlowRequest => StatusCode::REQUEST_TIMEOUT,
            Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Kind::TargetTooLong => StatusCode::URI_TOO_LONG,
            Kind::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Kind::UnsupportedType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Kind::CannotBeMet => StatusCode::UNPROCESSABLE_ENTITY,
            Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Kind::Overloaded | Kind::Stopping => StatusCode::SERVICE_UNAVAILABLE,
            Kind::DeadlinePassed => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// The code in gRPC. Overload is RESOURCE_EXHAUSTED: clients retry UNAVAILABLE at once, which multiplies the load.
    pub(in crate::server) fn grpc(self) -> Code {
        match self {
            Kind::BadRequest | Kind::TooLarge | Kind::TargetTooLong | Kind::HeadTooLarge | Kind::UnsupportedType => {
                Code::InvalidArgument
            }
            Kind::Forbidden => Code::PermissionDenied,
            Kind::NotFound => Code::NotFound,
            Kind::NoSuchMethod => Code::Unimplemented,
            Kind::CannotBeMet => Code::FailedPrecondition,
            Kind::Internal => Code::Internal,
            Kind::Overloaded => Code::ResourceExhausted,
            Kind::Stopping => Code::Unavailable,
            Kind::SlowRequest | Kind::DeadlinePassed => Code::DeadlineExceeded,
        }
    }

    /// Whether a retry may succeed.
    pub(in crate::server) fn is_temporary(self) -> bool {
        matches!(self, Kind::Overloaded | Kind::Stopping)
    }
}
