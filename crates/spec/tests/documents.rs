//! Tests that every `function.yaml` in the documentation is valid.

use sampan_spec::{Function, LIMITS};

const DOCUMENTS: [(&str, &str); 2] = [
    ("README.md", include_str!("../../../README.md")),
    (
        "docs/functions.md",
        include_str!("../../../docs/functions.md"),
    ),
];

/// The texts of the blocks that are marked as YAML.
fn blocks(document: &str) -> Vec<&str> {
    let blocks = document.split("```yaml\n").skip(1);
    blocks
        .map(|rest| rest.split("```").next().unwrap_or_default())
        .collect()
}

#[test]
fn every_example_is_a_function() {
    for (name, text) in DOCUMENTS {
        let blocks = blocks(text);
        assert!(!blocks.is_empty(), "{name} shows none");
        // Other crates test the Kubernetes resources.
        for block in blocks
            .iter()
            .filter(|block| !block.starts_with("apiVersion:"))
        {
            if let Err(error) = Function::parse(block, name, "example") {
                panic!("{error}\n{block}");
            }
        }
    }
}

#[test]
fn every_limit_is_shown() {
    let (name, text) = DOCUMENTS[1];
    for limit in LIMITS {
        let line = format!("\n  {}: ", limit.key);
        assert!(text.contains(&line), "{name} lacks `{}`", limit.key);
    }
}
