//! Judges the requests of a load: which ones were lost, when, and during what.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// How many lost requests a report prints.
const PRINTED: usize = 50;

/// Why a request has no right answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// There is no answer, or only a part of one.
    NoAnswer(String),
    /// The status is not 200, or the body is not that of the function.
    WrongAnswer(String),
}

/// A request of a load. Times count from the start of the load.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// The function that was called.
    pub function: String,
    /// When the rate asked for the request.
    pub due: Duration,
    /// When its last connection was begun.
    pub begun: Duration,
    /// When a connection for it was first refused. The load connects again, because a refused
    /// connection carries no request.
    pub refused: Option<Duration>,
    /// When its answer was complete, or when it failed.
    pub ended: Duration,
    /// `None` for the status 200 and the body of its function.
    pub failure: Option<Failure>,
}

/// The time in which a server's process was killed.
#[derive(Clone, Copy, Debug)]
pub struct Kill {
    /// Before the signal was sent.
    pub sent: Duration,
    /// After the process was gone.
    pub gone: Duration,
}

impl Kill {
    /// Whether a request was in flight at the kill.
    fn interrupts(&self, exchange: &Exchange) -> bool {
        exchange.begun <= self.gone && exchange.ended >= self.sent
    }
}

impl Exchange {
    /// Whether the request shows a fault: a graceful change loses no request and refuses no
    /// connection. A kill loses at most what is in flight, and then connections are refused until
    /// the nodes no longer lead any to the process.
    fn is_fault(&self, kill: Option<&Kill>) -> bool {
        let is_refused = self
            .refused
            .is_some_and(|refused| kill.is_none_or(|kill| refused < kill.sent));
        is_refused
            || match self.failure {
                None => false,
                Some(Failure::NoAnswer(_)) => kill.is_none_or(|kill| !kill.interrupts(self)),
                // A killed process cannot have sent it.
                Some(Failure::WrongAnswer(_)) => true,
            }
    }
}

/// All requests of a load, and what happened meanwhile.
#[derive(Debug, Default)]
pub struct LoadReport {
    /// The requests in the order of their ends.
    pub exchanges: Vec<Exchange>,
    /// What happened, with the time of its start.
    pub phases: Vec<(Duration, String)>,
}

impl LoadReport {
    /// Panics if a request was lost or a connection refused, except by the kill.
    pub fn check(&self, kill: Option<&Kill>) {
        let faults = self.faults(kill);
        assert!(
            faults.is_empty(),
            "{} of {} requests show a fault ({kill:?}):\n{}",
            faults.len(),
            self.exchanges.len(),
            self.lines(&faults)
        );
    }

    /// The requests that were in flight at the kill, and how many of them were lost.
    pub fn in_flight(&self, kill: &Kill) -> (usize, usize) {
        let all = self.exchanges.iter();
        let hit: Vec<_> = all.filter(|exchange| kill.interrupts(exchange)).collect();
        let lost = hit.iter().filter(|exchange| exchange.failure.is_some());
        (hit.len(), lost.count())
    }

    fn faults(&self, kill: Option<&Kill>) -> Vec<&Exchange> {
        let all = self.exchanges.iter();
        all.filter(|exchange| exchange.is_fault(kill)).collect()
    }

    /// What was going on when a request was refused or failed.
    fn phase(&self, exchange: &Exchange) -> &str {
        let time = exchange.refused.unwrap_or(exchange.ended);
        let mut before = self.phases.iter().rev();
        before
            .find(|(begun, _)| *begun <= time)
            .map_or("nothing was changed", |(_, phase)| phase)
    }

