//! Turns the counters of a pool's pods into the load of its functions.
//!
//! Each pod counts the processor time of each function since its start. The load is the sum of what the
//! counters have grown by, each over the time since that pod's last answer. A pod without an earlier
//! answer, and one that is gone, count nothing.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use sampan_crd::pool_report::PoolReport;

use crate::auto::Measure;

/// The last counters of the pods of one pool.
#[derive(Debug, Default)]
pub(crate) struct PoolUsage {
    /// By the pod's UID.
    pods: HashMap<String, PodCounters>,
    /// The end of the last interval.
    until: Option<Duration>,
}

#[derive(Debug)]
struct PodCounters {
    boot: String,
    at: Duration,
    /// Seconds, by the function's UID.
    used: HashMap<String, f64>,
}

/// The answer of a pod.
#[derive(Debug)]
pub(crate) struct PodAnswer {
    /// The pod's UID.
    pub(crate) pod: String,
    /// When it came.
    pub(crate) at: Duration,
    /// The functions that had a request since some time before the pod's last answer.
    pub(crate) report: PoolReport,
}

impl PoolUsage {
    /// When a pod has last answered.
    pub(crate) fn answered(&self, pod: &str) -> Option<Duration> {
        self.pods.get(pod).map(|counters| counters.at)
    }

    /// Records the answers of one poll at `now`. Returns a measure of each of `functions`; none if no
    /// pod has answered twice.
    pub(crate) fn record(
        &mut self,
        answers: Vec<PodAnswer>,
        pods: &HashSet<&str>,
        functions: &HashSet<String>,
        now: Duration,
    ) -> HashMap<String, Measure> {
        self.pods.retain(|pod, _| pods.contains(pod.as_str()));
        if answers.is_empty() {
            return HashMap::new();
        }
        let mut loads: HashMap<String, f64> = HashMap::new();
        let mut measured = false;
        for answer in answers {
            measured |= self.pods.contains_key(&answer.pod);
            self.add(answer, functions, &mut loads);
        }
        let from = self.until.replace(now);
        let Some(from) = from.filter(|_| measured) else {
            return HashMap::new();
        };
        let measure = |uid: &String| {
            let processors = loads.get(uid).copied().unwrap_or(0.0);
            Measure {
                from,
                to: now,
                processors,
            }
        };
        functions
            .iter()
            .map(|uid| (uid.clone(), measure(uid)))
            .collect()
    }

