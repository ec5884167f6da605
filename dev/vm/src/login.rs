//! Logs in to the machine as root over ssh. One connection is shared by all commands.

use std::io::{self, Read as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use sampan_checkout::child::command_until_exit;
use sampan_checkout::packages::is_available;

/// The delay between two attempts.
const RETRY_DELAY: Duration = Duration::from_millis(250);

/// How long the server may take to send its first line. QEMU accepts connections long before the
/// server runs.
const BANNER_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the exchange of keys may take under emulation.
const LOGIN_TIMEOUT: Duration = Duration::from_mins(1);

/// A login.
#[derive(Debug)]
pub(super) struct Login {
    port: u16,
    key: PathBuf,
    control: PathBuf,
    connection: Option<Child>,
}

impl Login {
    /// A login without a connection. ssh's control socket goes to the folder.
    pub(super) fn new(port: u16, key: PathBuf, folder: &Path) -> Self {
        Self {
            port,
            key,
            control: folder.join("ssh"),
            connection: None,
        }
    }

    /// Whether the server answers.
    pub(super) fn answers(&self) -> bool {
        let banner = || -> io::Result<[u8; 4]> {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
            let mut stream = TcpStream::connect_timeout(&address, BANNER_TIMEOUT)?;
            stream.set_read_timeout(Some(BANNER_TIMEOUT))?;
            let mut first = [0; 4];
            stream.read_exact(&mut first)?;
            Ok(first)
        };
        let answered = banner().is_ok_and(|first| &first == b"SSH-");
        if !answered {
            thread::sleep(RETRY_DELAY);
        }
        answered
    }

    /// Opens the shared connection.
    pub(super) fn connect(&mut self) -> Result<()> {
        let mut command = command_until_exit("KILL", "ssh");
        command.args(["-M", "-N"]);
        // If the machine hangs, commands end with an error after ten minutes.
        command.args([
            "-o",
            "ServerAliveInterval=60",
            "-o",
            "ServerAliveCountMax=10",
        ]);
        let child = self
            .options(&mut command)
            .stdin(Stdio::null())
            // ssh reports on stderr that the machine went away, which is expected at its end.
            .stderr(Stdio::null())
            .spawn();
        self.connection = Some(child.context("failed to start setpriv")?);
        let begun = Instant::now();
        while !is_available(self.options(Command::new("ssh").args(["-O", "check"]))) {
            if begun.elapsed() > LOGIN_TIMEOUT {
                bail!("no login within {} s", LOGIN_TIMEOUT.as_secs());
            }
            thread::sleep(RETRY_DELAY);
        }
        Ok(())
    }

    /// A command that runs a line in the machine's shell, as root.
    pub(super) fn command(&self, line: &str) -> Command {
        let mut command = Command::new("ssh");
        self.options(&mut command).arg(line);
        command
    }

    /// The command by which a person logs in.
    pub(super) fn ssh_command(&self) -> String {
        format!(
            "ssh -i {} -p {} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null root@127.0.0.1",
            self.key.display(),
            self.port
        )
    }

    fn options<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .arg("-i")
            .arg(&self.key)
            .arg("-S")
            .arg(&self.control)
            .args(["-p", &self.port.to_string()])
            // The machine belongs to this program and is reached on loopback only.
            .args(["-o", "StrictHostKeyChecking=no"])
            .args(["-o", "UserKnownHostsFile=/dev/null"])
            .args(["-o", "LogLevel=ERROR", "-o", "BatchMode=yes"])
            .arg("root@127.0.0.1")
    }
}

impl Drop for Login {
    fn drop(&mut self) {
        if let Some(mut connection) = self.connection.take() {
            // ssh may have ended with the machine.
            let _ = connection.kill();
            let _ = connection.wait();
        }
    }
}
