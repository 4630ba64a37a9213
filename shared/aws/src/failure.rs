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

/// Codes of a missing right, or of credentials that are not taken, that come with a 400: the services that
/// speak JSON have no 403.
const DENIED: &[&str] = &[
    "AccessDenied",
    "AccessDeniedException",
    "ExpiredTokenException",
    "InvalidSignatureException",
    "MissingAuthenticationTokenException",
    "NotAuthorized",
    "UnrecognizedClientException",
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
        Some(429 | 500..) => Retry::Transient,
        Some(_) if code.is_some_and(|code| PASSING.contains(&code)) => Retry::Transient,
        Some(401 | 403) => Retry::Denied,
        Some(_) if code.is_some_and(|code| DENIED.contains(&code)) => Retry::Denied,
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

#[cfg(test)]
mod tests {
    use super::*;
    use aws_smithy_runtime_api::http::StatusCode;
    use aws_smithy_types::body::SdkBody;
    use aws_smithy_types::error::metadata::ErrorMetadata;

    #[derive(Debug)]
    struct ServiceError(ErrorMetadata);

    impl ProvideErrorMetadata for ServiceError {
        fn meta(&self) -> &ErrorMetadata {
            &self.0
        }
    }

    fn answered(status: u16, code: &str) -> SdkError<ServiceError, Response> {
        let response = Response::new(StatusCode::try_from(status).unwrap(), SdkBody::empty());
        SdkError::service_error(ServiceError(ErrorMetadata::builder().code(code).build()), response)
    }

    #[test]
    fn an_answer_tells_whether_trying_again_can_help() {
        for (status, code, retry) in [
            (400, "InvalidParameterValue", Retry::Permanent),
            (400, "ThrottlingException", Retry::Transient),
            (403, "AccessDenied", Retry::Denied),
            (403, "RequestThrottled", Retry::Transient),
            (401, "Unauthorized", Retry::Denied),
            (400, "AccessDeniedException", Retry::Denied),
            (400, "UnrecognizedClientException", Retry::Denied),
            (400, "ResourceNotFoundException", Retry::Permanent),
            (404, "NoSuchBucket", Retry::Permanent),
            (429, "TooManyRequests", Retry::Transient),
            (500, "InternalError", Retry::Transient),
            (503, "SlowDown", Retry::Transient),
        ] {
            assert_eq!(retry_of(&answered(status, code)), retry, "{status} {code}");
        }
        let timed_out: SdkError<ServiceError, Response> = SdkError::timeout_error("no answer");
        assert_eq!(retry_of(&timed_out), Retry::Transient);
    }
}
