//! Tests functions that the pool of their namespace serves: every way to them, and their names.

mod changes;
mod churn;
mod isolation;
mod objects;

use std::process::Command;
use std::time::Instant;

use k8s_openapi::api::apps::v1::Deployment;
use sampan_cluster_tests::pooled::{POOLED, deploy, wait_until_placed};
use sampan_cluster_tests::{Namespace, Shell, TEST_TIMEOUT, guest, push, staged};
use sampan_tests::{FUNCTIONS, program};
use serde_json::Value;

/// The namespace of the services behind two of the nine functions.
const SERVICES: &str = "default";

/// The rest of the resource of a function that calls a service.
fn access(function: &str) -> String {
    let (variable, service, path) = match function {
        "fuzzysearch" => ("TEXT_URL", "text", "/hamlet.txt"),
        "user-manager" => ("USERS_URL", "users", ""),
        _ => return String::new(),
    };
    let url = format!("http://{service}.{SERVICES}.svc");
    format!(
        "  env: [{{ name: {variable}, value: '{url}{path}' }}]\n  outbound: {{ allow: ['{url}'] }}\n"
    )
}

/// Calls a Service by its address from the network of a node.
fn curl(namespace: &Namespace, name: &str, path: &str, options: &[&str]) -> String {
    let url = format!("http://{}{path}", namespace.service_address(name));
    let mut curl = namespace.cluster().nodes[0].inside("curl");
    curl.args(["--silent", "--show-error", "--fail", "--max-time", "60"])
        .args(options)
        .arg(&url);
    let output = curl.output().expect("failed to start curl");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{url} {options:?}: {said}");
    String::from_utf8(output.stdout).expect("the answer is text")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_nine_functions_answer_from_one_pool_by_every_name() {
    let namespace = Namespace::create("pooled-nine").await;
    for function in FUNCTIONS {
        let file = staged(&format!("{}/function.yaml", function.name));
        let repository = format!("pooled/{}", function.name);
        let image = push(namespace.cluster(), &file, &repository);
        deploy(&namespace, function.name, &image, &access(function.name));
    }
    for function in FUNCTIONS {
        wait_until_placed(&namespace, function.name, "Pooled");
        namespace.wait_until_reachable(function.name);
    }
    let shell = Shell::start(&namespace, None).await;
    let space = namespace.name();
    for function in FUNCTIONS {
        let name = function.name;
        for host in [
            name.to_owned(),
            format!("{name}.{space}"),
            format!("{name}.{space}.svc"),
            format!("{name}.{space}.svc.cluster.local"),
            format!("{name}.{space}.svc.cluster.local."),
        ] {
            function.check(&shell.get(&host, function.path).await);
        }
        // None of them has pods of its own.
        assert!(namespace.pods_of(name).await.is_empty(), "{name}");
        let deployment = namespace.api::<Deployment>().get_opt(name).await;
        assert!(deployment.expect("an answer").is_none(), "{name}");
    }
    // The port decides, whatever the request's host is.
    let answer = "The value is: [2, 3, 5, 7]";
    let path = "/?n=10";
    for host in [
        "prime-numbers:80",
        "n-body",
        "elsewhere.example",
        "127.0.0.1",
    ] {
        let header = format!("Host: {host}");
        for protocol in ["--http1.1", "--http1.0", "--http2-prior-knowledge"] {
            let said = curl(
                &namespace,
                "prime-numbers",
                path,
                &["-H", &header, protocol],
            );
            assert_eq!(said.trim_end(), answer, "{host} {protocol}");
        }
    }
    let proxied = format!("/api/v1/namespaces/{space}/services/prime-numbers:http/proxy/?n=10");
    let said = namespace.kubectl().output(&["get", "--raw", &proxied]);
    assert_eq!(said.trim_end(), answer);
    namespace.delete().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_in_another_namespace_is_another_function() {
    let (one, two) = (
        Namespace::create("pooled-one").await,
        Namespace::create("pooled-two").await,
    );
    let image = push(one.cluster(), &guest("probe"), "pooled/probe");
    for (namespace, value) in [(&one, "first"), (&two, "second")] {
        let more = format!("  env: [{{ name: WHICH, value: {value} }}]\n");
        deploy(namespace, "same", &image, &more);
    }
    for namespace in [&one, &two] {
        wait_until_placed(namespace, "same", "Pooled");
        namespace.wait_until_reachable("same");
    }
    let shell = Shell::start(&one, None).await;
    for (host, value) in [
        ("same".to_owned(), "first"),
        (format!("same.{}", one.name()), "first"),
        (format!("same.{}", two.name()), "second"),
    ] {
        let answer = shell.get(&host, "/variables").await;
        let pair = format!("(\"WHICH\", \"{value}\")");
        assert!(answer.text().contains(&pair), "{host}: {answer:?}");
    }
    one.delete().await;
    two.delete().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_refuses_what_a_pool_cannot_give() {
    let namespace = Namespace::create("pooled-refused").await;
    let check = |more: &str, words: &str| {
        let resource = format!(
            "apiVersion: sampan.dev/v1alpha1\nkind: WasmFunction\nmetadata: {{ name: refused }}\nspec:\n  \
             image: 'registry.example/f:1'\n{POOLED}{more}"
        );
        let output = namespace.kubectl().try_apply(&resource);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{more} is accepted");
        assert!(said.contains(words), "{more}: {said}");
    };
    check("  replicas: 1\n", "leave replicas out");
    check("  metrics: {}\n", "leave metrics out");
    check(
        "  outbound: { certificateAuthorities: [/ca.crt] }\n",
        "no file of certificate authorities",
    );
    check(
        "  template: { nodeSelector: { a: b } }\n",
        "only envFrom and imagePullPolicy",
    );
    check(
        "  env: [{ name: A, valueFrom: { fieldRef: { fieldPath: metadata.labels } } }]\n",
        "no value for this fieldRef",
    );
    check(
        "  env: [{ name: A, valueFrom: { resourceFieldRef: { resource: limits.cpu } } }]\n",
        "no resources of its own",
    );
    namespace.delete().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_calls_lists_and_follows_pooled_functions() {
    let namespace = Namespace::create("pooled-cli").await;
    let image = push(namespace.cluster(), &guest("probe"), "pooled/cli");
    for name in ["probe", "beside"] {
        deploy(&namespace, name, &image, "");
        wait_until_placed(&namespace, name, "Pooled");
    }
    let sampan = |words: &[&str]| {
        let mut command = Command::new(program("sampan"));
        command
            .args(words)
            .args(["-n", namespace.name(), "--kubeconfig"])
            .arg(&namespace.cluster().kubeconfig);
        let output = command.output().expect("failed to start sampan");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "sampan {words:?}: {said}");
        String::from_utf8(output.stdout).expect("the output is text")
    };
    assert_eq!(sampan(&["invoke", "probe", "/calls"]), "1");
    let listed = sampan(&["list"]);
    assert!(listed.contains("IN-FLIGHT"), "{listed}");
    let listed: Value = serde_json::from_str(&sampan(&["list", "-o", "json"])).expect("JSON");
    for function in listed.as_array().expect("a list") {
        assert_eq!(function["placement"], "Pooled", "{function}");
        assert_eq!(function["in_flight"], 0, "{function}");
        let called = function["name"] == "probe";
        assert_eq!(function["last_request"].is_string(), called, "{function}");
        assert_eq!(function["pool_error"], Value::Null, "{function}");
    }
    sampan(&["invoke", "probe", "/print?3"]);
    sampan(&["invoke", "beside", "/print?3"]);
    let begun = Instant::now();
    loop {
        let printed = sampan(&["logs", "probe"]);
        assert!(!printed.contains("beside"), "{printed}");
        if printed.contains("guest") {
            break;
        }
        assert!(begun.elapsed() < TEST_TIMEOUT, "no line: {printed}");
    }
    namespace.delete().await;
}
