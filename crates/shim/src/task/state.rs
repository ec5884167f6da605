//! The states of a process that containerd knows of, and the events that lead from one to another. No input, no output.

use crate::container::reaper::Exit;

/// How far a process has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It is known by its name, and is not there yet.
    Added,
    /// It is there and waits for its start.
    Created,
    Running,
    Paused,
    Stopped(Exit),
}

/// What happens to a process, or is asked of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// It is made.
    Make,
    Start,
    /// Another process is added beside it.
    Exec,
    Pause,
    Resume,
    Signal,
    /// It ends, which it does once.
    Exit(Exit),
    Delete,
}

/// An event that cannot happen in the state of a process.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum Rejected {
    #[error("the process was started already, or has ended")]
    Started,
    #[error("process not started yet")]
    NotMade,
    #[error("the task is not running")]
    NotRunning,
    #[error("the task is not paused")]
    NotPaused,
    #[error("the process still runs")]
    StillRuns,
    #[error("process already finished")]
    Ended,
}

impl State {
    /// The state after an event.
    ///
    /// # Errors
    ///
    /// [`Rejected`] when the event cannot happen in this state.
    pub(crate) fn after(self, event: Event) -> Result<Self, Rejected> {
        match event {
            Event::Make => match self {
                Self::Added => Ok(Self::Created),
                Self::Created | Self::Running | Self::Paused | Self::Stopped(_) => {
                    Err(Rejected::Started)
                }
            },
            Event::Start => match self {
                Self::Added => Err(Rejected::NotMade),
                Self::Created => Ok(Self::Running),
                Self::Running | Self::Paused | Self::Stopped(_) => Err(Rejected::Started),
            },
            Event::Exec => match self {
                Self::Running => Ok(self),
                Self::Added | Self::Created | Self::Paused | Self::Stopped(_) => {
                    Err(Rejected::NotRunning)
                }
            },
            Event::Pause => match self {
                Self::Running => Ok(Self::Paused),
                Self::Added | Self::Created | Self::Paused | Self::Stopped(_) => {
                    Err(Rejected::NotRunning)
                }
            },
            Event::Resume => match self {
                Self::Paused => Ok(Self::Running),
                Self::Added | Self::Created | Self::Running | Self::Stopped(_) => {
                    Err(Rejected::NotPaused)
                }
            },
            Event::Signal => match self {
                Self::Added => Err(Rejected::NotMade),
                Self::Created | Self::Running | Self::Paused => Ok(self),
                Self::Stopped(_) => Err(Rejected::Ended),
            },
            Event::Exit(exit) => match self {
                Self::Added => Err(Rejected::NotMade),
                Self::Created | Self::Running | Self::Paused => Ok(Self::Stopped(exit)),
                Self::Stopped(_) => Err(Rejected::Ended),
            },
            // What waits for its start is ended first.
            Event::Delete => match self {
                Self::Added | Self::Created | Self::Stopped(_) => Ok(self),
                Self::Running | Self::Paused => Err(Rejected::StillRuns),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::Rejected::{Ended, NotMade, NotPaused, NotRunning, Started, StillRuns};
    use super::State::{Added, Created, Paused, Running, Stopped};
    use super::*;

    #[test]
    fn an_event_leads_to_one_state_or_is_rejected() {
        let exit = |code: u32| Exit {
            code,
            at: SystemTime::UNIX_EPOCH,
        };
        let (before, now) = (Stopped(exit(3)), Stopped(exit(4)));
        let states = [Added, Created, Running, Paused, before];
        let rows = [
            (
                Event::Make,
                [
                    Ok(Created),
                    Err(Started),
                    Err(Started),
                    Err(Started),
                    Err(Started),
                ],
            ),
            (
                Event::Start,
                [
                    Err(NotMade),
                    Ok(Running),
                    Err(Started),
                    Err(Started),
                    Err(Started),
                ],
            ),
            (
                Event::Exec,
                [
                    Err(NotRunning),
                    Err(NotRunning),
                    Ok(Running),
                    Err(NotRunning),
                    Err(NotRunning),
                ],
            ),
            (
                Event::Pause,
                [
                    Err(NotRunning),
                    Err(NotRunning),
                    Ok(Paused),
                    Err(NotRunning),
                    Err(NotRunning),
                ],
            ),
            (
                Event::Resume,
                [
                    Err(NotPaused),
                    Err(NotPaused),
                    Err(NotPaused),
                    Ok(Running),
                    Err(NotPaused),
                ],
            ),
            (
                Event::Signal,
                [
                    Err(NotMade),
                    Ok(Created),
                    Ok(Running),
                    Ok(Paused),
                    Err(Ended),
                ],
            ),
            (
                Event::Exit(exit(4)),
                [Err(NotMade), Ok(now), Ok(now), Ok(now), Err(Ended)],
            ),
            (
                Event::Delete,
                [
                    Ok(Added),
                    Ok(Created),
                    Err(StillRuns),
                    Err(StillRuns),
                    Ok(before),
                ],
            ),
        ];
        for (event, expected) in rows {
            for (state, expected) in states.into_iter().zip(expected) {
                assert_eq!(state.after(event), expected, "{event:?} in {state:?}");
            }
        }
    }
}
