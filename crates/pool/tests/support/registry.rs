//! A registry on a loopback port with artifacts that a test pushes.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use sampan_artifact::{Artifact, Layout, Part, Source};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// `me:secret`, as HTTP and Docker's configuration have it.
pub(crate) const LOGIN: &str = "bWU6c2VjcmV0";

/// A registry. Dropping it closes it.
pub(crate) struct Registry {
    pub(crate) port: u16,
    contents: Arc<Contents>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Contents {
    /// The parts by path.
    parts: Mutex<HashMap<String, Part>>,
    /// Paths of all requests.
    seen: Mutex<Vec<String>>,
    /// Whether a request needs [`LOGIN`].
    private: AtomicBool,
    /// Whether a request with another one is answered as if there were no image.
    hidden: AtomicBool,
    /// Whether all requests fail.
    broken: AtomicBool,
    /// Whether answers wait.
    held: watch::Sender<bool>,
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Registry {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let contents = Arc::new(Contents::default());
        let served = Arc::clone(&contents);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                let served = Arc::clone(&served);
                tokio::spawn(async move {
                    // The client has disconnected.
                    drop(serve(stream, &served).await);
                });
            }
        });
        Self {
            port,
            contents,
            task,
        }
    }

    /// Pushes a module under a tag; returns its reference and its digest.
    pub(crate) fn push(&self, repository: &str, tag: &str, wasm: Vec<u8>) -> (String, String) {
        let source = Source {
            name: repository.parse().expect("a name"),
            wasm: Bytes::from(wasm),
            component: false,
            imports: Vec::new(),
            exports: Vec::new(),
            annotations: [].into(),
        };
        let artifact = Artifact::build(&source, Layout::Artifact).expect("an artifact");
        let mut parts = self.contents.parts.lock().expect("the parts");
        let digest = artifact.root.digest.to_string();
        for part in artifact.blobs {
            parts.insert(format!("/v2/{repository}/blobs/{}", part.digest), part);
        }
        for part in artifact.manifests.into_iter().chain([artifact.root]) {
            if part.digest.as_str() == digest {
                parts.insert(format!("/v2/{repository}/manifests/{tag}"), part.clone());
            }
            parts.insert(format!("/v2/{repository}/manifests/{}", part.digest), part);
        }
        (
            format!("127.0.0.1:{}/{repository}:{tag}", self.port),
            digest,
        )
    }

    /// Lets no request pass without [`LOGIN`].
    pub(crate) fn make_private(&self) {
        self.contents.private.store(true, Ordering::SeqCst);
    }

    /// Answers requests with another login than [`LOGIN`] as if there were no image.
    pub(crate) fn hide(&self) {
        self.contents.hidden.store(true, Ordering::SeqCst);
        self.make_private();
    }

    /// Lets all answers wait, or go.
    pub(crate) fn hold(&self, held: bool) {
        self.contents.held.send_replace(held);
    }

    pub(crate) fn set_broken(&self, broken: bool) {
        self.contents.broken.store(broken, Ordering::SeqCst);
    }

    /// How many requests had a path with this part.
    pub(crate) fn count(&self, part: &str) -> usize {
        let seen = self.contents.seen.lock().expect("the log");
        seen.iter().filter(|path| path.contains(part)).count()
    }
}

async fn serve(mut stream: TcpStream, contents: &Contents) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).await?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    contents.seen.lock().expect("the log").push(path.clone());
    let mut held = contents.held.subscribe();
    // The sender is a part of the registry.
    let _ = held.wait_for(|held| !held).await;
    let allowed = format!("authorization: basic {}", LOGIN.to_ascii_lowercase());
    let is_allowed = head
        .to_ascii_lowercase()
        .lines()
        .any(|line| line == allowed);
    let found = contents
        .parts
        .lock()
        .expect("the parts")
        .get(&path)
        .cloned();
    let is_anonymous = !head.to_ascii_lowercase().contains("\r\nauthorization:");
    let (status, more, body) = if contents.broken.load(Ordering::SeqCst) {
        (
            "503 Service Unavailable",
            "retry-after: 31\r\n".to_owned(),
            Bytes::new(),
        )
    } else if contents.hidden.load(Ordering::SeqCst) && !is_allowed && !is_anonymous {
        ("404 Not Found", String::new(), Bytes::new())
    } else if contents.private.load(Ordering::SeqCst) && !is_allowed {
        let more = "www-authenticate: Basic realm=\"registry\"\r\n".to_owned();
        ("401 Unauthorized", more, Bytes::new())
    } else if let Some(part) = found {
        let more = format!("content-type: {}\r\n", part.media_type);
        ("200 OK", more, part.bytes)
    } else {
        ("404 Not Found", String::new(), Bytes::new())
    };
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status}\r\n{more}content-length: {length}\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&body).await
}
