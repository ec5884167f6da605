//! The load generator: sends requests over plain sockets from threads of its own, timed to the
//! microsecond.
//!
//! It runs in the network namespace of its caller. The time of an answer ends with its last byte.
//! An answer with another status than 200 has failed and has no time.

mod connection;
mod open;

use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

pub(crate) use connection::Connection;
pub(crate) use open::{Open, Outcome, open};

/// The timeout of one request.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// The delay between two attempts.
const RETRY_DELAY: Duration = Duration::from_micros(500);

/// The address and the path of a request.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) path: String,
}

impl Target {
    /// The bytes of a request.
    fn request(&self, keeps_alive: bool) -> Vec<u8> {
        let connection = if keeps_alive { "keep-alive" } else { "close" };
        format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nAccept: */*\r\nConnection: {connection}\r\n\r\n",
            self.path, self.address
        )
        .into_bytes()
    }

    /// Sends one request over a connection of its own. Returns its time, including that of the
    /// connection; `None` if the status is not 200.
    pub(crate) fn once(&self) -> io::Result<Option<u64>> {
        let request = self.request(false);
        let begun = Instant::now();
        let mut connection = Connection::open(self.address)?;
        let status = connection.ask(&request)?;
        let taken = microseconds(begun.elapsed());
        connection.close()?;
        Ok((status == 200).then_some(taken))
    }

    /// Sends the first request to a server that has just started to listen or is about to. Refused
    /// connections are retried and do not count.
    pub(crate) fn first(&self, within: Duration) -> io::Result<Option<u64>> {
        let begun = Instant::now();
        loop {
            match self.once() {
                Err(error)
                    if error.kind() == io::ErrorKind::ConnectionRefused
                        && begun.elapsed() < within =>
                {
                    thread::sleep(RETRY_DELAY);
                }
                outcome => return outcome,
            }
        }
    }

    /// Repeats the request until the status is 200, and returns the time of that.
    pub(crate) fn until_ok(&self, within: Duration) -> io::Result<Instant> {
        let begun = Instant::now();
        loop {
            match self.once() {
                Ok(Some(_)) => return Ok(Instant::now()),
                Err(error) if begun.elapsed() > within => return Err(error),
                Ok(None) if begun.elapsed() > within => {
                    return Err(io::Error::other("the status is not 200"));
                }
                _ => thread::sleep(RETRY_DELAY),
            }
        }
    }
}

/// The end of a load.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    After(Duration),
    Requests(u32),
}

/// Runs one client, with a connection for each request and no pause between them.
pub(crate) fn serial(target: &Target, end: End) -> Outcome {
    let begun = Instant::now();
    let mut outcome = Outcome::default();
    let mut sent = 0;
    loop {
        let is_over = match end {
            End::After(duration) => begun.elapsed() >= duration,
            End::Requests(count) => sent >= count,
        };
        if is_over {
            break;
        }
        outcome.count(target.once());
        sent += 1;
    }
    outcome.seconds = begun.elapsed().as_secs_f64();
    outcome
}

/// Whole microseconds, rounded.
pub(crate) fn microseconds(time: Duration) -> u64 {
    u64::try_from((time.as_nanos() + 500) / 1000).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::net::{Ipv4Addr, TcpListener};

    /// A server with a list of answers, one for each connection, each after a delay.
    fn server(answers: Vec<(&'static str, Duration)>) -> Target {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for (answer, pause) in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut asked = [0; 1024];
                assert!(stream.read(&mut asked).unwrap() > 0);
                thread::sleep(pause);
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        Target {
            address,
            path: "/".to_owned(),
        }
    }

    const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    const BAD: &str =
        "HTTP/1.1 502 Bad Gateway\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n";

    #[test]
    fn a_time_is_that_of_the_whole_answer_and_a_failure_has_none() {
        let pause = Duration::from_millis(20);
        let target = server(vec![
            (OK, pause),
            (BAD, Duration::ZERO),
            (OK, Duration::ZERO),
        ]);
        let outcome = serial(&target, End::Requests(3));
        assert_eq!((outcome.times.len(), outcome.failed), (2, 1));
        assert!(outcome.times[0] >= microseconds(pause));
    }

    #[test]
    fn a_refused_connection_is_retried() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let target = Target {
            address: listener.local_addr().unwrap(),
            path: "/".to_owned(),
        };
        drop(listener);
        assert!(target.first(Duration::from_millis(5)).is_err());
        assert!(target.until_ok(Duration::from_millis(5)).is_err());
        let target = server(vec![(BAD, Duration::ZERO), (OK, Duration::ZERO)]);
        assert!(target.until_ok(REQUEST_TIMEOUT).is_ok());
    }
}
