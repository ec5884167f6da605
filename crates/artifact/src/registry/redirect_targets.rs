//! Checks redirect targets: neither this machine nor its link, where clouds serve credentials.
//!
//! The connection's own resolver checks the resolved addresses of a name, so that a second
//! resolution cannot lead elsewhere.

use std::net::{IpAddr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use crate::error::{Cause, Error, shown};

/// A name that resolves to a forbidden address.
#[derive(Debug, thiserror::Error)]
#[error("{name} is {address}, which a registry must not redirect to")]
pub(super) struct Forbidden {
    name: String,
    address: IpAddr,
}

/// Resolves names, and rejects forbidden addresses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resolver {
    local: bool,
}

impl Resolver {
    /// `local` says that the registry itself is on this machine, and may redirect to this machine.
    pub(super) fn new(local: bool) -> Self {
        Self { local }
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let local = self.local;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let found: Vec<SocketAddr> = found.collect();
            if let Some(bad) = found.iter().find(|address| !allowed(address.ip(), local)) {
                let forbidden = Forbidden {
                    name: name.as_str().to_owned(),
                    address: bad.ip(),
                };
                return Err(Cause::from(forbidden));
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// Checks an address that the registry at `from` named. Names are checked when they are resolved.
pub(super) fn check(from: &Url, to: &Url, plain: bool, local: bool) -> Result<(), Error> {
    let refuse = |reason| Error::Redirect {
        from: shown(from),
        to: shown(to),
        reason,
    };
    match to.scheme() {
        "https" => {}
        "http" if plain => {}
        "http" => return Err(refuse("which is not encrypted, and the registry is")),
        _ => return Err(refuse("which is not HTTP")),
    }
    let address = match to.host() {
        Some(Host::Ipv4(address)) => IpAddr::V4(address),
        Some(Host::Ipv6(address)) => IpAddr::V6(address),
        Some(Host::Domain(_)) => return Ok(()),
        None => return Err(refuse("which names no host")),
    };
    if allowed(address, local) {
        Ok(())
    } else {
        Err(refuse("which a registry must not redirect to"))
    }
}

/// The error of [`Resolver`], if it caused this one.
pub(super) fn forbidden(url: &Url, error: &reqwest::Error) -> Option<Error> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(forbidden) = error.downcast_ref::<Forbidden>() {
            return Some(Error::Redirect {
                from: "the registry".to_owned(),
                to: format!("{} ({})", shown(url), forbidden.address),
                reason: "which a registry must not redirect to",
            });
        }
        cause = error.source();
    }
    None
}

fn allowed(address: IpAddr, local: bool) -> bool {
    sampan_spec::name_may_resolve_to(address, local)
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;

    #[test]
    fn a_registry_leads_to_networks_only() {
        fn check(to: &str, plain: bool, local: bool, good: bool) {
            let from = Url::parse("https://r.example/v2/").expect("an address");
            let to = Url::parse(to).expect("an address");
            let outcome = super::check(&from, &to, plain, local);
            assert_eq!(outcome.is_ok(), good, "{to}: {outcome:?}");
        }
        check("https://cdn.example/x", false, false, true);
        check("https://10.0.0.7/x", false, false, true);
        check("https://192.0.2.7/x", false, false, true);
        check("http://cdn.example/x", false, false, false);
        check("http://cdn.example/x", true, false, true);
        check("ftp://cdn.example/x", true, false, false);
        check("file:///etc/passwd", true, true, false);
        for metadata in [
            "http://169.254.169.254/latest",
            "http://[fe80::1]/",
            "http://[fd00:ec2::254]/",
            "http://[::ffff:169.254.169.254]/",
            "http://2852039166/",
            "http://0.0.0.0/",
            "http://100.100.100.200/",
        ] {
            check(metadata, true, false, false);
            check(metadata, true, true, false);
        }
        check("http://127.0.0.1:80/", true, false, false);
        check("http://127.0.0.1:80/", true, true, true);
        check("http://[::1]/", true, false, false);
    }

    #[tokio::test]
    async fn names_are_checked_by_their_addresses() {
        let resolve = async |local| {
            let name = "localhost".parse().expect("a name");
            Resolver::new(local)
                .resolve(name)
                .await
                .map(Iterator::count)
        };
        let error = resolve(false).await.expect_err("loopback is refused");
        assert!(error.is::<Forbidden>(), "{error}");
        assert!(resolve(true).await.expect("allowed from a local registry") > 0);
    }
}
