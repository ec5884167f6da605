//! An HTTP/1.1 server that functions call. A test can look at its requests.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::pending::Pending;

/// A server that answers every request with 200 and the text `ok`. It ends when this is dropped.
#[derive(Debug)]
pub struct Upstream {
    address: SocketAddr,
    state: Arc<State>,
    task: JoinHandle<()>,
}

/// A request as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The method.
    pub method: String,
    /// The whole body, as text.
    pub body: String,
    /// How the body was framed: `chunked`, its length, or nothing.
    pub framing: String,
}

#[derive(Debug, Default)]
struct State {
    seen: Mutex<Vec<Seen>>,
    open: AtomicUsize,
    /// The most requests at once.
    most: watch::Sender<usize>,
    /// How many requests must have been in progress at once before any is answered.
    awaited: usize,
}

/// Runs a task for each connection to a free port.
pub async fn listen<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it has one");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    address
}

impl Upstream {
    /// Serves on a free port of the loopback address.
    pub fn start() -> Pending<'static, Upstream> {
        Self::start_waiting_for(0)
    }

    /// Serves like [`Upstream::start`], but answers nothing until this many requests are in progress
    /// at once.
    pub fn start_waiting_for(awaited: usize) -> Pending<'static, Upstream> {
        Box::pin(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await;
            let listener = listener.expect("there is a free port");
            let address = listener.local_addr().expect("it has an address");
            let state = Arc::new(State {
                awaited,
                ..State::default()
            });
            let task = tokio::spawn(serve(listener, Arc::clone(&state)));
            Upstream {
                address,
                state,
                task,
            }
        })
    }

    /// The address on which it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// All requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        let seen = self.state.seen.lock();
        seen.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The most requests that were in progress at once.
    pub fn most_at_once(&self) -> usize {
        *self.state.most.borrow()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, state: Arc<State>) {
    while let Ok((stream, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        let service = service_fn(move |request| answer(Arc::clone(&state), request));
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        // The end of a connection is its client's matter.
        tokio::spawn(async move { drop(connection.await) });
    }
}

async fn answer(
    state: Arc<State>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let open = state.open.fetch_add(1, Ordering::SeqCst) + 1;
    state.most.send_modify(|most| *most = open.max(*most));
    let (head, body) = request.into_parts();
    let framing = [TRANSFER_ENCODING, CONTENT_LENGTH]
        .iter()
        .find_map(|name| head.headers.get(name))
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let body = match body.collect().await {
        Ok(body) => String::from_utf8_lossy(&body.to_bytes()).into_owned(),
        Err(error) => format!("broken off: {error}"),
    };
    state
        .seen
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(Seen {
            method: head.method.to_string(),
            body,
            framing: framing.unwrap_or_default(),
        });
    let mut most = state.most.subscribe();
    let enough = most.wait_for(|most| *most >= state.awaited).await;
    drop(enough.expect("its sender is here"));
    state.open.fetch_sub(1, Ordering::SeqCst);
    Ok(Response::new(Full::from("ok")))
}
