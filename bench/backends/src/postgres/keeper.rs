//! Runs the server under a keeper: a few lines of shell, which outlive us if they must. The keeper
//! holds a pipe from us; when that closes, because we closed it or because we died, however we died,
//! it stops the server, waits for it and removes the folder. So nothing has to be swept up later.

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

/// The arguments are the folder and the server's command. SIGINT is PostgreSQL's fast shutdown. The
/// loop is there because a signal to the keeper ends `wait` early.
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

/// How the server is set up: on the socket only, and fast rather than safe, because its rows need not
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
const STOP_TIME: Duration = Duration::from_secs(20);

/// How much of what it says is kept.
const KEPT_LINES: usize = 20;

/// A running server and its keeper.
pub(super) struct Keeper {
    pipe: Mutex<Option<ChildStdin>>,
    group: Pid,
    watched: Arc<Watched>,
}

#[derive(Default)]
struct Watched {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    said: VecDeque<String>,
    ended: bool,
}

impl Keeper {
    pub(super) fn start(
        postgres: &Path,
        account: Option<&Account>,
        folder: &Path,
    ) -> io::Result<Keeper> {
        let mut command = account::command(Path::new("/bin/sh"), account, folder);
        command.args(["-c", SCRIPT, "sampan-keeper"]).arg(folder);
        command.arg(postgres).arg("-D").arg(folder::data(folder));
        command.arg("-k").arg(folder::socket(folder));
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        let mut child = command.stdin(Stdio::piped()).spawn()?;
        let keeper = Keeper {
            pipe: Mutex::new(child.stdin.take()),
            group: Pid::from_child(&child),
            watched: Arc::default(),
        };
        let watched = Arc::clone(&keeper.watched);
        thread::Builder::new()
            .name("postgres".to_owned())
            .spawn(move || watched.watch(child))?;
        Ok(keeper)
    }

    /// Whether the server ended, for whatever reason.
    pub(super) fn ended(&self) -> bool {
        self.watched.lock().ended
    }

    /// The end of what the server said, on one line.
    pub(super) fn said(&self) -> String {
        let said = &self.watched.lock().said;
        said.iter()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join("; ")
    }

    /// Stops the server and waits for its end and for its folder's.
    pub(super) fn stop(&self) {
        // Closing the pipe is the order.
        drop(
            self.pipe
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
        if !self.watched.wait(STOP_TIME) {
            // It is stuck. A killed group can't be waited for in vain.
            let _gone = kill_process_group(self.group, Signal::KILL);
            self.watched.wait(STOP_TIME);
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for Keeper {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Keeper")
            .field("group", &self.group)
            .finish_non_exhaustive()
    }
}

impl Watched {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads what the server says until it and its keeper end.
    fn watch(&self, mut child: Child) {
        if let Some(stderr) = child.stderr.take() {
            self.read(stderr);
        }
        // The status adds nothing to what the server said.
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

    /// Whether it ended within the time.
    fn wait(&self, time: Duration) -> bool {
        let state = self.lock();
        let waited = self
            .changed
            .wait_timeout_while(state, time, |state| !state.ended);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.ended
    }
}
