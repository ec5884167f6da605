//! How wasmtime is set up: the one place that knows its switches.
//!
//! There are two engines. wasi:http 0.2 handlers and commands run on one without the component
//! model's concurrency, which makes a call cheaper; wasi:http 0.3 handlers need it.

use std::path::PathBuf;
use std::time::Duration;

use wasmtime::{
    Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig, WasmBacktraceDetails,
};

use crate::kind::Kind;

/// The program that compiles: a child process, so that a module made to exhaust the compiler ends
/// the child and nothing else.
#[derive(Clone, Debug)]
pub struct CompileCommand {
    /// The program.
    pub program: PathBuf,
    /// Arguments before the engine's own. The program must then call [`crate::compile_child`].
    pub arguments: Vec<String>,
    /// Its whole environment: it gets nothing of its parent's.
    pub environment: Vec<(String, String)>,
}

/// How an engine is set up.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// The folder of compiled modules; made when it is not there.
    pub cache: PathBuf,
    /// The most instances at once, of all functions together.
    pub instances: u32,
    /// The largest linear memory of any instance, in bytes.
    pub max_memory: u64,
    /// The program that compiles.
    pub compiler: CompileCommand,
    /// How long a module that nobody calls stays in memory; `None` for the default of a minute.
    pub module_idle: Option<Duration>,
    /// What gives freed memory back to the operating system, called when modules have left memory; nothing unless the
    /// program's allocator needs to be told. It may block for milliseconds.
    pub give_back: fn(),
}

impl EngineConfig {
    /// A configuration with the defaults for everything but the two paths.
    pub fn new(cache: PathBuf, compiler: CompileCommand) -> Self {
        Self {
            cache,
            instances: 1000,
            max_memory: 4 << 30,
            compiler,
            module_idle: None,
            give_back: || {},
        }
    }

    /// For an engine that takes prepared modules only: it has neither cache nor compiler.
    pub(crate) fn without_compiler() -> Self {
        let nothing = CompileCommand {
            program: PathBuf::new(),
            arguments: Vec::new(),
            environment: Vec::new(),
        };
        Self::new(PathBuf::new(), nothing)
    }
}

/// Which of the two engines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Flavour {
    Sequential,
    Concurrent,
}

impl Flavour {
    pub(crate) fn of(kind: Kind) -> Self {
        match kind {
            Kind::HttpHandler03 => Self::Concurrent,
            Kind::HttpHandler02 | Kind::Command02 | Kind::CommandPreview1 => Self::Sequential,
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Sequential => "sequential",
            Self::Concurrent => "concurrent",
        }
    }
}

/// What the compiler and the engine must agree on.
fn base(flavour: Flavour) -> Config {
    let mut config = Config::new();
    config
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .epoch_interruption(true)
        .max_wasm_stack(512 << 10)
        .async_stack_size(1 << 20)
        .memory_init_cow(true)
        // Images are mapped copy-on-write even when their data is sparse: up to this size zeros
        // between segments are stored rather than written at instantiation.
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

/// The compiler's configuration: no pool, whose reservation would not fit its memory limit.
pub(crate) fn compiler(flavour: Flavour) -> Config {
    base(flavour)
}

/// The configuration of an engine that runs guests.
pub(crate) fn runtime(flavour: Flavour, config: &EngineConfig) -> Config {
    let mut pool = PoolingAllocationConfig::new();
    let instances = config.instances;
    pool.total_component_instances(instances)
        .total_memories(instances)
        .total_stacks(instances)
        .total_gc_heaps(instances)
        // A component holds several core instances and tables: these are counters and address
        // space, not memory.
        .total_core_instances(instances.saturating_mul(20))
        .total_tables(instances.saturating_mul(4))
        .table_elements(100_000)
        .max_tables_per_module(8)
        .max_memories_per_module(1)
        .max_core_instance_size(4 << 20)
        .max_component_instance_size(4 << 20)
        .max_memory_size(usize::try_from(config.max_memory.min(4 << 30)).unwrap_or(usize::MAX))
        .max_unused_warm_slots(64)
        // What a slot may keep is cleared by copying; beyond it, pages go back to the kernel. More
        // makes a server's memory follow the peaks of whatever its functions touched.
        .linear_memory_keep_resident(1 << 20)
        .table_keep_resident(64 << 10)
        .pagemap_scan(Enabled::Auto);
    let mut wasmtime = base(flavour);
    wasmtime.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    wasmtime
}
