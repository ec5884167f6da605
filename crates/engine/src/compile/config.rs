//! wasmtime configuration: the only place that sets its options.
//!
//! There are two engines. wasi:http 0.2 handlers and commands run on one without the component
//! model's concurrency, which makes a call cheaper. wasi:http 0.3 handlers need it.

use std::path::PathBuf;
use std::time::Duration;

use wasmtime::{
    Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig, WasmBacktraceDetails,
};

use super::flavour::Flavour;
use super::peers::SharedModules;
use crate::outbound::trust::Authorities;

/// The program that compiles, as a child process. A module made to exhaust the compiler ends only
/// the child.
#[derive(Clone, Debug)]
pub struct CompileCommand {
    /// The program.
    pub program: PathBuf,
    /// Arguments before the engine's own. The program must then call [`crate::compile_child`].
    pub arguments: Vec<String>,
    /// Its whole environment. It inherits nothing.
    pub environment: Vec<(String, String)>,
}

/// Configuration of an engine.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// The folder of compiled modules. The engine makes it if it is missing.
    pub cache: PathBuf,
    /// The most instances at once, over all functions.
    pub instances: u32,
    /// The largest linear memory of any instance, in bytes.
    pub max_memory: u64,
    /// The program that compiles.
    pub compiler: CompileCommand,
    /// The compiled modules that this process shares with others; `None` for a cache with a key of its own.
    pub shared_modules: Option<SharedModules>,
    /// How long an idle module stays in memory; `None` for the default of a minute.
    pub module_idle: Option<Duration>,
    /// The most linear memory of all instances together, in bytes; `None` for no budget.
    pub instance_memory: Option<u64>,
    /// The processors that the functions share by their weights. The processor time of guests is then
    /// measured, for [`crate::Observer::guest_time`]. `None` for functions that trust each other.
    pub shared_processors: Option<SharedProcessors>,
    /// The certificate authorities that functions trust for TLS.
    pub authorities: Authorities,
    /// Returns freed memory to the operating system. The engine calls it after modules have left
    /// memory. The default does nothing. It may block for milliseconds.
    pub release_memory: fn(),
}

impl EngineConfig {
    /// Makes a configuration with defaults for everything but the two arguments.
    pub fn new(cache: PathBuf, compiler: CompileCommand) -> Self {
        Self {
            cache,
            instances: 1000,
            max_memory: 4 << 30,
            compiler,
            shared_modules: None,
            module_idle: None,
            instance_memory: None,
            shared_processors: None,
            authorities: Authorities::default(),
            release_memory: || {},
        }
    }

    /// A configuration without cache and compiler, for an engine that takes prepared modules only.
    pub(crate) fn without_compiler() -> Self {
        let nothing = CompileCommand {
            program: PathBuf::new(),
            arguments: Vec::new(),
            environment: Vec::new(),
        };
        Self::new(PathBuf::new(), nothing)
    }
}

/// The processors that the functions of an engine share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharedProcessors {
    /// The number of processors.
    pub processors: usize,
    /// The threads of the runtime that polls guests. With more threads than processors, a short
    /// request does not wait for guests that compute.
    pub threads: usize,
}

/// Settings on which the compiler and the engine must agree.
fn base(flavour: Flavour) -> Config {
    let mut config = Config::new();
    config
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .epoch_interruption(true)
        .max_wasm_stack(512 << 10)
        .async_stack_size(1 << 20)
        .memory_init_cow(true)
        // Maps images copy-on-write even when their data is sparse. Up to this size, zeros between
        // segments are stored rather than written at instantiation.
        .memory_guaranteed_dense_image_size(16 << 20)
        .memory_reservation(4 << 30)
        .memory_guard_size(32 << 20)
        .wasm_multi_memory(false)
        .wasm_memory64(false)
        .concurrency_support(flavour == Flavour::Concurrent);
    if flavour == Flavour::Concurrent {
        config.wasm_component_model_async(true);
    }
    config
}

/// The compiler's configuration. It has no pool: the reservation would exceed its memory
/// limit.
pub(crate) fn compiler(flavour: Flavour) -> Config {
    base(flavour)
}

/// The configuration of an engine that runs guests.
pub(crate) fn runtime_config(flavour: Flavour, config: &EngineConfig) -> Config {
    let mut pool = PoolingAllocationConfig::new();
    let instances = config.instances;
    pool.total_component_instances(instances)
        .total_memories(instances)
        .total_stacks(instances)
        .total_gc_heaps(instances)
        // A component holds several core instances and tables. These limits cost counters and
        // address space, not memory.
        .total_core_instances(instances.saturating_mul(20))
        .total_tables(instances.saturating_mul(4))
        .table_elements(100_000)
        .max_tables_per_module(8)
        .max_memories_per_module(1)
        .max_core_instance_size(4 << 20)
        .max_component_instance_size(4 << 20)
        .max_memory_size(usize::try_from(config.max_memory.min(4 << 30)).unwrap_or(usize::MAX))
        .max_unused_warm_slots(64)
        // Memory of a slot up to these limits is cleared by copying; pages beyond go back to the
        // kernel. Higher limits would keep the peak use of every function resident.
        .linear_memory_keep_resident(1 << 20)
        .table_keep_resident(64 << 10)
        .pagemap_scan(Enabled::Auto);
    let mut wasmtime = base(flavour);
    wasmtime.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    wasmtime
}
