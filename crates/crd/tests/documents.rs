//! Tests that every `WasmFunction` in the documentation is valid.

use sampan_crd::{ValidFunction, WasmFunction};

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
