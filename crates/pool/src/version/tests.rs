//! Tests of the wanted version.

use serde_json::{Value, json};

use super::*;
use crate::objects::{ObjectData, SeenObject};

fn resource(spec: &Value) -> Arc<Resource> {
    let mut spec = spec.clone();
    let image = spec.get("image").cloned();
    spec["image"] = image.unwrap_or_else(|| "r.example/a:1".into());
    Arc::new(Resource {
        uid: "u".to_owned(),
        name: "hello".to_owned(),
        generation: 1,
        port: 10_000,
        spec: serde_json::from_value(spec).unwrap(),
    })
}

fn objects(secrets: &[(&str, Option<&str>)]) -> Objects {
    let mut objects = Objects::default();
    for (name, config) in secrets {
        let data = config.map(|config| {
            ObjectData::new([(DOCKER_CONFIG.to_owned(), config.as_bytes().to_vec())])
        });
        objects.observe(
            ObjectKey::secret(*name),
            SeenObject {
                data,
                version: None,
            },
        );
    }
    objects
}

fn version(spec: &Value, objects: &Objects) -> Result<Version, Unresolved> {
    wanted(&resource(spec), objects, &PodFields::default(), None)
}

fn made(spec: &Value) -> Version {
    version(spec, &Objects::default()).unwrap_or_else(|error| panic!("{spec}: {error:?}"))
}

#[test]
fn the_pull_policy_follows_the_tag() {
    fn check(image: &str, given: Option<&str>, expected: PullPolicy) {
        let mut spec = json!({ "placement": "Pooled", "image": image });
        if let Some(policy) = given {
            spec["template"] = json!({ "imagePullPolicy": policy });
        }
        assert_eq!(made(&spec).image.policy, expected, "{image} {given:?}");
    }
    let digest = format!("r.example/a@sha256:{}", "0".repeat(64));
    check("r.example/a", None, PullPolicy::Always);
    check("r.example:5000/a", None, PullPolicy::Always);
    check("r.example/a:latest", None, PullPolicy::Always);
    check("r.example/a:1", None, PullPolicy::IfNotPresent);
    check(&digest, None, PullPolicy::IfNotPresent);
    check("r.example/a:1", Some("Always"), PullPolicy::Always);
    check("r.example/a", Some("Never"), PullPolicy::Never);
}

#[test]
fn environment_and_arguments_are_the_functions() {
    let spec = json!({
        "placement": "Pooled",
        "env": [{ "name": "B", "value": "2" }, { "name": "A", "value": "$(B)1" }],
        "args": ["$(A)", "$$(A)", "$(NONE)"],
    });
    let function = made(&spec).function;
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(function.environment, [pair("A", "21"), pair("B", "2")]);
    assert_eq!(function.arguments, ["21", "$(A)", "$(NONE)"]);
}

#[test]
fn a_resource_that_a_pool_cannot_serve_is_refused() {
    fn check(spec: &Value, expected: Option<&str>) {
        match (version(spec, &Objects::default()), expected) {
            (Ok(_), None) => {}
            (Err(Unresolved::Failed(error)), Some(expected)) => {
                assert!(error.to_string().contains(expected), "{spec}: {error}");
            }
            (Ok(_), Some(expected)) => panic!("{spec}: not refused for {expected}"),
            (Err(error), _) => panic!("{spec}: {error:?}"),
        }
    }
    check(
        &json!({ "placement": "Pooled", "replicas": 2 }),
        Some("spec.replicas"),
    );
    // It moves to pods of its own, which will use them.
    check(
        &json!({ "placement": "Pod", "replicas": 2, "metrics": {} }),
        None,
    );
    check(&json!({ "placement": "Pod", "scale": { "max": 2 } }), None);
    let volumes = json!({ "volumes": [{ "name": "a", "emptyDir": {} }] });
    check(
        &json!({ "placement": "Pod", "template": volumes }),
        Some("spec.template.volumes"),
    );
    let arguments = json!({
        "placement": "Pooled",
        "env": [{ "name": "A", "value": "x".repeat(200_000) }],
        "args": ["$(A)".repeat(5)],
    });
    check(&arguments, Some("environment and arguments"));
    let image = json!({ "placement": "Pooled", "image": "hello" });
    check(&image, Some("spec.image \"hello\""));
}

