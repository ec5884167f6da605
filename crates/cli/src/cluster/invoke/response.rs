//! A response as JSON with a size limit, and its head as text.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Response;
use http::response::Parts;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde::Serialize;
use tokio::time::Instant;

use crate::exit::Exit;
use crate::failure::{Failure, chain};

/// The most bytes of a body in JSON.
const MAX_BODY: usize = 64 << 20;

/// A response. Fields may be added, never renamed.
#[derive(Debug, Serialize)]
pub(super) struct JsonResponse {
    pod: String,
    status: u16,
    headers: Vec<Header>,
    /// Set if the body is UTF-8 text.
    body: Option<String>,
    /// Set otherwise.
    body_base64: Option<String>,
    milliseconds: u64,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Header {
    name: String,
    value: String,
}

/// Reasons why a response is incomplete.
#[derive(Debug, thiserror::Error)]
pub(super) enum Incomplete {
    /// It is too long.
    #[error("the answer has more than {} MiB", MAX_BODY >> 20)]
    Long,
    /// The connection broke.
    #[error("the answer broke off")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Incomplete {
    pub(super) fn failure(&self, name: &str) -> Failure {
        let help = match self {
            Self::Long => "without --output json it is passed on, however long it is".to_owned(),
            Self::Broken(_) => format!("sampan logs {name} shows what it printed"),
        };
        Failure::new(Exit::NoAnswer, format!("{name}: {}", chain(self)), help)
    }
}

impl JsonResponse {
    /// Reads a whole response.
    pub(super) async fn read(
        response: Response<Incoming>,
        pod: &str,
        begun: Instant,
    ) -> Result<Self, Incomplete> {
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MAX_BODY)
            .collect()
            .await
            .map_err(|error| {
                if error.is::<LengthLimitError>() {
                    Incomplete::Long
                } else {
                    Incomplete::Broken(error)
                }
            })?;
        Ok(Self::new(&head, &body.to_bytes(), pod, begun))
    }

    fn new(head: &Parts, body: &[u8], pod: &str, begun: Instant) -> Self {
        let text = std::str::from_utf8(body).ok();
        let header = |(name, value): (&http::HeaderName, &http::HeaderValue)| Header {
            name: name.as_str().to_owned(),
            value: String::from_utf8_lossy(value.as_bytes()).into_owned(),
        };
        Self {
            pod: pod.to_owned(),
            status: head.status.as_u16(),
            headers: head.headers.iter().map(header).collect(),
            body: text.map(str::to_owned),
            body_base64: text.is_none().then(|| STANDARD.encode(body)),
            milliseconds: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// The status and the headers as text.
pub(super) fn head(head: &Parts) -> String {
    let mut text = format!("{:?} {}\n", head.version, head.status);
    for (name, value) in &head.headers {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{name}: {}",
            String::from_utf8_lossy(value.as_bytes())
        );
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parts() -> Parts {
        let response = Response::builder()
            .status(201)
            .header("x", "1")
            .header("x", "2")
            .body(());
        response.expect("a response").into_parts().0
    }

    #[test]
    fn a_body_is_text_or_bytes() {
        let check = |body: &[u8], text: Value, bytes: Value| {
            let answer = JsonResponse::new(&parts(), body, "hello-1", Instant::now());
            let answer = serde_json::to_value(&answer).expect("JSON");
            assert_eq!(answer["status"], 201);
            assert_eq!(answer["pod"], "hello-1");
            assert_eq!(answer["headers"][1], json!({ "name": "x", "value": "2" }));
            assert_eq!((&answer["body"], &answer["body_base64"]), (&text, &bytes));
        };
        check(b"", json!(""), Value::Null);
        check("grün".as_bytes(), json!("grün"), Value::Null);
        check(b"\xff\0", Value::Null, json!("/wA="));
    }

    #[test]
    fn a_head_is_as_http_writes_it() {
        assert_eq!(head(&parts()), "HTTP/1.1 201 Created\nx: 1\nx: 2\n\n");
    }
}
