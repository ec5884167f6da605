//! Resolves host names to the addresses that a rule allows.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::path::Path;
use std::sync::Arc;

use sampan_spec::Permit;
use tokio::sync::Semaphore;
use tokio_util::task::AbortOnDropHandle;

use super::connect_error::ConnectError;

/// The file of host names, into which a kubelet writes `hostAliases`.
const HOSTS: &str = "/etc/hosts";

/// The lookups of one function at once. Each occupies a thread until the C library returns, also when
/// its caller has given up.
const MAX_LOOKUPS: usize = 4;

/// The lookups of all functions of the process at once: names that do not resolve for long must not
/// take every thread for blocking work.
const MAX_ALL_LOOKUPS: usize = 32;

static ALL_LOOKUPS: Semaphore = Semaphore::const_new(MAX_ALL_LOOKUPS);

/// The lookups that a function may still begin.
pub(super) struct Lookups(Arc<Semaphore>);

impl Default for Lookups {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MAX_LOOKUPS)))
    }
}

impl Lookups {
    /// Looks `host` up on a thread for blocking work, once fewer than [`MAX_LOOKUPS`] of the
    /// function and [`MAX_ALL_LOOKUPS`] of all are in progress. Addresses need no lookup.
    async fn run(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        if let Ok(ip) = host.parse() {
            return Ok(vec![SocketAddr::new(ip, port)]);
        }
        let lookup = Arc::clone(&self.0).acquire_owned().await;
        let lookup = lookup.expect("nothing closes the semaphore");
        let any = ALL_LOOKUPS.acquire().await;
        let any = any.expect("nothing closes the semaphore");
        let host = host.to_owned();
        let found = tokio::task::spawn_blocking(move || {
            let _turns = (lookup, any);
            look_up(&host, port, Path::new(HOSTS))
        });
        // A lookup that has not begun ends with its caller.
        AbortOnDropHandle::new(found)
            .await
            .map_err(io::Error::other)
            .flatten()
    }
}

/// Resolves `host` and returns the addresses that `permit` allows. The caller connects to exactly
/// these, so a name that resolves differently the next time gains nothing.
///
/// # Errors
///
/// [`ConnectError::Resolve`] when the name does not resolve; [`ConnectError::Denied`] when none of
/// its addresses is allowed.
pub(super) async fn resolve(
    host: &str,
    port: u16,
    permit: &Permit,
    lookups: &Lookups,
) -> Result<Vec<SocketAddr>, ConnectError> {
    let found = lookups
        .run(bare(host), port)
        .await
        .map_err(ConnectError::Resolve)?;
    let allowed: Vec<SocketAddr> = found
        .iter()
        .copied()
        .filter(|address| permit.allows_address(address.ip()))
        .collect();
    if allowed.is_empty() && !found.is_empty() {
        return Err(ConnectError::Denied {
            addresses: found.iter().map(SocketAddr::ip).collect(),
        });
    }
    Ok(allowed)
}

/// A host of a URI without the brackets around an IPv6 address.
pub(super) fn bare(host: &str) -> &str {
    host.strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host)
}

/// Asks the C library, and completes the answer from the file of host names.
///
/// glibc returns only the first line of that file that has the name, unless `/etc/host.conf` says
/// `multi on`. Containers have no such file. An answer that does not come from the file of host
/// names stays as it is, so the order of sources in `/etc/nsswitch.conf` holds.
fn look_up(host: &str, port: u16, hosts: &Path) -> io::Result<Vec<SocketAddr>> {
    let mut found: Vec<SocketAddr> = (host, port).to_socket_addrs()?.collect();
    let listed = listed(host, hosts)?;
    if found.iter().any(|address| listed.contains(&address.ip())) {
        for ip in listed {
            if !found.iter().any(|address| address.ip() == ip) {
                found.push(SocketAddr::new(ip, port));
            }
        }
    }
    Ok(found)
}

