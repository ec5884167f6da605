//! Shared code of the tests: an HTTP client, and waiting for a condition.
#![allow(
    dead_code,
    clippy::allow_attributes,
    clippy::unwrap_used,
    reason = "each test program uses a part of it, and a test fails where it stands"
)]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

/// Longer than any wait takes here.
const TEST_TIMEOUT: Duration = Duration::from_mins(1);

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {:?} {:?}", self.status, self.body))
    }
}

pub(crate) struct Http(Client<HttpConnector, Full<Bytes>>);

impl Http {
    pub(crate) fn new() -> Http {
        Http(Client::builder(TokioExecutor::new()).build_http())
    }

    pub(crate) async fn send(&self, method: Method, url: &str, body: impl Into<Bytes>) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(url)
            .body(Full::new(body.into()))
            .unwrap();
        let (head, body) = self.0.request(request).await.unwrap().into_parts();
        Answer {
            status: head.status,
            headers: head.headers,
            body: body.collect().await.unwrap().to_bytes(),
        }
    }

    pub(crate) async fn get(&self, url: &str) -> Answer {
        self.send(Method::GET, url, Bytes::new()).await
    }
}

/// Waits until the condition holds, and checks it every few milliseconds.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < TEST_TIMEOUT, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The processes with the path in their command line.
pub(crate) fn processes_of(path: &Path) -> Vec<PathBuf> {
    let path = path.to_str().unwrap().as_bytes();
    let entries = std::fs::read_dir("/proc").unwrap();
    let processes = entries.filter_map(|entry| Some(entry.ok()?.path()));
    processes
        .filter(|process| {
            let command = std::fs::read(process.join("cmdline")).unwrap_or_default();
            command.windows(path.len()).any(|part| part == path)
        })
        .collect()
}
