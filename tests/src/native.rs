//! The native program of a function, as a process.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use rustix::process::Signal;
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use crate::answer::{Answer, get};
use crate::pending::Pending;
use crate::process::{PATIENCE, Process};

/// How often its log is looked at while it starts.
const LOOK: std::time::Duration = std::time::Duration::from_millis(5);

/// A program that answers as one function. It is killed when this is dropped.
#[derive(Debug)]
pub struct Native {
    process: Process,
    address: SocketAddr,
}

impl Native {
    /// Starts it on a free port, with nothing in its environment but these variables.
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
            let said = process.said().expect("its log can be read");
            if let Some(address) = address(&said) {
                break address;
            }
            let ended = process.child().try_wait();
            let ended = ended.expect("it can be waited for");
            assert!(ended.is_none(), "{command:?} ended: {ended:?}");
            assert!(begun.elapsed() < PATIENCE, "it never listens: {said}");
            sleep(LOOK).await;
        };
        Native { process, address }
    }

    /// Gets a path.
    pub async fn call(&self, path: &str) -> Answer {
        get(self.address, &self.address.to_string(), path).await
    }

    /// Asks it to end, and does not wait.
    pub fn terminate(&self) {
        self.process.signal(Signal::TERM);
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until it ends by itself.
    pub fn ended(mut self) -> Pending<'static, ExitStatus> {
        Box::pin(async move { self.process.ended().await })
    }

    /// Ends it as a service manager would, and waits for its end.
    pub fn stop(mut self) -> Pending<'static, ExitStatus> {
        Box::pin(async move { self.process.stop().await })
    }
}

/// The address in `NAME listens on http://ADDRESS`, once the line is whole.
fn address(said: &str) -> Option<SocketAddr> {
    let (line, _) = said.split_once('\n')?;
    let (_, address) = line.split_once(" listens on http://")?;
    address.parse().ok()
}
