//! Cache of a watch's objects, grouped by function.
//!
//! The watch is the only writer. A relist replaces all objects at once, so that deleted ones are
//! gone. The cache must not be read before the first list is complete; see [`Grouped::is_ready`].

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use kube::Resource;
use kube::runtime::watcher::Event;

/// A namespace, and the name of a group in it.
pub(crate) type Key = (String, String);

/// The group of an object; `None` for one that is ignored.
pub(crate) type GroupOf<K> = fn(&K) -> Option<Key>;

type Groups<K> = HashMap<Key, HashMap<String, Arc<K>>>;

/// Objects by their group.
pub(crate) struct Grouped<K> {
    group_of_object: GroupOf<K>,
    state: RwLock<State<K>>,
}

struct State<K> {
    groups: Groups<K>,
    /// A list that is being read.
    next: Option<Groups<K>>,
    ready: bool,
}

impl<K: Resource> Grouped<K> {
    pub(crate) fn new(group_of_object: GroupOf<K>) -> Self {
        Self {
            group_of_object,
            state: RwLock::new(State {
                groups: HashMap::new(),
                next: None,
                ready: false,
            }),
        }
    }

    /// The group of an object.
    pub(crate) fn group_of(&self, object: &K) -> Option<Key> {
        (self.group_of_object)(object)
    }

    /// Whether a whole list was read.
    pub(crate) fn is_ready(&self) -> bool {
        self.read().ready
    }

    /// The objects of a group, in no particular order.
    pub(crate) fn group(&self, key: &Key) -> Vec<Arc<K>> {
        let state = self.read();
        state
            .groups
            .get(key)
            .map(|group| group.values().cloned().collect())
            .unwrap_or_default()
    }

    /// The object that has the name of its group.
    pub(crate) fn get(&self, key: &Key) -> Option<Arc<K>> {
        self.read().groups.get(key)?.get(&key.1).cloned()
    }

    /// Whether a group has no object.
    pub(crate) fn is_empty(&self, key: &Key) -> bool {
        self.read().groups.get(key).is_none_or(HashMap::is_empty)
    }

    /// All objects.
    pub(crate) fn all(&self) -> Vec<Arc<K>> {
        let state = self.read();
        let groups = state.groups.values();
        groups.flat_map(|group| group.values().cloned()).collect()
    }

    /// The namespaces that have a group of this name.
    pub(crate) fn namespaces_with(&self, name: &str) -> Vec<String> {
        let state = self.read();
        let groups = state.groups.keys().filter(|(_, there)| there == name);
        groups.map(|(namespace, _)| namespace.clone()).collect()
    }

    /// The group of the object with that name. Searches all groups.
    pub(crate) fn group_with(&self, namespace: &str, name: &str) -> Option<Key> {
        let state = self.read();
        let mut groups = state
            .groups
            .iter()
            .filter(|((there, _), _)| there == namespace);
        groups
            .find(|(_, group)| group.contains_key(name))
            .map(|(key, _)| key.clone())
    }

    /// Applies an event of the watch.
    pub(crate) fn apply(&self, event: Event<K>) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Init => state.next = Some(HashMap::new()),
            Event::InitApply(object) => {
                let next = state.next.get_or_insert_default();
                insert(next, (self.group_of_object)(&object), object);
            }
            Event::InitDone => {
                state.groups = state.next.take().unwrap_or_default();
                state.ready = true;
            }
            Event::Apply(object) => {
                insert(&mut state.groups, (self.group_of_object)(&object), object);
            }
            Event::Delete(object) => {
                let Some(key) = (self.group_of_object)(&object) else {
                    return;
                };
                if let Some(group) = state.groups.get_mut(&key) {
                    group.remove(object.meta().name.as_deref().unwrap_or_default());
                    if group.is_empty() {
                        state.groups.remove(&key);
                    }
                }
            }
        }
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, State<K>> {
        // No code panics while the lock is held, so a poisoned one holds a whole value.
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }
}

fn insert<K: Resource>(groups: &mut Groups<K>, key: Option<Key>, object: K) {
    if let Some(key) = key {
        let name = object.meta().name.clone().unwrap_or_default();
        groups
            .entry(key)
            .or_default()
            .insert(name, Arc::new(object));
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;
    use kube::runtime::watcher::Event;
    use serde_json::json;

    use super::Grouped;

    fn pod(name: &str, function: &str) -> Pod {
        serde_json::from_value(
            json!({ "metadata": { "name": name, "namespace": "n", "labels": { "f": function } } }),
        )
        .expect("a pod")
    }

    fn grouped() -> Grouped<Pod> {
        Grouped::new(|pod| {
            let function = pod.metadata.labels.as_ref()?.get("f")?.clone();
            Some((pod.metadata.namespace.clone()?, function))
        })
    }

    fn check(grouped: &Grouped<Pod>, function: &str, expected: &[&str]) {
        let mut names: Vec<_> = grouped
            .group(&("n".to_owned(), function.to_owned()))
            .iter()
            .filter_map(|pod| pod.metadata.name.clone())
            .collect();
        names.sort();
        assert_eq!(names, expected);
    }

    #[test]
    fn a_list_replaces_everything_at_once() {
        let grouped = grouped();
        assert!(!grouped.is_ready());
        grouped.apply(Event::Init);
        grouped.apply(Event::InitApply(pod("a", "one")));
        assert!(!grouped.is_ready());
        check(&grouped, "one", &[]);
        grouped.apply(Event::InitDone);
        assert!(grouped.is_ready());
        check(&grouped, "one", &["a"]);
        // The watch was cut; `a` was deleted and `b` made meanwhile.
        grouped.apply(Event::Init);
        grouped.apply(Event::InitApply(pod("b", "one")));
        check(&grouped, "one", &["a"]);
        grouped.apply(Event::InitDone);
        check(&grouped, "one", &["b"]);
    }

    #[test]
    fn events_are_applied_one_by_one() {
        let grouped = grouped();
        grouped.apply(Event::Apply(pod("a", "one")));
        grouped.apply(Event::Apply(pod("b", "two")));
        grouped.apply(Event::Apply(pod("c", "one")));
        check(&grouped, "one", &["a", "c"]);
        grouped.apply(Event::Delete(pod("a", "one")));
        grouped.apply(Event::Delete(pod("b", "two")));
        check(&grouped, "one", &["c"]);
        check(&grouped, "two", &[]);
    }
}
