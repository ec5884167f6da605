//! Warms a process up with one loopback request before it serves real ones.
//!
//! At first little of the program is mapped: a first request causes about a hundred page faults. A
//! request over a loopback socket of its own runs nearly the same code. It calls the warm-up
//! function of the engine, or none, and appears in no metrics and no logs.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use sampan_engine::{Guests, LoadedFunction};
use sampan_telemetry::Registry;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::{Deployed, Dispatch, Metrics, RouteTable, Routes, Server, ServerConfig};

/// Time limit of the exchange, also on a busy machine.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(5);

/// The request.
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

/// Sends one loopback request to `function`, so that the first real request finds the program in
/// memory. Without a function, the response is that there is none.
///
/// # Errors
///
/// When loopback networking is missing, the time limit passes or the function does not respond. The
/// process can serve requests nevertheless.
///
/// # Panics
///
/// Outside a tokio runtime with network and time enabled.
pub async fn warm_up(function: Option<LoadedFunction>) -> io::Result<()> {
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
    // Not those of the engine, which is just starting to serve.
    let guests = Guests::default();
    let dispatch = Dispatch::new(RouteTable::new(routes), metrics, guests);
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
        outcome = timeout(EXCHANGE_TIMEOUT, exchange).await;
    };
    server.run(dispatch, shutdown).await;
    outcome??;
    Ok(())
}

#[cfg(test)]
mod tests {
    #[tokio::test]
    async fn warm_up_succeeds_without_a_function() {
        super::warm_up(None).await.expect("an answer");
    }
}
