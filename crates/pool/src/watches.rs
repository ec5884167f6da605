//! Watches of the API server: the only part of the pool that has a client, and it only reads.
//!
//! A watch that fails is tried again, for ever, and says nothing to the pool meanwhile, except that
//! its account may not read. The waits grow until the watch has an answer: the beginning of another
//! list is none.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::jiff::Timestamp;
use kube::api::Api;
use kube::core::{DeserializeGuard, NamespaceResourceScope};
use kube::runtime::watcher::{self, Config, watcher};
use kube::{Client, Resource};
use sampan_crd::WasmFunction;
use sampan_telemetry::random;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::backoff::{doubled, spread};
use crate::event::Event;
use crate::lists::{FunctionList, ObjectList, Referenced, seen};
use crate::lookups::look_up;
use crate::objects::{ObjectKey, ObjectKind, SeenObject};
use crate::report::Reports;
use crate::wanted_objects::WantedObjects;

/// Objects of one page of a list. An object has up to a mebibyte, and a page is in memory at once.
const PAGE: u32 = 50;

/// Releases of Helm are Secrets, which are large and which no function uses.
const SECRETS: &str = "type!=helm.sh/release.v1";

/// Time limit of a request for an object.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// The first and the longest wait after a failure of a watch.
const FIRST_WAIT: Duration = Duration::from_millis(800);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// What all watches use.
#[derive(Clone)]
struct Watches {
    client: Client,
    namespace: String,
    events: mpsc::Sender<Event>,
    wanted: WantedObjects,
}

/// Starts the watches of a namespace, which end with the set. `ConfigMap`s and Secrets come after the
/// first list of functions, which says which of them are wanted.
pub(crate) fn start(
    client: Client,
    namespace: String,
    events: mpsc::Sender<Event>,
    wanted: WantedObjects,
    mut added: mpsc::UnboundedReceiver<ObjectKey>,
    reports: &Reports,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let watches = Watches {
        client,
        namespace,
        events,
        wanted,
    };
    tasks.spawn(watches.clone().functions());
    let config = Config::default().page_size(PAGE);
    let config_maps = start_kind::<ConfigMap>(&mut tasks, &watches, config.clone(), reports);
    let secrets = start_kind::<Secret>(&mut tasks, &watches, config.fields(SECRETS), reports);
    tasks.spawn(async move {
        while let Some(key) = added.recv().await {
            let names = match key.kind {
                ObjectKind::ConfigMap => &config_maps,
                ObjectKind::Secret => &secrets,
            };
            if names.send(key).is_err() {
                return;
            }
        }
    });
    tasks
}

/// Starts the watch of one kind, and the requests for names that are added later.
fn start_kind<K: Referenced>(
    tasks: &mut JoinSet<()>,
    watches: &Watches,
    config: Config,
    reports: &Reports,
) -> mpsc::UnboundedSender<ObjectKey> {
    let (added, names) = mpsc::unbounded_channel();
    let listed = Arc::new(Notify::new());
    let all = watches.clone().objects::<K>(config, Arc::clone(&listed));
    tasks.spawn(after_functions(reports.clone(), all));
    let watches = watches.clone();
    tasks.spawn(async move {
        // The list answers most of them.
        listed.notified().await;
        let find = |key| {
            let watches = watches.clone();
            async move { watches.find::<K>(&key).await }
        };
        look_up(names, find).await;
    });
    added
}

async fn after_functions(reports: Reports, watch: impl Future<Output = ()>) {
    reports.listed().await;
    watch.await;
}

impl Watches {
    fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Sends an event; returns whether the pool still receives.
    async fn send(&self, event: Event) -> bool {
        self.events.send(event).await.is_ok()
    }

    async fn functions(self) {
        let api = self.api::<DeserializeGuard<WasmFunction>>();
        let mut events = pin!(watcher(api, Config::default()));
        let (mut list, mut failures) = (FunctionList::default(), Failures::default());
        while let Some(event) = events.next().await {
            let event = match event {
                Ok(event) => {
                    failures.see(&event);
                    list.translate(event, Timestamp::now())
                }
                Err(error) => {
                    sleep(failures.add(&error, "functions")).await;
                    None
                }
            };
            if let Some(event) = event
                && !self.send(event).await
            {
                return;
            }
        }
    }

    async fn objects<K: Referenced>(self, config: Config, listed: Arc<Notify>) {
        let mut events = pin!(watcher(self.api::<K>(), config));
        let mut list = ObjectList::new(self.wanted.clone());
        let (kind, mut forbidden) = (K::KIND, false);
        let mut failures = Failures::default();
        while let Some(event) = events.next().await {
            let now_forbidden = permission(&event).map_or(forbidden, |permitted| !permitted);
            if now_forbidden != forbidden {
                forbidden = now_forbidden;
                self.send(Event::Access { kind, forbidden }).await;
            }
            let event = match event {
                Ok(event) => {
                    failures.see(&event);
                    list.translate(event)
                }
                Err(error) => {
                    sleep(failures.add(&error, &kind.to_string())).await;
                    None
                }
            };
            let Some(event) = event else {
                continue;
            };
            if matches!(event, Event::ObjectsListed { .. }) {
                listed.notify_one();
            }
            if !self.send(event).await {
                return;
            }
        }
    }

