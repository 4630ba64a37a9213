//! SDK errors into the domain's: what was being done, why it failed, and whether to try again.

use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::http::Response;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use domain::ports::{PortError, Retry};

/// Codes of throttling and passing trouble that come with a 4xx status.
const PASSING: &[&str] = &[
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottled",
    "RequestLimitExceeded",
    "RequestTimeout",
    "SlowDown",
];

/// Whether a failed call may succeed later. Without an answer (time-out, no connection) it may;
/// otherwise the status and the code of the answer tell.
pub fn retry_of<E: ProvideErrorMetadata>(error: &SdkError<E, Response>) -> Retry {
    if matches!(error, SdkError::ConstructionFailure(_)) {
        return Retry::Permanent;
    }
    let code = error.as_service_error().and_then(ProvideErrorMetadata::code);
    match error.raw_response().map(|response| response.status().as_u16()) {
        None => Retry::Transient,
        // 401 and 403 are about who asks, not about what is asked: the right can be given.
        Some(401 | 403 | 429 | 500..) => Retry::Transient,
        Some(_) if code.is_some_and(|code| PASSING.contains(&code)) => Retry::Transient,
        Some(_) => Retry::Permanent,
    }
}

/// The domain's error for a failed call; `action` says what was being done, on what.
pub fn port_error<E>(action: impl Into<String>, error: SdkError<E, Response>) -> PortError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    PortError { action: action.into(), retry: retry_of(&error), source: Box::new(error) }
}
