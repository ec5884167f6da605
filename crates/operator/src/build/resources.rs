//! Default requests and limits of a function's container.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use sampan_spec::{ByteSize, Limits, Processors};

/// Memory of the server itself and of the compiled function.
const OVERHEAD: u64 = 256 << 20;

/// An idle function needs next to nothing, and hundreds fit on a node.
const REQUESTS: [(&str, &str); 2] = [("cpu", "10m"), ("memory", "16Mi")];

/// The limit is the sum of the function's own limits: one instance for each concurrent request, or
/// the compiler before there is any. A function within its limits is never killed for exceeding it,
/// and one that exceeds them affects no other. `processors` are those that it requests; `None` for
/// next to nothing.
pub(super) fn default(limits: &Limits, processors: Option<Processors>) -> ResourceRequirements {
    let most = instances(limits).max(limits.compile_memory.bytes());
    let quantity = |text: &str| Quantity(text.to_owned());
    let mut requests =
        BTreeMap::from(REQUESTS.map(|(name, amount)| (name.to_owned(), quantity(amount))));
    if let Some(processors) = processors {
        requests.insert("cpu".to_owned(), quantity(&processors.to_string()));
    }
    ResourceRequirements {
        requests: Some(requests),
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
    let of_instances = instances(limits);
    let of_compiler = compile_memory.bytes();
    let limit = with_overhead(of_instances.max(of_compiler));
    let (named, remedy) = match of_instances.cmp(&of_compiler) {
        Ordering::Greater => (
            format!("limits.concurrency ({concurrency}) x limits.memory ({memory}) and {overhead}"),
            format!(
                "lower one of them or set template.resources; below {}, lower limits.compileMemory as well",
                with_overhead(of_compiler)
            ),
        ),
        Ordering::Less => (
            format!("limits.compileMemory ({compile_memory}) and {overhead}"),
            format!(
                "lower limits.compileMemory or set template.resources; below {}, lower limits.concurrency or \
                 limits.memory as well",
                with_overhead(of_instances)
            ),
        ),
        Ordering::Equal => (
            format!(
                "both limits.compileMemory ({compile_memory}) and {overhead}, and limits.concurrency \
                 ({concurrency}) x limits.memory ({memory}) and {overhead}"
            ),
            "lower limits.compileMemory and one of the other two, or set template.resources"
                .to_owned(),
        ),
    };
    format!("the memory limit of its pods, {limit}, is {named}: to lower it, {remedy}")
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
        fn check(memory: u64, concurrency: u32, compile: u64, total: &str, expected: &str) {
            let limits = Limits {
                memory: ByteSize(memory << 20),
                concurrency,
                compile_memory: ByteSize(compile << 20),
                ..Limits::default()
            };
            let resources = default(&limits, None).limits.expect("a limit");
            assert_eq!(resources["memory"].0, total);
            let expected = format!("the memory limit of its pods, {total}, is {expected}");
            assert_eq!(memory_advice(&limits), expected);
        }
        check(
            128,
            100,
            2048,
            "13056Mi",
            "limits.concurrency (100) x limits.memory (128Mi) and 256Mi: to lower it, lower one of them or set \
             template.resources; below 2304Mi, lower limits.compileMemory as well",
        );
        check(
            64,
            10,
            512,
            "896Mi",
            "limits.concurrency (10) x limits.memory (64Mi) and 256Mi: to lower it, lower one of them or set \
             template.resources; below 768Mi, lower limits.compileMemory as well",
        );
        check(
            128,
            1,
            2048,
            "2304Mi",
            "limits.compileMemory (2Gi) and 256Mi: to lower it, lower limits.compileMemory or set \
             template.resources; below 384Mi, lower limits.concurrency or limits.memory as well",
        );
        check(
            128,
            15,
            2048,
            "2304Mi",
            "limits.compileMemory (2Gi) and 256Mi: to lower it, lower limits.compileMemory or set \
             template.resources; below 2176Mi, lower limits.concurrency or limits.memory as well",
        );
        check(
            128,
            16,
            2048,
            "2304Mi",
            "both limits.compileMemory (2Gi) and 256Mi, and limits.concurrency (16) x limits.memory (128Mi) and \
             256Mi: to lower it, lower limits.compileMemory and one of the other two, or set template.resources",
        );
        check(
            64,
            2,
            128,
            "384Mi",
            "both limits.compileMemory (128Mi) and 256Mi, and limits.concurrency (2) x limits.memory (64Mi) and \
             256Mi: to lower it, lower limits.compileMemory and one of the other two, or set template.resources",
        );
    }
}
