//! Builds the request from the arguments.

use std::io;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use http::header::{ACCEPT, CONTENT_LENGTH, HOST, USER_AGENT};
use http::{Method, Request};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, Full, StreamBody};
use hyper::body::Frame;
use tokio::fs::File;
use tokio::io::AsyncRead;
use tokio_util::io::ReaderStream;

use crate::arguments::Invoke;
use crate::cluster::function::ClusterFunction;
use crate::failure::Failure;
use crate::values::Payload;

/// The request's body.
pub(super) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// The default of the header User-Agent.
const AGENT: &str = concat!("sampan/", env!("CARGO_PKG_VERSION"));

/// Builds the request. A file is opened now and read while it is sent.
pub(super) async fn build(
    arguments: &Invoke,
    function: &ClusterFunction,
) -> Result<Request<Body>, Failure> {
    let mut length = None;
    let body: Body = match &arguments.data {
        None => Empty::new().map_err(|never| match never {}).boxed_unsync(),
        Some(Payload::Text(text)) => {
            let text = Bytes::from(text.clone());
            Full::new(text)
                .map_err(|never| match never {})
                .boxed_unsync()
        }
        Some(Payload::Stdin) => streamed(tokio::io::stdin()),
        Some(Payload::File(path)) => {
            let failed = |error| Failure::read(path, &error);
            let file = File::open(path).await.map_err(failed)?;
            let metadata = file.metadata().await.map_err(failed)?;
            if metadata.is_dir() {
                return Err(failed(io::ErrorKind::IsADirectory.into()));
            }
            // The length of a pipe or a device means nothing.
            length = metadata.is_file().then_some(metadata.len());
            streamed(file)
        }
    };
    let mut request = head(arguments, function)
        .map_err(|error| Failure::system("no request can be made", &error))?;
    if let Some(length) = length {
        request.headers_mut().insert(CONTENT_LENGTH, length.into());
    }
    Ok(request.map(|()| body))
}

fn streamed(reader: impl AsyncRead + Send + 'static) -> Body {
    StreamBody::new(ReaderStream::new(reader).map_ok(Frame::data)).boxed_unsync()
}

fn head(arguments: &Invoke, function: &ClusterFunction) -> http::Result<Request<()>> {
    let posted = arguments.data.as_ref().map(|_| Method::POST);
    let method = arguments.method.clone().or(posted).unwrap_or(Method::GET);
    let mut request = Request::builder()
        .method(method)
        .uri(arguments.target.as_str())
        .header(
            HOST,
            format!("{}.{}.svc", function.name, function.namespace),
        )
        .header(USER_AGENT, AGENT)
        .header(ACCEPT, "*/*")
        .body(())?;
    let headers = request.headers_mut();
    for (name, _) in &arguments.headers {
        headers.remove(name);
    }
    for (name, value) in &arguments.headers {
        headers.append(name, value.clone());
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::arguments::{Arguments, Command};
    use crate::cluster::function::tests::function;

    fn arguments(words: &[&str]) -> Invoke {
        let words = ["sampan", "invoke", "hello"].iter().chain(words);
        match Arguments::try_parse_from(words)
            .expect("known arguments")
            .command
        {
            Command::Invoke(invoke) => invoke,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn arguments_become_a_request() {
        fn check(words: &[&str], expected: (&str, &str), headers: &[(&str, &str)]) {
            let request = head(&arguments(words), &function(1, &[])).expect("a request");
            assert_eq!(
                (
                    request.method().as_str(),
                    request.uri().to_string().as_str()
                ),
                expected
            );
            for (name, value) in headers {
                let found: Vec<_> = request.headers().get_all(*name).iter().collect();
                let found: Vec<_> = found
                    .iter()
                    .map(|value| value.to_str().expect("text"))
                    .collect();
                assert_eq!(found.join(", "), *value, "{words:?}");
            }
        }
        check(
            &[],
            ("GET", "/"),
            &[("host", "hello.shop.svc"), ("accept", "*/*")],
        );
        check(&["?n=1"], ("GET", "/?n=1"), &[]);
        check(&["/a", "-d", "x"], ("POST", "/a"), &[]);
        check(&["/a", "-X", "PUT", "-d", "x"], ("PUT", "/a"), &[]);
        check(
            &["-H", "Host: a.example", "-H", "X: 1", "-H", "X: 2"],
            ("GET", "/"),
            &[("host", "a.example"), ("x", "1, 2")],
        );
    }

    #[tokio::test]
    async fn bodies_equal_the_given_data() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("body");
        std::fs::write(&file, vec![7; 200_000]).expect("a file");
        let check = async |words: &[&str], length: Option<&str>, expected: &[u8]| {
            let request = build(&arguments(words), &function(1, &[]))
                .await
                .expect("a request");
            let found = request
                .headers()
                .get(CONTENT_LENGTH)
                .map(|value| value.to_str().expect("text").to_owned());
            assert_eq!(found.as_deref(), length, "{words:?}");
            let bytes = request
                .into_body()
                .collect()
                .await
                .expect("a body")
                .to_bytes();
            assert_eq!(bytes, expected, "{words:?}");
        };
        check(&[], None, b"").await;
        check(&["-d", "text"], None, b"text").await;
        let named = format!("@{}", file.display());
        check(&["-d", &named], Some("200000"), &vec![7; 200_000]).await;
        let missing = build(&arguments(&["-d", "@missing"]), &function(1, &[])).await;
        assert_eq!(
            missing.expect_err("no file").exit,
            crate::exit::Exit::Missing
        );
        let folder = format!("@{}", folder.path().display());
        let folder = build(&arguments(&["-d", &folder]), &function(1, &[])).await;
        assert_eq!(
            folder.expect_err("a folder").exit,
            crate::exit::Exit::Missing
        );
    }
}
