//! Tests of the validation of a `WasmPool`, and of the range of an autoscaler.

use sampan_crd::{ValidFunction, ValidPool, WasmFunction, WasmPool, pool_size};

fn pool(spec: &str) -> WasmPool {
    let text = format!(
        "apiVersion: sampan.dev/v1alpha1\nkind: WasmPool\nmetadata: {{ name: default }}\nspec: {spec}"
    );
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{spec}: {error}"))
}

#[test]
fn every_field_of_a_pool_is_taken() {
    let valid = ValidPool::of(&pool(
        "{
        replicas: { min: 2, max: 6 },
        target: { cpuUtilization: 60 },
        resources: { requests: { cpu: 500m, memory: 1Gi }, limits: { memory: 8Gi } },
        nodeSelector: { disktype: ssd },
        tolerations: [{ key: spot, operator: Exists }],
        affinity: { podAntiAffinity: {} },
        topologySpreadConstraints: [{ maxSkew: 1, topologyKey: topology.kubernetes.io/zone, whenUnsatisfiable: DoNotSchedule }],
        priorityClassName: high, runtimeClassName: gvisor, cacheSize: 20Gi, stateSize: 1Gi,
        }",
    ))
    .expect("all of it is allowed");
    let replicas = valid.replicas.expect("a range");
    assert_eq!(
        (replicas.min, replicas.max, replicas.cpu_utilization),
        (2, 6, 60)
    );
    assert!(valid.resources.is_some() && valid.affinity.is_some());
    assert_eq!(valid.node_selector["disktype"], "ssd");
    assert_eq!(valid.tolerations.len(), 1);
    assert_eq!(valid.topology_spread_constraints.len(), 1);
    assert_eq!(valid.priority_class_name.as_deref(), Some("high"));
    assert_eq!(valid.runtime_class_name.as_deref(), Some("gvisor"));
    assert_eq!(valid.cache_size.expect("a size").0, "20Gi");
    assert_eq!(valid.state_size.expect("a size").0, "1Gi");
    assert_eq!(ValidPool::of(&pool("{}")), Ok(ValidPool::default()));
}

#[test]
fn one_number_is_a_range_of_one_number() {
    let valid = ValidPool::of(&pool("{ replicas: { min: 3 } }")).expect("it is allowed");
    let replicas = valid.replicas.expect("a range");
    assert_eq!((replicas.min, replicas.max), (3, 3));
}

#[test]
fn invalid_values_of_a_pool_are_named_by_their_field() {
    fn check(spec: &str, field: &str, part: &str) {
        let error = ValidPool::of(&pool(spec)).expect_err(spec);
        assert_eq!(error.field, field, "{error}");
        assert!(error.message.contains(part), "{error} lacks {part}");
    }
    check("{ replicas: { min: 0 } }", "spec.replicas.min", "1 to 1000");
    check(
        "{ replicas: { min: 1, max: 1001 } }",
        "spec.replicas.max",
        "1 to 1000",
    );
    check(
        "{ replicas: { min: 3, max: 2 } }",
        "spec.replicas.max",
        "less than min",
    );
    check(
        "{ replicas: { min: 1, max: 2 }, target: { cpuUtilization: 0 } }",
        "spec.target.cpuUtilization",
        "1 to 10000",
    );
    check(
        "{ resources: { claims: [{ name: gpu }] } }",
        "spec.resources.claims",
        "no resource claims",
    );
    check("{ cacheSize: '0' }", "spec.cacheSize", "256Mi");
    check("{ stateSize: much }", "spec.stateSize", "256Mi");
    check(
        "{ priorityClassName: '' }",
        "spec.priorityClassName",
        "empty",
    );
    check("{ runtimeClassName: '' }", "spec.runtimeClassName", "empty");
}

#[test]
fn only_the_name_default_configures_a_pool() {
    let mut resource = pool("{}");
    resource.metadata.name = Some("other".to_owned());
    let error = ValidPool::of(&resource).expect_err("another name");
    assert_eq!(error.field, "metadata.name");
    assert!(error.message.contains("default"), "{error}");
}

#[test]
fn misspelt_fields_of_a_pool_are_refused() {
    for spec in [
        "{ replica: { min: 1 } }",
        "{ replicas: { min: 1, most: 2 } }",
        "{ replicas: 2 }",
        "{ target: { cpu: 1 } }",
    ] {
        let text = format!(
            "metadata: {{ name: default }}\napiVersion: sampan.dev/v1alpha1\nkind: WasmPool\nspec: {spec}"
        );
        assert!(serde_saphyr::from_str::<WasmPool>(&text).is_err(), "{spec}");
    }
}

#[test]
fn sizes_are_more_than_nothing() {
    fn check(text: &str, accepted: bool) {
        assert_eq!(pool_size(text).is_ok(), accepted, "{text}");
    }
    check("1", true);
    check("500M", true);
    check("10Gi", true);
    check("0", false);
    check("-1", false);
    check("1.5Gi", false);
    check("10Pi", false);
    check("", false);
}

#[test]
fn a_function_has_a_number_of_pods_or_is_scaled() {
    fn check(spec: &str, expected: Result<(i32, i32, i32), &str>) {
        let text = format!(
            "apiVersion: sampan.dev/v1alpha1\nkind: WasmFunction\nmetadata: {{ name: f }}\nspec: {spec}"
        );
        let resource: WasmFunction = serde_saphyr::from_str(&text).expect(spec);
        let scale = ValidFunction::of(&resource).map(|valid| {
            let scale = valid.scale.expect("a range");
            assert_eq!(valid.replicas, None);
            (scale.min, scale.max, scale.cpu_utilization)
        });
        let scale = scale.map_err(|invalid| invalid.field);
        assert_eq!(scale, expected.map_err(str::to_owned), "{spec}");
    }
    check("{ image: i, scale: { max: 4 } }", Ok((1, 4, 80)));
    check(
        "{ image: i, scale: { min: 2, max: 2, target: { cpuUtilization: 500 } } }",
        Ok((2, 2, 500)),
    );
    check("{ image: i, scale: { max: 0 } }", Err("spec.scale.max"));
    check(
        "{ image: i, scale: { min: 0, max: 1 } }",
        Err("spec.scale.min"),
    );
    check(
        "{ image: i, scale: { min: 3, max: 2 } }",
        Err("spec.scale.max"),
    );
    check(
        "{ image: i, scale: { max: 2, target: { cpuUtilization: 0 } } }",
        Err("spec.scale.target.cpuUtilization"),
    );
    check(
        "{ image: i, replicas: 2, scale: { max: 4 } }",
        Err("spec.scale"),
    );
    check(
        "{ image: i, placement: Pooled, scale: { max: 4 } }",
        Err("spec.scale"),
    );
    check(
        "{ image: i, scale: { max: 4 }, template: { resources: { limits: { memory: 1Gi } } } }",
        Err("spec.template.resources"),
    );
    check(
        "{ image: i, scale: { max: 4 }, template: { resources: { limits: { cpu: 1 } } } }",
        Ok((1, 4, 80)),
    );
}
