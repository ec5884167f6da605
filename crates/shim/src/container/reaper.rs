//! Reaps every child of the supervisor, adopted ones included, and notifies the tasks that wait for one.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rustix::process::{WaitOptions, WaitStatus, wait};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exit {
    /// Its exit code, or 128 and the number of the signal that ended it.
    pub(crate) code: u32,
    /// When it was reaped.
    pub(crate) at: SystemTime,
}

/// How long an exit is kept before a task asks for it: the first process of a container may end before the supervisor
/// knows its number.
const UNCLAIMED_TIMEOUT: Duration = Duration::from_secs(30);

/// Gives exits to the tasks that wait for them. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Reaper(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    waiting: HashMap<i32, oneshot::Sender<Exit>>,
    unclaimed: VecDeque<(i32, Exit, Instant)>,
}

impl Reaper {
    /// Takes over the children of this process.
    ///
    /// # Errors
    ///
    /// When the signal cannot be received.
    pub(crate) fn start() -> std::io::Result<Self> {
        let mut children = signal(SignalKind::child())?;
        let reaper = Self(Arc::default());
        let reaping = reaper.clone();
        tokio::spawn(async move {
            loop {
                reaping.reap();
                if children.recv().await.is_none() {
                    return;
                }
            }
        });
        Ok(reaper)
    }

    /// Ready when the child ends. To be asked once for each child.
    pub(crate) fn exit_of(&self, pid: i32) -> oneshot::Receiver<Exit> {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.lock();
        let known = state.unclaimed.iter().position(|(ended, ..)| *ended == pid);
        if let Some((_, exit, _)) = known.and_then(|index| state.unclaimed.remove(index)) {
            // The receiver is below.
            let _ = sender.send(exit);
        } else {
            state.waiting.insert(pid, sender);
        }
        receiver
    }

    fn reap(&self) {
        // No child left is an error of the call, not of ours.
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            let Some(code) = exit_code(status) else {
                continue;
            };
            let at = SystemTime::now();
            self.ended(pid.as_raw_nonzero().get(), Exit { code, at });
        }
    }

    fn ended(&self, pid: i32, exit: Exit) {
        let mut state = self.lock();
        if let Some(waiting) = state.waiting.remove(&pid) {
            // Who does not wait any more does not want to know.
            let _ = waiting.send(exit);
            return;
        }
        // A number that comes round again is another process.
        state
            .unclaimed
            .retain(|(ended, _, since)| *ended != pid && since.elapsed() < UNCLAIMED_TIMEOUT);
        state.unclaimed.push_back((pid, exit, Instant::now()));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[expect(
    clippy::cast_sign_loss,
    reason = "neither codes nor signals are negative"
)]
fn exit_code(status: WaitStatus) -> Option<u32> {
    status
        .exit_status()
        .or_else(|| status.terminating_signal().map(|signal| 128 + signal))
        .map(|code| code as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exit(code: u32) -> Exit {
        Exit {
            code,
            at: SystemTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn an_exit_reaches_who_asks_before_and_who_asks_after() {
        let reaper = Reaper(Arc::default());
        let mut before = reaper.exit_of(7);
        assert!(before.try_recv().is_err());
        reaper.ended(7, exit(3));
        assert_eq!(before.try_recv(), Ok(exit(3)));
        reaper.ended(8, exit(4));
        reaper.ended(9, exit(5));
        assert_eq!(reaper.exit_of(9).try_recv(), Ok(exit(5)));
        assert_eq!(reaper.exit_of(8).try_recv(), Ok(exit(4)));
        assert!(reaper.exit_of(8).try_recv().is_err());
    }

    #[test]
    fn a_number_that_comes_round_again_is_another_process() {
        let reaper = Reaper(Arc::default());
        reaper.ended(8, exit(4));
        reaper.ended(8, exit(5));
        assert_eq!(reaper.exit_of(8).try_recv(), Ok(exit(5)));
    }
}
