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
    let most = instances(limits).max(limits.compile_memory.bytes());
    let quantity = |text: &str| Quantity(text.to_owned());
    ResourceRequirements {
        requests: Some(BTreeMap::from(
            REQUESTS.map(|(name, amount)| (name.to_owned(), quantity(amount))),
        )),
        limits: Some(BTreeMap::from([(
            "memory".to_owned(),
            quantity(&with_overhead(most).to_string()),
        )])),
        ..ResourceRequirements::default()
    }
}

/// Which limits of the function set the default memory limit of its pods, and how to lower it.
pub(crate) fn memory_advice(limits: &Limits) -> String {
    let Limits {
        memory,
        concurrency,
        compile_memory,
        ..
    } = limits;
    let overhead = ByteSize(OVERHEAD);
    let instances = instances(limits);
    let compiler = with_overhead(compile_memory.bytes());
    if instances <= compile_memory.bytes() {
        return format!(
            "the memory limit of its pods, {compiler}, is limits.compileMemory ({compile_memory}) and {overhead}: \
             to lower it, lower limits.compileMemory or set template.resources"
        );
    }
    let limit = with_overhead(instances);
    format!(
        "the memory limit of its pods, {limit}, is limits.concurrency ({concurrency}) x limits.memory ({memory}) and \
         {overhead}: to lower it, lower one of them or set template.resources; below {compiler}, lower \
         limits.compileMemory as well"
    )
}

/// The memory of one instance for each concurrent request.
fn instances(limits: &Limits) -> u64 {
    let memory = limits.memory.bytes();
    memory.saturating_mul(limits.concurrency.into())
}

fn with_overhead(bytes: u64) -> ByteSize {
    ByteSize(bytes.saturating_add(OVERHEAD))
}

#[cfg(test)]
mod tests {
    use sampan_spec::{ByteSize, Limits};

    use super::{default, memory_advice};

    #[test]
    fn the_advice_names_the_limits_that_set_the_memory_of_a_pod() {
        fn check(memory: u64, concurrency: u32, compile: u64, total: &str, parts: [bool; 3]) {
            let limits = Limits {
                memory: ByteSize(memory << 20),
                concurrency,
                compile_memory: ByteSize(compile << 20),
                ..Limits::default()
            };
            let resources = default(&limits).limits.expect("a limit");
            assert_eq!(resources["memory"].0, total);
            let advice = memory_advice(&limits);
            assert!(advice.contains(&format!("pods, {total}, is")), "{advice}");
            let names = ["concurrency", "limits.memory", "compileMemory"];
            assert_eq!(names.map(|name| advice.contains(name)), parts, "{advice}");
        }
        check(128, 100, 2048, "13056Mi", [true, true, true]);
        check(128, 1, 2048, "2304Mi", [false, false, true]);
        check(128, 16, 2048, "2304Mi", [false, false, true]);
        check(64, 10, 512, "896Mi", [true, true, true]);
        check(64, 2, 128, "384Mi", [false, false, true]);
    }
}
