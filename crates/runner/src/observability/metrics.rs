//! Prometheus metrics of each function.
//!
//! A function's metrics are looked up once, when it is deployed. They belong to its name, so a new
//! deployment continues them. Requests in progress are read from admission control, and the memory of instances
//! from the engine.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;
use sampan_engine::{CallError, MemoryUse, Observer, Outbound, RequestId, Wait};
use sampan_spec::FunctionName;
use sampan_telemetry::Registry;

use super::histogram::Histogram;
use super::last_request::LastRequest;
use super::scrape::Scrape;
use super::status_codes::StatusCodes;
use crate::admission::{Admission, Rejection};

/// The most functions of which those without a request are encoded as well. A function takes some
/// KiB of each scrape, and most of many are idle.
const MAX_IDLE: usize = 100;

const OUTCOMES: [Outbound; 5] = [
    Outbound::Answered,
    Outbound::Denied,
    Outbound::DeniedAddress,
    Outbound::LimitReached,
    Outbound::Failed,
];

/// The metrics of all functions. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Metrics(Arc<Families>);

#[derive(Debug, Default)]
struct Families {
    functions: Mutex<BTreeMap<FunctionName, Arc<FunctionMetrics>>>,
    unrouted: StatusCodes,
}

/// The metrics of one function.
#[derive(Debug, Default)]
pub struct FunctionMetrics {
    codes: StatusCodes,
    took: Histogram,
    queue_full: AtomicU64,
    queue_timeout: AtomicU64,
    no_instance: AtomicU64,
    no_memory: AtomicU64,
    instantiation: Histogram,
    compilation: Histogram,
    cache_hits: AtomicU64,
    cache_misses: AtomicU64,
    failures: Mutex<BTreeMap<&'static str, u64>>,
    outbound: [AtomicU64; OUTCOMES.len()],
    /// Admission controls of every deployment that has or may get requests.
    admissions: Mutex<Vec<Weak<Admission>>>,
    /// The memory accounts of these deployments, each once.
    memory: Mutex<Vec<MemoryUse>>,
    last_request: LastRequest,
    /// Nanoseconds.
    guest_time: AtomicU64,
    share_waits: AtomicU64,
    cap_waits: AtomicU64,
}

impl Metrics {
    /// Makes metrics and registers them in `registry`.
    pub fn register(registry: &Registry) -> Self {
        let metrics = Self::default();
        registry.register_collector(metrics.clone());
        metrics
    }

    /// Returns the metrics of a function. Makes them if they are missing.
    pub fn function(&self, name: &FunctionName) -> Arc<FunctionMetrics> {
        let mut functions = self.functions();
        Arc::clone(functions.entry(name.clone()).or_default())
    }

    /// Removes the metrics of a function.
    pub fn forget(&self, name: &FunctionName) {
        self.functions().remove(name);
    }

    /// Counts a request without a function.
    pub(crate) fn count_unrouted(&self, code: u16) {
        self.0.unrouted.count(code);
    }

