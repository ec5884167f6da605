//! Use of a pool's ports, as far as it can be seen: by Services, and in the reports of its pods.
//!
//! A pod serves a port until it has seen that the function is gone. One that has restarted, or that
//! reaches no API server, may serve it for long.

use std::collections::{BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use sampan_crd::POOL_PORTS;

/// The ports of the pool's pods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ServedPorts {
    /// The ports in the last report of each pod.
    pub(crate) ports: HashSet<u16>,
    /// Whether a pod has not seen the list of functions since its start. It may serve what it served
    /// before.
    pub(crate) is_behind: bool,
    /// Whether a pod has never reported to this operator.
    pub(crate) is_unknown: bool,
}

/// The ports of a namespace that are in use.
#[derive(Clone, Debug, Default)]
pub(crate) struct PortUse {
    /// The ports that Services of other functions point at.
    pub(crate) targets: BTreeSet<u16>,
    /// The ports that pods serve.
    pub(crate) served: ServedPorts,
    /// Whether there is a pool.
    pub(crate) has_pool: bool,
}

impl PortUse {
    /// Whether a pod may still serve a port for a function that has left it.
    pub(crate) fn may_serve(&self, port: u16) -> bool {
        self.served.is_behind || self.served.ports.contains(&port)
    }

    /// Whether a port is seen in use.
    pub(crate) fn has(&self, port: u16) -> bool {
        self.targets.contains(&port) || self.served.ports.contains(&port)
    }

    /// All ports in the order in which they are assigned to a function. The ports of a pod that
    /// has not reported are unknown, and low ones are used first: then others are taken.
    pub(crate) fn candidates(&self, uid: &str) -> impl Iterator<Item = u16> + use<> {
        let count = usize::from(POOL_PORTS.end() - POOL_PORTS.start()) + 1;
        let begin = if self.served.is_unknown {
            let mut hasher = DefaultHasher::new();
            uid.hash(&mut hasher);
            // The upper half: the lower one fills up first.
            let half = count / 2;
            half + usize::try_from(hasher.finish() % half as u64).unwrap_or(0)
        } else {
            0
        };
        POOL_PORTS
            .into_iter()
            .skip(begin)
            .chain(POOL_PORTS.into_iter().take(begin))
    }
}
