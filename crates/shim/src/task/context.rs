//! The parts of the supervisor that tasks use.

use super::events::Events;
use crate::container::children::StandbyChild;
use crate::container::reaper::Reaper;
use crate::pod::oom::OomKills;

/// What tasks need of the supervisor. Cheap to clone.
#[derive(Clone)]
pub(crate) struct TaskContext {
    pub(crate) events: Events,
    pub(crate) reaper: Reaper,
    /// Waits for the first container of a pod.
    pub(crate) standby: StandbyChild,
    pub(crate) oom_kills: OomKills,
}
