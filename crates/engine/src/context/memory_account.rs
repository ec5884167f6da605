//! Accounts of the memory that instances use: one for each function and one for the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sampan_spec::Limits;
use tokio::sync::futures::Notified;
use tokio::sync::{Mutex, MutexGuard, Notify};

use super::memory_budget::{Budgets, Usage, UsedUp};

/// The account of all functions of an engine.
#[derive(Debug)]
pub(crate) struct ProcessMemory {
    budget: Option<u64>,
    used: AtomicU64,
    /// The number of functions that use memory.
    functions: AtomicU64,
}

/// Memory that is taken for an instance, until it uses it.
#[derive(Debug)]
pub(crate) struct Reservation {
    account: Arc<FunctionMemory>,
    bytes: u64,
}

/// The account of one function, with all its versions.
#[derive(Debug)]
pub(crate) struct FunctionAccount {
    process: Arc<ProcessMemory>,
    budget: AtomicU64,
    used: AtomicU64,
    /// Held by the call that is next to get memory, so that calls get it in the order of their arrival.
    line: Mutex<()>,
    changed: Notify,
}

/// The account of a function, for one version of it.
#[derive(Debug)]
pub(crate) struct FunctionMemory {
    account: Arc<FunctionAccount>,
    /// What an instance of this version has at its start, as far as one was made.
    initial: AtomicU64,
}

impl ProcessMemory {
    pub(crate) fn new(budget: Option<u64>) -> Arc<Self> {
        Arc::new(Self {
            budget,
            used: AtomicU64::new(0),
            functions: AtomicU64::new(0),
        })
    }
}

impl FunctionAccount {
    pub(crate) fn new(process: &Arc<ProcessMemory>, budget: u64) -> Arc<Self> {
        Arc::new(Self {
            process: Arc::clone(process),
            budget: AtomicU64::new(budget),
            used: AtomicU64::new(0),
            line: Mutex::new(()),
            changed: Notify::new(),
        })
    }

    /// Sets another budget, in bytes. Instances keep what they have.
    pub(super) fn set_budget(&self, budget: u64) {
        self.budget.store(budget, Ordering::Release);
        self.changed.notify_waiters();
    }

    /// The memory in use, in bytes.
    pub(super) fn used(&self) -> u64 {
        self.used.load(Ordering::Acquire)
    }

    fn budgets(&self) -> Budgets {
        Budgets {
            function: self.budget.load(Ordering::Acquire),
            process: self.process.budget,
        }
    }

    fn is_limited(&self) -> bool {
        self.budgets().function < Limits::default().total_memory.bytes()
    }

    fn usage(&self, function: u64) -> Usage {
        let others = self.process.functions.load(Ordering::Acquire);
        Usage {
            function,
            process: self.process.used.load(Ordering::Acquire),
            functions: others + u64::from(function == 0),
        }
    }

    fn take(&self, bytes: u64) -> Result<(), UsedUp> {
        if bytes == 0 {
            return Ok(());
        }
        let budgets = self.budgets();
        // Two calls may pass at once by the same numbers; the exchanges below let only one take the last bytes.
        let mut function = self.used();
        loop {
            budgets.check(self.usage(function), bytes)?;
            let taken = self.used.compare_exchange_weak(
                function,
                function + bytes,
                Ordering::AcqRel,
                Ordering::Acquire,
            );
            match taken {
                Ok(_) => break,
                Err(actual) => function = actual,
            }
        }
        if function == 0 {
            self.process.functions.fetch_add(1, Ordering::AcqRel);
        }
        let process = self.process.used.fetch_add(bytes, Ordering::AcqRel);
        if let Some(budget) = self.process.budget
            && process.saturating_add(bytes) > budget
        {
            self.give_back(bytes);
            return Err(UsedUp::Process);
        }
        Ok(())
    }

    fn give_back(&self, bytes: u64) {
        if bytes == 0 {
            return;
        }
        self.process.used.fetch_sub(bytes, Ordering::AcqRel);
        if self.used.fetch_sub(bytes, Ordering::AcqRel) == bytes {
            self.process.functions.fetch_sub(1, Ordering::AcqRel);
        }
        self.notify();
    }

    /// Wakes the call that waits for memory or for an idle instance.
    fn notify(&self) {
        if self.is_limited() {
            self.changed.notify_waiters();
        }
    }
}

impl FunctionMemory {
    /// The memory of another version.
    pub(crate) fn new(account: Arc<FunctionAccount>) -> Arc<Self> {
        Arc::new(Self {
            account,
            initial: AtomicU64::new(0),
        })
    }

    /// The budget, in bytes.
    pub(crate) fn budget(&self) -> u64 {
        self.account.budgets().function
    }

    /// The account of all versions.
    pub(super) fn account(&self) -> &Arc<FunctionAccount> {
        &self.account
    }

    /// Takes so many bytes.
    pub(crate) fn take(&self, bytes: u64) -> Result<(), UsedUp> {
        self.account.take(bytes)
    }

    /// Gives so many bytes back that were taken.
    pub(crate) fn give_back(&self, bytes: u64) {
        self.account.give_back(bytes);
    }

    /// Whether the function is within an equal part of the process's budget with another instance.
    pub(crate) fn is_within_part(&self) -> bool {
        let (used, initial) = self.another();
        self.account.budgets().is_fair(used, initial)
    }

    /// Whether only the memory of idle instances may be missing for another instance.
    pub(crate) fn needs_room(&self) -> bool {
        let (used, initial) = self.another();
        let budgets = self.account.budgets();
        budgets.check(used, initial) == Err(UsedUp::Process) && budgets.is_fair(used, initial)
    }

