//! Routing table: an immutable snapshot, replaced as a whole between requests.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use http::Request;
use http::header::HOST;
use sampan_engine::LoadedFunction;
use sampan_spec::FunctionName;

use super::deployed::{Callee, Deployed};
use super::path_offset::PathOffset;

/// Bytes of header fields that requests may have even if every function allows fewer.
const MIN_HEADER_BYTES: usize = 32 * 1024;

/// The prefix of a function's path.
const PREFIX: &str = "/function/";

/// The domain with names that all resolve to this machine (RFC 6761).
const LOCALHOST: &str = ".localhost";

/// The state of a function in the table.
#[derive(Debug)]
pub enum Entry<F = LoadedFunction> {
    /// It accepts requests.
    Ready(Arc<Deployed<F>>),
    /// It is being compiled. Requests get 503 with `Retry-After` rather than wait for an unknown
    /// time.
    Compiling,
    /// It could not be loaded, for this reason.
    Failed(String),
}

impl<F> From<Arc<Deployed<F>>> for Entry<F> {
    fn from(deployed: Arc<Deployed<F>>) -> Self {
        Self::Ready(deployed)
    }
}

impl<F> Clone for Entry<F> {
    fn clone(&self) -> Self {
        match self {
            Self::Ready(deployed) => Self::Ready(Arc::clone(deployed)),
            Self::Compiling => Self::Compiling,
            Self::Failed(cause) => Self::Failed(cause.clone()),
        }
    }
}

/// A routing table.
#[derive(Debug)]
pub struct Routes<F = LoadedFunction> {
    kind: Kind<F>,
    header_bytes: usize,
}

#[derive(Debug)]
enum Kind<F> {
    /// One function serves every path, as in a pod or on a port of a pool.
    Single(Entry<F>),
    /// Functions by name, as in local mode.
    Named(BTreeMap<FunctionName, Entry<F>>),
}

/// The route of a request.
pub(crate) enum RouteMatch<'a, F> {
    Function(&'a Arc<Deployed<F>>, PathOffset),
    /// The list of functions.
    List(&'a BTreeMap<FunctionName, Entry<F>>),
    NoFunction,
    NoRoute,
    Compiling,
    Failed(&'a str),
}

impl<F: Callee> Routes<F> {
    /// Routes every path to one function, which may be one that is not ready.
    pub fn single(entry: impl Into<Entry<F>>) -> Self {
        Self::new(Kind::Single(entry.into()))
    }

    /// Routes `/function/NAME/...` and `NAME.localhost` to functions, and `/` to their list.
    pub fn named(entries: impl IntoIterator<Item = (FunctionName, Entry<F>)>) -> Self {
        Self::new(Kind::Named(entries.into_iter().collect()))
    }

    fn new(kind: Kind<F>) -> Self {
        let allowed = |entry: &Entry<F>| match entry {
            // The specification's range fits any `usize`.
            Entry::Ready(deployed) => {
                usize::try_from(deployed.function().limits.request_headers.bytes())
                    .unwrap_or(usize::MAX)
            }
            Entry::Compiling | Entry::Failed(_) => 0,
        };
        let most = match &kind {
            Kind::Single(entry) => allowed(entry),
            Kind::Named(entries) => entries.values().map(allowed).max().unwrap_or(0),
        };
        Self {
            kind,
            header_bytes: most.max(MIN_HEADER_BYTES),
        }
    }

    /// The largest header size that any function allows, in bytes.
    pub(crate) fn header_bytes(&self) -> usize {
        self.header_bytes
    }

    pub(crate) fn find<B>(&self, request: &Request<B>) -> RouteMatch<'_, F> {
        let entries = match &self.kind {
            Kind::Single(entry) => return entry.route_match(PathOffset(0)),
            Kind::Named(entries) => entries,
        };
        if let Some(name) = host(request).and_then(name_of_host) {
            return match entries.get(name) {
                Some(entry) => entry.route_match(PathOffset(0)),
                // Host names are case-insensitive; function names have no capitals.
                None => match entries.get(name.to_ascii_lowercase().as_str()) {
                    Some(entry) => entry.route_match(PathOffset(0)),
                    None => RouteMatch::NoFunction,
                },
            };
        }
        let path = request.uri().path();
        let Some(rest) = path.strip_prefix(PREFIX) else {
            return if path == "/" {
                RouteMatch::List(entries)
            } else {
                RouteMatch::NoRoute
            };
        };
        let name = rest.split('/').next().unwrap_or(rest);
        match entries.get(name) {
            Some(entry) => entry.route_match(PathOffset(PREFIX.len() + name.len())),
            None => RouteMatch::NoFunction,
        }
    }
}

impl<F> Entry<F> {
    fn route_match(&self, offset: PathOffset) -> RouteMatch<'_, F> {
        match self {
            Self::Ready(deployed) => RouteMatch::Function(deployed, offset),
            Self::Compiling => RouteMatch::Compiling,
            Self::Failed(cause) => RouteMatch::Failed(cause),
        }
    }
}

