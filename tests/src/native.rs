//! Runs the native program of a function as a process.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use rustix::process::Signal;
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use crate::answer::{Answer, get};
use crate::pending::Pending;
use crate::process::{Process, TEST_TIMEOUT};

/// The delay between two looks at its log while it starts.
const POLL_INTERVAL: std::time::Duration = std::time::Duration::from_millis(5);

/// A program that serves one function. It is killed when this is dropped.
#[derive(Debug)]
pub struct Native {
    process: Process,
    address: SocketAddr,
}

impl Native {
    /// Starts it on a free port, with only these variables in its environment.
    pub fn start(program: &Path, environment: &[(&str, String)]) -> Pending<'static, Native> {
        let mut command = Command::new(program);
        command
            .args(["--listen", "127.0.0.1:0"])
            .env_clear()
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::null());
        Box::pin(Native::follow(command))
    }

    async fn follow(mut command: Command) -> Native {
        let mut process = Process::start(&mut command);
        let begun = Instant::now();
        let address = loop {
            let said = process.stderr().expect("its log can be read");
            if let Some(address) = address(&said) {
                break address;
            }
            let ended = process.child().try_wait();
            let ended = ended.expect("it can be waited for");
            assert!(ended.is_none(), "{command:?} ended: {ended:?}");
            assert!(begun.elapsed() < TEST_TIMEOUT, "it never listens: {said}");
            sleep(POLL_INTERVAL).await;
        };
        Native { process, address }
    }

    /// Gets a path.
    pub async fn call(&self, path: &str) -> Answer {
        get(self.address, &self.address.to_string(), path).await
    }

    /// Sends it SIGTERM, and does not wait.
    pub fn terminate(&self) {
        self.process.signal(Signal::TERM);
    }

    /// The address on which it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until it ends.
    pub fn ended(mut self) -> Pending<'static, ExitStatus> {
        Box::pin(async move { self.process.ended().await })
    }

    /// Sends it SIGTERM, as a service manager does, and waits for its end.
    pub fn stop(mut self) -> Pending<'static, ExitStatus> {
        Box::pin(async move { self.process.stop().await })
    }
}

/// The address in `NAME listens on http://ADDRESS`, once the line is complete.
fn address(said: &str) -> Option<SocketAddr> {
    let (line, _) = said.split_once('\n')?;
    let (_, address) = line.split_once(" listens on http://")?;
    address.parse().ok()
}
