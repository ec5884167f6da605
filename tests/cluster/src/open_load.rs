//! Sends requests at a fixed rate from the network of a node, each over a connection of its own.
//!
//! The rate does not depend on the answers: requests to a function that stalls go on, as those of
//! independent clients would. The requests start in the test's own process, so they do not depend
//! on containerd.

use std::fs::File;
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::load_report::{Exchange, Failure, LoadReport};
use crate::{Node, Pending, TEST_TIMEOUT, until};

/// How long an answer may take: far longer than any function of a load works. A connection to an
/// address that is gone would end much later.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(1);

/// The delay before a refused connection is tried again.
const RETRY_INTERVAL: Duration = Duration::from_millis(20);

/// How many more answers of each function prove that it goes on.
const MORE: u64 = 5;

/// How many bytes of a wrong answer are reported.
const SHOWN: usize = 300;

/// A function that a load calls.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its name.
    pub name: String,
    /// The address and the port of its Service.
    pub address: SocketAddr,
    /// The path of the requests.
    pub path: &'static str,
    /// A text that the body of each right answer contains, and no other function's.
    pub expected: String,
}

/// What the thread of a load and its test share.
#[derive(Debug)]
struct Progress {
    is_stopped: AtomicBool,
    /// The count of right answers of each target.
    right: Vec<AtomicU64>,
}

/// A running load. It ends when this is dropped; if its test fails, it prints its report.
#[derive(Debug)]
pub struct OpenLoad {
    begun: Instant,
    phases: Vec<(Duration, String)>,
    progress: Arc<Progress>,
    thread: Option<JoinHandle<Vec<Exchange>>>,
}

impl OpenLoad {
    /// Starts the load: this many requests a second in total, to the targets in turn, from the
    /// network of a node.
    pub fn start(node: &Node, targets: Vec<Target>, rate: u32) -> OpenLoad {
        let progress = Arc::new(Progress {
            is_stopped: AtomicBool::new(false),
            right: targets.iter().map(|_| AtomicU64::new(0)).collect(),
        });
        let begun = Instant::now();
        let (netns, shared) = (node.netns.clone(), Arc::clone(&progress));
        let interval = Duration::from_secs(1) / rate;
        // Sockets stay in the network of the thread that makes them, so all run on this one.
        let thread = thread::Builder::new().name("load".to_owned());
        let thread = thread.spawn(move || {
            enter(&netns);
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            let runtime = runtime.expect("failed to make a runtime");
            runtime.block_on(send(targets, interval, begun, &shared))
        });
        OpenLoad {
            begun,
            phases: Vec::new(),
            progress,
            thread: Some(thread.expect("failed to start a thread")),
        }
    }

    /// The time since the start of the load.
    pub fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Records what happens from now on, for the report: "the pool rolls out".
    pub fn enter(&mut self, phase: &str) {
        let now = self.elapsed();
        eprintln!("at {now:.1?}: {phase}");
        self.phases.push((now, phase.to_owned()));
    }

    /// Waits until every function has given some more right answers.
    pub fn wait_for_answers(&self) -> Pending<'_, ()> {
        let before = self.counts();
        until("every function of the load answers", move || {
            self.assert_running();
            let now = self.counts();
            let mut both = now.iter().zip(&before);
            both.all(|(now, before)| now - before >= MORE)
        })
    }

    /// Waits until there are this many right answers in total.
    pub fn wait_for_total(&self, total: u64) -> Pending<'_, ()> {
        until("the load has its count of right answers", move || {
            self.assert_running();
            self.counts().iter().sum::<u64>() >= total
        })
    }

    /// Stops the load, waits for the last answers, and returns all requests.
    pub fn stop(mut self) -> LoadReport {
        self.end().expect("the load runs")
    }

    fn counts(&self) -> Vec<u64> {
        let all = self.progress.right.iter();
        all.map(|count| count.load(Ordering::Relaxed)).collect()
    }

    fn assert_running(&self) {
        let thread = self.thread.as_ref();
        let is_running = thread.is_some_and(|thread| !thread.is_finished());
        assert!(is_running, "the thread of the load has ended");
    }

    /// `None` if the load has ended before.
    fn end(&mut self) -> Option<LoadReport> {
        self.progress.is_stopped.store(true, Ordering::Relaxed);
        let exchanges = self.thread.take()?.join();
        Some(LoadReport {
            exchanges: exchanges.expect("the thread of the load panicked"),
            phases: std::mem::take(&mut self.phases),
        })
    }
}

impl Drop for OpenLoad {
    fn drop(&mut self) {
        self.progress.is_stopped.store(true, Ordering::Relaxed);
        // A second panic would hide the first one.
        let Some(ended) = self.thread.take().map(JoinHandle::join) else {
            return;
        };
        match ended {
            Ok(exchanges) if thread::panicking() => {
                let phases = std::mem::take(&mut self.phases);
                eprintln!("--- the load: {}", LoadReport { exchanges, phases });
            }
            Ok(_) => {}
            Err(_) => eprintln!("--- the thread of the load panicked"),
        }
    }
}

fn enter(netns: &Path) {
    let network = File::open(netns).unwrap_or_else(|error| panic!("{}: {error}", netns.display()));
    let entered = move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network));
    entered.unwrap_or_else(|error| panic!("failed to enter {}: {error}", netns.display()));
}

