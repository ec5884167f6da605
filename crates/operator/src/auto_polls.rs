//! Polls the namespaces that have functions with the placement `Auto` at one place.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use sampan_crd::Placement;
use tokio::time::{MissedTickBehavior, interval};

use crate::auto_functions::AutoFunctions;

/// Polls each namespace once in a period, `concurrency` of them at the same time, until the task is
/// ended. `poll` gets what it has returned for the namespace the last time.
pub(crate) async fn poll_namespaces<S, P>(
    auto: &AutoFunctions,
    place: Placement,
    (period, concurrency): (Duration, usize),
    poll: impl Fn(String, S) -> P,
) where
    S: Default,
    P: Future<Output = (String, S)>,
{
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut known: HashMap<String, S> = HashMap::new();
    loop {
        ticks.tick().await;
        let namespaces = auto.namespaces(place).into_iter();
        let polls = namespaces.map(|namespace| {
            let state = known.remove(&namespace).unwrap_or_default();
            poll(namespace, state)
        });
        let polls: Vec<_> = polls.collect();
        known = stream::iter(polls)
            .buffer_unordered(concurrency)
            .collect()
            .await;
    }
}