    fn functions(&self) -> MutexGuard<'_, BTreeMap<FunctionName, Arc<FunctionMetrics>>> {
        // No code panics between lock and unlock.
        self.0
            .functions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl FunctionMetrics {
    /// Requests in progress and in the queue, of all deployments of the function.
    pub fn in_flight(&self) -> u64 {
        self.sum(|admission| admission.in_progress() + admission.waiting())
    }

    /// When the last request arrived; `None` if none did.
    pub fn last_request(&self) -> Option<Instant> {
        self.last_request.get()
    }

    /// The processor time of the function's instances; zero where it is not measured.
    pub fn guest_time_used(&self) -> Duration {
        Duration::from_nanos(self.guest_time.load(Relaxed))
    }

    /// Records the arrival of a request.
    pub(crate) fn arrived(&self, at: Instant) {
        self.last_request.set(at);
    }

    /// Counts a completed request.
    pub(crate) fn answered(&self, code: u16, took: Duration) {
        self.codes.count(code);
        self.took.observe(took);
    }

    pub(crate) fn rejected(&self, rejection: Rejection) {
        let count = match rejection {
            Rejection::QueueFull => &self.queue_full,
            Rejection::QueueTimeout => &self.queue_timeout,
        };
        count.fetch_add(1, Relaxed);
    }

    /// Counts a request that had a slot, for which the engine had no instance.
    pub(crate) fn rejected_without_instance(&self) {
        self.no_instance.fetch_add(1, Relaxed);
    }

    /// Counts a request that had a slot, for which there was no memory.
    pub(crate) fn rejected_without_memory(&self) {
        self.no_memory.fetch_add(1, Relaxed);
    }

    /// Includes the requests in progress of a deployment.
    pub(crate) fn watch(&self, admission: &Arc<Admission>) {
        let mut admissions = self.admissions();
        admissions.retain(|admission| admission.strong_count() > 0);
        admissions.push(Arc::downgrade(admission));
    }

    /// Includes the memory of a deployment, unless it has the account of another one.
    pub(crate) fn watch_memory(&self, memory: MemoryUse) {
        let mut all = self.memory();
        all.retain(|known| known.bytes().is_some() && !known.is_same(&memory));
        all.push(memory);
    }

    /// The memory of the instances of all deployments, in bytes.
    fn instance_memory(&self) -> u64 {
        self.memory().iter().filter_map(MemoryUse::bytes).sum()
    }

    fn memory(&self) -> MutexGuard<'_, Vec<MemoryUse>> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sum(&self, number: impl Fn(&Admission) -> u64) -> u64 {
        self.admissions()
            .iter()
            .filter_map(Weak::upgrade)
            .map(|admission| number(&admission))
            .sum()
    }

    fn admissions(&self) -> MutexGuard<'_, Vec<Weak<Admission>>> {
        self.admissions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts the engine's events.
impl Observer for FunctionMetrics {
    fn compiled(&self, took: Duration) {
        self.compilation.observe(took);
    }

    fn cache(&self, hit: bool) {
        let count = if hit {
            &self.cache_hits
        } else {
            &self.cache_misses
        };
        count.fetch_add(1, Relaxed);
    }

    fn instantiated(&self, took: Duration) {
        self.instantiation.observe(took);
    }

    fn guest_time(&self, spent: Duration) {
        // More than five hundred years fit.
        let nanoseconds = u64::try_from(spent.as_nanos()).unwrap_or(u64::MAX);
        self.guest_time.fetch_add(nanoseconds, Relaxed);
    }

    fn waits(&self, wait: Wait) {
        let count = match wait {
            Wait::Share => &self.share_waits,
            Wait::Cap => &self.cap_waits,
        };
        count.fetch_add(1, Relaxed);
    }

    fn failed(&self, error: &CallError, _request_id: Option<&RequestId>) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        *failures.entry(error.cause()).or_default() += 1;
    }