/// The addresses of all lines of the file that have the name, in their order (hosts(5)).
fn listed(name: &str, hosts: &Path) -> io::Result<Vec<IpAddr>> {
    let file = match File::open(hosts) {
        Ok(file) => file,
        // The C library takes a file that this process cannot open for an empty one as well.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied
            ) =>
        {
            return Ok(Vec::new());
        }
        Err(error) => return Err(error),
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    let mut addresses = Vec::new();
    for line in BufReader::new(file).split(b'\n') {
        let line = line?;
        // Names and addresses are ASCII. Comments may be anything.
        let line = String::from_utf8_lossy(&line);
        let mut words = line
            .split('#')
            .next()
            .unwrap_or_default()
            .split_whitespace();
        let address = words.next().and_then(|word| word.parse().ok());
        if let Some(address) = address
            && words.any(|word| word.eq_ignore_ascii_case(name))
            && !addresses.contains(&address)
        {
            addresses.push(address);
        }
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn hosts(text: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(text).expect("it can be written");
        file
    }

    #[test]
    fn every_line_with_the_name_counts() {
        let file = hosts(
            b"# \xff a comment\n\
              192.0.2.1 api api.example.com # the first, api2\n\
              192.0.2.2\tAPI\n\
              2001:db8::1 api\n\
              192.0.2.1 api\n\
              fe80::1%eth0 api\n\
              no-address api\n\
              192.0.2.9 api-2 xapi\n\
              192.0.2.8",
        );
        let check = |name: &str, expected: &[&str]| {
            let found = listed(name, file.path()).expect("it can be read");
            let found: Vec<String> = found.iter().map(ToString::to_string).collect();
            assert_eq!(found, expected, "{name}");
        };
        check("api", &["192.0.2.1", "192.0.2.2", "2001:db8::1"]);
        check("Api.", &["192.0.2.1", "192.0.2.2", "2001:db8::1"]);
        check("api.example.com", &["192.0.2.1"]);
        check("api2", &[]);
        check("192.0.2.8", &[]);
        let absent = Path::new("/nonexistent/hosts");
        assert!(listed("api", absent).expect("taken for empty").is_empty());
    }

    #[tokio::test]
    async fn lookups_wait_for_their_turn_and_addresses_do_not() {
        let none = Lookups(Arc::new(Semaphore::new(0)));
        for address in ["192.0.2.1", "2001:db8::1"] {
            let found = none.run(address, 80).await.expect("an address");
            let ip = address.parse().expect("an address");
            assert_eq!(found, [SocketAddr::new(ip, 80)]);
        }
        let mut waiting = std::pin::pin!(none.run("localhost", 80));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(waiting.as_mut().poll(&mut context).is_pending());
        none.0.add_permits(1);
        let found = waiting.await.expect("it resolves");
        assert!(!found.is_empty());
        // The next one has the turn of the one before.
        let again = none.run("localhost", 80).await.expect("it resolves");
        assert_eq!(again, found);
    }

    #[test]
    fn only_an_answer_from_the_file_is_completed() {
        // Systems resolve localhost to 127.0.0.1, with or without ::1.
        let check = |text: &[u8], name: &str, added: Option<&str>| {
            let file = hosts(text);
            let plain = look_up(name, 80, Path::new("/nonexistent/hosts")).expect("it resolves");
            let found = look_up(name, 80, file.path()).expect("it resolves");
            let more: Vec<String> = found
                .iter()
                .filter(|address| !plain.contains(address))
                .map(ToString::to_string)
                .collect();
            assert_eq!(found.len(), plain.len() + more.len());
            assert_eq!(more, Vec::from_iter(added), "{name}");
        };
        let both = b"127.0.0.1 localhost\n192.0.2.7 localhost\n";
        check(both, "localhost", Some("192.0.2.7:80"));
        check(b"192.0.2.7 localhost\n", "localhost", None);
        check(b"192.0.2.7 127.0.0.1\n", "127.0.0.1", None);
    }

    #[tokio::test]
    async fn lookups_of_all_functions_are_limited() {
        let all = u32::try_from(MAX_ALL_LOOKUPS).expect("it is small");
        let taken = ALL_LOOKUPS.acquire_many(all).await.expect("it is open");
        let lookups = Lookups::default();
        let mut waiting = std::pin::pin!(lookups.run("localhost", 80));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(waiting.as_mut().poll(&mut context).is_pending());
        drop(taken);
        assert!(!waiting.await.expect("it resolves").is_empty());
    }
}
