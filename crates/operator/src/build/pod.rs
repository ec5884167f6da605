//! Builds the pods of a function: its container, and the resource's template.
//!
//! There is no probe: the runtime reports the container as started when the function can answer.

use k8s_openapi::api::core::v1::{
    Capabilities, Container, ContainerPort, Lifecycle, LifecycleHandler, LocalObjectReference,
    PodSecurityContext, PodSpec, PodTemplateSpec, SeccompProfile, SecurityContext, SleepAction,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use sampan_crd::{CONTAINER, PORT, Template, ValidFunction, ValidPlacement};
use sampan_spec::{Processors, annotations};

use super::{Identity, Settings, labels, resources};

/// The `RuntimeClass` of the shim.
const RUNTIME_CLASS: &str = "sampan";

/// The file that the container runs. A Wasm artifact has no entrypoint, and stock containerd
/// requires a command; an ordinary image with a .wasm file accepts it as well.
const COMMAND: &str = "/function.wasm";

/// Annotations of Prometheus' usual configuration.
const SCRAPE: &str = "prometheus.io/scrape";
const SCRAPED_PORT: &str = "prometheus.io/port";

/// The default user and group of a function, which own nothing.
const USER: i64 = 65_532;

/// The most processors that a scaled pod of a function with the placement `Auto` requests, so that it
/// fits on ordinary nodes.
const MOST_REQUESTED: Processors = Processors::from_milli(1_000);

/// Seconds after the function's timeout until a pod that does not end is killed.
const GRACE_MARGIN: u64 = 5;

pub(super) fn pod(
    identity: &Identity,
    function: &ValidFunction,
    settings: Settings,
) -> PodTemplateSpec {
    let template = &function.template;
    let mut all_labels = template.labels.clone();
    all_labels.extend(labels(identity));
    let mut all_annotations = template.annotations.clone();
    all_annotations.extend(annotations::print(&function.function, CONTAINER));
    if let Some(port) = function.metrics_port {
        let port = port.to_string();
        // A sidecar may be a function as well, and shares the ports of the pod.
        all_annotations.insert(annotations::metrics_key(CONTAINER), port.clone());
        // Annotations for scrapers, unless the template sets them.
        for (key, value) in [(SCRAPE, "true"), (SCRAPED_PORT, port.as_str())] {
            let entry = all_annotations.entry(key.to_owned());
            entry.or_insert_with(|| value.to_owned());
        }
    }
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(all_labels),
            annotations: Some(all_annotations),
            ..ObjectMeta::default()
        }),
        spec: Some(spec(function, template.clone(), settings)),
    }
}

fn spec(function: &ValidFunction, template: Template, settings: Settings) -> PodSpec {
    let own = container(function, &template, settings);
    let Template {
        // Part of the pod's metadata.
        labels: _,
        annotations: _,
        // Part of the function's container.
        volume_mounts: _,
        env_from: _,
        resources: _,
        image_pull_policy: _,
        node_selector,
        tolerations,
        affinity,
        topology_spread_constraints,
        sidecars,
        init_containers,
        volumes,
        security_context,
        service_account_name,
        automount_service_account_token,
        termination_grace_period_seconds,
        priority_class_name,
        scheduler_name,
        dns_policy,
        dns_config,
    } = template;
    let secrets = function.image_pull_secrets.iter();
    let mut containers = vec![own];
    containers.extend(sidecars);
    PodSpec {
        runtime_class_name: Some(RUNTIME_CLASS.to_owned()),
        containers,
        init_containers: filled(init_containers),
        image_pull_secrets: filled(
            secrets
                .map(|name| LocalObjectReference { name: name.clone() })
                .collect(),
        ),
        node_selector: (!node_selector.is_empty()).then_some(node_selector),
        tolerations: filled(tolerations),
        affinity,
        topology_spread_constraints: filled(topology_spread_constraints),
        volumes: filled(volumes),
        security_context: Some(PodSecurityContext {
            seccomp_profile: Some(seccomp_default()),
            ..PodSecurityContext::default()
        })
        .map(|default| match security_context {
            None => default,
            Some(given) => PodSecurityContext {
                seccomp_profile: given.seccomp_profile.clone().or(default.seccomp_profile),
                ..given
            },
        }),
        service_account_name,
        automount_service_account_token: Some(automount_service_account_token.unwrap_or(false)),
        // The environment comes from the resource only, not from Services.
        enable_service_links: Some(false),
        termination_grace_period_seconds: Some(
            termination_grace_period_seconds.unwrap_or_else(|| grace_period(function, settings)),
        ),
        priority_class_name,
        scheduler_name,
        dns_policy,
        dns_config,
        ..PodSpec::default()
    }
}

