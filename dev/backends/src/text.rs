//! The text server: serves one file, which is read once, under `/` and under its name.

use std::io;
use std::path::{Path, PathBuf};

use axum::Router;
use axum::body::Bytes;
use axum::response::IntoResponse;
use axum::routing::get;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use thiserror::Error;

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

    /// Its only route. The router answers HEAD with the length of the answer to GET, and adds
    /// `Allow` to the refusal of other methods.
    pub(crate) fn router(self) -> Router {
        let Text { route, bytes } = self;
        let absent = plain(StatusCode::NOT_FOUND, format!("there is only {route}\n"));
        let other_method = plain(StatusCode::METHOD_NOT_ALLOWED, "use GET or HEAD\n");
        let text = get(plain(StatusCode::OK, bytes)).fallback(|| async { other_method });
        Router::new()
            .route(&route, text)
            .fallback(|| async { absent })
    }
}

fn route(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    name.bytes().all(plain).then(|| format!("/{name}"))
}

fn plain(status: StatusCode, body: impl Into<Bytes>) -> impl IntoResponse + Clone {
    let media_type = [(CONTENT_TYPE, "text/plain; charset=utf-8")];
    (status, media_type, body.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    use axum::body::Body;
    use http::{Method, Request};
    use tower::ServiceExt as _;

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

    #[tokio::test]
    async fn only_reading_the_one_file_is_served() {
        async fn check(method: Method, path: &str, expected: (u16, Option<&str>)) {
            let text = Text {
                route: "/hamlet.txt".to_owned(),
                bytes: Bytes::from_static(b"To be"),
            };
            let context = format!("{method} {path}");
            let mut request = Request::new(Body::empty());
            *request.method_mut() = method;
            *request.uri_mut() = path.parse().unwrap();
            let answer = text.router().oneshot(request).await.unwrap();
            let allow = answer
                .headers()
                .get("allow")
                .map(|allow| allow.to_str().unwrap());
            assert_eq!((answer.status().as_u16(), allow), expected, "{context}");
        }
        check(Method::GET, "/hamlet.txt", (200, None)).await;
        check(Method::HEAD, "/hamlet.txt", (200, None)).await;
        check(Method::POST, "/hamlet.txt", (405, Some("GET,HEAD"))).await;
        check(Method::GET, "/", (404, None)).await;
        check(Method::GET, "/../hamlet.txt", (404, None)).await;
        check(Method::DELETE, "/lear.txt", (404, None)).await;
    }
}
