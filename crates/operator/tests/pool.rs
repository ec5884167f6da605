//! Tests of the objects of a pool, and of the Service of a pooled function.

use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use sampan_crd::{POOL, POOL_FIELDS, ValidPool, WasmPool};
use sampan_operator::{Backend, Identity, PoolConfig, PoolSettings, pool, service};
use serde_json::{Value, json};

fn settings() -> PoolSettings {
    PoolSettings {
        image: "registry.example/pool:1.0".to_owned(),
        image_pull_policy: None,
        image_pull_secrets: Vec::new(),
        runtime_class: None,
        replicas: 2,
        plain_http_registries: vec!["one.example:5000".to_owned(), "two.example".to_owned()],
        resources: ResourceRequirements::default(),
        drain_delay: Duration::from_secs(3),
        ready_timeout: Duration::from_mins(15),
        state_size: Quantity("256Mi".to_owned()),
        cache_size: Quantity("10Gi".to_owned()),
    }
}

fn built(settings: &PoolSettings) -> Value {
    objects(&PoolConfig::of(settings, None).expect("settings of all pools are valid"))
}

fn objects(config: &PoolConfig) -> Value {
    let objects = pool("functions", config);
    json!({
        "serviceAccount": objects.service_account,
        "roleBinding": objects.role_binding,
        "peers": objects.peers,
        "deployment": objects.deployment,
        "autoscaler": objects.autoscaler,
        "budget": objects.budget,
    })
}

/// The settings of a namespace's pool.
fn own(spec: &Value) -> ValidPool {
    let resource = json!({
        "apiVersion": "sampan.dev/v1alpha1", "kind": "WasmPool",
        "metadata": { "name": "default" }, "spec": spec,
    });
    let resource: WasmPool = serde_json::from_value(resource).expect("a resource");
    ValidPool::of(&resource).expect("it is allowed")
}

#[test]
fn every_object_of_a_pool_has_its_name_and_no_owner() {
    let built = built(&settings());
    let objects = built.as_object().expect("objects").values();
    for object in objects.filter(|object| !object.is_null()) {
        assert_eq!(object["metadata"]["name"], POOL, "{object}");
        assert_eq!(object["metadata"]["namespace"], "functions", "{object}");
        assert_eq!(object["metadata"].get("ownerReferences"), None, "{object}");
        let labels = &object["metadata"]["labels"];
        assert_eq!(labels["app.kubernetes.io/managed-by"], "sampan-operator");
        assert_eq!(labels["sampan.dev/pool"], "default");
    }
    let binding = &built["roleBinding"];
    assert_eq!(binding["roleRef"]["kind"], "ClusterRole");
    assert_eq!(binding["roleRef"]["name"], POOL);
    let subjects = json!([{ "kind": "ServiceAccount", "name": POOL, "namespace": "functions" }]);
    assert_eq!(binding["subjects"], subjects);
}

#[test]
fn a_pool_is_admitted_where_pods_are_restricted() {
    let built = built(&settings());
    let pod = &built["deployment"]["spec"]["template"]["spec"];
    assert_eq!(pod.get("runtimeClassName"), None);
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    let expected = json!({
        "runAsNonRoot": true, "readOnlyRootFilesystem": true, "allowPrivilegeEscalation": false,
        "capabilities": { "drop": ["ALL"] }, "seccompProfile": { "type": "RuntimeDefault" },
    });
    assert_eq!(pod["containers"][0]["securityContext"], expected);
    // Nothing is written but to folders of the pod, each with a limit.
    let expected = json!([
        { "name": "state", "emptyDir": { "medium": "Memory", "sizeLimit": "256Mi" } },
        { "name": "cache", "emptyDir": { "sizeLimit": "10Gi" } },
        { "name": "key", "secret": { "secretName": "sampan-pool-key", "defaultMode": 0o444 } },
    ]);
    assert_eq!(pod["volumes"], expected);
}

#[test]
fn the_pods_of_a_pool_find_each_other_before_they_are_ready() {
    let built = built(&settings());
    let pod = &built["deployment"]["spec"]["template"];
    let service = &built["peers"]["spec"];
    assert_eq!(service["clusterIP"], "None");
    assert_eq!(service["publishNotReadyAddresses"], true);
    let selector = service["selector"].as_object().expect("a selector");
    for (label, value) in selector {
        assert_eq!(&pod["metadata"]["labels"][label], value);
    }
    let port =
        json!({ "name": "modules", "port": 9091, "targetPort": "modules", "protocol": "TCP" });
    assert_eq!(service["ports"], json!([port]));
    let ports = pod["spec"]["containers"][0]["ports"].as_array();
    let expected = json!({ "name": "modules", "containerPort": 9091, "protocol": "TCP" });
    assert!(ports.expect("ports").contains(&expected));
}

