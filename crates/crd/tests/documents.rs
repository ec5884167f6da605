//! Tests that every `WasmFunction` and every `WasmPool` in the documentation is valid.

use sampan_crd::{ValidFunction, ValidPool, WasmFunction, WasmPool};

const DOCUMENTS: [(&str, &str); 2] = [
    ("README.md", include_str!("../../../README.md")),
    (
        "docs/guide/wasmfunction.md",
        include_str!("../../../docs/guide/wasmfunction.md"),
    ),
];

#[test]
fn every_example_is_a_valid_function() {
    for (name, text) in DOCUMENTS {
        let blocks = text.split("```yaml\n").skip(1);
        let blocks = blocks.map(|rest| rest.split("```").next().unwrap_or_default());
        let resources: Vec<_> = blocks
            .filter(|block| block.contains("kind: WasmFunction"))
            .collect();
        assert!(!resources.is_empty(), "{name} shows none");
        for block in resources {
            let resource: WasmFunction = serde_saphyr::from_str(block)
                .unwrap_or_else(|error| panic!("{name}: {error}\n{block}"));
            if let Err(invalid) = ValidFunction::of(&resource) {
                panic!("{name}: {invalid}\n{block}");
            }
        }
    }
}

#[test]
fn every_example_is_a_valid_pool() {
    let text = include_str!("../../../docs/guide/placement.md");
    let blocks = text.split("```yaml\n").skip(1);
    let blocks = blocks.map(|rest| rest.split("```").next().unwrap_or_default());
    let mut found = 0;
    for block in blocks.filter(|block| block.contains("kind: WasmPool")) {
        found += 1;
        let resource: WasmPool =
            serde_saphyr::from_str(block).unwrap_or_else(|error| panic!("{error}\n{block}"));
        if let Err(invalid) = ValidPool::of(&resource) {
            panic!("{invalid}\n{block}");
        }
    }
    assert!(found > 0, "the page shows none");
}
