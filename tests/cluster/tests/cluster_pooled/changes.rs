//! Tests changes of pooled functions under load: of their environment, their place and their version.

use std::time::Instant;

use k8s_openapi::api::apps::v1::Deployment;
use sampan_cluster_tests::pooled::{
    POOL, change_place, deploy, in_pods, wait_for_reason, wait_until_gone, wait_until_placed,
};
use sampan_cluster_tests::{Load, Namespace, Shell, guest, hello, push, push_bytes};

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_config_map_or_secret_takes_effect_without_a_restart() {
    let namespace = Namespace::create("pooled-env").await;
    let image = push(namespace.cluster(), &guest("probe"), "pooled/env");
    let env = r"  env:
    - { name: FROM_MAP, valueFrom: { configMapKeyRef: { name: settings, key: colour } } }
    - { name: FROM_SECRET, valueFrom: { secretKeyRef: { name: secrets, key: token } } }
    - { name: FROM_POD, valueFrom: { fieldRef: { fieldPath: metadata.namespace } } }
  template: { envFrom: [{ prefix: ALL_, configMapRef: { name: settings } }] }
";
    deploy(&namespace, "probe", &image, env);
    wait_for_reason(
        &namespace,
        "probe",
        "Ready",
        "ConfigurationMissing",
        "settings",
    );
    namespace.make_config_map("settings", "colour", "red");
    namespace.make_secret("secrets", "token", "known to few");
    wait_until_placed(&namespace, "probe", "Pooled");
    namespace.wait_until_reachable("probe");
    let shell = Shell::start(&namespace, None).await;
    let has = async |pairs: &[(&str, &str)]| {
        shell
            .get_until("probe", "/variables", |answer| {
                let answer = answer.as_ref();
                let holds = |text: &str| {
                    let mut all = pairs.iter();
                    all.all(|(name, value)| text.contains(&format!("({name:?}, {value:?})")))
                };
                answer.is_ok_and(|answer| holds(answer.text()))
            })
            .await;
    };
    has(&[
        ("FROM_MAP", "red"),
        ("ALL_colour", "red"),
        ("FROM_SECRET", "known to few"),
        ("FROM_POD", namespace.name()),
    ])
    .await;
    let pods = ["get", "pods", "-l", "sampan.dev/pool", "-o", "name"];
    let before = namespace.kubectl().output(&pods);
    let load = Load::start(&shell, "probe", "/").await;
    for (kind, name, patch) in [
        ("configmap", "settings", "{\"data\":{\"colour\":\"blue\"}}"),
        (
            "secret",
            "secrets",
            "{\"stringData\":{\"token\":\"changed\"}}",
        ),
    ] {
        namespace
            .kubectl()
            .output(&["patch", kind, name, "--type=merge", "-p", patch]);
    }
    let other = Shell::start(&namespace, None).await;
    let begun = Instant::now();
    other
        .get_until("probe", "/variables", |answer| {
            let text = answer.as_ref().map(|answer| answer.text().to_owned());
            text.is_ok_and(|text| {
                text.contains("(\"ALL_colour\", \"blue\")")
                    && text.contains("(\"FROM_SECRET\", \"changed\")")
            })
        })
        .await;
    eprintln!("the change took effect after {:?}", begun.elapsed());
    load.wait_for_requests().await;
    let outcome = load.stop().await;
    assert_eq!(outcome.bad, 0, "{outcome:?}");
    assert_eq!(namespace.kubectl().output(&pods), before);
    namespace.delete().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_moves_into_the_pool_and_back_without_a_failed_request() {
    let namespace = Namespace::create("pooled-move").await;
    let image = push(namespace.cluster(), &hello(), "pooled/hello");
    let image = in_pods(namespace.cluster(), &image);
    namespace.deploy("moving", &image, "  replicas: 2\n");
    wait_until_placed(&namespace, "moving", "Pod");
    namespace.wait_until_reachable("moving");
    let shell = Shell::start(&namespace, None).await;
    let load = Load::start(&shell, "moving", "/").await;

    change_place(&namespace, "moving", "Pooled");
    wait_until_placed(&namespace, "moving", "Pooled");
    // Its pods drain, and end.
    wait_until_gone::<Deployment>(&namespace, "moving").await;
    namespace.until(
        &[
            "get",
            "pods",
            "-l",
            "sampan.dev/function=moving",
            "-o",
            "name",
        ],
        |said| said.trim().is_empty(),
    );
    load.wait_for_requests().await;

    change_place(&namespace, "moving", "Pod");
    wait_until_placed(&namespace, "moving", "Pod");
    // It leaves the pool when it has drained there, and the pool goes with it.
    let port = "jsonpath={.status.poolPort}";
    namespace.until(&["get", "wfn/moving", "-o", port], str::is_empty);
    wait_until_gone::<Deployment>(&namespace, POOL).await;
    load.wait_for_requests().await;
    let outcome = load.stop().await;
    assert_eq!(outcome.bad, 0, "{outcome:?}");
    assert!(outcome.good > 10, "{outcome:?}");

    let of_function = "involvedObject.kind=WasmFunction,involvedObject.name=moving";
    let events = [
        "get",
        "events",
        "--field-selector",
        of_function,
        "-o",
        "jsonpath={.items[*].reason}",
    ];
    namespace.until(&events, |said| said.contains("Moved"));
    namespace.delete().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_version_is_reported_and_the_old_one_goes_on() {
    let namespace = Namespace::create("pooled-broken").await;
    let cluster = namespace.cluster().clone();
    let image = push(&cluster, &hello(), "pooled/good");
    deploy(&namespace, "broken", &image, "");
    wait_until_placed(&namespace, "broken", "Pooled");
    namespace.wait_until_reachable("broken");
    let shell = Shell::start(&namespace, None).await;
    let load = Load::start(&shell, "broken", "/").await;
    let absent = format!("{}/pooled/absent:1", cluster.registry);
    let bytes = push_bytes(
        &cluster,
        b"\0asm\x01\0\0\0and nothing that follows",
        "pooled/bytes",
    );
    for (image, reason) in [(&absent, "ImagePullFailed"), (&bytes, "StartFailed")] {
        deploy(&namespace, "broken", image, "");
        wait_for_reason(&namespace, "broken", "Progressing", reason, "");
        wait_for_reason(&namespace, "broken", "Ready", "AllReady", "True");
        load.wait_for_requests().await;
    }
    deploy(&namespace, "broken", &image, "");
    wait_until_placed(&namespace, "broken", "Pooled");
    let outcome = load.stop().await;
    assert_eq!(outcome.bad, 0, "{outcome:?}");

    // A function that never had a version that works.
    deploy(&namespace, "never", &absent, "");
    wait_for_reason(&namespace, "never", "Ready", "ImagePullFailed", "False");
    namespace.delete().await;
}