#[test]
fn a_pool_loses_no_request_when_its_pods_are_replaced() {
    let built = built(&settings());
    let spec = &built["deployment"]["spec"];
    assert_eq!(spec["replicas"], 2);
    let update = json!({ "maxSurge": 1, "maxUnavailable": 0 });
    assert_eq!(spec["strategy"]["rollingUpdate"], update);
    let pod = &spec["template"]["spec"];
    let container = &pod["containers"][0];
    assert_eq!(container["lifecycle"]["preStop"]["sleep"]["seconds"], 3);
    // The longest timeout of a function is an hour, and the endpoints of 20,000 functions take 1000 s.
    assert_eq!(pod["terminationGracePeriodSeconds"], 4_608);
    // A new pod waits for its functions, and the roll-out waits for the pod: 30 times 15 minutes.
    assert_eq!(spec["progressDeadlineSeconds"], 27_000);
    for (probe, path) in [
        ("startupProbe", "/healthz"),
        ("livenessProbe", "/healthz"),
        ("readinessProbe", "/readyz"),
    ] {
        let expected = json!({ "path": path, "port": 9090 });
        assert_eq!(container[probe]["httpGet"], expected, "{probe}");
    }
    // A list of 20,000 ports would be in every pod.
    assert_eq!(container["ports"].as_array().expect("ports").len(), 2);
}

#[test]
fn a_pod_of_the_pool_has_every_field_that_functions_may_ask_for() {
    let built = built(&settings());
    let container = &built["deployment"]["spec"]["template"]["spec"]["containers"][0];
    let variables = container["env"].as_array().expect("variables");
    let paths: Vec<&Value> = variables
        .iter()
        .map(|variable| &variable["valueFrom"]["fieldRef"]["fieldPath"])
        .collect();
    assert_eq!(paths, POOL_FIELDS);
    let expected = json!([
        "--state=/run/sampan",
        "--cache=/var/cache/sampan",
        "--drain-delay=0s",
        "--drain-timeout=3600s",
        "--ready-timeout=900s",
        "--peer-key=/etc/sampan/key/key",
        "--peers=sampan-pool:9091",
        "--plain-http-registry=one.example:5000",
        "--plain-http-registry=two.example",
    ]);
    assert_eq!(container["args"], expected);
}

#[test]
fn the_settings_of_pools_are_in_their_pods() {
    let settings = PoolSettings {
        image_pull_policy: Some("Never".to_owned()),
        image_pull_secrets: vec!["s".to_owned()],
        runtime_class: Some("gvisor".to_owned()),
        drain_delay: Duration::ZERO,
        ..settings()
    };
    let built = built(&settings);
    let pod = &built["deployment"]["spec"]["template"]["spec"];
    assert_eq!(pod["runtimeClassName"], "gvisor");
    assert_eq!(pod["imagePullSecrets"], json!([{ "name": "s" }]));
    assert_eq!(pod["containers"][0]["imagePullPolicy"], "Never");
    assert_eq!(pod["containers"][0].get("lifecycle"), None);
}

#[test]
fn a_wasm_pool_overlays_the_settings_of_all_pools() {
    let own = own(&json!({
        "replicas": { "min": 2, "max": 5 }, "target": { "cpuUtilization": 60 },
        "resources": { "requests": { "cpu": "1" } },
        "nodeSelector": { "disktype": "ssd" }, "tolerations": [{ "key": "spot" }],
        "affinity": { "nodeAffinity": {} }, "priorityClassName": "high", "runtimeClassName": "gvisor",
        "topologySpreadConstraints": [
            { "maxSkew": 2, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule" },
        ],
        "cacheSize": "20Gi", "stateSize": "1Gi",
    }));
    let built = objects(&PoolConfig::of(&settings(), Some(&own)).expect("it is valid"));
    let deployment = &built["deployment"]["spec"];
    // The number is the autoscaler's.
    assert_eq!(deployment.get("replicas"), None);
    let pod = &deployment["template"]["spec"];
    assert_eq!(pod["nodeSelector"], json!({ "disktype": "ssd" }));
    assert_eq!(pod["tolerations"], json!([{ "key": "spot" }]));
    assert_eq!(pod["affinity"], json!({ "nodeAffinity": {} }));
    assert_eq!(pod["priorityClassName"], "high");
    assert_eq!(pod["runtimeClassName"], "gvisor");
    let selector = json!({ "matchLabels": { "sampan.dev/pool": "default" } });
    let spread = json!([{
        "maxSkew": 2, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": selector,
    }]);
    assert_eq!(pod["topologySpreadConstraints"], spread);
    assert_eq!(pod["volumes"][0]["emptyDir"]["sizeLimit"], "1Gi");
    assert_eq!(pod["volumes"][1]["emptyDir"]["sizeLimit"], "20Gi");
    let container = &pod["containers"][0];
    assert_eq!(container["image"], "registry.example/pool:1.0");
    assert_eq!(
        container["resources"],
        json!({ "requests": { "cpu": "1" } })
    );
    let expected = json!({
        "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": POOL },
        "minReplicas": 2, "maxReplicas": 5,
        "metrics": [{ "type": "ContainerResource", "containerResource": {
            "container": "pool", "name": "cpu",
            "target": { "type": "Utilization", "averageUtilization": 60 },
        } }],
    });
    assert_eq!(built["autoscaler"]["spec"], expected);
    assert_eq!(
        built["budget"]["spec"],
        json!({ "maxUnavailable": 1, "selector": selector })
    );
}

