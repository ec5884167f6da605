//! Accounts of functions: virtual time, processor cap and memory, which all versions of a function share.
//!
//! Versions that are loaded with the same identity have one account. The settings of the newest version hold for all of
//! them. A version exists until its last call has ended, so one that cannot be served leaves no settings behind. An account
//! ends with its last version.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use sampan_spec::{Function, ProcessorShare};

use super::fair_share::{FairShare, FunctionShare};
use super::memory_account::{FunctionAccount, FunctionMemory, ProcessMemory};
use super::upkeep::Sweep;
use crate::compile::config::EngineConfig;

/// The accounts of an engine's functions.
pub(super) struct FunctionAccounts {
    fair: Option<Arc<FairShare>>,
    memory: Arc<ProcessMemory>,
    known: Arc<Known>,
}

/// The accounts by identity.
type Known = Mutex<HashMap<Arc<str>, Weak<Account>>>;

/// What the versions of a function share.
struct Account {
    share: Option<Arc<FunctionShare>>,
    memory: Arc<FunctionAccount>,
    versions: Mutex<Versions>,
    /// Where other versions find it; `None` for a function that has only one.
    entry: Option<(Arc<str>, Arc<Known>)>,
}

#[derive(Default)]
struct Versions {
    next: u64,
    /// In the order in which they were loaded.
    all: BTreeMap<u64, Loaded>,
}

struct Loaded {
    settings: Settings,
    module: Option<Weak<dyn Sweep>>,
}

#[derive(Clone, Copy)]
struct Settings {
    share: ProcessorShare,
    /// In bytes.
    total_memory: u64,
}

/// One version of a function. Its settings count until this is dropped.
pub(super) struct Version {
    account: Arc<Account>,
    number: u64,
}

/// The accounts of a function, for one version of it.
pub(super) struct Accounts {
    /// `None` where functions do not share processors.
    pub(super) share: Option<Arc<FunctionShare>>,
    pub(super) memory: Arc<FunctionMemory>,
    pub(super) version: Version,
}

impl FunctionAccounts {
    pub(super) fn new(config: &EngineConfig) -> Self {
        Self {
            fair: config.shared_processors.map(FairShare::new),
            memory: ProcessMemory::new(config.instance_memory),
            known: Arc::default(),
        }
    }

    /// The processors that the functions share; `None` if they do not.
    pub(super) fn fair(&self) -> Option<&Arc<FairShare>> {
        self.fair.as_ref()
    }

    /// The accounts of another version of the function with this identity; without one, of a function that has no other
    /// version.
    pub(super) fn join(&self, identity: Option<&str>, function: &Function) -> Accounts {
        let settings = Settings {
            share: function.share,
            total_memory: function.limits.total_memory.bytes(),
        };
        let account = match identity {
            Some(identity) => self.account(identity, settings),
            None => self.new_account(None, settings),
        };
        let number = account.enter(settings);
        Accounts {
            share: account.share.clone(),
            memory: FunctionMemory::new(Arc::clone(&account.memory)),
            version: Version { account, number },
        }
    }

    fn account(&self, identity: &str, settings: Settings) -> Arc<Account> {
        let mut known = lock(&self.known);
        if let Some(account) = known.get(identity).and_then(Weak::upgrade) {
            return account;
        }
        let identity: Arc<str> = identity.into();
        let entry = (Arc::clone(&identity), Arc::clone(&self.known));
        let account = self.new_account(Some(entry), settings);
        known.insert(identity, Arc::downgrade(&account));
        account
    }

    fn new_account(
        &self,
        entry: Option<(Arc<str>, Arc<Known>)>,
        settings: Settings,
    ) -> Arc<Account> {
        let fair = self.fair.as_ref();
        Arc::new(Account {
            share: fair.map(|fair| FairShare::join(fair, &settings.share)),
            memory: FunctionAccount::new(&self.memory, settings.total_memory),
            versions: Mutex::default(),
            entry,
        })
    }
}

impl Account {
    fn enter(&self, settings: Settings) -> u64 {
        let mut versions = lock(&self.versions);
        let number = versions.next;
        versions.next += 1;
        let loaded = Loaded {
            settings,
            module: None,
        };
        versions.all.insert(number, loaded);
        self.apply(settings);
        number
    }

    fn leave(&self, number: u64) {
        let mut versions = lock(&self.versions);
        versions.all.remove(&number);
        if let Some((newest, loaded)) = versions.all.last_key_value()
            && *newest < number
        {
            self.apply(loaded.settings);
        }
    }

    fn apply(&self, settings: Settings) {
        if let Some(share) = &self.share {
            share.set(&settings.share);
        }
        self.memory.set_budget(settings.total_memory);
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let Some((identity, known)) = &self.entry else {
            return;
        };
        let mut known = lock(known);
        // Another version may have come meanwhile, with a new account.
        if known
            .get(identity)
            .is_some_and(|one| one.strong_count() == 0)
        {
            known.remove(identity);
        }
    }
}

impl Version {
    /// Lets other versions drop the idle instances of this one.
    pub(super) fn watch(&self, module: Weak<dyn Sweep>) {
        if let Some(loaded) = lock(&self.account.versions).all.get_mut(&self.number) {
            loaded.module = Some(module);
        }
    }

    /// The modules of the other versions.
    pub(super) fn others(&self) -> Vec<Arc<dyn Sweep>> {
        let versions = lock(&self.account.versions);
        let others = versions.all.iter();
        others
            .filter(|(number, _)| **number != self.number)
            .filter_map(|(_, loaded)| loaded.module.as_ref()?.upgrade())
            .collect()
    }
}

impl Drop for Version {
    fn drop(&mut self) {
        self.account.leave(self.number);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No code panics between lock and unlock.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
