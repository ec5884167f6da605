//! Memory that the instances of a function use, for a metric.

use std::sync::{Arc, Weak};

use super::memory_account::{FunctionAccount, FunctionMemory};

/// Reads the memory that all instances of a function use, with those of its other versions that were loaded with the same
/// identity. Does not keep the function loaded. Clones read the same account.
#[derive(Clone, Debug)]
pub struct MemoryUse(Weak<FunctionAccount>);

impl MemoryUse {
    pub(crate) fn of(memory: &FunctionMemory) -> Self {
        Self(Arc::downgrade(memory.account()))
    }

    /// The linear memory of the instances, in bytes; `None` when no version is left.
    pub fn bytes(&self) -> Option<u64> {
        self.0.upgrade().map(|account| account.used())
    }

    /// Whether both read the same account.
    pub fn is_same(&self, other: &Self) -> bool {
        self.0.ptr_eq(&other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::memory_account::ProcessMemory;

    #[test]
    fn all_versions_of_a_function_have_one_number() {
        let process = ProcessMemory::new(None);
        let account = || FunctionAccount::new(&process, 1000);
        let (one, other) = (account(), FunctionMemory::new(account()));
        let versions = [(); 2].map(|()| FunctionMemory::new(Arc::clone(&one)));
        drop(one);
        let uses = [&versions[0], &versions[1], &other].map(|version| MemoryUse::of(version));
        assert_eq!(versions[0].take(100), Ok(()));
        assert_eq!(versions[1].take(20), Ok(()));
        assert_eq!(other.take(3), Ok(()));
        let read = || [0, 1, 2].map(|place: usize| uses[place].bytes());
        assert_eq!(read(), [Some(120), Some(120), Some(3)]);
        assert!(uses[0].is_same(&uses[1]) && !uses[0].is_same(&uses[2]));
        versions[1].give_back(100);
        assert_eq!(read(), [Some(20), Some(20), Some(3)]);
        drop(versions);
        assert_eq!(read(), [None, None, Some(3)]);
    }
}
