//! Memory and table limits of one instance.
//!
//! Growth past the limit fails inside the guest, as WebAssembly specifies: `memory.grow` returns
//! -1. All linear memories of an instance share one budget, and so do all tables, so that many
//! small memories do not evade the limit.

use wasmtime::ResourceLimiter;

/// The most elements of all tables of one instance.
pub(super) const TABLE_ELEMENTS: usize = 200_000;

pub(crate) struct Limiter {
    memory: usize,
    memory_used: usize,
    table_used: usize,
    /// The most recent refused growth, for the message of the trap that usually follows.
    pub(crate) refused: Option<Refused>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Memory { asked: usize },
    Table { asked: usize },
}

impl Limiter {
    pub(super) fn new(memory: u64) -> Self {
        let memory = usize::try_from(memory).unwrap_or(usize::MAX);
        Self {
            memory,
            memory_used: 0,
            table_used: 0,
            refused: None,
        }
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let used = self
            .memory_used
            .saturating_sub(current)
            .saturating_add(desired);
        if used > self.memory {
            self.refused = Some(Refused::Memory { asked: used });
            return Ok(false);
        }
        self.memory_used = used;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let used = self
            .table_used
            .saturating_sub(current)
            .saturating_add(desired);
        if used > TABLE_ELEMENTS {
            self.refused = Some(Refused::Table { asked: used });
            return Ok(false);
        }
        self.table_used = used;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_counted_over_all_memories_and_refused_past_the_limit() {
        let mut limiter = Limiter::new(100);
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
        assert_eq!(limiter.refused, Some(Refused::Memory { asked: 101 }));
    }

    #[test]
    fn tables_have_a_budget_of_their_own() {
        let mut limiter = Limiter::new(100);
        assert!(
            limiter
                .table_growing(0, TABLE_ELEMENTS, None)
                .expect("never fails")
        );
        assert!(!limiter.table_growing(0, 1, None).expect("never fails"));
    }
}
