//! Looking at pods from inside their node's network, where alone they can be reached: a thread of its own enters
//! that network namespace and asks; its sockets stay there.

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

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// A job for the thread.
type Job = Box<dyn FnOnce() + Send>;

/// A thread inside a network namespace. It ends when this is dropped.
#[derive(Clone, Debug)]
pub(crate) struct Inside(mpsc::Sender<Job>);

impl Inside {
    /// Enters a network namespace.
    pub(crate) fn enter(netns: &Path) -> Result<Self> {
        let (jobs, queue) = mpsc::channel::<Job>();
        let (entered, answer) = mpsc::channel();
        let path: PathBuf = netns.to_owned();
        thread::Builder::new()
            .name("inside".into())
            .spawn(move || {
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

    /// Runs something there. Jobs run one after the other; threads that one starts are there as well.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (send, answer) = oneshot::channel();
        let job: Job = Box::new(move || {
            // Whoever asked may have gone away.
            drop(send.send(job()));
        });
        self.0
            .send(job)
            .map_err(|_| anyhow!("the thread has ended"))?;
        answer.await.context("the thread has ended")?
    }

    /// Gets a path over a connection of its own; the answer's status and body.
    pub(crate) async fn get(&self, address: SocketAddr, path: &str) -> Result<(u16, String)> {
        let path = path.to_owned();
        self.run(move || get(address, &path)).await
    }

    /// Asks again and again until the answer is 200, and says when it was.
    pub(crate) async fn until_ok(&self, address: SocketAddr, within: Duration) -> Result<Instant> {
        self.run(move || {
            let begun = Instant::now();
            loop {
                let outcome = get(address, "/");
                match outcome {
                    Ok((200, _)) => return Ok(Instant::now()),
                    _ if begun.elapsed() > within => {
                        bail!("{address} does not answer: {outcome:?}");
                    }
                    // A pause between two looks, not a wait: what is measured comes in milliseconds.
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

/// One request of HTTP/1.0, whose answer ends with its connection.
fn get(address: SocketAddr, path: &str) -> Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").context("half an answer")?;
    let status = head.split_whitespace().nth(1).context("no status")?;
    Ok((status.parse()?, body.to_owned()))
}
