//! Cause of a trap, by which failures of guests are counted.

use wasmtime::Trap;

/// The cause of a trap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrapCause {
    /// `unreachable`, by which a panic or an abort ends.
    Unreachable,
    /// The stack was exhausted.
    StackOverflow,
    /// An access outside linear memory.
    MemoryOutOfBounds,
    /// A failed growth of memory or tables was followed by a trap.
    OutOfMemory,
    /// Integer overflow, division by zero or a failed conversion.
    Arithmetic,
    /// An indirect call of a null entry, or of a function with another type.
    IndirectCall,
    /// The guest holds as many handles or header bytes as it may.
    Resources,
    /// Any other trap of WebAssembly or the host.
    Other,
}

impl TrapCause {
    /// The cause as a metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "trap_unreachable",
            Self::StackOverflow => "trap_stack_overflow",
            Self::MemoryOutOfBounds => "trap_memory_out_of_bounds",
            Self::OutOfMemory => "trap_out_of_memory",
            Self::Arithmetic => "trap_arithmetic",
            Self::IndirectCall => "trap_indirect_call",
            Self::Resources => "trap_resources",
            Self::Other => "trap_other",
        }
    }

    pub(crate) fn of(trap: Trap) -> Self {
        match trap {
            Trap::UnreachableCodeReached => Self::Unreachable,
            Trap::StackOverflow => Self::StackOverflow,
            Trap::MemoryOutOfBounds | Trap::HeapMisaligned | Trap::ArrayOutOfBounds => {
                Self::MemoryOutOfBounds
            }
            Trap::AllocationTooLarge => Self::OutOfMemory,
            Trap::IntegerOverflow | Trap::IntegerDivisionByZero | Trap::BadConversionToInteger => {
                Self::Arithmetic
            }
            Trap::TableOutOfBounds | Trap::IndirectCallToNull | Trap::BadSignature => {
                Self::IndirectCall
            }
            _ => Self::Other,
        }
    }
}
