//! Responses of the runner in place of a function's: status, cause and text.
//!
//! This is the only place that maps failures to statuses. The text states what the client can know
//! or do, and nothing internal. The header `sampan-cause` carries the cause. It distinguishes the
//! runner's 500 or 503 from a function's, and one 504 from another.

use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use sampan_engine::{CallError, RequestBodyError};

use super::one_line::one_line;
use crate::admission::Rejection;
use crate::server::Malformed;

/// The header with the cause of a response of the runner.
pub const CAUSE: HeaderName = HeaderName::from_static("sampan-cause");

/// Reasons why a function did not serve a request.
#[derive(Debug)]
pub(crate) enum Refusal {
    Malformed(Malformed),
    /// The request's body failed before there was a response.
    Body(RequestBodyError),
    /// More bytes of header fields than the function allows.
    Headers,
    /// No function has the name.
    NoFunction,
    /// The path names no function.
    NoRoute,
    /// The list of functions can only be read.
    ListMethod,
    /// The function is being compiled.
    Compiling,
    /// The function could not be loaded, for a reason of one line.
    NotLoaded(String),
    Rejected(Rejection),
    /// The call failed before there was a response.
    Call(CallError),
    /// The function responded with an informational status (1xx).
    InterimStatus,
}

/// The HTTP response to a refusal.
struct Reply {
    status: StatusCode,
    cause: &'static str,
    line: &'static str,
    /// Whether the same request may succeed soon.
    retryable: bool,
}

const fn permanent(status: StatusCode, cause: &'static str, line: &'static str) -> Reply {
    Reply {
        status,
        cause,
        line,
        retryable: false,
    }
}

const fn retryable(status: StatusCode, cause: &'static str, line: &'static str) -> Reply {
    Reply {
        status,
        cause,
        line,
        retryable: true,
    }
}

impl Refusal {
    pub(crate) fn status(&self) -> StatusCode {
        self.reply().status
    }

