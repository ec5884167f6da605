//! The text server: serves one file, which is read once, under `/` and under its name.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use thiserror::Error;

use crate::server::{Answer, Handler};

/// The greatest length of a text, which is kept in memory.
const MAX_LENGTH: u64 = 64 * 1024 * 1024;

/// Why a file cannot be served.
#[derive(Debug, Error)]
pub enum TextError {
    /// It cannot be read.
    #[error("failed to read the text {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// It is too long.
    #[error("the text {} has {length} bytes; {MAX_LENGTH} are served at most", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// Its length in bytes.
        length: u64,
    },
    /// Its name is not valid in a URL.
    #[error("the text {} needs a name of letters, digits, `.`, `-` and `_`", .0.display())]
    Name(PathBuf),
}

/// A text in memory, and its path in a URL.
#[derive(Debug)]
pub(crate) struct Text {
    route: String,
    bytes: Bytes,
}

impl Text {
    pub(crate) async fn read(path: &Path) -> Result<Text, TextError> {
        let read = |source| TextError::Read {
            path: path.to_owned(),
            source,
        };
        let route = route(path).ok_or_else(|| TextError::Name(path.to_owned()))?;
        let length = tokio::fs::metadata(path).await.map_err(read)?.len();
        if length > MAX_LENGTH {
            let path = path.to_owned();
            return Err(TextError::TooLong { path, length });
        }
        let bytes = tokio::fs::read(path).await.map_err(read)?.into();
        Ok(Text { route, bytes })
    }

    /// Its path in a URL.
    pub(crate) fn route(&self) -> &str {
        &self.route
    }

    fn answer(&self, method: &Method, path: &str) -> Answer {
        if path != self.route {
            let body = format!("there is only {}\n", self.route);
            return plain(StatusCode::NOT_FOUND, body.into());
        }
        if *method == Method::GET || *method == Method::HEAD {
            // hyper leaves the body out of the answer to HEAD and keeps its length.
            return plain(StatusCode::OK, self.bytes.clone());
        }
        let mut answer = plain(StatusCode::METHOD_NOT_ALLOWED, "use GET or HEAD\n".into());
        answer
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        answer
    }
}

impl Handler for Text {
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        Text::answer(self, request.method(), request.uri().path())
    }
}

fn route(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    name.bytes().all(plain).then(|| format!("/{name}"))
}

fn plain(status: StatusCode, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    let media_type = HeaderValue::from_static("text/plain; charset=utf-8");
    answer.headers_mut().insert(CONTENT_TYPE, media_type);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_served_at_its_name() {
        fn check(path: &str, expected: Option<&str>) {
            assert_eq!(route(Path::new(path)).as_deref(), expected, "{path}");
        }
        check("/a/hamlet.txt", Some("/hamlet.txt"));
        check("King_Lear-1.txt", Some("/King_Lear-1.txt"));
        check("a b.txt", None);
        check("a%20.txt", None);
        check("/", None);
    }

    #[test]
    fn only_reading_the_one_file_is_served() {
        fn check(method: &Method, path: &str, expected: u16) {
            let text = Text {
                route: "/hamlet.txt".to_owned(),
                bytes: Bytes::from_static(b"To be"),
            };
            assert_eq!(
                text.answer(method, path).status(),
                expected,
                "{method} {path}"
            );
        }
        check(&Method::GET, "/hamlet.txt", 200);
        check(&Method::HEAD, "/hamlet.txt", 200);
        check(&Method::POST, "/hamlet.txt", 405);
        check(&Method::GET, "/", 404);
        check(&Method::GET, "/../hamlet.txt", 404);
        check(&Method::DELETE, "/lear.txt", 404);
    }
}
