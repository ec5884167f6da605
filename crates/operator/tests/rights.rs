//! Tests that the operator's permissions are minimal.

use serde_json::Value;

fn documents() -> Vec<Value> {
    let path =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/rbac/operator.yaml");
    let text = std::fs::read_to_string(path).expect("the file of permissions");
    let documents = text.split("\n---\n");
    documents
        .map(|text| serde_saphyr::from_str(text).expect("YAML"))
        .collect()
}

#[test]
fn no_permission_is_a_wildcard_or_covers_secrets() {
    let documents = documents();
    assert_eq!(documents.len(), 2);
    for rule in documents
        .iter()
        .flat_map(|document| document["rules"].as_array().expect("rules"))
    {
        for key in ["apiGroups", "resources", "verbs"] {
            let words = rule[key]
                .as_array()
                .unwrap_or_else(|| panic!("{rule} lacks {key}"));
            assert!(!words.is_empty(), "{rule}");
            for word in words.iter().map(|word| word.as_str().expect("a word")) {
                assert!(!word.contains('*'), "{rule}");
                assert!(!word.starts_with("secrets"), "{rule}");
                assert!(
                    !["escalate", "bind", "impersonate", "deletecollection"].contains(&word),
                    "{rule}"
                );
            }
        }
    }
}
