//! Translation of a watch's events into the pool's: a list is one event, once it is complete.
//!
//! A list that breaks off begins again, and what it had sent is forgotten: a part of a list deletes
//! nothing. Of `ConfigMap`s and Secrets, only those to which a function refers are passed on.

use std::collections::{HashMap, HashSet};
use std::fmt::Debug;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::jiff::Timestamp;
use kube::core::{DeserializeGuard, NamespaceResourceScope};
use kube::runtime::watcher;
use kube::{Resource, ResourceExt as _};
use sampan_crd::WasmFunction;
use serde::de::DeserializeOwned;

use crate::event::Event;
use crate::objects::{ObjectData, ObjectKey, ObjectKind, SeenObject};
use crate::resource::Seen;
use crate::wanted_objects::WantedObjects;

/// An object whose data becomes variables or credentials.
pub(crate) trait Referenced:
    Resource<Scope = NamespaceResourceScope, DynamicType = ()>
    + Clone
    + Debug
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
    const KIND: ObjectKind;

    fn into_data(self) -> ObjectData;
}

impl Referenced for ConfigMap {
    const KIND: ObjectKind = ObjectKind::ConfigMap;

    fn into_data(self) -> ObjectData {
        let data = self.data.unwrap_or_default().into_iter();
        ObjectData::new(data.map(|(key, value)| (key, value.into_bytes())))
    }
}

impl Referenced for Secret {
    const KIND: ObjectKind = ObjectKind::Secret;

    fn into_data(self) -> ObjectData {
        let data = self.data.unwrap_or_default().into_iter();
        ObjectData::new(data.map(|(key, value)| (key, value.0)))
    }
}

/// The list of functions that is being read.
#[derive(Default)]
pub(crate) struct FunctionList(Vec<Seen>);

impl FunctionList {
    pub(crate) fn translate(
        &mut self,
        event: watcher::Event<DeserializeGuard<WasmFunction>>,
        now: Timestamp,
    ) -> Option<Event> {
        match event {
            watcher::Event::Init => {
                self.0.clear();
                None
            }
            watcher::Event::InitApply(function) => {
                self.0.push(Seen::of(function, now));
                None
            }
            watcher::Event::InitDone => Some(Event::Listed(std::mem::take(&mut self.0))),
            watcher::Event::Apply(function) => Some(Event::Seen(Seen::of(function, now))),
            watcher::Event::Delete(function) => Some(Event::Deleted {
                uid: function.uid().unwrap_or_default(),
            }),
        }
    }
}

/// The list of objects of one kind that is being read.
pub(crate) struct ObjectList {
    wanted: WantedObjects,
    /// The names that were wanted when the list began: it answers for them.
    asked: HashSet<String>,
    found: HashMap<String, SeenObject>,
}

impl ObjectList {
    pub(crate) fn new(wanted: WantedObjects) -> Self {
        Self {
            wanted,
            asked: HashSet::new(),
            found: HashMap::new(),
        }
    }

    pub(crate) fn translate<K: Referenced>(&mut self, event: watcher::Event<K>) -> Option<Event> {
        let kind = K::KIND;
        match event {
            watcher::Event::Init => {
                self.asked = self.wanted.of_kind(kind).into_iter().collect();
                self.found.clear();
                None
            }
            watcher::Event::InitApply(object) => {
                let (key, seen) = seen(object);
                // One that no function wants at this moment may be wanted again before the end.
                if self.asked.contains(&key.name) || self.wanted.is_wanted(&key) {
                    self.found.insert(key.name, seen);
                }
                None
            }
            watcher::Event::InitDone => {
                let (asked, found) = (
                    std::mem::take(&mut self.asked),
                    std::mem::take(&mut self.found),
                );
                for name in asked.iter().chain(found.keys()) {
                    let name = name.clone();
                    self.wanted.answer(&ObjectKey { kind, name });
                }
                let asked = asked.into_iter().collect();
                Some(Event::ObjectsListed { kind, asked, found })
            }
            watcher::Event::Apply(object) => {
                let (key, seen) = seen(object);
                self.wanted.answer(&key).then_some(Event::Object(key, seen))
            }
            watcher::Event::Delete(object) => {
                let (key, SeenObject { version, .. }) = seen(object);
                let data = None;
                self.wanted
                    .answer(&key)
                    .then_some(Event::Object(key, SeenObject { data, version }))
            }
        }
    }
}

/// The name of an object and what is to know of it.
pub(crate) fn seen<K: Referenced>(object: K) -> (ObjectKey, SeenObject) {
    let (kind, name) = (K::KIND, object.name_any());
    let version = object.resource_version();
    let version = version.and_then(|version| version.parse().ok());
    let data = Some(object.into_data());
    (ObjectKey { kind, name }, SeenObject { data, version })
}