fn container(function: &ValidFunction, template: &Template, settings: Settings) -> Container {
    let given = template.security_context.clone().unwrap_or_default();
    Container {
        name: CONTAINER.to_owned(),
        image: Some(function.image.clone()),
        image_pull_policy: template
            .image_pull_policy
            .map(|policy| format!("{policy:?}")),
        command: Some(vec![COMMAND.to_owned()]),
        args: filled(function.function.arguments.clone()),
        env: filled(function.env.clone()),
        env_from: filled(template.env_from.clone()),
        ports: Some(ports(function)),
        resources: Some(
            (template.resources.clone()).unwrap_or_else(|| {
                resources::default(&function.function.limits, requested(function))
            }),
        ),
        volume_mounts: filled(template.volume_mounts.clone()),
        security_context: Some(SecurityContext {
            run_as_non_root: Some(given.run_as_non_root.unwrap_or(true)),
            run_as_user: Some(given.run_as_user.unwrap_or(USER)),
            run_as_group: Some(given.run_as_group.unwrap_or(USER)),
            read_only_root_filesystem: Some(true),
            allow_privilege_escalation: Some(false),
            capabilities: Some(Capabilities {
                drop: Some(vec!["ALL".to_owned()]),
                ..Capabilities::default()
            }),
            seccomp_profile: Some(given.seccomp_profile.unwrap_or_else(seccomp_default)),
            ..SecurityContext::default()
        }),
        lifecycle: pause(settings, template.termination_grace_period_seconds),
        // The function's last log lines become part of the condition about its end.
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        ..Container::default()
    }
}

/// The processors that a pod requests; `None` for the default. An autoscaler takes shares of the
/// request. A function that leaves the pool uses more than `moveOut`, and `template`, which would have
/// another request, is refused: with the default, it would have all of its pods at once.
fn requested(function: &ValidFunction) -> Option<Processors> {
    match (function.placement, function.scale) {
        (ValidPlacement::Auto(rule), Some(_)) => Some(rule.move_out.min(MOST_REQUESTED)),
        _ => None,
    }
}

fn ports(function: &ValidFunction) -> Vec<ContainerPort> {
    let port = |name: &str, port: u16| ContainerPort {
        name: Some(name.to_owned()),
        container_port: port.into(),
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    };
    let metrics = function.metrics_port.map(|own| port("metrics", own.get()));
    [Some(port("http", PORT)), metrics]
        .into_iter()
        .flatten()
        .collect()
}

/// The kubelet's pause before it stops the function; by then no proxy sends it new requests. It
/// must be less than a custom grace period, or the API server rejects the pod.
fn pause(settings: Settings, grace_period: Option<i64>) -> Option<Lifecycle> {
    let seconds = i64::try_from(settings.drain_delay.as_secs()).unwrap_or(i64::MAX);
    let seconds = seconds.min(grace_period.map_or(i64::MAX, |grace| grace.saturating_sub(1)));
    (seconds > 0).then(|| Lifecycle {
        pre_stop: Some(LifecycleHandler {
            sleep: Some(SleepAction { seconds }),
            ..LifecycleHandler::default()
        }),
        ..Lifecycle::default()
    })
}

/// Long enough for every accepted request.
fn grace_period(function: &ValidFunction, settings: Settings) -> i64 {
    let timeout = function.function.limits.timeout;
    let seconds = timeout.as_secs() + u64::from(timeout.subsec_nanos() > 0);
    let seconds = seconds
        .saturating_add(settings.drain_delay.as_secs())
        .saturating_add(GRACE_MARGIN);
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

pub(super) fn seccomp_default() -> SeccompProfile {
    SeccompProfile {
        type_: "RuntimeDefault".to_owned(),
        ..SeccompProfile::default()
    }
}

/// The list, or `None` if it is empty: an empty list would be a value as well.
pub(super) fn filled<T>(items: Vec<T>) -> Option<Vec<T>> {
    (!items.is_empty()).then_some(items)
}
