//! Keeps what is served in step with the files: looks, loads, and swaps.
//!
//! One task owns the shelf; loads run beside it and report back. Refuses to end because of a function
//! or a file: only a start at which nothing can be served ends it.

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

use super::discover::Root;
use super::event::{Event, Named, Served};
use super::load::{Version, load};
use super::look::{View, look};
use super::report::Reporter;
use super::shelf::{News, Place, Shelf, Step};
use super::urls::Base;
use super::watch::{Inbox, Watches};

/// Something that has gone is looked for once more: programs replace files by removing them first.
const SECOND_LOOK: Duration = Duration::from_millis(100);

/// Functions being loaded at once. Each holds its file in memory while it waits for the compiler.
const LOADS: usize = 16;

/// How often folders are looked at again because new ones were found, before anything is served.
const MOST_LOOKS: usize = 16;

/// What the keeper works with.
pub(crate) struct Keeper {
    pub(crate) roots: Arc<Vec<Root>>,
    pub(crate) engine: Engine,
    pub(crate) metrics: Metrics,
    pub(crate) routes: RouteTable,
    pub(crate) health: Health,
    pub(crate) reporter: Reporter,
    pub(crate) base: Base,
    /// Nothing when files are not watched.
    pub(crate) watches: Option<Watches>,
}

/// The keeper at work.
struct Work {
    keeper: Keeper,
    shelf: Shelf<Arc<Deployed>>,
    loads: JoinSet<Loaded>,
    /// What each load is for.
    running: HashMap<Id, (Origin, u64, AbortHandle)>,
    permits: Arc<Semaphore>,
    begun: Instant,
    settled: bool,
    /// When something was first seen to be gone.
    gone_since: Option<Instant>,
    trouble: Option<Failure>,
}

/// The end of a load.
struct Loaded {
    result: Result<Version, Failure>,
    took: Duration,
}

/// Looks at everything and, if files are to be watched, watches it from before that look.
pub(crate) fn first_look(roots: &[Root], watches: Option<&mut Watches>) -> Result<View, Failure> {
    let nothing = std::collections::BTreeMap::new();
    let mut view = look(roots, &nothing)?;
    if let Some(watches) = watches {
        for _ in 0..MOST_LOOKS {
            if !watches.follow(&view.folders)? {
                break;
            }
            view = look(roots, &nothing)?;
        }
    }
    Ok(view)
}

impl Keeper {
    /// Serves what `view` shows and follows its changes. Returns only to say why nothing can be served
    /// at the start.
    pub(crate) async fn keep(self, view: View) -> Failure {
        let mut work = Work {
            keeper: self,
            shelf: Shelf::new(),
            loads: JoinSet::new(),
            running: HashMap::new(),
            permits: Arc::new(Semaphore::new(LOADS)),
            begun: Instant::now(),
            settled: false,
            gone_since: None,
            trouble: None,
        };
        let inbox = work
            .keeper
            .watches
            .as_ref()
            .map(Watches::inbox)
            .unwrap_or_default();
        work.take(view);
        loop {
            if let Some(failure) = work.settle() {
                return failure;
            }
            let due = inbox.due();
            let look_at = due.unwrap_or_else(Instant::now).into();
            tokio::select! {
                Some(ended) = work.loads.join_next_with_id() => work.ended(ended, &inbox),
                () = inbox.announced() => {}
                () = sleep_until(look_at), if due.is_some() => {
                    inbox.settle(Instant::now());
                    work.look(&inbox).await;
                }
            }
        }
    }
}

impl Work {
    async fn look(&mut self, inbox: &Inbox) {
        let (roots, known) = (Arc::clone(&self.keeper.roots), self.shelf.sightings());
        let looked = tokio::task::spawn_blocking(move || look(&roots, &known)).await;
        let view = match looked {
            Ok(Ok(view)) => view,
            Ok(Err(failure)) => return self.tell_trouble(failure),
            Err(error) => {
                return self.tell_trouble(Failure::system("files cannot be looked at", &error));
            }
        };
        if let Some(watches) = &mut self.keeper.watches {
            match watches.follow(&view.folders) {
                // Something may have happened in the new folders before they were watched.
                Ok(true) => inbox.announce(Instant::now()),
                Ok(false) => {}
                Err(failure) => self.tell_trouble(failure),
            }
        }
        let complete = self.shelf.is_within(&view);
        if !complete {
            let since = *self.gone_since.get_or_insert_with(Instant::now);
            if since.elapsed() < SECOND_LOOK {
                return inbox.announce(since + SECOND_LOOK);
            }
        }
        self.gone_since = None;
        self.take(view);
        if !complete && self.shelf.is_crowded() {
            inbox.announce(Instant::now());
        }
    }

