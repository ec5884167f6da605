//! Measures the time from a pod's creation to its start and to its first answer, with its image on
//! the node.
//!
//! Kubernetes' own times have whole seconds. The times here are those at which a watch reported the
//! pod's creation and the event `Started`. The controller reports the creation as
//! `SuccessfulCreate` at the same moment. But it does so only for 25 pods of a set and then for one
//! in five minutes.

use std::pin::Pin;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures_util::{Stream, StreamExt as _};
use k8s_openapi::api::core::v1::Event as KubeEvent;
use kube::Api;
use kube::api::DeleteParams;
use kube::runtime::watcher::{self, Event, watcher};
use sampan_measure::containerd_log::Log;
use sampan_measure::namespace::Namespace;

use super::Bench;
use crate::load::microseconds;
use crate::manifest::Profile;
use crate::plan::Unit;
use crate::sample::{Record, Series};

/// How long an event or an answer may take.
const EVENT_TIMEOUT: Duration = Duration::from_mins(1);

impl Bench {
    pub(super) async fn instantiation(&mut self, unit: &Unit, rounds: u32) -> Result<Vec<Record>> {
        let Unit { function, kind, .. } = unit;
        let path = self.fleet.images.function(function)?.path();
        let containerd_log = self.cluster.node()?.containerd_log.clone();
        let (mut pods, mut old) = self.fleet.one(function, *kind, Profile::Memory).await?;
        let mut events = started(&self.fleet.namespace).await?;
        let [mut to_start, mut to_answer, mut calls] = [const { Vec::new() }; 3];
        for _ in 0..rounds {
            let log = Log::from_now(&containerd_log)?;
            let api = self.fleet.namespace.pods();
            let old_name = old.name.clone();
            // Concurrently: an event that arrives before the deletion is answered must not wait for
            // that.
            let delete = async {
                api.delete(&old_name, &DeleteParams::default()).await?;
                anyhow::Ok(())
            };
            let new = async {
                let pod = pods
                    .until("another one runs", |seen| {
                        let mut new = seen.values();
                        new.find(|pod| pod.name != old_name && pod.is_running())
                            .cloned()
                    })
                    .await?;
                let target = pod.target(&path)?;
                let netns_thread = &self.fleet.netns_thread;
                let answered = netns_thread
                    .run(move || Ok(target.until_ok(EVENT_TIMEOUT)?))
                    .await?;
                anyhow::Ok((pod, answered))
            };
            let ((), (pod, answered), started) =
                tokio::try_join!(delete, new, next_started(&mut events, &old_name))?;
            let since = |time: Instant| microseconds(time.saturating_duration_since(pod.created));
            to_start.push(since(started));
            to_answer.push(since(answered));
            calls.push(microseconds(log.calls(&pod.name).await?.sum()));
            pods.until("the old one is gone", |seen| {
                (seen.len() == 1).then_some(())
            })
            .await?;
            old = pod;
        }
        Ok(vec![
            Record::new(unit, Series::CreatedToStarted, to_start),
            Record::new(unit, Series::CreatedToAnswer, to_answer),
            Record::new(unit, Series::RuntimeCalls, calls),
        ])
    }
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
