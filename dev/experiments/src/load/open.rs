//! Generates an open load: requests are due at fixed times, whether or not earlier ones are
//! answered.
//!
//! Each client has one request at a time. If it still waits when the next is due, the time of the
//! next counts from its due time and not from its sending. A stalled server thus makes all of these
//! requests slow, as it would for real clients. Otherwise only the one that met the stall would be
//! slow (coordinated omission). If the client was free, the time counts from the actual sending,
//! since a sleeping thread wakes some microseconds late.

use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use super::{Connection, Target, microseconds};

/// The parameters of an open load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Open {
    pub(crate) clients: u32,
    /// Requests a second of all clients together.
    pub(crate) rate: f64,
    pub(crate) duration: Duration,
    pub(crate) keeps_alive: bool,
}

/// The result of a load.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Outcome {
    /// The times of the answers, in microseconds.
    pub(crate) times: Vec<u64>,
    pub(crate) failed: u64,
    /// The first failure.
    pub(crate) failure: Option<String>,
    pub(crate) seconds: f64,
}

impl Outcome {
    /// Counts a request.
    pub(crate) fn count(&mut self, outcome: io::Result<Option<u64>>) {
        let failure = match outcome {
            Ok(Some(time)) => {
                self.times.push(time);
                return;
            }
            Ok(None) => "the status is not 200".to_owned(),
            Err(error) => error.to_string(),
        };
        self.failed += 1;
        self.failure.get_or_insert(failure);
    }

    fn add(&mut self, other: Self) {
        self.times.extend(other.times);
        self.failed += other.failed;
        self.failure = self.failure.take().or(other.failure);
    }

    /// Answers a second.
    #[expect(clippy::cast_precision_loss, reason = "a count of requests")]
    pub(crate) fn rate(&self) -> f64 {
        self.times.len() as f64 / self.seconds
    }
}

/// Runs the load, with a thread for each client.
pub(crate) fn open(target: &Target, load: &Open) -> io::Result<Outcome> {
    let begin = Instant::now() + Duration::from_millis(20);
    let outcome = thread::scope(|scope| {
        let clients: Vec<_> = (0..load.clients)
            .map(|number| scope.spawn(move || client(target, load, number, begin)))
            .collect();
        let mut all = Outcome::default();
        for client in clients {
            let outcome = client.join();
            all.add(outcome.map_err(|_| io::Error::other("a client has panicked"))?);
        }
        io::Result::Ok(all)
    })?;
    Ok(Outcome {
        seconds: begin.elapsed().as_secs_f64(),
        ..outcome
    })
}

fn client(target: &Target, load: &Open, number: u32, begin: Instant) -> Outcome {
    let request = target.request(load.keeps_alive);
    let interval = f64::from(load.clients) / load.rate;
    let mut kept = None;
    let mut outcome = Outcome::default();
    // Clients begin one after the other, so that the requests of all together are evenly spaced.
    for turn in 0_u32.. {
        let part = f64::from(turn) + f64::from(number) / f64::from(load.clients);
        let due = Duration::from_secs_f64(interval * part);
        if due >= load.duration || begin.elapsed() >= load.duration {
            break;
        }
        let due = begin + due;
        let early = due.saturating_duration_since(Instant::now());
        let counted_from = if early.is_zero() {
            due
        } else {
            thread::sleep(early);
            Instant::now()
        };
        let asked = ask(&mut kept, target.address, &request, load.keeps_alive);
        outcome.count(asked.map(|is_ok| is_ok.then(|| microseconds(counted_from.elapsed()))));
    }
    outcome
}

/// Sends a request; whether the status is 200.
fn ask(
    kept: &mut Option<Connection>,
    address: SocketAddr,
    request: &[u8],
    keeps_alive: bool,
) -> io::Result<bool> {
    let mut connection = match kept.take() {
        Some(connection) => connection,
        None => Connection::open(address)?,
    };
    let status = connection.ask(request)?;
    if keeps_alive {
        *kept = Some(connection);
    }
    Ok(status == 200)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{Ipv4Addr, TcpListener};

    use super::*;

    /// A server with immediate answers except for one stall, on one connection.
    fn stalling(pause: Duration) -> Target {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = [0; 1024];
            let mut is_first = true;
            while stream.read(&mut asked).is_ok_and(|read| read > 0) {
                if std::mem::take(&mut is_first) {
                    thread::sleep(pause);
                }
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
                if stream.write_all(answer).is_err() {
                    return;
                }
            }
        });
        let path = "/".to_owned();
        Target { address, path }
    }

    #[test]
    fn a_stall_makes_all_requests_slow_that_were_due_in_it() {
        let pause = Duration::from_millis(300);
        let load = Open {
            clients: 1,
            rate: 100.0,
            duration: Duration::from_secs(1),
            keeps_alive: true,
        };
        let outcome = open(&stalling(pause), &load).unwrap();
        assert_eq!(outcome.failed, 0);
        // 30 requests were due during the stall. A generator that waited with them would have one
        // slow time.
        let slow = outcome.times.iter().filter(|time| **time > 50_000).count();
        assert!(slow >= 15, "{slow} of {:?}", outcome.times);
    }

    #[test]
    fn a_refusal_is_a_failure() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let target = Target {
            address,
            path: "/".to_owned(),
        };
        let load = Open {
            clients: 2,
            rate: 100.0,
            duration: Duration::from_millis(50),
            keeps_alive: false,
        };
        let outcome = open(&target, &load).unwrap();
        assert!(
            outcome.times.is_empty() && outcome.failed > 0,
            "{outcome:?}"
        );
    }
}