    fn take(&mut self, view: View) {
        for step in self.shelf.take(view) {
            match step {
                Step::Load {
                    origin,
                    generation,
                    source,
                } => self.load(origin, generation, source),
                Step::Tell(news) => self.tell(news, Duration::ZERO),
            }
        }
        self.publish();
    }

    fn load(&mut self, origin: Origin, generation: u64, source: Source) {
        self.abort(&origin);
        if self.shelf.live(&origin).is_none() {
            self.keeper
                .reporter
                .tell(Event::Loading(self.named(&origin)));
        }
        let (engine, metrics) = (self.keeper.engine.clone(), self.keeper.metrics.clone());
        let permits = Arc::clone(&self.permits);
        let load = self.loads.spawn(async move {
            // The semaphore is never closed; without a permit there would only be no bound.
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

    /// Ends the load of a version that is out of date. A compiler that works on it ends with it.
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
        // What has ended meanwhile is published together.
        while let Some(ended) = next {
            self.take_loaded(ended);
            next = self.loads.try_join_next_with_id();
        }
        self.publish();
        if self.shelf.is_crowded() {
            // A name may have become free.
            inbox.announce(Instant::now());
        }
    }

    fn take_loaded(&mut self, ended: Result<(Id, Loaded), JoinError>) {
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
            .shelf
            .live(&origin)
            .map(|live| live.function.name.clone());
        if let Some(news) = self.shelf.loaded(&origin, generation, result) {
            self.tell(news, took);
        }
        let after = self.shelf.live(&origin).map(|live| &live.function.name);
        if let Some(name) = before.filter(|before| Some(before) != after) {
            self.forget(&name);
        }
    }

    /// Shows the numbers of a name no longer, unless it leads somewhere again.
    fn forget(&self, name: &FunctionName) {
        if !self.shelf.places().contains_key(name) {
            self.keeper.metrics.forget(name);
        }
    }

    /// Puts what is served now in the place of what was.
    fn publish(&self) {
        let entries = self.shelf.places().into_iter().map(|(name, place)| {
            let entry = match place {
                Place::Ready(live) => Entry::Ready(Arc::clone(&live.deployed)),
                Place::Loading => Entry::Compiling,
                Place::Failed(failure) => {
                    Entry::Failed(format!("{}; {}", failure.message, failure.help))
                }
            };
            (name, entry)
        });
        self.keeper.routes.set(Routes::named(entries));
    }

    /// Notices when everything found at the start has had its try.
    fn settle(&mut self) -> Option<Failure> {
        if self.settled || !self.shelf.is_settled() {
            return None;
        }
        self.settled = true;
        let (served, failures) = (self.shelf.served(), self.shelf.failures());
        if served == 0 && !failures.is_empty() {
            return Some(nothing_to_serve(&failures));
        }
        self.keeper.health.set_ready();
        self.keeper.reporter.tell(Event::Settled {
            served,
            failed: failures.len(),
            milliseconds: milliseconds(self.begun.elapsed()),
        });
        None
    }

    fn tell(&mut self, news: News, took: Duration) {
        let event = match news {
            News::Ready(origin) => self.served(&origin, took).map(Event::Ready),
            News::Changed(origin) => self.served(&origin, took).map(Event::Changed),
            News::Failed {
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
            News::Removed { origin, name } => {
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
        if let Some(event) = event {
            self.keeper.reporter.tell(event);
        }
    }

    /// Tells of something that keeps files from being followed, once.
    fn tell_trouble(&mut self, failure: Failure) {
        if self.trouble.as_ref() != Some(&failure) {
            let (message, help) = (failure.message.clone(), failure.help.clone());
            self.keeper.reporter.tell(Event::Trouble { message, help });
            self.trouble = Some(failure);
        }
    }

    fn named(&self, origin: &Origin) -> Named {
        Named {
            function: self
                .shelf
                .name(origin)
                .unwrap_or_else(|| origin.default_name()),
            file: origin.path().display().to_string(),
        }
    }

    fn served(&self, origin: &Origin, took: Duration) -> Option<Served> {
        let live = self.shelf.live(origin)?;
        Some(Served {
            named: self.named(origin),
            kind: live.kind.as_str(),
            digest: live.digest.clone(),
            urls: self.keeper.base.function(&live.function.name),
            example: live.function.example.clone(),
            milliseconds: milliseconds(took),
        })
    }
}

/// One cause is told as it is; several are in the rows already.
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
