//! Which function a request is for: an immutable snapshot, replaced as a whole between requests.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use http::Request;
use http::header::HOST;
use sampan_engine::LoadedFunction;
use sampan_spec::FunctionName;

use crate::deployed::{Callee, Deployed};

/// The bytes of header fields that requests may have where no function allows more.
const LEAST_HEADER_BYTES: usize = 32 * 1024;

/// What is before a function's own path.
const PREFIX: &str = "/function/";

/// The domain whose every name is this machine (RFC 6761).
const LOCALHOST: &str = ".localhost";

/// What is known of a function by its name.
#[derive(Debug)]
pub enum Entry<F = LoadedFunction> {
    /// It takes requests.
    Ready(Arc<Deployed<F>>),
    /// It is being compiled; requests are told to come back rather than kept waiting, because
    /// nobody knows for how long.
    Compiling,
    /// It could not be loaded, for this reason.
    Failed(String),
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

/// Where requests go.
#[derive(Debug)]
pub struct Routes<F = LoadedFunction> {
    kind: Kind<F>,
    header_bytes: usize,
}

#[derive(Debug)]
enum Kind<F> {
    /// Every path is one function's, as in a pod.
    Single(Arc<Deployed<F>>),
    /// Functions by name, as on a laptop.
    Named(BTreeMap<FunctionName, Entry<F>>),
}

/// What a request asks for.
pub(crate) enum Found<'a, F> {
    Function(&'a Arc<Deployed<F>>, Place),
    /// The list of functions.
    List(&'a BTreeMap<FunctionName, Entry<F>>),
    NoFunction,
    NoRoute,
    Compiling,
    Failed(&'a str),
}

/// Where a function's own path begins in the request's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place(pub(crate) usize);

impl<F: Callee> Routes<F> {
    /// Every path is this function's.
    pub fn single(deployed: Arc<Deployed<F>>) -> Self {
        Self::new(Kind::Single(deployed))
    }

    /// Functions at `/function/NAME/...` and `NAME.localhost`, and a list of them at `/`.
    pub fn named(entries: impl IntoIterator<Item = (FunctionName, Entry<F>)>) -> Self {
        Self::new(Kind::Named(entries.into_iter().collect()))
    }

    fn new(kind: Kind<F>) -> Self {
        let allowed = |deployed: &Deployed<F>| {
            // The specification's range fits anywhere.
            usize::try_from(deployed.function().limits.request_headers.bytes())
                .unwrap_or(usize::MAX)
        };
        let most = match &kind {
            Kind::Single(deployed) => allowed(deployed),
            Kind::Named(entries) => entries
                .values()
                .map(|entry| match entry {
                    Entry::Ready(deployed) => allowed(deployed),
                    Entry::Compiling | Entry::Failed(_) => 0,
                })
                .max()
                .unwrap_or(0),
        };
        Self {
            kind,
            header_bytes: most.max(LEAST_HEADER_BYTES),
        }
    }

    /// The most bytes of header fields that any function allows.
    pub(crate) fn header_bytes(&self) -> usize {
        self.header_bytes
    }

    pub(crate) fn find<B>(&self, request: &Request<B>) -> Found<'_, F> {
        let entries = match &self.kind {
            Kind::Single(deployed) => return Found::Function(deployed, Place(0)),
            Kind::Named(entries) => entries,
        };
        if let Some(name) = host(request).and_then(name_of_host) {
            return match entries.get(name) {
                Some(entry) => entry.found(Place(0)),
                // Host names do not differ by case; functions' names have no capitals.
                None => match entries.get(name.to_ascii_lowercase().as_str()) {
                    Some(entry) => entry.found(Place(0)),
                    None => Found::NoFunction,
                },
            };
        }
        let path = request.uri().path();
        let Some(rest) = path.strip_prefix(PREFIX) else {
            return if path == "/" {
                Found::List(entries)
            } else {
                Found::NoRoute
            };
        };
        let name = rest.split('/').next().unwrap_or(rest);
        match entries.get(name) {
            Some(entry) => entry.found(Place(PREFIX.len() + name.len())),
            None => Found::NoFunction,
        }
    }
}

impl<F> Entry<F> {
    fn found(&self, place: Place) -> Found<'_, F> {
        match self {
            Self::Ready(deployed) => Found::Function(deployed, place),
            Self::Compiling => Found::Compiling,
            Self::Failed(cause) => Found::Failed(cause),
        }
    }
}

/// The host that a request names, with its port.
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

/// The routes in force. Clones share them.
#[derive(Debug)]
pub struct RouteTable<F = LoadedFunction>(Arc<ArcSwap<Routes<F>>>);

impl<F> Clone for RouteTable<F> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<F: Callee> RouteTable<F> {
    /// A table with these routes.
    pub fn new(routes: Routes<F>) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(routes)))
    }

    /// Puts these routes in the place of the others. Requests that have found their function finish
    /// there.
    pub fn set(&self, routes: Routes<F>) {
        self.0.store(Arc::new(routes));
    }

    /// Adds a function, or puts it in the place of the one with its name; `None` removes it. A table
    /// of one function has no names and stays as it is.
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
