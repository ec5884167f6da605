//! The addresses of the other pods, as DNS has them, and which of them do not answer.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::net::lookup_host;
use tokio::time::timeout;

/// How long an answer of DNS is used. A new pod asks for many modules at once.
const FRESH: Duration = Duration::from_secs(2);

/// Time limit of a question to DNS.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a pod that has failed is not asked: longer than the wait for its answer.
const PENALTY: Duration = Duration::from_secs(30);

/// The other pods.
pub(super) struct KnownPods {
    /// The names of the pods, as `HOST:PORT`. A name may have many addresses.
    names: Vec<String>,
    own: SocketAddr,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    asked: Option<Instant>,
    addresses: Vec<SocketAddr>,
    /// When each of them may be asked again.
    failed: HashMap<SocketAddr, Instant>,
}

impl KnownPods {
    pub(super) fn new(names: Vec<String>, own: SocketAddr) -> Self {
        let state = Mutex::default();
        Self { names, own, state }
    }

    /// The pods that may be asked now.
    pub(super) async fn others(&self) -> Vec<SocketAddr> {
        if self
            .lock()
            .asked
            .is_none_or(|asked| asked.elapsed() > FRESH)
        {
            let (mut found, mut failed) = (Vec::new(), false);
            for name in &self.names {
                let looked_up = timeout(LOOKUP_TIMEOUT, lookup_host(name)).await;
                match looked_up.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
                    Ok(addresses) => found.extend(addresses),
                    // Those that were known are asked, and otherwise modules are compiled here.
                    Err(error) => {
                        failed = true;
                        tracing::warn!(name, %error, "the other pods of the pool are not known");
                    }
                }
            }
            let mut state = self.lock();
            if failed {
                found.append(&mut state.addresses);
            }
            found.sort_unstable();
            found.dedup();
            state.asked = Some(Instant::now());
            state.addresses = found;
        }
        let now = Instant::now();
        let mut state = self.lock();
        state.failed.retain(|_, until| *until > now);
        let may_be_asked =
            |pod: &&SocketAddr| **pod != self.own && !state.failed.contains_key(*pod);
        state
            .addresses
            .iter()
            .filter(may_be_asked)
            .copied()
            .collect()
    }

    /// Does not ask a pod for a while.
    pub(super) fn set_failed(&self, pod: SocketAddr) {
        self.lock().failed.insert(pod, Instant::now() + PENALTY);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code panics while the lock is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_pods_but_this_one_and_those_that_fail_are_asked() {
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let names = [1, 2, 3].map(|port| format!("127.0.0.1:{port}")).to_vec();
        let pods = KnownPods::new(names, address(2));
        assert_eq!(pods.others().await, [address(1), address(3)]);
        pods.set_failed(address(1));
        assert_eq!(pods.others().await, [address(3)]);
    }

    #[tokio::test]
    async fn a_name_without_addresses_leaves_the_others() {
        let names = vec!["missing.invalid:1".to_owned(), "127.0.0.1:2".to_owned()];
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let pods = KnownPods::new(names, address(1));
        assert_eq!(pods.others().await, [address(2)]);
    }
}
