//! Reloader: scans files, loads functions and swaps routes.
//!
//! One task owns the catalog; loads run in other tasks and report to it. A failing function or file
//! does not end it. Only a start at which no function can be served does.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sampan_engine::Engine;
use sampan_runner::{Deployed, Entry, Metrics, RouteTable, Routes};
use sampan_spec::FunctionName;
use sampan_telemetry::Health;
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::sleep_until;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::source::{Origin, Source};

use super::catalog::{Action, Catalog, CatalogEvent, CatalogState};
use super::discover::Root;
use super::event::{Event, Named, Served};
use super::load::{Version, load};
use super::report::Reporter;
use super::scan::{ScanResult, scan_files};
use super::urls::BaseUrl;
use super::watch::{Inbox, Watches};

/// How long a missing file is waited for: programs replace files by removing them first.
const MISSING_FILE_GRACE: Duration = Duration::from_millis(100);

/// The most concurrent loads. Each holds its file in memory while it waits for the compiler.
const MAX_LOADS: usize = 16;

/// The most scans before anything is served. New folders require another scan.
const MAX_FIRST_SCANS: usize = 16;

/// The parts that the reloader uses.
pub(crate) struct Reloader {
    pub(crate) roots: Arc<Vec<Root>>,
    pub(crate) engine: Engine,
    pub(crate) metrics: Metrics,
    pub(crate) routes: RouteTable,
    pub(crate) health: Health,
    pub(crate) reporter: Reporter,
    pub(crate) base: BaseUrl,
    /// `None` when files are not watched.
    pub(crate) watches: Option<Watches>,
}

/// The state of a running reloader.
struct ReloadTask {
    reloader: Reloader,
    catalog: Catalog<Arc<Deployed>>,
    loads: JoinSet<Loaded>,
    /// The function and version of each load.
    running: HashMap<Id, (Origin, u64, AbortHandle)>,
    permits: Arc<Semaphore>,
    begun: Instant,
    settled: bool,
    /// When a file was first missing.
    gone_since: Option<Instant>,
    trouble: Option<Failure>,
    /// Events that are sent once the routes are as they say.
    unsent: Vec<Event>,
}

/// The result of a load.
struct Loaded {
    result: Result<Version, Failure>,
    took: Duration,
}

/// Scans all roots. If files are to be watched, the watches start before the scan.
pub(crate) fn first_scan(
    roots: &[Root],
    watches: Option<&mut Watches>,
) -> Result<ScanResult, Failure> {
    let nothing = std::collections::BTreeMap::new();
    let mut scan = scan_files(roots, &nothing)?;
    if let Some(watches) = watches {
        for _ in 0..MAX_FIRST_SCANS {
            if !watches.follow(&scan.folders)? {
                break;
            }
            scan = scan_files(roots, &nothing)?;
        }
    }
    Ok(scan)
}

impl Reloader {
    /// Serves the scanned functions and follows changes. Returns only a failure at the start, when
    /// nothing can be served.
    pub(crate) async fn run(self, scan: ScanResult) -> Failure {
        let mut task = ReloadTask {
            reloader: self,
            catalog: Catalog::new(),
            loads: JoinSet::new(),
            running: HashMap::new(),
            permits: Arc::new(Semaphore::new(MAX_LOADS)),
            begun: Instant::now(),
            settled: false,
            unsent: Vec::new(),
            gone_since: None,
            trouble: None,
        };
        let inbox = task
            .reloader
            .watches
            .as_ref()
            .map(Watches::inbox)
            .unwrap_or_default();
        task.apply_scan(scan);
        loop {
            if let Some(failure) = task.settle() {
                return failure;
            }
            let due = inbox.due();
            let scan_at = due.unwrap_or_else(Instant::now).into();
            tokio::select! {
                Some(ended) = task.loads.join_next_with_id() => task.ended(ended, &inbox),
                () = inbox.announced() => {}
                () = sleep_until(scan_at), if due.is_some() => {
                    inbox.settle(Instant::now());
                    task.rescan(&inbox).await;
                }
            }
        }
    }
}