#[test]
fn credentials_are_those_of_the_repository_in_the_order_of_the_secrets() {
    // a:b and c:d
    let (first, second) = (
        r#"{"auths": {"r.example": {"auth": "YTpi"}}}"#,
        r#"{"auths": {"r.example/a": {"auth": "Yzpk"}, "other.example": {"auth": "YTpi"}}}"#,
    );
    let check = |secrets: &[(&str, Option<&str>)], users: &[&str], missing: &[&str]| {
        let names: Vec<_> = secrets
            .iter()
            .map(|(name, _)| json!({ "name": name }))
            .collect();
        let spec = json!({ "placement": "Pooled", "imagePullSecrets": names });
        let image = version(&spec, &objects(secrets)).map(|version| version.image);
        let Ok(image) = image else {
            panic!("{secrets:?}");
        };
        let found: Vec<_> = image
            .logins
            .iter()
            .map(|login| match login {
                Login::Password { user, .. } => user.as_str(),
                _ => "token",
            })
            .collect();
        assert_eq!(found, users, "{secrets:?}");
        assert_eq!(image.missing_secrets, missing, "{secrets:?}");
    };
    check(&[], &[], &[]);
    check(&[("x", Some(first))], &["a"], &[]);
    check(&[("x", Some(second)), ("y", Some(first))], &["c", "a"], &[]);
    check(&[("x", Some(first)), ("y", Some(first))], &["a"], &[]);
    check(&[("x", None), ("y", Some(first))], &["a"], &["x"]);
    check(&[("x", Some("{}"))], &[], &[]);
    let both = r#"{"auths": {"r.example/a": {"auth": "Yzpk"}, "*.example": {"auth": "YTpi"}}}"#;
    check(&[("x", Some(both))], &["c", "a"], &[]);
}

#[test]
fn a_secret_of_another_type_has_no_credentials() {
    let mut objects = Objects::default();
    let data = ObjectData::new([("other".to_owned(), b"x".to_vec())]);
    let (data, version) = (Some(data), None);
    objects.observe(ObjectKey::secret("x"), SeenObject { data, version });
    let spec = json!({ "placement": "Pooled", "imagePullSecrets": [{ "name": "x" }] });
    let found = super::wanted(&resource(&spec), &objects, &PodFields::default(), None);
    assert!(found.is_ok_and(|version| version.image.logins.is_empty()));
}

#[test]
fn credentials_matter_only_for_another_image() {
    fn check(image: &str, live: Option<&str>, expected: bool) {
        let spec = |image: &str| json!({ "placement": "Pooled", "image": image });
        let live = live.map(|image| made(&spec(image)));
        let mut private = spec(image);
        private["imagePullSecrets"] = json!([{ "name": "broken" }, { "name": "not-seen" }]);
        let objects = objects(&[("broken", Some("{"))]);
        let fields = PodFields::default();
        let found = super::wanted(&resource(&private), &objects, &fields, live.as_ref());
        assert_eq!(found.is_ok(), expected, "{image}");
    }
    check("r.example/a:1", None, false);
    check("r.example/a:1", Some("r.example/a:1"), true);
    check("r.example/a:2", Some("r.example/a:1"), false);
}

#[test]
fn a_version_is_loaded_anew_only_for_a_change() {
    fn check(before: &Value, after: &Value, generation: i64, expected: (bool, bool)) {
        let (old, mut new) = (made(before), made(after));
        let mut resource = Resource::clone(&new.resource);
        resource.generation = generation;
        new.resource = Arc::new(resource);
        let found = (old.serves(&new), old.has_image_of(&new));
        assert_eq!(found, expected, "{before} {after} {generation}");
    }
    let plain = json!({ "placement": "Pooled" });
    let latest = json!({ "placement": "Pooled", "image": "r.example/a:latest" });
    let env = json!({ "placement": "Pooled", "env": [{ "name": "A", "value": "1" }] });
    let ingress = json!({ "placement": "Pooled", "ingress": { "host": "a.example" } });
    check(&plain, &plain, 1, (true, true));
    check(&plain, &plain, 2, (true, true));
    check(&plain, &ingress, 2, (true, true));
    check(&plain, &env, 2, (false, true));
    check(&plain, &latest, 2, (false, false));
    check(&latest, &latest, 1, (true, true));
    check(&latest, &latest, 2, (false, false));
}

#[test]
fn all_objects_of_a_resource_are_found() {
    let spec = json!({
        "placement": "Pooled",
        "imagePullSecrets": [{ "name": "pull" }],
        "env": [
            { "name": "A", "valueFrom": { "secretKeyRef": { "name": "keys", "key": "a" } } },
            { "name": "B", "valueFrom": { "secretKeyRef": { "name": "keys", "key": "b" } } },
            { "name": "C", "valueFrom": { "secretKeyRef": { "name": "?limit=20", "key": "c" } } },
        ],
        "template": { "envFrom": [{ "configMapRef": { "name": "settings" } }] },
    });
    let expected = [
        ObjectKey::config_map("settings"),
        ObjectKey::secret("keys"),
        ObjectKey::secret("pull"),
    ];
    assert_eq!(objects_of(&resource(&spec)), expected.into());
}
