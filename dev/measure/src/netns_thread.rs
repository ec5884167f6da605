//! Runs code in a node's network namespace, from where alone its pods can be reached.
//!
//! A thread of its own enters the namespace; its sockets stay there.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::sync::oneshot;

/// The timeout of one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// A job for the thread.
type Job = Box<dyn FnOnce() + Send>;

/// A thread inside a network namespace. It ends when this is dropped.
#[derive(Clone, Debug)]
pub struct NetnsThread(mpsc::Sender<Job>);

impl NetnsThread {
    /// Enters a network namespace.
    pub fn enter(netns: &Path) -> Result<Self> {
        let (jobs, queue) = mpsc::channel::<Job>();
        let (entered, answer) = mpsc::channel();
        let path: PathBuf = netns.to_owned();
        thread::Builder::new().name("netns".into()).spawn(move || {
            let outcome = enter(&path);
            let is_inside = outcome.is_ok();
            if entered.send(outcome).is_err() || !is_inside {
                return;
            }
            for job in queue {
                job();
            }
        })?;
        answer.recv().context("the thread has ended")??;
        Ok(Self(jobs))
    }

    /// Runs a job in the namespace. Jobs run one after the other; threads that a job starts are in
    /// the namespace as well.
    pub async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (send, answer) = oneshot::channel();
        let job: Job = Box::new(move || {
            // The caller may have ended.
            drop(send.send(job()));
        });
        self.0
            .send(job)
            .map_err(|_| anyhow!("the thread has ended"))?;
        answer.await.context("the thread has ended")?
    }

    /// Gets a path over a connection of its own, and returns the status and the body.
    pub async fn get(&self, address: SocketAddr, path: &str) -> Result<(u16, String)> {
        let path = path.to_owned();
        self.run(move || get(address, &path)).await
    }

    /// Repeats a request until the status is 200, and returns the time of that.
    pub async fn until_ok(&self, address: SocketAddr, within: Duration) -> Result<Instant> {
        self.run(move || {
            let begun = Instant::now();
            loop {
                let outcome = get(address, "/");
                match outcome {
                    Ok((200, _)) => return Ok(Instant::now()),
                    _ if begun.elapsed() > within => {
                        bail!("{address} does not answer: {outcome:?}");
                    }
                    // A short delay between two requests, because the measured times are
                    // milliseconds.
                    _ => thread::sleep(Duration::from_micros(500)),
                }
            }
        })
        .await
    }
}

fn enter(netns: &Path) -> Result<()> {
    let file = File::open(netns).with_context(|| format!("failed to open {}", netns.display()))?;
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
        .with_context(|| format!("failed to enter {}; this needs root", netns.display()))
}

/// One HTTP/1.0 request; the answer ends with its connection.
fn get(address: SocketAddr, path: &str) -> Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, REQUEST_TIMEOUT)?;
    stream.set_read_timeout(Some(REQUEST_TIMEOUT))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .context("the answer is incomplete")?;
    let status = head
        .split_whitespace()
        .nth(1)
        .context("the answer has no status")?;
    Ok((status.parse()?, body.to_owned()))
}