    /// How many there are of each function in each phase, and the first ones in full.
    fn lines(&self, exchanges: &[&Exchange]) -> String {
        let mut counts = BTreeMap::<_, usize>::new();
        for &exchange in exchanges {
            let key = (self.phase(exchange), exchange.function.as_str());
            *counts.entry(key).or_default() += 1;
        }
        let counts = counts
            .iter()
            .map(|((phase, function), count)| format!("{count} of {function} while {phase}\n"));
        let lines = exchanges.iter().take(PRINTED).map(|exchange| {
            let Exchange {
                function,
                due,
                begun,
                refused,
                ended,
                failure,
            } = exchange;
            let phase = self.phase(exchange);
            format!(
                "{function}, due at {due:.3?}, connected from {begun:.3?}, ended at {ended:.3?} while {phase}: \
                 first refused at {refused:.3?}, failure {failure:?}\n"
            )
        });
        counts.chain(lines).collect()
    }
}

/// Every request without a right answer at the first attempt, and the phases.
impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let faults = self.faults(None);
        writeln!(
            f,
            "{} requests, {} of them failed or refused at first",
            self.exchanges.len(),
            faults.len()
        )?;
        for (begun, phase) in &self.phases {
            writeln!(f, "from {begun:.3?}: {phase}")?;
        }
        f.write_str(&self.lines(&faults))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KILL: Kill = Kill {
        sent: Duration::from_secs(50),
        gone: Duration::from_secs(52),
    };

    /// A request that was due at a second, and took as many seconds.
    fn request(due: u64, took: u64, failure: Option<Failure>) -> Exchange {
        Exchange {
            function: "probe".to_owned(),
            due: Duration::from_secs(due),
            begun: Duration::from_secs(due),
            refused: None,
            ended: Duration::from_secs(due + took),
            failure,
        }
    }

    fn no_answer() -> Failure {
        Failure::NoAnswer("reset".to_owned())
    }

    #[test]
    fn only_what_is_in_flight_at_the_kill_may_be_lost() {
        let check = |due, took, expected: bool| {
            let lost = request(due, took, Some(no_answer()));
            assert_eq!(lost.is_fault(Some(&KILL)), expected, "{lost:?}");
            assert!(lost.is_fault(None), "{lost:?}");
            assert!(!request(due, took, None).is_fault(Some(&KILL)));
            assert!(!request(due, took, None).is_fault(None));
        };
        check(49, 0, true);
        check(49, 1, false);
        check(51, 0, false);
        check(45, 20, false);
        check(52, 3, false);
        check(53, 0, true);
        let wrong = Some(Failure::WrongAnswer("404".to_owned()));
        assert!(request(51, 0, wrong).is_fault(Some(&KILL)));
    }

    #[test]
    fn only_a_kill_may_refuse_connections() {
        let check = |refused, expected: bool| {
            let again = Exchange {
                refused: Some(Duration::from_secs(refused)),
                ..request(49, 20, None)
            };
            assert_eq!(again.is_fault(Some(&KILL)), expected, "{again:?}");
            assert!(again.is_fault(None), "{again:?}");
        };
        check(49, true);
        check(50, false);
        check(60, false);
    }

    #[test]
    fn a_report_names_the_time_the_function_and_what_was_going_on() {
        let report = LoadReport {
            exchanges: vec![
                request(3, 1, None),
                request(5, 1, Some(no_answer())),
                request(51, 0, Some(no_answer())),
            ],
            phases: vec![
                (Duration::from_secs(2), "the pool rolls out".to_owned()),
                (Duration::from_secs(50), "a pod is killed".to_owned()),
            ],
        };
        let shown = report.to_string();
        for words in [
            "3 requests, 2 of them",
            "1 of probe while the pool rolls out\n",
            "probe, due at 5.000s",
            "ended at 6.000s while the pool rolls out: first refused at None, failure Some(NoAnswer(\"reset\"))",
            "ended at 51.000s while a pod is killed",
        ] {
            assert!(shown.contains(words), "no {words:?} in {shown}");
        }
        assert_eq!(report.in_flight(&KILL), (1, 1));
        assert_eq!(report.faults(Some(&KILL)).len(), 1);
        assert_eq!(report.phase(&request(0, 1, None)), "nothing was changed");
    }
}