    fn outbound(&self, outcome: Outbound) {
        let place = OUTCOMES.iter().position(|known| *known == outcome);
        if let Some(count) = place.and_then(|place| self.outbound.get(place)) {
            count.fetch_add(1, Relaxed);
        }
    }
}

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let functions: Vec<_> = {
            let functions = self.functions();
            let are_few = functions.len() <= MAX_IDLE;
            let shown = functions.iter();
            shown
                .filter(|(_, function)| are_few || function.last_request().is_some())
                .map(|(name, function)| (name.clone(), Arc::clone(function)))
                .collect()
        };
        let mut scrape = Scrape {
            encoder: &mut encoder,
            functions: &functions,
        };
        scrape.counters(
            "function_requests",
            "Requests by status code; 499 is a client that disconnected",
            |function, count| {
                function
                    .codes
                    .counted()
                    .try_for_each(|(code, value)| count(("code", code), value))
            },
        )?;
        scrape.histogram(
            "function_request_duration",
            "Time until the end of the answer",
            |f| &f.took,
        )?;
        scrape.gauge(
            "function_requests_in_progress",
            "Requests in progress, with functions that go on after their answers",
            None,
            |f| f.sum(Admission::in_progress),
        )?;
        scrape.gauge(
            "function_requests_queued",
            "Requests waiting in the queue",
            None,
            |f| f.sum(Admission::waiting),
        )?;
        scrape.gauge(
            "function_instance_memory",
            "Linear memory of a function's instances",
            Some(&Unit::Bytes),
            FunctionMetrics::instance_memory,
        )?;
        scrape.counters(
            "function_requests_rejected",
            "Requests that were not admitted",
            |f, count| {
                count(("reason", "queue_full"), f.queue_full.load(Relaxed))?;
                count(("reason", "queue_timeout"), f.queue_timeout.load(Relaxed))?;
                count(("reason", "instances"), f.no_instance.load(Relaxed))?;
                count(("reason", "memory"), f.no_memory.load(Relaxed))
            },
        )?;
        scrape.histogram("function_instantiation", "Time to make an instance", |f| {
            &f.instantiation
        })?;
        scrape.histogram("function_compilation", "Time to compile a module", |f| {
            &f.compilation
        })?;
        scrape.counters(
            "function_cache_lookups",
            "Lookups of compiled modules",
            |f, count| {
                count(("result", "hit"), f.cache_hits.load(Relaxed))?;
                count(("result", "miss"), f.cache_misses.load(Relaxed))
            },
        )?;
        scrape.counters(
            "function_failures",
            "Calls that failed, also after their answers",
            |function, count| {
                let failures = function
                    .failures
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .clone();
                failures
                    .into_iter()
                    .try_for_each(|(cause, value)| count(("cause", cause), value))
            },
        )?;
        scrape.counters(
            "function_outbound_calls",
            "Outbound calls",
            |function, count| {
                OUTCOMES
                    .iter()
                    .zip(&function.outbound)
                    .try_for_each(|(outcome, value)| {
                        count(("outcome", outcome.as_str()), value.load(Relaxed))
                    })
            },
        )?;
        // Only a pool measures it.
        if functions
            .iter()
            .any(|(_, f)| !f.guest_time_used().is_zero())
        {
            scrape.seconds(
                "function_guest",
                "Processor time of a function's instances",
                FunctionMetrics::guest_time_used,
            )?;
            scrape.counters(
                "function_waits",
                "Waits of calls for a processor",
                |f, count| {
                    count(
                        ("reason", Wait::Share.as_str()),
                        f.share_waits.load(Relaxed),
                    )?;
                    count(("reason", Wait::Cap.as_str()), f.cap_waits.load(Relaxed))
                },
            )?;
        }
        let mut unrouted = encoder.encode_descriptor(
            "unrouted_requests",
            "Requests without a function",
            None,
            MetricType::Counter,
        )?;
        self.0.unrouted.counted().try_for_each(|(code, value)| {
            let labels = [("code", code)];
            unrouted
                .encode_family(&labels)?
                .encode_counter::<NoLabelSet, _, u64>(&value, None)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_functions_only_those_with_requests_are_encoded() {
        fn check(count: usize, expected: usize) {
            let registry = Registry::new();
            let metrics = Metrics::register(&registry);
            let functions: Vec<_> = (0..count)
                .map(|number| metrics.function(&format!("f{number}").parse().expect("a name")))
                .collect();
            functions[0].arrived(Instant::now());
            let text = registry.encode().expect("it can be encoded");
            let line = "sampan_function_requests_in_progress{";
            let shown = text.lines().filter(|shown| shown.starts_with(line));
            assert_eq!(shown.count(), expected, "{count}");
        }
        check(MAX_IDLE, MAX_IDLE);
        check(MAX_IDLE + 1, 1);
    }
}
