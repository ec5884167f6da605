//! Runs the server under a supervising shell, which outlives this process if needed.
//!
//! The shell holds a pipe from this process. When the pipe closes, the shell stops the server,
//! waits for its end and removes the folder. The kernel closes the pipe even if this process is
//! killed, so nothing has to be cleaned up later.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdin, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use super::account::{self, Account};
use super::folder;

/// The arguments are the folder and the server's command. SIGINT is PostgreSQL's fast shutdown. A
/// signal to the shell ends `wait` early, hence the loop.
const SCRIPT: &str = r#"
exec 3<&0 </dev/null
folder=$1; shift
"$@" 3<&- &
server=$! status=1
trap 'kill -INT "$server"' HUP INT TERM
{ read -r _ <&3; kill -INT "$server"; } 2>/dev/null &
watcher=$!
exec 3<&-
while kill -0 "$server" 2>/dev/null; do wait "$server"; status=$?; done
kill "$watcher" 2>/dev/null
cd / && rm -rf -- "$folder"
exit "$status"
"#;

/// The server's settings: a socket only, and fast rather than durable, because its rows need not
/// survive a crash.
const SETTINGS: [&str; 8] = [
    "listen_addresses=",
    "unix_socket_permissions=0700",
    "fsync=off",
    "full_page_writes=off",
    "synchronous_commit=off",
    "wal_level=minimal",
    "max_wal_senders=0",
    "max_connections=100",
];

/// How long a stop may take before the server is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);

/// How many lines of its stderr are kept.
const KEPT_LINES: usize = 20;

/// A running server and its supervising shell.
pub(super) struct Supervisor {
    pipe: Mutex<Option<ChildStdin>>,
    group: Pid,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    said: VecDeque<String>,
    ended: bool,
}

impl Supervisor {
    pub(super) fn start(
        postgres: &Path,
        account: Option<&Account>,
        folder: &Path,
    ) -> io::Result<Supervisor> {
        let mut command = account::command(Path::new("/bin/sh"), account, folder);
        command.args(["-c", SCRIPT, "sampan-postgres"]).arg(folder);
        command.arg(postgres).arg("-D").arg(folder::data(folder));
        command.arg("-k").arg(folder::socket(folder));
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        let mut child = command.stdin(Stdio::piped()).spawn()?;
        let supervisor = Supervisor {
            pipe: Mutex::new(child.stdin.take()),
            group: Pid::from_child(&child),
            shared: Arc::default(),
        };
        let shared = Arc::clone(&supervisor.shared);
        thread::Builder::new()
            .name("postgres".to_owned())
            .spawn(move || shared.watch(child))?;
        Ok(supervisor)
    }

    /// Whether the server has ended.
    pub(super) fn ended(&self) -> bool {
        self.shared.lock().ended
    }

    /// The end of the server's stderr, on one line.
    pub(super) fn stderr_tail(&self) -> String {
        let said = &self.shared.lock().said;
        said.iter()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join("; ")
    }

    /// Stops the server, and waits for its end and for the removal of its folder.
    pub(super) fn stop(&self) {
        // The shell stops the server when the pipe closes.
        drop(
            self.pipe
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
        if !self.shared.wait(STOP_TIMEOUT) {
            // It hangs. A killed process group always ends, so the second wait succeeds.
            let _gone = kill_process_group(self.group, Signal::KILL);
            self.shared.wait(STOP_TIMEOUT);
        }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Supervisor")
            .field("group", &self.group)
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the server's stderr until the server and the shell end.
    fn watch(&self, mut child: Child) {
        if let Some(stderr) = child.stderr.take() {
            self.read(stderr);
        }
        // The exit status adds nothing to the server's stderr.
        let _status = child.wait();
        self.lock().ended = true;
        self.changed.notify_all();
    }

    fn read(&self, stderr: ChildStderr) {
        for line in BufReader::new(stderr).split(b'\n') {
            let Ok(line) = line else { return };
            let mut state = self.lock();
            if state.said.len() == KEPT_LINES {
                state.said.pop_front();
            }
            state
                .said
                .push_back(String::from_utf8_lossy(&line).into_owned());
        }
    }

    /// Waits for the end; whether it came in time.
    fn wait(&self, time: Duration) -> bool {
        let state = self.lock();
        let waited = self
            .changed
            .wait_timeout_while(state, time, |state| !state.ended);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.ended
    }
}
