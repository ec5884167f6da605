//! Forwards connections from this machine's loopback into the cluster's network.
//!
//! Each route leads to an address in a network namespace. There is no other way into that network
//! from outside. It runs as a process of its own, `cargo xtask cluster forward`.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// The most connections of a route at once; further ones are closed.
const MAX_CONNECTIONS: usize = 512;

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A route, such as `127.0.0.1:8000=/run/netns/name=192.0.2.1:80`: listening address, namespace,
/// target.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    pub(crate) listen: SocketAddr,
    pub(crate) namespace: PathBuf,
    pub(crate) target: SocketAddr,
}

/// A request for a connection made inside the namespace, with the channel for the answer.
type Request = Sender<io::Result<TcpStream>>;

/// Forwards until it is killed, or until a route fails.
pub(crate) fn run(routes: &[Route]) -> Result<()> {
    let (failures, failed) = mpsc::channel();
    for route in routes {
        let listener = TcpListener::bind(route.listen)
            .with_context(|| format!("failed to listen on {}", route.listen))?;
        let connector = connector(route)?;
        let failures = failures.clone();
        let target = route.target;
        thread::spawn(move || {
            let error = accept(&listener, &connector);
            // The receiver ends the process, so it may be gone.
            let _ = failures.send(error.context(format!("failed to forward to {target}")));
        });
    }
    drop(failures);
    match failed.recv() {
        Ok(error) => Err(error),
        Err(_) => Ok(()),
    }
}

/// Starts the thread that connects. Only this thread enters the namespace; a socket stays in the
/// namespace that it was made in, whichever thread uses it.
fn connector(route: &Route) -> Result<Sender<Request>> {
    let namespace = std::fs::File::open(&route.namespace)
        .with_context(|| format!("failed to open {}", route.namespace.display()))?;
    let target = route.target;
    let (requests, asked): (_, Receiver<Request>) = mpsc::channel();
    let (entered, has_entered) = mpsc::channel();
    thread::spawn(move || {
        use std::os::fd::AsFd as _;
        let moved = move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network));
        let failed = moved.is_err();
        if entered.send(moved).is_err() || failed {
            return;
        }
        for request in asked {
            // The requesting thread may have ended.
            let _ = request.send(TcpStream::connect_timeout(&target, CONNECT_TIMEOUT));
        }
    });
    has_entered
        .recv()
        .context("a thread ended")?
        .with_context(|| format!("failed to enter {}", route.namespace.display()))?;
    Ok(requests)
}

fn accept(listener: &TcpListener, connector: &Sender<Request>) -> anyhow::Error {
    let open = Arc::new(AtomicUsize::new(0));
    loop {
        let client = match listener.accept() {
            Ok((client, _)) => client,
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
            Err(error) => return error.into(),
        };
        if open.fetch_add(1, Ordering::AcqRel) >= MAX_CONNECTIONS {
            open.fetch_sub(1, Ordering::AcqRel);
            continue;
        }
        let (open, connector) = (Arc::clone(&open), connector.clone());
        thread::spawn(move || {
            // A failed connection is closed, which is all that the client can learn.
            if let Err(error) = relay(client, &connector) {
                eprintln!("{error:#}");
            }
            open.fetch_sub(1, Ordering::AcqRel);
        });
    }
}

fn relay(client: TcpStream, connector: &Sender<Request>) -> Result<()> {
    let (answer, answered) = mpsc::channel();
    connector
        .send(answer)
        .context("the connecting thread ended")?;
    let server = answered.recv().context("the connecting thread ended")?;
    let server = server.context("failed to connect")?;
    for stream in [&client, &server] {
        stream
            .set_nodelay(true)
            .context("failed to set up a socket")?;
    }
    let (from, to) = (client.try_clone()?, server.try_clone()?);
    let there = thread::spawn(move || copy(from, to));
    copy(server, client);
    // That thread only copies, and ends when either side does.
    let _ = there.join();
    Ok(())
}

/// Copies until the end of input, and passes that end on.
fn copy(mut from: TcpStream, mut to: TcpStream) {
    let copied = io::copy(&mut from, &mut to);
    // After an error, the other direction is shut down as well.
    let (mine, others) = match copied {
        Ok(_) => (Shutdown::Read, Shutdown::Write),
        Err(_) => (Shutdown::Both, Shutdown::Both),
    };
    // A socket that is closed already needs no shutdown.
    let _ = from.shutdown(mine);
    let _ = to.shutdown(others);
}

impl FromStr for Route {
    type Err = String;

    fn from_str(text: &str) -> Result<Route, String> {
        let parts: Vec<_> = text.split('=').collect();
        let [listen, namespace, target] = parts[..] else {
            return Err("a route is LISTEN=NAMESPACE=TARGET".to_owned());
        };
        let address = |text: &str| {
            text.parse::<SocketAddr>()
                .map_err(|error| format!("`{text}`: {error}"))
        };
        Ok(Route {
            listen: address(listen)?,
            namespace: PathBuf::from(namespace),
            target: address(target)?,
        })
    }
}

impl std::fmt::Display for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}={}={}",
            self.listen,
            self.namespace.display(),
            self.target
        )
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    #[test]
    fn a_route_is_read_as_it_is_written() {
        fn check(text: &str, expected: bool) {
            let route = text.parse::<Route>();
            assert_eq!(route.is_ok(), expected, "{text}");
            if let Ok(route) = route {
                assert_eq!(route.to_string(), text);
            }
        }
        check("127.0.0.1:80=/run/netns/a=192.0.2.1:81", true);
        check("127.0.0.1:80=/run/netns/a", false);
        check("127.0.0.1=/run/netns/a=192.0.2.1:81", false);
    }

    #[test]
    fn bytes_and_ends_are_passed_on_both_ways() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = server.local_addr().unwrap();
        let (requests, asked): (Sender<Request>, Receiver<Request>) = mpsc::channel();
        thread::spawn(move || {
            for request in asked {
                request.send(TcpStream::connect(target)).unwrap();
            }
        });
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || accept(&listener, &requests));
        let serving = thread::spawn(move || {
            let (mut connection, _) = server.accept().unwrap();
            let mut question = String::new();
            connection.read_to_string(&mut question).unwrap();
            connection
                .write_all(question.to_uppercase().as_bytes())
                .unwrap();
        });
        let mut client = TcpStream::connect(address).unwrap();
        client.write_all(b"question").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "QUESTION");
        serving.join().unwrap();
    }
}