#[cfg(test)]
mod tests {
    use kube::runtime::watcher::Event::{Apply, Delete, Init, InitApply, InitDone};
    use serde_json::json;

    use super::*;

    fn function(uid: &str) -> DeserializeGuard<WasmFunction> {
        let function = json!({
            "apiVersion": "sampan.dev/v1alpha1",
            "kind": "WasmFunction",
            "metadata": { "name": uid, "uid": uid },
            "spec": { "image": "r.example/a:1" },
        });
        serde_json::from_value(function).unwrap()
    }

    fn secret(name: &str) -> Secret {
        let secret = json!({
            "metadata": { "name": name, "resourceVersion": "7" },
            "data": { "k": "djE=" },
        });
        serde_json::from_value(secret).unwrap()
    }

    #[test]
    fn only_a_complete_list_of_functions_is_passed_on() {
        fn check(events: Vec<watcher::Event<DeserializeGuard<WasmFunction>>>, expected: &[&str]) {
            let mut list = FunctionList::default();
            let translated = events
                .into_iter()
                .filter_map(|event| list.translate(event, Timestamp::UNIX_EPOCH));
            let shown: Vec<_> = translated
                .map(|event| match event {
                    Event::Seen(seen) => format!("+{}", seen.uid()),
                    Event::Deleted { uid } => format!("-{uid}"),
                    Event::Listed(all) => {
                        let uids: Vec<_> = all.iter().map(Seen::uid).collect();
                        format!("={}", uids.join(","))
                    }
                    other => panic!("{other:?}"),
                })
                .collect();
            assert_eq!(shown, expected);
        }
        let all = || InitApply(function("a"));
        check(vec![Init, all()], &[]);
        check(vec![Init, all(), Init, InitApply(function("b"))], &[]);
        check(
            vec![Init, all(), Init, all(), InitApply(function("b")), InitDone],
            &["=a,b"],
        );
        check(vec![Init, InitDone], &["="]);
        let changes = vec![Apply(function("a")), Delete(function("a"))];
        check(changes, &["+a", "-a"]);
    }

    #[test]
    fn only_wanted_objects_are_passed_on() {
        fn check(events: Vec<watcher::Event<Secret>>, expected: &[&str], open: &[&str]) {
            let (wanted, _added) = WantedObjects::new();
            for name in ["a", "gone"] {
                wanted.add(ObjectKey::secret(name));
            }
            wanted.add(ObjectKey::config_map("other"));
            let mut list = ObjectList::new(wanted.clone());
            let translated = events.into_iter().filter_map(|event| list.translate(event));
            let shown: Vec<_> = translated
                .map(|event| match event {
                    Event::Object(key, seen) => {
                        assert_eq!(seen.version, Some(7));
                        let sign = if seen.data.is_some() { '+' } else { '-' };
                        format!("{sign}{}", key.name)
                    }
                    Event::ObjectsListed {
                        kind,
                        mut asked,
                        found,
                    } => {
                        assert_eq!(kind, ObjectKind::Secret);
                        asked.sort();
                        let found: Vec<_> = found.into_keys().collect();
                        format!("{}={}", asked.join(","), found.join(","))
                    }
                    other => panic!("{other:?}"),
                })
                .collect();
            assert_eq!(shown, expected);
            for name in ["a", "gone"] {
                let is_open = wanted.is_open(&ObjectKey::secret(name));
                assert_eq!(is_open, open.contains(&name), "{name}");
            }
        }
        let both = ["a", "gone"];
        let listed = |name: &str| InitApply(secret(name));
        check(vec![Init, listed("a")], &[], &both);
        check(
            vec![Init, listed("a"), listed("b"), InitDone],
            &["a,gone=a"],
            &[],
        );
        check(vec![Apply(secret("b")), Delete(secret("b"))], &[], &both);
        check(vec![Apply(secret("a"))], &["+a"], &["gone"]);
        check(vec![Delete(secret("gone"))], &["-gone"], &["a"]);
    }

    #[test]
    fn an_object_that_is_wanted_again_during_a_list_exists() {
        let (wanted, _added) = WantedObjects::new();
        let key = ObjectKey::secret("a");
        wanted.add(key.clone());
        let mut list = ObjectList::new(wanted.clone());
        assert!(list.translate(Init::<Secret>).is_none());
        // Its only function is replaced while its page passes.
        wanted.remove(&key);
        assert!(list.translate(InitApply(secret("a"))).is_none());
        wanted.add(key);
        match list.translate(InitDone::<Secret>) {
            Some(Event::ObjectsListed { asked, found, .. }) => {
                assert_eq!(asked, ["a"]);
                assert!(found.contains_key("a"));
            }
            other => panic!("{other:?}"),
        }
    }
}