    pub(crate) fn cause(&self) -> &'static str {
        self.reply().cause
    }

    /// The text, with its line end.
    pub(crate) fn text(&self) -> String {
        match self {
            // Local mode shows the error, and a pool its kind. A pod with an unloadable function does not listen.
            Self::NotLoaded(cause) => {
                format!("this function could not be loaded: {}\n", one_line(cause))
            }
            _ => format!("{}\n", self.reply().line),
        }
    }

    pub(crate) fn headers(&self) -> HeaderMap {
        let reply = self.reply();
        let mut headers = HeaderMap::with_capacity(8);
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        headers.insert(CONTENT_TYPE, plain);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(CAUSE, HeaderValue::from_static(reply.cause));
        if reply.retryable {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if matches!(self, Self::ListMethod) {
            headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        headers
    }

    fn reply(&self) -> Reply {
        use StatusCode as S;
        match self {
            Self::Malformed(malformed) => of_malformed(*malformed),
            Self::Body(RequestBodyError::TooLarge { .. }) => permanent(
                S::PAYLOAD_TOO_LARGE,
                "request_body",
                "the request's body is larger than this function allows",
            ),
            Self::Body(RequestBodyError::Stalled) => permanent(
                S::REQUEST_TIMEOUT,
                "request_stalled",
                "the request's body did not arrive",
            ),
            Self::Body(RequestBodyError::Broken(_)) => permanent(
                S::BAD_REQUEST,
                "request_broken",
                "the request's body is malformed",
            ),
            Self::Headers => permanent(
                S::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "request_headers",
                "the request's header fields are larger than this function allows",
            ),
            Self::NoFunction => permanent(
                S::NOT_FOUND,
                "no_function",
                "no function has this name; GET / lists the functions here",
            ),
            Self::NoRoute => permanent(
                S::NOT_FOUND,
                "no_route",
                "functions are at /function/NAME/ or NAME.localhost; GET / lists them",
            ),
            Self::ListMethod => permanent(
                S::METHOD_NOT_ALLOWED,
                "method",
                "the list of functions can only be read",
            ),
            Self::Compiling => retryable(
                S::SERVICE_UNAVAILABLE,
                "compiling",
                "this function is being compiled; try again in a moment",
            ),
            Self::NotLoaded(_) => permanent(S::SERVICE_UNAVAILABLE, "not_loaded", ""),
            Self::Rejected(Rejection::QueueFull) => retryable(
                S::SERVICE_UNAVAILABLE,
                "queue_full",
                "this function has more requests than it may; try again in a moment",
            ),
            Self::Rejected(Rejection::QueueTimeout) => retryable(
                S::SERVICE_UNAVAILABLE,
                "queue_timeout",
                "the request waited in the queue for too long; try again in a moment",
            ),
            Self::Call(error) => of_call(error),
            Self::InterimStatus => permanent(
                S::BAD_GATEWAY,
                "interim_status",
                "the function's response has no final status",
            ),
        }
    }
}

fn of_malformed(malformed: Malformed) -> Reply {
    use StatusCode as S;
    let bad = |line| permanent(S::BAD_REQUEST, "malformed", line);
    match malformed {
        Malformed::NoHost => bad("the request has no Host field"),
        Malformed::ManyHosts => bad("the request has more than one Host field"),
        Malformed::BadHost => bad("the request's Host field or target does not name a host"),
        Malformed::OtherHost => bad("the request's Host field and target differ"),
        Malformed::BadTarget => bad("the request's target is not a path"),
        Malformed::BadEncoding => bad("the request's path is not UTF-8 in percent-encoding"),
        Malformed::LongTarget => permanent(
            S::URI_TOO_LONG,
            "target_length",
            "the request's target is too long",
        ),
        Malformed::ManyFields => permanent(
            S::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "request_headers",
            "the request has more header fields than any function gets",
        ),
        Malformed::Connect => {
            permanent(S::NOT_IMPLEMENTED, "connect", "this server is not a proxy")
        }
    }
}

fn of_call(error: &CallError) -> Reply {
    use StatusCode as S;
    let cause = error.cause();
    match error {
        CallError::Deadline { .. } | CallError::OutboundConnections { .. } => permanent(
            S::GATEWAY_TIMEOUT,
            cause,
            "the function did not answer in time",
        ),
        CallError::ProcessorTime { .. } => permanent(
            S::GATEWAY_TIMEOUT,
            cause,
            "the function used up its processor time",
        ),
        CallError::Trap { .. } => {
            permanent(S::INTERNAL_SERVER_ERROR, cause, "the function crashed")
        }
        CallError::Exit(_) | CallError::NoResponse => permanent(
            S::BAD_GATEWAY,
            cause,
            "the function ended without an answer",
        ),
        CallError::Guest(_) => permanent(
            S::BAD_GATEWAY,
            cause,
            "the function reported an error instead of an answer",
        ),
        CallError::Cgi(_) => permanent(S::BAD_GATEWAY, cause, "the function's answer is malformed"),
        CallError::Body(_) => permanent(S::BAD_GATEWAY, cause, "the function's answer broke off"),
        CallError::Instances => retryable(
            S::SERVICE_UNAVAILABLE,
            cause,
            "too many functions are running at once; try again in a moment",
        ),
        CallError::Processors { .. } => retryable(
            S::SERVICE_UNAVAILABLE,
            cause,
            "no processor was free in time; try again in a moment",
        ),
        CallError::TotalMemory { .. } => retryable(
            S::SERVICE_UNAVAILABLE,
            cause,
            "this function uses all the memory that it may have; try again in a moment",
        ),
        CallError::ProcessMemory => retryable(
            S::SERVICE_UNAVAILABLE,
            cause,
            "the memory for functions is used up; try again in a moment",
        ),
        CallError::Reload(_) => retryable(
            S::SERVICE_UNAVAILABLE,
            cause,
            "the function could not be brought back into memory; try again in a moment",
        ),
        CallError::Stopped => retryable(
            S::SERVICE_UNAVAILABLE,
            cause,
            "the server is stopping; try again in a moment",
        ),
        CallError::WrongKind(_) => permanent(
            S::INTERNAL_SERVER_ERROR,
            cause,
            "the function does not answer HTTP requests",
        ),
        CallError::Host(_) => permanent(
            S::INTERNAL_SERVER_ERROR,
            cause,
            "the function could not be run",
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sampan_engine::{CallError, RequestBodyError, TrapCause};

    use super::{CAUSE, Malformed, Refusal, Rejection};

    #[test]
    fn each_failure_has_its_status_and_retry_after() {
        fn check(refusal: &Refusal, status: u16, cause: &str, retry: bool) {
            let headers = refusal.headers();
            let found = (refusal.status().as_u16(), refusal.cause());
            assert_eq!(found, (status, cause), "{refusal:?}");
            assert_eq!(headers[CAUSE], cause, "{refusal:?}");
            assert_eq!(headers.contains_key("retry-after"), retry, "{refusal:?}");
            let text = refusal.text();
            assert!(
                text.ends_with('\n') && text.lines().count() == 1,
                "{text:?}"
            );
            assert!(!text.contains("secret"), "{text:?}");
        }
        let limit = Duration::from_secs(1);
        let trap = |cause| CallError::Trap {
            cause,
            message: "secret".to_owned(),
        };
        let call = |error, status, cause: &str, retry| {
            check(&Refusal::Call(error), status, cause, retry);
        };
        call(CallError::Deadline { limit }, 504, "deadline", false);
        let connections = 16;
        let waiting = CallError::OutboundConnections { limit, connections };
        call(waiting, 504, "outbound_connections", false);
        call(
            CallError::ProcessorTime { limit },
            504,
            "processor_time",
            false,
        );
        call(trap(TrapCause::Unreachable), 500, "trap_unreachable", false);
        call(
            trap(TrapCause::OutOfMemory),
            500,
            "trap_out_of_memory",
            false,
        );
        call(CallError::NoResponse, 502, "no_response", false);
        call(CallError::Exit(1), 502, "exit", false);
        call(
            CallError::Guest("secret".to_owned()),
            502,
            "guest_error",
            false,
        );
        call(CallError::Body("secret".to_owned()), 502, "body", false);
        call(CallError::Instances, 503, "instances", true);
        call(CallError::Processors { limit }, 503, "processors", true);
        call(CallError::Stopped, 503, "stopped", true);
        let used_up = CallError::TotalMemory { limit: 1 };
        call(used_up, 503, "total_memory", true);
        call(CallError::ProcessMemory, 503, "process_memory", true);
        call(CallError::Host("secret".to_owned()), 500, "host", false);
        let body = |error, status, cause: &str| check(&Refusal::Body(error), status, cause, false);
        body(RequestBodyError::TooLarge { limit: 1 }, 413, "request_body");
        body(RequestBodyError::Stalled, 408, "request_stalled");
        body(
            RequestBodyError::Broken("secret".to_owned()),
            400,
            "request_broken",
        );
        check(&Refusal::Headers, 431, "request_headers", false);
        check(
            &Refusal::Rejected(Rejection::QueueFull),
            503,
            "queue_full",
            true,
        );
        check(
            &Refusal::Rejected(Rejection::QueueTimeout),
            503,
            "queue_timeout",
            true,
        );
        check(&Refusal::Compiling, 503, "compiling", true);
        check(
            &Refusal::NotLoaded("a\nb".to_owned()),
            503,
            "not_loaded",
            false,
        );
        check(&Refusal::NoFunction, 404, "no_function", false);
        check(&Refusal::NoRoute, 404, "no_route", false);
        check(&Refusal::ListMethod, 405, "method", false);
        check(&Refusal::InterimStatus, 502, "interim_status", false);
        check(
            &Refusal::Malformed(Malformed::NoHost),
            400,
            "malformed",
            false,
        );
        check(
            &Refusal::Malformed(Malformed::LongTarget),
            414,
            "target_length",
            false,
        );
        check(
            &Refusal::Malformed(Malformed::ManyFields),
            431,
            "request_headers",
            false,
        );
        check(
            &Refusal::Malformed(Malformed::Connect),
            501,
            "connect",
            false,
        );
    }
}
