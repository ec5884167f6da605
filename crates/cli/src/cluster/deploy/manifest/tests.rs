//! Tests of how files are classified, and of what is rejected before a request to a cluster.

use super::*;

const HELLO: &str = "apiVersion: sampan.dev/v1alpha1
kind: WasmFunction
metadata: { name: hello, namespace: shop }
spec:
  image: r.example/hello:1
";

fn parsed(text: &str, image: Option<&str>) -> Result<Vec<Manifest>, Failure> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("f.yaml");
    std::fs::write(&file, text).expect("a file");
    let manifests = read(&file, image)?;
    for manifest in &manifests {
        manifest.check()?;
    }
    check_unique(&manifests)?;
    Ok(manifests)
}

#[test]
fn resources_are_sent_as_they_are() {
    fn check(text: &str, image: Option<&str>, expected: &[Value]) {
        let found = parsed(text, image).expect(text);
        let found: Vec<&Value> = found.iter().map(|manifest| &manifest.resource).collect();
        assert_eq!(found, expected.iter().collect::<Vec<_>>(), "{text}");
    }
    let hello = |name: &str, image: &str| {
        json!({
            "apiVersion": "sampan.dev/v1alpha1", "kind": "WasmFunction",
            "metadata": { "name": name, "namespace": "shop" }, "spec": { "image": image },
        })
    };
    let one = hello("hello", "r.example/hello:1");
    check(HELLO, None, std::slice::from_ref(&one));
    check(HELLO, Some("other:2"), &[hello("hello", "other:2")]);
    check(
        &format!("# A comment.\n---\n{HELLO}---\n"),
        None,
        std::slice::from_ref(&one),
    );
    let other = HELLO.replace("name: hello", "name: other");
    check(
        &format!("{HELLO}---\n{other}"),
        None,
        &[one.clone(), hello("other", "r.example/hello:1")],
    );
    check(&one.to_string(), None, std::slice::from_ref(&one));
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": [one] });
    check(&list.to_string(), None, std::slice::from_ref(&one));
    let fetched = format!("{HELLO}status: {{ replicas: 3 }}\n").replace(
        "namespace: shop",
        "namespace: shop, uid: u, resourceVersion: '7', generation: 2, managedFields: []",
    );
    check(&fetched, None, &[one]);
}

#[test]
fn a_description_needs_an_image() {
    let described = "name: hello\nlimits: { timeout: 3s }\nexample: /?a=b\n";
    let failure = parsed(described, None).expect_err("no image");
    assert_eq!(failure.exit, Exit::Usage);
    assert!(failure.help.contains("--image"), "{failure:?}");
    let manifests = parsed(described, Some("r.example/hello:1")).expect("a function");
    let [manifest] = manifests.as_slice() else {
        panic!("{manifests:?}");
    };
    assert_eq!(manifest.example.as_deref(), Some("/?a=b"));
    assert_eq!(
        manifest.resource["spec"],
        json!({ "image": "r.example/hello:1", "limits": { "timeout": "3s" } })
    );
    assert_eq!(manifest.namespace(), None);
}

#[test]
fn a_bare_file_is_a_function_with_the_default_of_everything() {
    let manifests = read(Path::new("some/Prime_Numbers.wasm"), Some("i")).expect("a function");
    assert_eq!(manifests[0].name(), "prime-numbers");
    assert_eq!(manifests[0].resource["spec"], json!({ "image": "i" }));
}

#[test]
fn mistakes_are_rejected_with_their_position() {
    fn check(text: &str, image: Option<&str>, exit: Exit, part: &str) {
        let failure = parsed(text, image).expect_err(text);
        assert_eq!(failure.exit, exit, "{failure:?}");
        assert!(failure.message.contains(part), "{failure:?} lacks {part}");
    }
    let wrong = Exit::FunctionFile;
    check(
        &HELLO.replace("WasmFunction", "Deployment"),
        None,
        wrong,
        "Deployment",
    );
    check(
        &HELLO.replace("v1alpha1", "v9"),
        None,
        wrong,
        "sampan.dev/v9",
    );
    check("kind: WasmFunction\n", None, wrong, "version null");
    check("{}", None, wrong, "kind null");
    check(
        "---\n# kind: none\nkind: null\n---",
        None,
        wrong,
        "kind null",
    );
    check(&HELLO.replace("image:", "imagge:"), None, wrong, "imagge");
    check(&HELLO.replace("image:", "imagge:"), None, wrong, "line 5");
    check(
        &HELLO.replace("name: hello", "name: 9hello"),
        None,
        wrong,
        "metadata.name",
    );
    check(&HELLO.replace("name: hello, ", ""), None, wrong, "name");
    check(
        &format!("{HELLO}  replicas: -1\n"),
        None,
        wrong,
        "spec.replicas",
    );
    check(
        &format!("{HELLO}  limits: {{ memory: 5Ti }}\n"),
        None,
        wrong,
        "spec.limits.memory",
    );
    check(&format!("{HELLO}  image: again\n"), None, wrong, "image");
    check(
        &format!("{HELLO}---\n{HELLO}"),
        None,
        Exit::SameName,
        "two functions",
    );
    check(
        &format!("{HELLO}---\n{HELLO}"),
        Some("i"),
        Exit::Usage,
        "2 functions",
    );
    check(
        "name: a\nlimits: { memory: 5Ti }",
        Some("i"),
        wrong,
        "limits.memory",
    );
    check(
        "name: a\nenv: [{ name: PORT, value: 1 }]",
        Some("i"),
        wrong,
        "PORT",
    );
}

#[test]
fn a_namespace_is_chosen_once() {
    fn check(text: &str, namespace: &str, expected: Option<&str>) {
        let mut manifests = parsed(text, Some("i")).expect("a function");
        let set = manifests[0].set_namespace(namespace);
        match expected {
            Some(expected) => {
                set.expect("it fits");
                assert_eq!(manifests[0].namespace(), Some(expected));
            }
            None => assert_eq!(set.expect_err("a contradiction").exit, Exit::Usage),
        }
    }
    check(HELLO, "shop", Some("shop"));
    check(HELLO, "other", None);
    check("name: hello", "other", Some("other"));
}

#[test]
fn only_a_manifest_with_a_file_can_be_pushed() {
    fn check(text: &str, expected: bool) {
        let mut manifests = parsed(text, Some("i")).expect("a function");
        let pushed = only_described(&mut manifests);
        if expected {
            let manifest = pushed.expect("a description");
            manifest.set_image("r.example/hello@sha256:0");
            assert_eq!(
                manifest.resource["spec"]["image"],
                "r.example/hello@sha256:0"
            );
        } else {
            assert_eq!(pushed.expect_err("resources").exit, Exit::Usage);
        }
    }
    check("name: hello", true);
    check(HELLO, false);
}

#[test]
fn replicas_are_written_over() {
    let mut manifests = parsed(&format!("{HELLO}  replicas: 3\n"), None).expect("a function");
    manifests[0].set_replicas(0);
    assert_eq!(manifests[0].resource["spec"]["replicas"], 0);
}

#[test]
fn resources_are_shown_as_documents_or_as_a_list() {
    let resources = [json!({ "kind": "A" }), json!({ "kind": "B" })];
    let text = show(&resources, Output::Text).expect("YAML");
    assert_eq!(text, "kind: A\n---\nkind: B\n");
    let text = show(&resources, Output::Json).expect("JSON");
    assert_eq!(
        serde_json::from_str::<Value>(&text).expect("JSON"),
        json!(resources)
    );
}