    /// The memory in use, and what another instance has at its start.
    fn another(&self) -> (Usage, u64) {
        let used = self.account.usage(self.account.used());
        (used, self.initial.load(Ordering::Relaxed))
    }

    /// Notes what an instance has at its start.
    pub(crate) fn note_initial(&self, bytes: u64) {
        if self.initial.load(Ordering::Relaxed) < bytes {
            self.initial.fetch_max(bytes, Ordering::Relaxed);
        }
    }

    /// Takes what an instance has at its start; `None` while other instances of the function have to end before. Where that
    /// would not help, it takes nothing, and the instance itself fails.
    pub(crate) fn reserve(self: &Arc<Self>) -> Option<Reservation> {
        let initial = self.initial.load(Ordering::Relaxed);
        match self.take(initial) {
            Ok(()) => Some(Reservation {
                account: Arc::clone(self),
                bytes: initial,
            }),
            Err(UsedUp::Function) if self.account.used() > 0 => None,
            Err(UsedUp::Function | UsedUp::Process) => Some(Reservation::none(self)),
        }
    }

    /// Waits until the calls before this one have their memory. `None` without a budget, which always has room.
    pub(crate) async fn line(&self) -> Option<MutexGuard<'_, ()>> {
        if !self.account.is_limited() {
            return None;
        }
        Some(self.account.line.lock().await)
    }

    /// Ready when memory is given back, or an instance gets idle, after this call. Never ready without
    /// a budget, which always has room.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.account.changed.notified()
    }

    /// Wakes the call that waits for memory or for an idle instance.
    pub(crate) fn notify(&self) {
        self.account.notify();
    }
}

impl Reservation {
    /// No memory of this account.
    pub(crate) fn none(account: &Arc<FunctionMemory>) -> Self {
        Self {
            account: Arc::clone(account),
            bytes: 0,
        }
    }

    pub(crate) fn account(&self) -> &Arc<FunctionMemory> {
        &self.account
    }

    /// Takes so many bytes, first of those that are reserved.
    pub(crate) fn take(&mut self, bytes: u64) -> Result<(), UsedUp> {
        let reserved = self.bytes.min(bytes);
        self.account.take(bytes - reserved)?;
        self.bytes -= reserved;
        Ok(())
    }

    /// Gives the rest back.
    pub(crate) fn release(&mut self) {
        self.account.give_back(std::mem::take(&mut self.bytes));
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn version(process: &Arc<ProcessMemory>, budget: u64) -> Arc<FunctionMemory> {
        FunctionMemory::new(FunctionAccount::new(process, budget))
    }

    #[test]
    fn accounts_count_functions_and_bytes() {
        let process = ProcessMemory::new(Some(1000));
        let (one, other) = (version(&process, 600), version(&process, 600));
        let check = |used: [u64; 2], functions: u64| {
            assert_eq!([&one, &other].map(|f| f.account.used()), used);
            assert_eq!(process.used.load(Ordering::Relaxed), used[0] + used[1]);
            assert_eq!(process.functions.load(Ordering::Relaxed), functions);
        };
        assert_eq!(one.take(600), Ok(()));
        check([600, 0], 1);
        assert_eq!(one.take(1), Err(UsedUp::Function));
        assert_eq!(other.take(401), Err(UsedUp::Process));
        check([600, 0], 1);
        assert_eq!(other.take(300), Ok(()));
        check([600, 300], 2);
        one.give_back(500);
        assert_eq!(one.take(400), Ok(()));
        one.give_back(500);
        other.give_back(300);
        check([0, 0], 0);
    }

    #[test]
    fn what_is_given_back_makes_room_for_an_instance() {
        let memory = version(&ProcessMemory::new(None), 100);
        memory.note_initial(60);
        let mut first = memory.reserve().expect("there is room");
        first.take(70).expect("it fits");
        let changed = memory.changed();
        assert!(memory.reserve().is_none());
        drop(first);
        memory.give_back(70);
        assert!(changed.now_or_never().is_some() && memory.reserve().is_some());
        assert_eq!(memory.account.used(), 0);
        assert!(memory.changed().now_or_never().is_none());
    }

    #[test]
    fn calls_get_memory_in_the_order_of_their_arrival() {
        let process = ProcessMemory::new(None);
        let memory = version(&process, 100);
        let first = memory.line().now_or_never().flatten();
        assert!(first.is_some());
        let mut second = Box::pin(memory.line());
        assert!(second.as_mut().now_or_never().is_none());
        drop(first);
        // The line is the second one's, also before it looks.
        assert!(memory.line().now_or_never().is_none());
        assert!(second.now_or_never().flatten().is_some());
        let most = Limits::default().total_memory.bytes();
        let unlimited = version(&process, most);
        assert!(unlimited.line().now_or_never().expect("at once").is_none());
    }

    #[test]
    fn only_a_function_within_its_part_makes_others_drop_instances() {
        let process = ProcessMemory::new(Some(100));
        let (large, small) = (version(&process, 100), version(&process, 100));
        for memory in [&large, &small] {
            memory.note_initial(20);
        }
        assert_eq!((large.take(70), small.take(20)), (Ok(()), Ok(())));
        assert!(small.is_within_part() && small.needs_room());
        assert!(!large.is_within_part() && !large.needs_room());
        large.give_back(20);
        assert!(small.is_within_part() && !small.needs_room());
    }

    #[test]
    fn an_instance_that_is_larger_than_the_budget_is_tried() {
        let memory = version(&ProcessMemory::new(None), 100);
        memory.note_initial(101);
        let mut tried = memory.reserve().expect("nothing else uses memory");
        assert_eq!(tried.take(101), Err(UsedUp::Function));
    }
}
