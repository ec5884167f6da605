//! Default requests and limits of a function's container.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use sampan_spec::{ByteSize, Limits};

/// Memory of the server itself and of the compiled function.
const OVERHEAD: u64 = 256 << 20;

/// An idle function needs next to nothing, and hundreds fit on a node.
const REQUESTS: [(&str, &str); 2] = [("cpu", "10m"), ("memory", "16Mi")];

/// The limit is the sum of the function's own limits: one instance for each concurrent request, or
/// the compiler before there is any. A function within its limits is never killed for exceeding it,
/// and one that exceeds them affects no other.
pub(super) fn default(limits: &Limits) -> ResourceRequirements {
    let instances = limits
        .memory
        .bytes()
        .saturating_mul(limits.concurrency.into());
    let most = instances
        .max(limits.compile_memory.bytes())
        .saturating_add(OVERHEAD);
    let quantity = |text: &str| Quantity(text.to_owned());
    ResourceRequirements {
        requests: Some(BTreeMap::from(
            REQUESTS.map(|(name, amount)| (name.to_owned(), quantity(amount))),
        )),
        limits: Some(BTreeMap::from([(
            "memory".to_owned(),
            quantity(&ByteSize(most).to_string()),
        )])),
        ..ResourceRequirements::default()
    }
}
