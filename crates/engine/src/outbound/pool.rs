//! Idle connections of one function, by origin.
//!
//! Each function has its own pool, so no function uses a connection that was made under the rules
//! of another. A connection that its server closes while it is idle leaves the pool with the next
//! look at it: hyper notices the end and is not ready any more.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use http::HeaderMap;
use hyper::client::conn::http1::SendRequest;
use tokio::time::{Instant, sleep};

use super::sent_body::SentBody;
use super::upstream::Origin;

/// How long an idle connection stays open.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// The most idle connections of one origin.
const MAX_IDLE_PER_ORIGIN: usize = 16;

/// The most idle connections of a function.
const MAX_IDLE: usize = 128;

/// How often expired connections are looked for.
const SWEEP_INTERVAL: Duration = Duration::from_secs(10);

/// How long before a server's announced end a connection is not used any more: the time for a
/// request to reach the server.
const KEEP_ALIVE_MARGIN: Duration = Duration::from_secs(1);

/// A connection over which requests can be sent, one after the other.
pub(super) struct Connection {
    pub(super) sender: SendRequest<SentBody>,
    /// Set by the connection's task with every byte that arrives.
    received: Arc<AtomicBool>,
}

impl Connection {
    pub(super) fn new(sender: SendRequest<SentBody>, received: Arc<AtomicBool>) -> Self {
        Self { sender, received }
    }

    /// Forgets what has arrived so far.
    pub(super) fn expect_answer(&self) {
        self.received.store(false, Ordering::Release);
    }

    /// Whether a byte has arrived since [`Connection::expect_answer`].
    pub(super) fn has_answered(&self) -> bool {
        self.received.load(Ordering::Acquire)
    }
}

/// Idle connections.
#[derive(Default)]
pub(super) struct Pool(Mutex<State>);

#[derive(Default)]
struct State {
    idle: HashMap<Origin, Vec<Idle>>,
    /// Whether a task looks for expired connections.
    swept: bool,
}

struct Idle {
    connection: Connection,
    until: Instant,
}

impl Idle {
    fn is_usable(&self, now: Instant) -> bool {
        self.connection.sender.is_ready() && now < self.until
    }
}

impl Pool {
    /// Takes the connection that became idle last, which its server is least likely to close.
    pub(super) fn take(&self, origin: &Origin) -> Option<Connection> {
        let now = Instant::now();
        let mut state = self.lock();
        let idle = state.idle.get_mut(origin)?;
        let usable = std::iter::from_fn(|| idle.pop()).find(|idle| idle.is_usable(now));
        if idle.is_empty() {
            state.idle.remove(origin);
        }
        usable.map(|idle| idle.connection)
    }

    /// Keeps a connection once it has sent its request and received the whole response to it. An
    /// end before that drops it.
    pub(super) fn keep(
        self: &Arc<Self>,
        origin: Origin,
        mut connection: Connection,
        response: &HeaderMap,
    ) {
        let Some(idle) = idle_time(response) else {
            return;
        };
        let pool = Arc::clone(self);
        tokio::spawn(async move {
            if connection.sender.ready().await.is_ok() {
                pool.put(origin, connection, Instant::now() + idle);
            }
        });
    }

    fn put(self: &Arc<Self>, origin: Origin, connection: Connection, until: Instant) {
        let mut state = self.lock();
        let count: usize = state.idle.values().map(Vec::len).sum();
        if count >= MAX_IDLE {
            return;
        }
        let idle = state.idle.entry(origin).or_default();
        if idle.len() < MAX_IDLE_PER_ORIGIN {
            idle.push(Idle { connection, until });
        }
        if !std::mem::replace(&mut state.swept, true) {
            tokio::spawn(sweep(Arc::downgrade(self)));
        }
    }

    /// Drops connections that are expired or closed. Returns whether some are left.
    fn drop_unusable(&self) -> bool {
        let now = Instant::now();
        let mut state = self.lock();
        state.idle.retain(|_, idle| {
            idle.retain(|idle| idle.is_usable(now));
            !idle.is_empty()
        });
        state.swept = !state.idle.is_empty();
        state.swept
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Drops unusable connections until none is left, or the function is gone.
async fn sweep(pool: Weak<Pool>) {
    loop {
        sleep(SWEEP_INTERVAL).await;
        if !pool.upgrade().is_some_and(|pool| pool.drop_unusable()) {
            return;
        }
    }
}

/// How long a connection may be idle after a response with these fields; `None` if its server
/// closes it too soon. Many servers announce their limit in a field `Keep-Alive: timeout=SECONDS`.
fn idle_time(response: &HeaderMap) -> Option<Duration> {
    let announced = response
        .get_all("keep-alive")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|parameter| parameter.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("timeout"))
        .and_then(|(_, seconds)| seconds.trim().trim_matches('"').parse().ok())
        .map(Duration::from_secs);
    match announced {
        None => Some(IDLE_TIMEOUT),
        Some(announced) => announced
            .checked_sub(KEEP_ALIVE_MARGIN)
            .filter(|idle| !idle.is_zero())
            .map(|idle| idle.min(IDLE_TIMEOUT)),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_server_may_shorten_the_idle_time() {
        let check = |fields: &[&'static str], expected: Option<u64>| {
            let mut headers = HeaderMap::new();
            for field in fields {
                headers.append("keep-alive", HeaderValue::from_static(field));
            }
            let expected = expected.map(Duration::from_secs);
            assert_eq!(idle_time(&headers), expected, "{fields:?}");
        };
        check(&[], Some(30));
        check(&["timeout=5"], Some(4));
        check(&["max=100, Timeout = \"5\""], Some(4));
        check(&["max=100", "timeout=5"], Some(4));
        check(&["timeout=3600"], Some(30));
        check(&["timeout=1"], None);
        check(&["timeout=0"], None);
        check(&["timeout=soon"], Some(30));
        check(&["max=100"], Some(30));
    }
}
