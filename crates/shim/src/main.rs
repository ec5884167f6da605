//! The program `containerd-shim-sampan-v1`; everything is in its library.

/// A request is many small allocations, which this allocator makes in less time than the C library's:
/// see `docs/performance.md`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    sampan_shim::main()
}