impl ReloadTask {
    async fn rescan(&mut self, inbox: &Inbox) {
        let (roots, known) = (Arc::clone(&self.reloader.roots), self.catalog.snapshots());
        let scanned = tokio::task::spawn_blocking(move || scan_files(&roots, &known)).await;
        let scan = match scanned {
            Ok(Ok(scan)) => scan,
            Ok(Err(failure)) => return self.report_trouble(failure),
            Err(error) => {
                return self.report_trouble(Failure::system("files cannot be scanned", &error));
            }
        };
        if let Some(watches) = &mut self.reloader.watches {
            match watches.follow(&scan.folders) {
                // The new folders may have changed before they were watched.
                Ok(true) => inbox.announce(Instant::now()),
                Ok(false) => {}
                Err(failure) => self.report_trouble(failure),
            }
        }
        let complete = self.catalog.is_within(&scan);
        if !complete {
            let since = *self.gone_since.get_or_insert_with(Instant::now);
            if since.elapsed() < MISSING_FILE_GRACE {
                return inbox.announce(since + MISSING_FILE_GRACE);
            }
        }
        self.gone_since = None;
        self.apply_scan(scan);
        if !complete && self.catalog.has_name_conflict() {
            inbox.announce(Instant::now());
        }
    }

    fn apply_scan(&mut self, scan: ScanResult) {
        for action in self.catalog.apply_scan(scan) {
            match action {
                Action::Load {
                    origin,
                    generation,
                    source,
                } => self.load(origin, generation, source),
                Action::Report(event) => self.report(event, Duration::ZERO),
            }
        }
        self.publish();
    }

    fn load(&mut self, origin: Origin, generation: u64, source: Source) {
        self.abort(&origin);
        if self.catalog.live(&origin).is_none() {
            self.unsent.push(Event::Loading(self.named(&origin)));
        }
        let (engine, metrics) = (self.reloader.engine.clone(), self.reloader.metrics.clone());
        let permits = Arc::clone(&self.permits);
        let load = self.loads.spawn(async move {
            // The semaphore is never closed; without a permit there would only be no limit.
            let _permit = permits.acquire().await;
            let begun = Instant::now();
            let result = load(&engine, &metrics, source).await;
            Loaded {
                result,
                took: begun.elapsed(),
            }
        });
        self.running.insert(load.id(), (origin, generation, load));
    }

    /// Aborts the load of an outdated version, its compiler included.
    fn abort(&mut self, origin: &Origin) {
        for (_, _, load) in self
            .running
            .values()
            .filter(|(loading, ..)| loading == origin)
        {
            load.abort();
        }
    }

    fn ended(&mut self, ended: Result<(Id, Loaded), JoinError>, inbox: &Inbox) {
        let mut next = Some(ended);
        // Loads that have ended meanwhile are published together.
        while let Some(ended) = next {
            self.finish_load(ended);
            next = self.loads.try_join_next_with_id();
        }
        self.publish();
        if self.catalog.has_name_conflict() {
            // A name may have become free.
            inbox.announce(Instant::now());
        }
    }

    fn finish_load(&mut self, ended: Result<(Id, Loaded), JoinError>) {
        let (id, result, took) = match ended {
            Ok((id, Loaded { result, took })) => (id, result, took),
            Err(error) => {
                let failure = Failure::system("loading was broken off", &error);
                (error.id(), Err(failure), Duration::ZERO)
            }
        };
        let Some((origin, generation, _)) = self.running.remove(&id) else {
            return;
        };
        let before = self
            .catalog
            .live(&origin)
            .map(|live| live.function.name.clone());
        if let Some(event) = self.catalog.loaded(&origin, generation, result) {
            self.report(event, took);
        }
        let after = self.catalog.live(&origin).map(|live| &live.function.name);
        if let Some(name) = before.filter(|before| Some(before) != after) {
            self.forget(&name);
        }
    }

