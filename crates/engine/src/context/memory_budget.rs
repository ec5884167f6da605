//! Decides whether the instances of a function get more memory.
//!
//! A function has a budget for all its instances, and the process one for those of all functions. In the last part of the
//! process's budget, only functions within an equal part of it get more, so that one which grows does not take the
//! memory of all others. A function without memory gets its first instance.

/// The part of the process's budget in which functions are compared.
const SCARCE_PART: u64 = 5;

/// The budgets, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Budgets {
    /// Of all instances of the function.
    pub(super) function: u64,
    /// Of all instances of the process; `None` without a budget.
    pub(super) process: Option<u64>,
}

/// The memory in use, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) function: u64,
    pub(super) process: u64,
    /// The number of functions that use memory, with this one.
    pub(super) functions: u64,
}

/// The budget that is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UsedUp {
    Function,
    Process,
}

impl Budgets {
    /// Whether the function may use so many bytes more.
    pub(super) fn check(self, used: Usage, asked: u64) -> Result<(), UsedUp> {
        let function = used.function.saturating_add(asked);
        if function > self.function {
            return Err(UsedUp::Function);
        }
        let Some(budget) = self.process else {
            return Ok(());
        };
        let process = used.process.saturating_add(asked);
        let is_scarce = process > budget - budget / SCARCE_PART;
        if process > budget || (is_scarce && !self.is_fair(used, asked)) {
            return Err(UsedUp::Process);
        }
        Ok(())
    }

    /// Whether the function is within an equal part of the process's budget with so many bytes more.
    pub(super) fn is_fair(self, used: Usage, asked: u64) -> bool {
        let function = used.function.saturating_add(asked);
        self.process
            .is_none_or(|budget| used.function == 0 || function <= budget / used.functions.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_stays_within_its_own_budget() {
        let check = |function: u64, asked: u64, expected: Result<(), UsedUp>| {
            let budgets = Budgets {
                function: 100,
                process: None,
            };
            let used = Usage {
                function,
                process: u64::MAX,
                functions: 1,
            };
            assert_eq!(budgets.check(used, asked), expected, "{function} + {asked}");
        };
        check(0, 100, Ok(()));
        check(60, 40, Ok(()));
        check(60, 41, Err(UsedUp::Function));
        check(0, u64::MAX, Err(UsedUp::Function));
    }

    #[test]
    fn when_memory_is_scarce_only_functions_within_an_equal_part_get_more() {
        let check = |function: u64, process: u64, functions: u64, expected: Result<(), UsedUp>| {
            let budgets = Budgets {
                function: u64::MAX,
                process: Some(1000),
            };
            let used = Usage {
                function,
                process,
                functions,
            };
            let found = budgets.check(used, 10);
            assert_eq!(found, expected, "{function} of {process} for {functions}");
        };
        // There is enough for all.
        check(790, 790, 4, Ok(()));
        // One of four uses more than a quarter.
        check(700, 800, 4, Err(UsedUp::Process));
        check(241, 800, 4, Err(UsedUp::Process));
        // The others go on.
        check(240, 800, 4, Ok(()));
        check(0, 980, 4, Ok(()));
        // A function alone may use all of it, and no more.
        check(990, 990, 1, Ok(()));
        check(991, 991, 1, Err(UsedUp::Process));
        check(0, 991, 4, Err(UsedUp::Process));
    }

    #[test]
    fn a_function_without_memory_gets_its_first_instance() {
        let check = |function: u64, asked: u64, expected: Result<(), UsedUp>| {
            let budgets = Budgets {
                function: u64::MAX,
                process: Some(1000),
            };
            let used = Usage {
                function,
                process: 600 + function,
                functions: 4,
            };
            let found = budgets.check(used, asked);
            assert_eq!(found, expected, "{function} + {asked}");
        };
        check(0, 400, Ok(()));
        check(0, 401, Err(UsedUp::Process));
        check(1, 300, Err(UsedUp::Process));
    }
}
