//! An exchange with nobody, before there is anybody.
//!
//! The first request of a process finds little of the program mapped: every part of it that serves costs a page fault,
//! some hundred of them together. A request over a socket that nobody else knows, for a function of nobody's or for none,
//! takes nearly the same way, and is counted and logged nowhere.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use sampan_engine::LoadedFunction;
use sampan_telemetry::Registry;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::{Deployed, Dispatch, Metrics, RouteTable, Routes, Server, ServerConfig};

/// How long it may take on a machine that has no time for it.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks for nothing.
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

/// Answers one request of its own by this function, so that the first real one finds the program in memory; without a
/// function, by saying that there is none.
///
/// # Errors
///
/// When there is no loopback network or no time, or the function does not answer. Requests will be answered all the same.
///
/// # Panics
///
/// Outside a tokio runtime with network and time enabled.
pub async fn rehearse(function: Option<LoadedFunction>) -> io::Result<()> {
    let server = Server::bind(ServerConfig::new(vec![SocketAddr::from((
        Ipv4Addr::LOCALHOST,
        0,
    ))]));
    let server = server.map_err(|error| error.source)?;
    let address = server.addresses()[0];
    let metrics = Metrics::register(&Registry::new());
    let (routes, expected): (_, &[u8]) = match function {
        Some(function) => (
            Routes::single(Deployed::new(function, &metrics)),
            b"HTTP/1.1 200 ",
        ),
        None => (Routes::named([]), b"HTTP/1.1 "),
    };
    let dispatch = Dispatch::new(RouteTable::new(routes), metrics);
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(REQUEST).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        if answer.starts_with(expected) {
            Ok(())
        } else {
            let head = answer.escape_ascii().to_string();
            Err(io::Error::other(format!(
                "it answered {}",
                head.get(..40).unwrap_or(&head)
            )))
        }
    };
    let mut outcome = Ok(Ok(()));
    let shutdown = async {
        outcome = timeout(PATIENCE, exchange).await;
    };
    server.run(dispatch, shutdown).await;
    outcome??;
    Ok(())
}

#[cfg(test)]
mod tests {
    #[tokio::test]
    async fn a_rehearsal_ends_well() {
        super::rehearse(None).await.expect("an answer");
    }
}