    /// Removes the metrics of a name, unless another function has it.
    fn forget(&self, name: &FunctionName) {
        if !self.catalog.states().contains_key(name) {
            self.reloader.metrics.forget(name);
        }
    }

    /// Replaces the routes by the current state, and then sends the events of what led to it.
    fn publish(&mut self) {
        let entries = self.catalog.states().into_iter().map(|(name, state)| {
            let entry = match state {
                CatalogState::Ready(live) => Entry::Ready(Arc::clone(&live.deployed)),
                CatalogState::Loading => Entry::Compiling,
                CatalogState::Failed(failure) => {
                    Entry::Failed(format!("{}; {}", failure.message, failure.help))
                }
            };
            (name, entry)
        });
        self.reloader.routes.set(Routes::named(entries));
        for event in self.unsent.drain(..) {
            self.reloader.reporter.send(event);
        }
    }

    /// Checks whether every function found at the start has been loaded once.
    fn settle(&mut self) -> Option<Failure> {
        if self.settled || !self.catalog.is_settled() {
            return None;
        }
        self.settled = true;
        let (served, failures) = (self.catalog.served(), self.catalog.failures());
        if served == 0 && !failures.is_empty() {
            return Some(nothing_to_serve(&failures));
        }
        self.reloader.health.set_ready();
        self.reloader.reporter.send(Event::Settled {
            served,
            failed: failures.len(),
            milliseconds: milliseconds(self.begun.elapsed()),
        });
        None
    }

    fn report(&mut self, event: CatalogEvent, took: Duration) {
        let event = match event {
            CatalogEvent::Ready(origin) => self.served(&origin, took).map(Event::Ready),
            CatalogEvent::Changed(origin) => self.served(&origin, took).map(Event::Changed),
            CatalogEvent::Failed {
                origin,
                failure,
                still_served,
            } => Some(Event::Failed {
                named: self.named(&origin),
                message: failure.message,
                help: failure.help,
                exit_code: failure.exit.code(),
                still_served,
            }),
            CatalogEvent::Removed { origin, name } => {
                self.abort(&origin);
                if let Ok(name) = name.parse() {
                    self.forget(&name);
                }
                let file = origin.path().display().to_string();
                Some(Event::Removed(Named {
                    function: name,
                    file,
                }))
            }
        };
        self.unsent.extend(event);
    }

    /// Reports a failure to follow files, unless it was the last one reported.
    fn report_trouble(&mut self, failure: Failure) {
        if self.trouble.as_ref() != Some(&failure) {
            let (message, help) = (failure.message.clone(), failure.help.clone());
            self.reloader
                .reporter
                .send(Event::Trouble { message, help });
            self.trouble = Some(failure);
        }
    }

    fn named(&self, origin: &Origin) -> Named {
        Named {
            function: self
                .catalog
                .name(origin)
                .unwrap_or_else(|| origin.default_name()),
            file: origin.path().display().to_string(),
        }
    }

    fn served(&self, origin: &Origin, took: Duration) -> Option<Served> {
        let live = self.catalog.live(origin)?;
        Some(Served {
            named: self.named(origin),
            kind: live.kind.as_str(),
            digest: live.digest.clone(),
            urls: self.reloader.base.function(&live.function.name),
            example: live.function.example.clone(),
            milliseconds: milliseconds(took),
        })
    }
}

/// A single failure is returned as it is; several were already printed.
fn nothing_to_serve(failures: &[&Failure]) -> Failure {
    if let [failure] = failures {
        return (*failure).clone();
    }
    let first = failures[0];
    let same = failures.iter().all(|failure| failure.exit == first.exit);
    let exit = if same {
        first.exit
    } else {
        Exit::NothingToServe
    };
    let count = failures.len();
    let message = format!("none of {count} functions can be served; the first: {first}");
    Failure::new(exit, message, &first.help)
}

pub(crate) fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