/// The host of a request, with its port.
pub(crate) fn host<B>(request: &Request<B>) -> Option<&str> {
    match request.uri().authority() {
        Some(authority) => Some(authority.as_str()),
        None => request.headers().get(HOST)?.to_str().ok(),
    }
}

/// `NAME` of `NAME.localhost`, with or without a port.
fn name_of_host(host: &str) -> Option<&str> {
    let host = host.split(':').next().unwrap_or(host);
    let host = host.strip_suffix('.').unwrap_or(host);
    let (name, domain) = host.split_at_checked(host.len().checked_sub(LOCALHOST.len())?)?;
    (domain.eq_ignore_ascii_case(LOCALHOST) && !name.is_empty()).then_some(name)
}

/// The current routes. Clones share them.
#[derive(Debug)]
pub struct RouteTable<F = LoadedFunction>(Arc<ArcSwap<Routes<F>>>);

impl<F> Clone for RouteTable<F> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<F: Callee> RouteTable<F> {
    /// Makes a table with these routes.
    pub fn new(routes: Routes<F>) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(routes)))
    }

    /// Replaces the routes. Requests that were already routed finish at their function.
    pub fn set(&self, routes: Routes<F>) {
        self.0.store(Arc::new(routes));
    }

    /// Adds or replaces the function with this name; `None` removes it. Does nothing to a table of
    /// one unnamed function.
    pub fn set_entry(&self, name: &FunctionName, entry: Option<&Entry<F>>) {
        self.0.rcu(|routes| {
            let mut entries = match &routes.kind {
                Kind::Single(_) => return Arc::clone(routes),
                Kind::Named(entries) => entries.clone(),
            };
            match entry {
                Some(entry) => drop(entries.insert(name.clone(), entry.clone())),
                None => drop(entries.remove(name)),
            }
            Arc::new(Routes::named(entries))
        });
    }

    pub(crate) fn load(&self) -> arc_swap::Guard<Arc<Routes<F>>> {
        self.0.load()
    }
}

#[cfg(test)]
mod tests {
    use super::name_of_host;

    #[test]
    fn functions_are_names_under_localhost() {
        fn check(host: &str, expected: Option<&str>) {
            assert_eq!(name_of_host(host), expected, "{host}");
        }
        check("primes.localhost", Some("primes"));
        check("primes.localhost:8080", Some("primes"));
        check("primes.localhost.", Some("primes"));
        check("primes.LocalHost:80", Some("primes"));
        check("a.b.localhost", Some("a.b"));
        for other in [
            "localhost",
            "localhost:8080",
            ".localhost",
            "primes",
            "primes.localhost.example.com",
            "127.0.0.1:8080",
            "[::1]:8080",
            "",
            ":",
            "localhost.primes",
            "éééééééééé",
        ] {
            check(other, None);
        }
    }
}
