//! Every answer that the runner gives instead of a function: its status, its line of text and its
//! cause. This is the only place that knows which failure is which status.
//!
//! The text says what the client can know or do, and nothing of the program's inside. The cause is
//! also in the header `sampan-cause`, so that a function's own 500 or 503 is told from the runner's
//! and one 504 from the other.

use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use sampan_engine::{CallError, RequestBodyError};

use crate::admission::Crowded;
use crate::line::one_line;
use crate::server::Malformed;

/// The header with the cause of an answer that is the runner's.
pub const CAUSE: HeaderName = HeaderName::from_static("sampan-cause");

/// Why a request was not answered by a function.
#[derive(Debug)]
pub(crate) enum Refusal {
    Malformed(Malformed),
    /// The request's body failed before there was an answer.
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
    Crowded(Crowded),
    /// The call failed before there was an answer.
    Call(CallError),
    /// The function answered with a status that announces another answer.
    InterimStatus,
}

/// A refusal in terms of HTTP.
struct Face {
    status: StatusCode,
    cause: &'static str,
    line: &'static str,
    /// The same request may succeed soon.
    passing: bool,
}

const fn face(status: StatusCode, cause: &'static str, line: &'static str) -> Face {
    Face {
        status,
        cause,
        line,
        passing: false,
    }
}

const fn passing(status: StatusCode, cause: &'static str, line: &'static str) -> Face {
    Face {
        status,
        cause,
        line,
        passing: true,
    }
}

impl Refusal {
    pub(crate) fn status(&self) -> StatusCode {
        self.face().status
    }

    pub(crate) fn cause(&self) -> &'static str {
        self.face().cause
    }

    /// The text, with its line end.
    pub(crate) fn text(&self) -> String {
        match self {
            // What a person on a laptop needs to know, and nobody else gets to see: a pod whose
            // function does not load does not listen.
            Self::NotLoaded(cause) => {
                format!("this function could not be loaded: {}\n", one_line(cause))
            }
            _ => format!("{}\n", self.face().line),
        }
    }

    pub(crate) fn headers(&self) -> HeaderMap {
        let face = self.face();
        let mut headers = HeaderMap::with_capacity(8);
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        headers.insert(CONTENT_TYPE, plain);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(CAUSE, HeaderValue::from_static(face.cause));
        if face.passing {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if matches!(self, Self::ListMethod) {
            headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        headers
    }

    fn face(&self) -> Face {
        use StatusCode as S;
        match self {
            Self::Malformed(malformed) => of_malformed(*malformed),
            Self::Body(RequestBodyError::TooLarge { .. }) => face(
                S::PAYLOAD_TOO_LARGE,
                "request_body",
                "the request's body is larger than this function allows",
            ),
            Self::Body(RequestBodyError::Stalled) => face(
                S::REQUEST_TIMEOUT,
                "request_stalled",
                "the request's body did not arrive",
            ),
            Self::Body(RequestBodyError::Broken(_)) => face(
                S::BAD_REQUEST,
                "request_broken",
                "the request's body is malformed",
            ),
            Self::Headers => face(
                S::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "request_headers",
                "the request's header fields are larger than this function allows",
            ),
            Self::NoFunction => face(
                S::NOT_FOUND,
                "no_function",
                "no function has this name; GET / lists the functions here",
            ),
            Self::NoRoute => face(
                S::NOT_FOUND,
                "no_route",
                "functions are at /function/NAME/ or NAME.localhost; GET / lists them",
            ),
            Self::ListMethod => face(
                S::METHOD_NOT_ALLOWED,
                "method",
                "the list of functions can only be read",
            ),
            Self::Compiling => passing(
                S::SERVICE_UNAVAILABLE,
                "compiling",
                "this function is being compiled; try again in a moment",
            ),
            Self::NotLoaded(_) => face(S::SERVICE_UNAVAILABLE, "not_loaded", ""),
            Self::Crowded(Crowded::QueueFull) => passing(
                S::SERVICE_UNAVAILABLE,
                "queue_full",
                "this function has more requests than it may; try again in a moment",
            ),
            Self::Crowded(Crowded::Waited) => passing(
                S::SERVICE_UNAVAILABLE,
                "queue_timeout",
                "the request waited for its turn for too long; try again in a moment",
            ),
            Self::Call(error) => of_call(error),
            Self::InterimStatus => face(
                S::BAD_GATEWAY,
                "interim_status",
                "the function's answer is no final one",
            ),
        }
    }
}

fn of_malformed(malformed: Malformed) -> Face {
    use StatusCode as S;
    let bad = |line| face(S::BAD_REQUEST, "malformed", line);
    match malformed {
        Malformed::NoHost => bad("the request has no Host field"),
        Malformed::ManyHosts => bad("the request has more than one Host field"),
        Malformed::BadHost => bad("the request's Host field is no host"),
        Malformed::OtherHost => bad("the request's Host field and target differ"),
        Malformed::BadTarget => bad("the request's target is no path"),
        Malformed::LongTarget => face(
            S::URI_TOO_LONG,
            "target_length",
            "the request's target is too long",
        ),
        Malformed::Connect => face(S::NOT_IMPLEMENTED, "connect", "this is no proxy"),
    }
}

fn of_call(error: &CallError) -> Face {
    use StatusCode as S;
    let cause = error.cause();
    match error {
        CallError::Deadline { .. } => face(
            S::GATEWAY_TIMEOUT,
            cause,
            "the function did not answer in time",
        ),
        CallError::ProcessorTime { .. } => face(
            S::GATEWAY_TIMEOUT,
            cause,
            "the function used up its processor time",
        ),
        CallError::Trap { .. } => face(S::INTERNAL_SERVER_ERROR, cause, "the function crashed"),
        CallError::Exit(_) | CallError::NoResponse => face(
            S::BAD_GATEWAY,
            cause,
            "the function ended without an answer",
        ),
        CallError::Guest(_) => face(
            S::BAD_GATEWAY,
            cause,
            "the function reported an error instead of an answer",
        ),
        CallError::Cgi(_) => face(S::BAD_GATEWAY, cause, "the function's answer is malformed"),
        CallError::Body(_) => face(S::BAD_GATEWAY, cause, "the function's answer broke off"),
        CallError::Instances => passing(
            S::SERVICE_UNAVAILABLE,
            cause,
            "too many functions are running at once; try again in a moment",
        ),
        CallError::Reload(_) => passing(
            S::SERVICE_UNAVAILABLE,
            cause,
            "the function could not be brought back into memory; try again in a moment",
        ),
        CallError::WrongKind(_) => face(
            S::INTERNAL_SERVER_ERROR,
            cause,
            "the function does not answer HTTP requests",
        ),
        CallError::Host(_) => face(
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

    use super::{CAUSE, Crowded, Malformed, Refusal};

    #[test]
    fn each_failure_has_its_status_and_says_when_to_come_back() {
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
        call(CallError::Instances, 503, "instances", true);
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
            &Refusal::Crowded(Crowded::QueueFull),
            503,
            "queue_full",
            true,
        );
        check(
            &Refusal::Crowded(Crowded::Waited),
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
            &Refusal::Malformed(Malformed::Connect),
            501,
            "connect",
            false,
        );
    }
}
