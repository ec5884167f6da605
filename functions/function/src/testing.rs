//! A test front end for the functions' own tests, which see what a client would see.

use std::sync::{Mutex, PoisonError};

use crate::{
    Error, Function, Http, Method, OutboundError, OutboundRequest, OutboundResponse, Request,
    Response,
};

/// The service behind a function: gives every request the same answer, and records the requests.
#[derive(Debug)]
pub struct Upstream {
    status: u16,
    body: Vec<u8>,
    received: Mutex<Vec<(String, Vec<u8>)>>,
}

impl Upstream {
    /// An upstream that gives every request this answer.
    pub fn answering(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Upstream {
            status,
            body: body.into(),
            received: Mutex::new(Vec::new()),
        }
    }

    /// The URL and the body of every request so far.
    pub fn received(self) -> Vec<(String, Vec<u8>)> {
        self.received
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Http for Upstream {
    async fn send(&self, request: OutboundRequest<'_>) -> Result<OutboundResponse, OutboundError> {
        let sent = (
            request.url.to_string(),
            request.json.unwrap_or_default().to_vec(),
        );
        self.received
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(sent);
        if self.body.len() > request.longest {
            return Err(OutboundError::TooLong {
                longest: request.longest,
            });
        }
        Ok(OutboundResponse {
            status: self.status,
            body: self.body.clone(),
        })
    }
}

/// A function without outbound HTTP.
#[derive(Debug)]
pub struct Pure(pub fn(&Request<'_>) -> Result<Response, Error>);

impl Function for Pure {
    async fn handle(&self, request: &Request<'_>, _: &impl Http) -> Result<Response, Error> {
        (self.0)(request)
    }
}

/// The answer of `function` to `GET target`, with `upstream` behind it.
pub fn get(function: &impl Function, target: &str, upstream: &Upstream) -> Response {
    let request = Request::new(target);
    let answer = crate::function::respond(function, Some(Method::Get), &request, upstream);
    crate::executor::block_on(answer)
}

/// Checks that `GET target` is answered 200, and returns the body.
///
/// # Panics
///
/// If it is not, or if the body is not UTF-8.
pub fn body(function: &impl Function, target: &str, upstream: &Upstream) -> String {
    let response = get(function, target, upstream);
    let body = String::from_utf8(response.body).expect("bodies are UTF-8");
    assert_eq!(response.status, 200, "{target}: {body}");
    body
}

/// Checks that `GET target` is rejected with 400 and one line that names `parameter`.
///
/// # Panics
///
/// If it is not.
pub fn check_refused(function: &impl Function, target: &str, parameter: &str) {
    let response = get(function, target, &Upstream::answering(500, ""));
    let line = String::from_utf8(response.body).expect("refusals are UTF-8");
    assert_eq!(
        (response.status, response.content_type),
        (400, "text/plain"),
        "{target}: {line}"
    );
    assert!(
        line.starts_with(&format!("parameter `{parameter}` ")),
        "{target}: {line}"
    );
    assert_eq!(line.lines().count(), 1, "{target}: {line}");
}
