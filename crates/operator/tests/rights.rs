//! Tests that the operator's permissions are minimal.

use sampan_crd::{POOL, POOL_KEY};
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
fn no_permission_is_a_wildcard_or_covers_secrets_but_the_key_of_a_pool() {
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
                // A patch also answers with the object, so these rights disclose the key, and no other Secret.
                if word.starts_with("secrets") {
                    assert_eq!(rule["resources"], serde_json::json!(["secrets"]));
                    assert_eq!(rule["resourceNames"], serde_json::json!([POOL_KEY]));
                    let verbs = serde_json::json!(["create", "patch", "delete"]);
                    assert_eq!(rule["verbs"], verbs);
                }
                assert!(
                    !["escalate", "impersonate", "deletecollection"].contains(&word),
                    "{rule}"
                );
                // What it may give to others is what a pool may do.
                if word == "bind" {
                    assert_eq!(rule["resources"], serde_json::json!(["clusterroles"]));
                    assert_eq!(rule["resourceNames"], serde_json::json!([POOL]));
                }
            }
        }
    }
}

#[test]
fn accounts_grants_and_budgets_are_limited_to_those_of_pools() {
    let documents = documents();
    let rules = documents[0]["rules"].as_array().expect("rules");
    for resource in ["serviceaccounts", "rolebindings", "poddisruptionbudgets"] {
        let about = rules.iter().filter(|rule| {
            let resources = rule["resources"].as_array().expect("resources");
            resources.contains(&Value::from(resource))
        });
        let about: Vec<&Value> = about.collect();
        assert!(!about.is_empty(), "{resource}");
        for rule in about {
            assert_eq!(rule["resourceNames"], serde_json::json!([POOL]), "{rule}");
        }
    }
}