    /// Asks for an object. Returns whether there is an answer, or none is wanted any more.
    async fn find<K: Referenced>(&self, key: &ObjectKey) -> bool {
        if !self.wanted.is_open(key) {
            return true;
        }
        match timeout(REQUEST_TIMEOUT, self.get::<K>(&key.name)).await {
            Ok(Ok(found)) => {
                // A watch that was faster has newer data, which the pool keeps.
                self.wanted.answer(key);
                self.send(Event::Object(key.clone(), found)).await;
                true
            }
            Ok(Err(error)) => {
                tracing::warn!(object = %key, %error, "a request failed and is tried again");
                false
            }
            Err(_) => {
                tracing::warn!(object = %key, "a request had no answer and is tried again");
                false
            }
        }
    }

    async fn get<K: Referenced>(&self, name: &str) -> Result<SeenObject, kube::Error> {
        let found = self.api::<K>().get_opt(name).await?;
        let (data, version) = (None, None);
        Ok(found.map_or(SeenObject { data, version }, |object| seen(object).1))
    }
}

/// Consecutive failures of a watch.
#[derive(Debug, Default)]
struct Failures {
    count: u32,
    last: String,
}

impl Failures {
    /// Records a failure, and logs one that differs from the last. Returns the wait before the next
    /// attempt.
    fn add(&mut self, error: &watcher::Error, watched: &str) -> Duration {
        let error = error.to_string();
        if error != self.last {
            tracing::warn!(error, watched, "a watch failed and is tried again");
            self.last = error;
        }
        let wait = doubled(FIRST_WAIT, LONGEST_WAIT, self.count);
        self.count = self.count.saturating_add(1);
        spread(wait, random())
    }

    /// Ends the failures with an answer.
    fn see<K>(&mut self, event: &watcher::Event<K>) {
        if is_answer(event) {
            *self = Self::default();
        }
    }
}

/// Whether an event shows an answer of the API server. The beginning of a list precedes its request.
fn is_answer<K>(event: &watcher::Event<K>) -> bool {
    match event {
        watcher::Event::Init | watcher::Event::InitApply(_) => false,
        watcher::Event::InitDone | watcher::Event::Apply(_) | watcher::Event::Delete(_) => true,
    }
}

/// Whether the API server permits the watch; `None` if that is not known from this.
fn permission<K>(event: &Result<watcher::Event<K>, watcher::Error>) -> Option<bool> {
    match event {
        Ok(event) => is_answer(event).then_some(true),
        // Another failure says nothing about the permission.
        Err(error) => is_forbidden(error).then_some(false),
    }
}

/// Whether the API server forbids the watch.
fn is_forbidden(error: &watcher::Error) -> bool {
    const FORBIDDEN: u16 = 403;
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => status.code == FORBIDDEN,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: u16) -> watcher::Error {
        let status = serde_json::json!({ "status": "Failure", "code": code });
        let status: kube::core::Status = serde_json::from_value(status).expect("a status");
        watcher::Error::InitialListFailed(kube::Error::Api(Box::new(status)))
    }

    #[test]
    fn a_permission_is_known_from_answers_alone() {
        use watcher::Event::{Apply, Delete, Init, InitApply, InitDone};
        let check = |event: Result<watcher::Event<()>, watcher::Error>, expected| {
            assert_eq!(permission(&event), expected, "{event:?}");
        };
        // The watcher begins another list before it asks.
        check(Ok(Init), None);
        check(Ok(InitApply(())), None);
        check(Ok(InitDone), Some(true));
        check(Ok(Apply(())), Some(true));
        check(Ok(Delete(())), Some(true));
        check(Err(status(403)), Some(false));
        check(Err(status(500)), None);
        check(Err(watcher::Error::NoResourceVersion), None);
    }

    #[test]
    fn waits_grow_until_an_answer() {
        let mut failures = Failures::default();
        let mut add = |event: Option<&watcher::Event<()>>| {
            if let Some(event) = event {
                failures.see(event);
            }
            failures.add(&status(403), "Secret")
        };
        let longest = |wait: Duration| (wait * 6 / 10)..=wait;
        assert!(longest(FIRST_WAIT).contains(&add(None)));
        // The beginning of another list does not reset them.
        assert!(longest(FIRST_WAIT * 2).contains(&add(Some(&watcher::Event::Init))));
        assert!(longest(FIRST_WAIT * 4).contains(&add(Some(&watcher::Event::InitApply(())))));
        for _ in 0..70 {
            add(Some(&watcher::Event::Init));
        }
        assert!(longest(LONGEST_WAIT).contains(&add(None)));
        assert!(longest(FIRST_WAIT).contains(&add(Some(&watcher::Event::InitDone))));
    }
}
