//! A network of a test's own, with nothing but a loopback device.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};

type Job = Box<dyn FnOnce() + Send>;

/// A network namespace that a thread keeps.
pub(crate) struct Network {
    path: PathBuf,
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Network {
    pub(crate) fn new() -> Self {
        let (jobs, work) = channel::<Job>();
        let (tell, told) = channel();
        let thread = thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace");
            let up = Command::new("ip")
                .args(["link", "set", "lo", "up"])
                .status();
            assert!(up.is_ok_and(|up| up.success()), "iproute2 is installed");
            let task = nix::unistd::gettid().as_raw();
            let own = std::process::id();
            tell.send(PathBuf::from(format!("/proc/{own}/task/{task}/ns/net")))
                .expect("somebody waits");
            for job in work {
                job();
            }
        });
        Self {
            path: told.recv().expect("the namespace is there"),
            jobs: Some(jobs),
            thread: Some(thread),
        }
    }

    pub(crate) fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// What is answered to a request for this path.
    pub(crate) fn get(&self, address: SocketAddr, path: &str) -> io::Result<String> {
        let (tell, told) = channel();
        let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
        let job = move || {
            let asked = ask(address, &request);
            let _ = tell.send(asked);
        };
        let jobs = self.jobs.as_ref().expect("not dropped");
        jobs.send(Box::new(job)).expect("the thread lives");
        told.recv().expect("an answer")
    }
}

fn ask(address: SocketAddr, request: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(10))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    stream.write_all(request.as_bytes())?;
    let mut text = Vec::new();
    stream.read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

impl Drop for Network {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has failed the test already.
            let _ = thread.join();
        }
    }
}
