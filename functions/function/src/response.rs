//! The answer of a function: a status, a media type and a body. The body is complete before it is
//! sent, so that both front ends can state its length.

use crate::Error;

/// An HTTP response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) allow: Option<&'static str>,
    pub(crate) body: Vec<u8>,
}

const TEXT: &str = "text/plain";

impl Response {
    /// 200 with a body of `text/plain`.
    pub fn text(body: impl Into<Vec<u8>>) -> Self {
        Response {
            status: 200,
            content_type: TEXT,
            allow: None,
            body: body.into(),
        }
    }

    /// 200 with a body of `text/html`.
    pub fn html(body: impl Into<Vec<u8>>) -> Self {
        Response {
            content_type: "text/html; charset=utf-8",
            ..Response::text(body)
        }
    }

    pub(crate) fn method_not_allowed() -> Self {
        Response {
            status: 405,
            allow: Some("GET, HEAD"),
            ..Response::text("this function answers GET and HEAD only\n")
        }
    }

    /// The status code.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The value of `Content-Type`.
    pub fn content_type(&self) -> &'static str {
        self.content_type
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        &self.body
    }
}

impl From<&Error> for Response {
    fn from(error: &Error) -> Self {
        Response {
            status: error.status(),
            ..Response::text(format!("{error}\n"))
        }
    }
}
