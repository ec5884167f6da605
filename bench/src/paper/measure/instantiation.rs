//! From a pod's creation to its start and to its first answer, its image being on the node.
//!
//! Kubernetes' own times have whole seconds: what is taken is when a watch told of the pod's creation (which the
//! controller reports as `SuccessfulCreate` in the same moment, but only for 25 pods of a set and then one in five
//! minutes) and when one told of the event `Started`.

use std::pin::Pin;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures_util::{Stream, StreamExt as _};
use k8s_openapi::api::core::v1::Event as Told;
use kube::Api;
use kube::api::DeleteParams;
use kube::runtime::watcher::{self, Event, watcher};

use super::Bench;
use crate::containerd_log::Log;
use crate::namespace::Namespace;
use crate::paper::load::microseconds;
use crate::paper::manifest::Profile;
use crate::paper::plan::Unit;
use crate::paper::sample::{Record, Series};

/// How long an event or an answer may take.
const PATIENCE: Duration = Duration::from_mins(1);

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
            // All at once: what a watch tells while the deletion is being answered must not wait for that.
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
                let inside = &self.fleet.inside;
                let answered = inside.run(move || Ok(target.until_ok(PATIENCE)?)).await?;
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

type Events = Pin<Box<dyn Stream<Item = watcher::Result<Event<Told>>>>>;

/// A watch of the events that containers were started, past those that there are.
async fn started(namespace: &Namespace) -> Result<Events> {
    let api: Api<Told> = Api::namespaced(namespace.client(), namespace.name());
    let config = watcher::Config::default().fields("reason=Started,involvedObject.kind=Pod");
    let mut events: Events = Box::pin(watcher(api, config));
    loop {
        if let Event::InitDone = events.next().await.context("the watch has ended")?? {
            return Ok(events);
        }
    }
}

/// When a pod other than the old one was told to be started.
async fn next_started(events: &mut Events, old: &str) -> Result<Instant> {
    let told = async {
        loop {
            let event = events.next().await.context("the watch has ended")??;
            if let Event::Apply(event) = event
                && event.involved_object.name.as_deref() != Some(old)
            {
                return anyhow::Ok(Instant::now());
            }
        }
    };
    tokio::time::timeout(PATIENCE, told)
        .await
        .context("no event tells that the new pod was started")?
}