#[test]
fn the_number_of_pods_decides_on_autoscaler_and_budget() {
    let check = |replicas: Value, pods: Option<i32>, scaled: bool, protected: bool| {
        let own = own(&json!({ "replicas": replicas, "resources": { "limits": { "cpu": 1 } } }));
        let built = objects(&PoolConfig::of(&settings(), Some(&own)).expect("it is valid"));
        let there = &built["deployment"]["spec"]["replicas"];
        assert_eq!(*there, json!(pods), "{replicas}");
        assert_eq!(!built["autoscaler"].is_null(), scaled, "{replicas}");
        assert_eq!(!built["budget"].is_null(), protected, "{replicas}");
    };
    // Those of all pools.
    check(json!(null), Some(2), false, true);
    check(json!({ "min": 1 }), Some(1), false, false);
    check(json!({ "min": 3 }), Some(3), false, true);
    check(json!({ "min": 3, "max": 3 }), Some(3), false, true);
    check(json!({ "min": 1, "max": 3 }), None, true, true);
    check(json!({ "min": 2, "max": 3 }), None, true, true);
}

#[test]
fn a_scaled_pool_needs_a_request_of_processor_time() {
    let check = |all: Value, resources: Option<Value>, valid: bool| {
        let settings = PoolSettings {
            resources: serde_json::from_value(all.clone()).expect("resources"),
            ..settings()
        };
        let spec = json!({ "replicas": { "min": 1, "max": 2 }, "resources": resources });
        let config = PoolConfig::of(&settings, Some(&own(&spec)));
        let field = config.err().map(|invalid| invalid.field);
        let expected = (!valid).then_some("spec.resources");
        assert_eq!(field.as_deref(), expected, "{all} {spec}");
    };
    let memory = json!({ "limits": { "memory": "1Gi" } });
    let cpu = json!({ "requests": { "cpu": "50m" } });
    check(cpu.clone(), None, true);
    check(memory.clone(), None, false);
    check(memory.clone(), Some(cpu.clone()), true);
    check(cpu, Some(memory), false);
}

#[test]
fn a_service_keeps_its_name_and_port_when_its_function_moves() {
    let identity = Identity {
        namespace: "functions".to_owned(),
        name: "f".to_owned(),
        uid: "u".to_owned(),
    };
    let spec = |backend| {
        let service = service(&identity, backend);
        assert_eq!(service.metadata.name.as_deref(), Some("f"));
        let spec = serde_json::to_value(service.spec).expect("JSON");
        assert_eq!(spec["ports"][0]["port"], 80);
        (
            spec["selector"].clone(),
            spec["ports"][0]["targetPort"].clone(),
        )
    };
    let own = (json!({ "sampan.dev/function": "f" }), json!("http"));
    assert_eq!(spec(Backend::Pods), own);
    let pool = (json!({ "sampan.dev/pool": "default" }), json!(10_007));
    assert_eq!(spec(Backend::Pool(10_007)), pool);
}

/// The rules of a role in `deploy/rbac`.
fn rules(file: &str) -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/rbac");
    let text = std::fs::read_to_string(folder.join(file)).expect("the file of permissions");
    let role: Value = serde_saphyr::from_str(&text).expect("YAML");
    assert_eq!(role["kind"], "ClusterRole");
    assert_eq!(role["metadata"]["name"], POOL);
    role["rules"].as_array().expect("rules").clone()
}

#[test]
fn a_pool_may_only_read() {
    let mut resources = Vec::new();
    for rule in rules("pool.yaml") {
        for verb in rule["verbs"].as_array().expect("verbs") {
            assert!(["get", "list", "watch"].contains(&verb.as_str().expect("a verb")));
        }
        resources.extend(rule["resources"].as_array().expect("resources").clone());
    }
    assert_eq!(resources, ["wasmfunctions", "configmaps", "secrets"]);
}