/// Sends requests until the load is stopped. A tick that is late is made up for.
async fn send(
    targets: Vec<Target>,
    interval: Duration,
    begun: Instant,
    progress: &Arc<Progress>,
) -> Vec<Exchange> {
    let mut ticks = tokio::time::interval(interval);
    let (mut running, mut ended) = (JoinSet::new(), Vec::new());
    let targets: Vec<_> = targets.into_iter().map(Arc::new).collect();
    for (number, target) in targets.iter().enumerate().cycle() {
        let due = ticks.tick().await.into_std();
        if progress.is_stopped.load(Ordering::Relaxed) {
            break;
        }
        let (target, progress) = (Arc::clone(target), Arc::clone(progress));
        running.spawn(async move {
            let exchange = exchange(&target, due.saturating_duration_since(begun), begun).await;
            if exchange.failure.is_none() {
                progress.right[number].fetch_add(1, Ordering::Relaxed);
            }
            exchange
        });
        while let Some(exchange) = running.try_join_next() {
            ended.push(exchange.expect("a request of the load panicked"));
        }
    }
    ended.extend(running.join_all().await);
    ended
}

/// Why an attempt gave no right answer.
enum AttemptError {
    /// The connection was refused, so nothing was sent.
    Refused,
    Failed(Failure),
}

/// Sends a request, and connects again as long as the connection is refused.
async fn exchange(target: &Target, due: Duration, clock: Instant) -> Exchange {
    let mut refused = None;
    loop {
        let begun = clock.elapsed();
        let attempt = timeout(ANSWER_TIMEOUT, attempt(target)).await;
        let failure = match attempt {
            Ok(Ok(())) => None,
            Ok(Err(AttemptError::Failed(failure))) => Some(failure),
            Err(_) => Some(no_answer(format!("nothing in {ANSWER_TIMEOUT:?}"))),
            Ok(Err(AttemptError::Refused)) => {
                let first = *refused.get_or_insert(clock.elapsed());
                if clock.elapsed().saturating_sub(first) < TEST_TIMEOUT {
                    tokio::time::sleep(RETRY_INTERVAL).await;
                    continue;
                }
                Some(no_answer(format!("refused for {TEST_TIMEOUT:?}")))
            }
        };
        return Exchange {
            function: target.name.clone(),
            due,
            begun,
            refused,
            ended: clock.elapsed(),
            failure,
        };
    }
}

async fn attempt(target: &Target) -> Result<(), AttemptError> {
    let stream = TcpStream::connect(target.address).await;
    let stream = stream.map_err(|error| match error.kind() {
        std::io::ErrorKind::ConnectionRefused => AttemptError::Refused,
        _ => AttemptError::Failed(no_answer(format!("failed to connect: {error}"))),
    })?;
    let answer = ask(stream, target).await;
    let (status, body) =
        answer.map_err(|error| AttemptError::Failed(no_answer(format!("{error:?}"))))?;
    let text = String::from_utf8_lossy(&body);
    if status == StatusCode::OK && text.contains(&target.expected) {
        return Ok(());
    }
    let shown: String = text.chars().take(SHOWN).collect();
    let wrong = Failure::WrongAnswer(format!("{status}: {shown}"));
    Err(AttemptError::Failed(wrong))
}

fn no_answer(cause: String) -> Failure {
    Failure::NoAnswer(cause)
}

/// Sends the request, and reads the whole answer.
async fn ask(stream: TcpStream, target: &Target) -> Result<(StatusCode, Bytes), hyper::Error> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // The task ends with the sender, and a failure of it is also one of the request.
    tokio::spawn(connection);
    let request = Request::get(target.path)
        .header(HOST, &target.name)
        .body(Empty::<Bytes>::new())
        .expect("a path and a name are a request");
    let (head, body) = sender.send_request(request).await?.into_parts();
    Ok((head.status, body.collect().await?.to_bytes()))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    fn target(address: SocketAddr) -> Target {
        Target {
            name: "probe".to_owned(),
            address,
            path: "/variables",
            expected: "probe".to_owned(),
        }
    }

    /// Gives each connection this answer, and closes it.
    async fn serve(listener: TcpListener, answer: &'static [u8]) {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            // One read holds the whole request. The client may have gone away.
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(answer).await;
        }
    }

    #[tokio::test]
    async fn only_a_whole_answer_of_the_right_function_is_right() {
        let check = async |answer: &'static [u8], is_expected: fn(Option<&Failure>) -> bool| {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let target = target(listener.local_addr().expect("an address"));
            let server = tokio::spawn(serve(listener, answer));
            let found = exchange(&target, Duration::ZERO, Instant::now()).await;
            assert!(is_expected(found.failure.as_ref()), "{found:?}");
            assert_eq!(found.refused, None);
            server.abort();
        };
        let right = |failure: Option<&Failure>| failure.is_none();
        let none = |failure: Option<&Failure>| matches!(failure, Some(Failure::NoAnswer(_)));
        let wrong = |failure: Option<&Failure>| matches!(failure, Some(Failure::WrongAnswer(_)));
        let whole = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nthe probe";
        check(whole, right).await;
        check(&whole[..whole.len() - 1], none).await;
        check(b"", none).await;
        let other = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
        check(other, wrong).await;
        let busy = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 5\r\n\r\nprobe";
        check(busy, wrong).await;
    }

    #[tokio::test]
    async fn a_refused_connection_is_no_lost_request() {
        let socket = TcpSocket::new_v4().expect("a socket");
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        socket.bind(any).expect("a port");
        // Nothing listens at the port.
        let target = target(socket.local_addr().expect("an address"));
        let refused = attempt(&target).await;
        assert!(matches!(refused, Err(AttemptError::Refused)));
    }
}
