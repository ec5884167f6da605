//! Measures the time from a replica's creation to its first answer, and to the start of a pod, with
//! its image on the node or its module in the pool.
//!
//! Kubernetes' own times have whole seconds. The times here are those at which a watch reported the
//! creation and the event `Started`. The controller reports the creation as
//! `SuccessfulCreate` at the same moment. But it does so only for 25 pods of a set and then for one
//! in five minutes.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures_util::{Stream, StreamExt as _};
use k8s_openapi::api::core::v1::Event as KubeEvent;
use kube::Api;
use kube::runtime::watcher::{self, Event, watcher};
use sampan_measure::containerd_log::Log;
use sampan_measure::namespace::Namespace;

use super::Bench;
use crate::kind::Place;
use crate::load::microseconds;
use crate::manifest::Profile;
use crate::plan::Unit;
use crate::replicas::{Replica, Replicas};
use crate::sample::{Record, Series};

/// How long an event or an answer may take.
const EVENT_TIMEOUT: Duration = Duration::from_mins(1);

impl Bench {
    pub(super) async fn instantiation(&mut self, unit: &Unit, rounds: u32) -> Result<Vec<Record>> {
        match unit.kind.place() {
            Place::Pods => self.starts_of_pods(unit, rounds).await,
            Place::Pool => self.creations_in_pool(unit, rounds).await,
        }
    }

    async fn starts_of_pods(&mut self, unit: &Unit, rounds: u32) -> Result<Vec<Record>> {
        let Unit { function, kind, .. } = unit;
        let containerd_log = self.cluster.node()?.containerd_log.clone();
        let (mut pods, mut old) = self.fleet.one(function, *kind, Profile::Memory).await?;
        let mut events = started(&self.fleet.namespace).await?;
        let [mut to_start, mut to_answer, mut calls] = [const { Vec::new() }; 3];
        for _ in 0..rounds {
            let log = Log::from_now(&containerd_log)?;
            // Concurrently: an event that arrives before the deletion is answered must not wait for
            // that.
            let ((), (pod, answered), started) = tokio::try_join!(
                self.fleet.renew(function, *kind, &old.name),
                self.successor(function, &mut pods, &old.name),
                next_started(&mut events, &old.name)
            )?;
            to_start.push(since(&pod, started));
            to_answer.push(since(&pod, answered));
            calls.push(microseconds(log.calls(&pod.name).await?.sum()));
            old = only(&mut pods, pod).await?;
        }
        Ok(vec![
            Record::new(unit, Series::CreatedToStarted, to_start),
            Record::new(unit, Series::CreatedToAnswer, to_answer),
            Record::new(unit, Series::RuntimeCalls, calls),
        ])
    }

    /// A pooled function starts nothing: there is only its first answer.
    async fn creations_in_pool(&mut self, unit: &Unit, rounds: u32) -> Result<Vec<Record>> {
        let Unit { function, kind, .. } = unit;
        let (mut functions, mut old) = self.fleet.one(function, *kind, Profile::Memory).await?;
        let mut to_answer = Vec::new();
        for _ in 0..rounds {
            let ((), (new, answered)) = tokio::try_join!(
                self.fleet.renew(function, *kind, &old.name),
                self.successor(function, &mut functions, &old.name)
            )?;
            to_answer.push(since(&new, answered));
            old = only(&mut functions, new).await?;
        }
        Ok(vec![Record::new(unit, Series::CreatedToAnswer, to_answer)])
    }

    /// The replica after the old one, and the time of its first answer.
    async fn successor(
        &self,
        function: &str,
        replicas: &mut Replicas,
        old: &str,
    ) -> Result<(Replica, Instant)> {
        let new = replicas
            .until("another one is reachable", |seen| {
                let mut new = seen.values();
                new.find(|replica| replica.name != old && replica.is_reachable())
                    .cloned()
            })
            .await?;
        let target = self.fleet.target(function, &new)?;
        let netns_thread = &self.fleet.netns_thread;
        let answered = netns_thread
            .run(move || Ok(target.until_ok(EVENT_TIMEOUT)?))
            .await?;
        Ok((new, answered))
    }
}

/// The time from a replica's creation, in microseconds.
fn since(replica: &Replica, time: Instant) -> u64 {
    microseconds(time.saturating_duration_since(replica.created))
}

/// Waits until the old replica is gone, and returns the new one.
async fn only(replicas: &mut Replicas, new: Replica) -> Result<Replica> {
    let is_alone = |seen: &BTreeMap<String, Replica>| (seen.len() == 1).then_some(());
    replicas.until("the old one is gone", is_alone).await?;
    Ok(new)
}

type Events = Pin<Box<dyn Stream<Item = watcher::Result<Event<KubeEvent>>>>>;

/// A watch of the start events of containers, after the existing ones.
async fn started(namespace: &Namespace) -> Result<Events> {
    let api: Api<KubeEvent> = Api::namespaced(namespace.client(), namespace.name());
    let config = watcher::Config::default().fields("reason=Started,involvedObject.kind=Pod");
    let mut events: Events = Box::pin(watcher(api, config));
    loop {
        if let Event::InitDone = events.next().await.context("the watch has ended")?? {
            return Ok(events);
        }
    }
}

/// The time of the start event of a pod other than the old one.
async fn next_started(events: &mut Events, old: &str) -> Result<Instant> {
    let reported = async {
        loop {
            let event = events.next().await.context("the watch has ended")??;
            if let Event::Apply(event) = event
                && event.involved_object.name.as_deref() != Some(old)
            {
                return anyhow::Ok(Instant::now());
            }
        }
    };
    tokio::time::timeout(EVENT_TIMEOUT, reported)
        .await
        .context("no event reports the start of the new pod")?
}