    /// Adds what one pod has used since its last answer.
    fn add(
        &mut self,
        answer: PodAnswer,
        functions: &HashSet<String>,
        loads: &mut HashMap<String, f64>,
    ) {
        let PodAnswer { pod, at, report } = answer;
        let before = self.pods.remove(&pod);
        let same_boot = before.as_ref().is_some_and(|it| it.boot == report.boot);
        let time = before.as_ref().map(|before| at.saturating_sub(before.at));
        let mut used = before.map(|before| before.used).unwrap_or_default();
        if !same_boot {
            used.clear();
        }
        used.retain(|uid, _| functions.contains(uid));
        let reported = report.functions.into_iter();
        for function in reported.filter(|function| functions.contains(&function.uid)) {
            let now = function.guest_seconds;
            // After a restart of the process, a counter has grown from zero. That of a function that was
            // idle until now has an unknown beginning.
            let earlier = match (same_boot, used.get(&function.uid)) {
                (true, earlier) => earlier.copied(),
                (false, _) => Some(0.0),
            };
            if let (Some(earlier), Some(time)) = (earlier, time.filter(|time| !time.is_zero()))
                && now.is_finite()
                && now > earlier
            {
                let load = loads.entry(function.uid.clone()).or_default();
                *load += (now - earlier) / time.as_secs_f64();
            }
            used.insert(function.uid, now);
        }
        let counters = PodCounters {
            boot: report.boot,
            at,
            used,
        };
        self.pods.insert(pod, counters);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::time::Duration;

    use sampan_crd::pool_report::{PoolReport, PooledFunction};

    use super::{PodAnswer, PoolUsage};

    fn answer(pod: &str, boot: &str, at: u64, used: &[(&str, f64)]) -> PodAnswer {
        let functions = used.iter().map(|(uid, guest_seconds)| PooledFunction {
            uid: (*uid).to_owned(),
            guest_seconds: *guest_seconds,
            ..PooledFunction::default()
        });
        PodAnswer {
            pod: pod.to_owned(),
            at: Duration::from_secs(at),
            report: PoolReport {
                boot: boot.to_owned(),
                functions: functions.collect(),
                ..PoolReport::default()
            },
        }
    }

    /// The load of the function `f` after polls, each with its second and the pods that are there.
    fn loads(polls: Vec<(u64, &str, Vec<PodAnswer>)>) -> Vec<Option<(u64, u64, f64)>> {
        let mut usage = PoolUsage::default();
        let functions = HashSet::from(["f".to_owned()]);
        let poll = |(now, pods, answers): (u64, &str, Vec<PodAnswer>)| {
            let pods = pods.split(' ').collect();
            let found = usage.record(answers, &pods, &functions, Duration::from_secs(now));
            let measure = found.get("f")?;
            let [from, to] = [measure.from, measure.to].map(|time| time.as_secs());
            Some((from, to, measure.processors))
        };
        polls.into_iter().map(poll).collect()
    }

    #[test]
    fn the_load_is_that_of_all_pods_since_their_last_answers() {
        let found = loads(vec![
            (
                10,
                "a b",
                vec![
                    answer("a", "1", 10, &[("f", 5.0)]),
                    answer("b", "1", 10, &[]),
                ],
            ),
            (
                20,
                "a b",
                vec![
                    answer("a", "1", 20, &[("f", 9.0), ("g", 9.0)]),
                    answer("b", "1", 20, &[("f", 3.0)]),
                ],
            ),
            (
                30,
                "a b",
                vec![
                    answer("a", "1", 30, &[("f", 10.0)]),
                    answer("b", "1", 30, &[("f", 5.0)]),
                ],
            ),
            // One that answers late has used it since its last answer.
            (40, "a b", vec![answer("a", "1", 40, &[])]),
            (
                50,
                "a b",
                vec![
                    answer("a", "1", 50, &[]),
                    answer("b", "1", 50, &[("f", 9.0)]),
                ],
            ),
        ]);
        let expected = [
            None,
            Some((10, 20, 0.4)),
            Some((20, 30, 0.1 + 0.2)),
            Some((30, 40, 0.0)),
            Some((40, 50, 0.2)),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_restarted_pod_begins_at_zero_and_one_that_is_gone_counts_no_more() {
        let found = loads(vec![
            (10, "a", vec![answer("a", "1", 10, &[("f", 100.0)])]),
            (20, "a", vec![answer("a", "2", 20, &[("f", 2.0)])]),
            (30, "a", vec![answer("a", "2", 30, &[("f", 3.0)])]),
            // Another pod in its place.
            (40, "b", vec![answer("b", "1", 40, &[("f", 50.0)])]),
            (50, "b", vec![answer("b", "1", 50, &[("f", 51.0)])]),
        ]);
        let expected = [
            None,
            Some((10, 20, 0.2)),
            Some((20, 30, 0.1)),
            None,
            Some((40, 50, 0.1)),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_counter_that_makes_no_sense_is_no_load() {
        let found = loads(vec![
            (10, "a", vec![answer("a", "1", 10, &[("f", 7.0)])]),
            (20, "a", vec![answer("a", "1", 20, &[("f", 3.0)])]),
            (30, "a", vec![answer("a", "1", 30, &[("f", f64::INFINITY)])]),
            (40, "a", Vec::new()),
            (50, "a", vec![answer("a", "1", 50, &[("f", 1.0)])]),
        ]);
        let expected = [
            None,
            Some((10, 20, 0.0)),
            Some((20, 30, 0.0)),
            None,
            Some((30, 50, 0.0)),
        ];
        assert_eq!(found, expected);
    }
}
