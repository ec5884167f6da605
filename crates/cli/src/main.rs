//! The program `sampan`; everything is in its library.

/// A request is many small allocations, which this allocator makes in less time than the C library's:
/// see `docs/performance.md`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    sampan::main()
}
