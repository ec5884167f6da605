//! The custom resources `WasmFunction` and `WasmPool`: their types, their definitions, and the checks that turn a
//! resource into a valid function or into valid settings of a pool.
//!
//! This crate owns the fields of a resource and their allowed values. It does no input and no output and has no API
//! server: [`ValidFunction::of`] and [`ValidPool::of`] are pure functions, and so is [`wasmapp::convert`].
//!
//! # Behaviours
//!
//! Files are relative to `src`, tests to the crate.
//!
//! - The fields of a `WasmFunction`, and their allowed values: `function.rs`, `template.rs` and `valid.rs`; tests in
//!   `tests/validation.rs` and `tests/definition.rs`, and `fields` of the operator's tests.
//! - The fields of a `WasmPool`, and their allowed values: `wasm_pool.rs` and `valid_pool.rs`; tests in
//!   `tests/pool.rs`, and `wasm_pools` of the operator's tests.
//! - The range and the target of automatic scaling: `scale.rs`.
//! - The definitions, made from the types: `definition.rs` and `pool_definition.rs`; tests in `tests/definition.rs`.
//! - Conditions and their reasons: `condition.rs`.
//! - When a function with the placement `Auto` moves: `auto.rs`; tests in `tests/auto.rs`.
//! - Amounts of processors: `processors.rs`; tests in `tests/auto.rs` and `tests/pooled.rs`.
//! - The fields that a pooled function cannot have: `pooled.rs`; tests in `tests/pooled.rs`.
//! - The report of a pool's pod: `pool_report.rs`.
//! - The conversion from `WasmApp`: `wasmapp.rs`; tests in `tests/wasmapp.rs`.
#![expect(
    clippy::doc_markdown,
    reason = "what documents a field is its description, which `kubectl explain` shows as it is"
)]
#![expect(
    clippy::duplicated_attributes,
    reason = "each printed column has a type of its own"
)]

mod amount;
mod auto;
mod condition;
mod definition;
mod enumeration;
mod function;
mod ingress;
mod invalid;
mod limits;
mod placement;
mod pool_definition;
pub mod pool_report;
mod pooled;
mod processors;
mod scale;
mod status;
mod template;
mod valid;
mod valid_pool;
mod wasm_pool;
pub mod wasmapp;

pub use amount::Amount;
pub use auto::{Auto, ValidAuto};
pub use condition::{ConditionKind, ConditionState, Reason};
pub use definition::{definition, definition_yaml};
pub use function::{
    Instances, Metrics, Outbound, Reuse, SecretName, WasmFunction, WasmFunctionSpec,
};
pub use ingress::{Ingress, IngressTls};
pub use invalid::Invalid;
pub use limits::Limits;
pub use placement::{Placement, PlacementPolicy};
pub use pool_definition::{pool_definition, pool_definition_yaml};
pub use pooled::POOL_FIELDS;
pub use scale::{NO_CPU_REQUEST, Scale, ScaleTarget, ValidScale, requests_cpu};
pub use status::WasmFunctionStatus;
pub use template::{PullPolicy, Template};
pub use valid::{ValidFunction, ValidIngress, ValidPlacement};
pub use valid_pool::{DEFAULT_POOL, ValidPool, pool_size};
pub use wasm_pool::{PoolReplicas, WasmPool, WasmPoolSpec, WasmPoolStatus};

/// The API group.
pub const GROUP: &str = "sampan.dev";

/// The label with the function's name on all objects of the operator. Selectors use it.
pub const FUNCTION_LABEL: &str = "sampan.dev/function";

/// The label of an object's manager, with the operator's value.
pub const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "sampan-operator");

/// The name of the container that runs the function.
pub const CONTAINER: &str = "function";

/// The port on which a function listens in its pod.
pub const PORT: u16 = 8080;

/// The default port of a function's metrics.
pub const METRICS_PORT: u16 = 9090;

/// The name of every object of a namespace's pool but [`POOL_KEY`]: its Deployment, its service account, its grant and
/// the Service by which its pods find each other.
pub const POOL: &str = "sampan-pool";

/// The name of the Secret with the key by which the pods of a pool share compiled modules.
pub const POOL_KEY: &str = "sampan-pool-key";

/// The entry of [`POOL_KEY`] with the key.
pub const POOL_KEY_ENTRY: &str = "key";

/// The port on which a pool's pods give compiled modules to each other.
pub const POOL_PEER_PORT: u16 = 9091;

/// The label of a pool's pods, with its value.
pub const POOL_LABEL: (&str, &str) = ("sampan.dev/pool", "default");

/// The ports of pooled functions in the pods of their pool. Each function of a namespace has its own, so that the
/// port of a connection says which function it is for, whatever the request's host is.
pub const POOL_PORTS: std::ops::RangeInclusive<u16> = 10_000..=29_999;

/// How much longer a pool's pod that ends accepts requests for each of its functions. Each has a Service, and the
/// controller of their endpoints sends 20 requests a second unless its rate was raised
/// (`--kube-api-qps` of the `kube-controller-manager`).
pub const POOL_DRAIN_PER_FUNCTION: std::time::Duration = std::time::Duration::from_millis(50);

/// How long the old place of a function goes on serving after its Service has moved. By then every proxy has
/// the new one.
pub const MOVE_DRAIN: std::time::Duration = std::time::Duration::from_secs(15);
