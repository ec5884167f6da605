//! Keeps the ledger of pool ports up to date with the watches of functions and Services.

use std::time::Instant;

use k8s_openapi::api::core::v1::Service;
use kube::Resource;
use kube::runtime::watcher::Event;

use super::Caches;
use crate::grouped::Grouped;
use crate::watched::WatchedFunction;

impl Caches {
    /// Records the ports of a function before the cache has it.
    pub(super) fn note_function(&self, event: &Event<WatchedFunction>) {
        match event {
            Event::Apply(function) => self.ports.set(function, Instant::now()),
            Event::Delete(function) => self.ports.remove(function, Instant::now()),
            Event::Init | Event::InitApply(_) | Event::InitDone => {}
        }
    }

    /// Records the ports of all functions of a complete list, which the cache has.
    pub(super) fn note_functions(&self) {
        let state = self.functions.state();
        let functions = state.iter().map(|function| &**function);
        self.ports.set_all(functions, Instant::now());
    }

    /// Records the port that a Service leads to; after a list, those of all Services.
    pub(super) fn note_service(&self, event: &Event<Service>) {
        match event {
            Event::Apply(service) => self.ports.set_service(service),
            Event::Delete(service) => self.ports.remove_service(service),
            Event::InitDone => {
                let all = self.services.all();
                self.ports
                    .set_services(all.iter().map(|service| &**service));
            }
            Event::Init | Event::InitApply(_) => {}
        }
    }
}

/// Applies an event to its cache. What else follows from a list follows from all of its objects.
pub(super) fn note_and_apply<K: Resource>(
    caches: &Caches,
    event: Event<K>,
    index: fn(&Caches) -> &Grouped<K>,
    note: fn(&Caches, &Event<K>),
) {
    if matches!(event, Event::InitDone) {
        index(caches).apply(event);
        note(caches, &Event::InitDone);
    } else {
        note(caches, &event);
        index(caches).apply(event);
    }
}
