//! Memory and table limits of one instance.
//!
//! Growth past the limit fails inside the guest, as WebAssembly specifies: `memory.grow` returns
//! -1. All linear memories of an instance share one budget, and so do all tables, so that many
//! small memories do not evade the limit.

use wasmtime::ResourceLimiter;

use crate::context::memory_account::Reservation;
use crate::context::memory_budget::UsedUp;
use crate::error::RefusedGrowth;

/// The most elements of all tables of one instance.
pub(super) const TABLE_ELEMENTS: usize = 200_000;

pub(crate) struct Limiter {
    /// What is reserved in the account of the function, which has what this instance uses until it is dropped.
    reserved: Reservation,
    memory: usize,
    memory_used: usize,
    table_used: usize,
    is_started: bool,
    /// The most recent refused growth, for the message of the trap that usually follows.
    pub(crate) refused: Option<RefusedGrowth>,
}

impl Limiter {
    pub(super) fn new(memory: u64, reserved: Reservation) -> Self {
        // More than the function's budget is too much for one instance alone, however many others end.
        let memory = memory.min(reserved.account().budget());
        let memory = usize::try_from(memory).unwrap_or(usize::MAX);
        Self {
            reserved,
            memory,
            memory_used: 0,
            table_used: 0,
            is_started: false,
            refused: None,
        }
    }

    /// Notes what the instance has after its start, and gives back what was reserved beyond it.
    pub(crate) fn started(&mut self) {
        self.is_started = true;
        self.reserved
            .account()
            .note_initial(bytes(self.memory_used));
        self.reserved.release();
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        // wasmtime refuses that after this call, and does not take back what was counted here.
        if maximum.is_some_and(|most| desired > most) {
            return Ok(false);
        }
        let used = self
            .memory_used
            .saturating_sub(current)
            .saturating_add(desired);
        if used > self.memory {
            self.refused = Some(RefusedGrowth::Instance);
            return Ok(false);
        }
        if let Err(used_up) = self
            .reserved
            .take(bytes(used.saturating_sub(self.memory_used)))
        {
            if !self.is_started {
                // The next one waits for as much.
                self.reserved.account().note_initial(bytes(used));
            }
            self.refused = Some(match used_up {
                UsedUp::Function => RefusedGrowth::Total {
                    limit: self.reserved.account().budget(),
                },
                UsedUp::Process => RefusedGrowth::Process,
            });
            return Ok(false);
        }
        self.memory_used = used;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|most| desired > most) {
            return Ok(false);
        }
        let used = self
            .table_used
            .saturating_sub(current)
            .saturating_add(desired);
        if used > TABLE_ELEMENTS {
            self.refused = Some(RefusedGrowth::Instance);
            return Ok(false);
        }
        self.table_used = used;
        Ok(true)
    }
}

impl Drop for Limiter {
    fn drop(&mut self) {
        self.reserved.account().give_back(bytes(self.memory_used));
    }
}

fn bytes(size: usize) -> u64 {
    u64::try_from(size).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::context::memory_account::{FunctionAccount, FunctionMemory, ProcessMemory};

    fn account(budget: u64) -> Arc<FunctionMemory> {
        let process = ProcessMemory::new(None);
        FunctionMemory::new(FunctionAccount::new(&process, budget))
    }

    fn limiter(memory: u64, budget: u64) -> Limiter {
        let account = account(budget);
        Limiter::new(memory, Reservation::none(&account))
    }

    #[test]
    fn instances_share_the_budget_of_their_function() {
        let account = account(100);
        let limiter = || Limiter::new(80, Reservation::none(&account));
        let grow = |limiter: &mut Limiter, current, desired| {
            let grown = limiter.memory_growing(current, desired, None);
            (grown.expect("never fails"), limiter.refused)
        };
        let (mut first, mut second) = (limiter(), limiter());
        assert_eq!(grow(&mut first, 0, 60), (true, None));
        let refused = Some(RefusedGrowth::Total { limit: 100 });
        assert_eq!(grow(&mut second, 0, 41), (false, refused));
        drop(first);
        assert!(grow(&mut second, 0, 41).0);
        // Its own limit comes first.
        let refused = Some(RefusedGrowth::Instance);
        assert_eq!(grow(&mut second, 41, 81), (false, refused));
    }

    #[test]
    fn growth_is_counted_over_all_memories_and_refused_past_the_limit() {
        let mut limiter = limiter(100, u64::MAX);
        let mut check = |current, desired, expected| {
            let grown = limiter
                .memory_growing(current, desired, None)
                .expect("never fails");
            assert_eq!(grown, expected, "{current} -> {desired}");
        };
        check(0, 60, true);
        check(0, 41, false);
        check(0, 40, true);
        check(60, 61, false);
        assert_eq!(limiter.refused, Some(RefusedGrowth::Instance));
    }

    #[test]
    fn a_growth_past_the_maximum_of_a_memory_or_a_table_is_not_counted() {
        let mut limiter = limiter(100, 100);
        let grow = |limiter: &mut Limiter, current, desired| {
            let grown = limiter.memory_growing(current, desired, Some(60));
            grown.expect("never fails")
        };
        assert!(grow(&mut limiter, 0, 40));
        assert!(!grow(&mut limiter, 40, 61));
        assert_eq!((limiter.memory_used, limiter.refused), (40, None));
        assert!(grow(&mut limiter, 0, 60));
        let grown = limiter.table_growing(0, 11, Some(10));
        assert!(!grown.expect("never fails"));
        assert_eq!(limiter.table_used, 0);
    }

    #[test]
    fn an_instance_cannot_have_more_than_the_budget_of_its_function() {
        let mut limiter = limiter(200, 100);
        let grown = limiter.memory_growing(0, 101, None);
        assert!(!grown.expect("never fails"));
        assert_eq!(limiter.refused, Some(RefusedGrowth::Instance));
    }

    #[test]
    fn the_next_instance_reserves_what_the_last_one_had_after_its_start() {
        let account = account(100);
        let mut first = Limiter::new(100, Reservation::none(&account));
        let mut grow = |current, desired| {
            let grown = first.memory_growing(current, desired, None);
            assert!(grown.expect("never fails"));
        };
        grow(0, 10);
        grow(10, 30);
        first.started();
        let mut grow = |current, desired| {
            let grown = first.memory_growing(current, desired, None);
            assert!(grown.expect("never fails"));
        };
        // Another memory, which was empty until now.
        grow(0, 40);
        drop(first);
        let mut other = Limiter::new(100, account.reserve().expect("there is room"));
        assert_eq!(account.take(71), Err(UsedUp::Function));
        // It needs less, and the rest is free for others.
        assert!(other.memory_growing(0, 10, None).expect("never fails"));
        other.started();
        assert_eq!(account.take(90), Ok(()));
    }

    #[test]
    fn tables_have_a_budget_of_their_own() {
        let mut limiter = limiter(100, u64::MAX);
        assert!(
            limiter
                .table_growing(0, TABLE_ELEMENTS, None)
                .expect("never fails")
        );
        assert!(!limiter.table_growing(0, 1, None).expect("never fails"));
    }
}
