//! Builds the objects of a namespace's pool: its service account, its grant, its Service, its Deployment, its
//! autoscaler and its disruption budget.
//!
//! The pool is an ordinary container that any cluster admits: Pod Security `restricted`, a
//! read-only root, no `RuntimeClass` of its own. It has no port for each function, because a
//! container's list of ports opens none.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::apps::v1::{
    Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment,
};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{
    Capabilities, Container, ContainerPort, EmptyDirVolumeSource, EnvVar, EnvVarSource,
    HTTPGetAction, Lifecycle, LifecycleHandler, LocalObjectReference, ObjectFieldSelector,
    PodSecurityContext, PodSpec, PodTemplateSpec, Probe, SecurityContext, Service, ServiceAccount,
    SleepAction, TopologySpreadConstraint, Volume, VolumeMount,
};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::api::rbac::v1::{RoleBinding, RoleRef, Subject};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use sampan_crd::{MANAGED_BY, METRICS_PORT, POOL, POOL_DRAIN_PER_FUNCTION, POOL_LABEL, POOL_PORTS};

use super::autoscaler::autoscaler;
use super::pod::{filled, seccomp_default};
use super::pool_config::{PodCount, PoolConfig, PoolSettings};
use super::pool_sharing;

/// The container of a pool's pod.
const CONTAINER: &str = "pool";

/// Where a pod keeps what it serves, so that a restarted container needs no API server.
const STATE: (&str, &str) = ("state", "/run/sampan");

/// Where a pod keeps compiled modules.
const CACHE: (&str, &str) = ("cache", "/var/cache/sampan");

/// The user and group of the pool, which own nothing.
const USER: i64 = 65_532;

/// How long requests may take to end when a pod ends: the longest `limits.timeout`. A pod without
/// requests ends at once.
const GRACE: Duration = Duration::from_hours(1);

/// How long a pod with all functions that a pool can have goes on accepting requests when it ends.
const LAST_ENDPOINT: Duration =
    POOL_DRAIN_PER_FUNCTION.saturating_mul((*POOL_PORTS.end() - *POOL_PORTS.start()) as u32 + 1);

/// Time beyond that until a pod that does not end is killed.
const MARGIN: Duration = Duration::from_secs(5);

/// A roll-out counts as stuck when a pod is not ready after this many times the ready timeout, which
/// begins anew whenever a function is loaded.
const READY_TIMEOUTS: u32 = 30;

/// The variables with fields of the pod, which functions may ask for.
const FIELDS: [(&str, &str); 8] = [
    ("POD_NAME", "metadata.name"),
    ("POD_NAMESPACE", "metadata.namespace"),
    ("POD_UID", "metadata.uid"),
    ("NODE_NAME", "spec.nodeName"),
    ("SERVICE_ACCOUNT", "spec.serviceAccountName"),
    ("HOST_IP", "status.hostIP"),
    ("POD_IP", "status.podIP"),
    ("POD_IPS", "status.podIPs"),
];

/// The objects of one pool.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolObjects {
    /// Its identity towards the API server.
    pub service_account: ServiceAccount,
    /// The grant of the `ClusterRole`, in its namespace only.
    pub role_binding: RoleBinding,
    /// The name with the addresses of its pods, by which they find each other.
    pub peers: Service,
    /// Its pods. An autoscaled one has no number of pods, which is the autoscaler's.
    pub deployment: Deployment,
    /// What chooses the number of its pods; `None` for a fixed number.
    pub autoscaler: Option<HorizontalPodAutoscaler>,
    /// Keeps evictions from stopping several pods at once; `None` where there is never more than one
    /// pod. A single pod of a pool that may have more can be evicted.
    pub budget: Option<PodDisruptionBudget>,
}

/// Builds the pool of a namespace.
pub fn pool(namespace: &str, config: &PoolConfig) -> PoolObjects {
    PoolObjects {
        service_account: ServiceAccount {
            metadata: metadata(namespace),
            ..ServiceAccount::default()
        },
        role_binding: RoleBinding {
            metadata: metadata(namespace),
            role_ref: RoleRef {
                api_group: Some("rbac.authorization.k8s.io".to_owned()),
                kind: "ClusterRole".to_owned(),
                name: POOL.to_owned(),
            },
            subjects: Some(vec![Subject {
                kind: "ServiceAccount".to_owned(),
                name: POOL.to_owned(),
                namespace: Some(namespace.to_owned()),
                api_group: None,
            }]),
        },
        peers: pool_sharing::peer_service(metadata(namespace), selector()),
        deployment: deployment(namespace, config),
        autoscaler: match config.pods {
            PodCount::Fixed(_) => None,
            PodCount::Scaled(scale) => Some(autoscaler(metadata(namespace), CONTAINER, scale)),
        },
        budget: (config.pods.max() > 1).then(|| budget(namespace)),
    }
}

fn budget(namespace: &str) -> PodDisruptionBudget {
    PodDisruptionBudget {
        metadata: metadata(namespace),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(label_selector()),
            ..PodDisruptionBudgetSpec::default()
        }),
        status: None,
    }
}

/// The selector of a pool's pods, in the pool's Deployment and in the Services of its functions.
pub(super) fn selector() -> BTreeMap<String, String> {
    let (label, pool) = POOL_LABEL;
    BTreeMap::from([(label.to_owned(), pool.to_owned())])
}

fn label_selector() -> LabelSelector {
    LabelSelector {
        match_labels: Some(selector()),
        ..LabelSelector::default()
    }
}

fn labels() -> BTreeMap<String, String> {
    let (managed_by, operator) = MANAGED_BY;
    let mut labels = selector();
    labels.insert(managed_by.to_owned(), operator.to_owned());
    labels.insert("app.kubernetes.io/name".to_owned(), POOL.to_owned());
    labels
}

/// No function owns the pool: it goes with the last one.
fn metadata(namespace: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(POOL.to_owned()),
        namespace: Some(namespace.to_owned()),
        labels: Some(labels()),
        ..ObjectMeta::default()
    }
}

fn deployment(namespace: &str, config: &PoolConfig) -> Deployment {
    Deployment {
        metadata: metadata(namespace),
        spec: Some(DeploymentSpec {
            replicas: match config.pods {
                PodCount::Fixed(count) => Some(count),
                PodCount::Scaled(_) => None,
            },
            revision_history_limit: Some(3),
            progress_deadline_seconds: Some(progress_deadline(&config.settings)),
            selector: label_selector(),
            // A pod has loaded every function before another one stops.
            strategy: Some(DeploymentStrategy {
                type_: Some("RollingUpdate".to_owned()),
                rolling_update: Some(RollingUpdateDeployment {
                    max_surge: Some(IntOrString::Int(1)),
                    max_unavailable: Some(IntOrString::Int(0)),
                }),
            }),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(labels()),
                    annotations: Some(BTreeMap::from([
                        ("prometheus.io/scrape".to_owned(), "true".to_owned()),
                        ("prometheus.io/port".to_owned(), METRICS_PORT.to_string()),
                    ])),
                    ..ObjectMeta::default()
                }),
                spec: Some(spec(config)),
            },
            ..DeploymentSpec::default()
        }),
        status: None,
    }
}

fn progress_deadline(settings: &PoolSettings) -> i32 {
    let deadline = settings.ready_timeout.saturating_mul(READY_TIMEOUTS);
    i32::try_from(deadline.as_secs()).unwrap_or(i32::MAX)
}

fn spec(config: &PoolConfig) -> PodSpec {
    let PoolConfig {
        settings,
        // Part of the Deployment.
        pods: _,
        node_selector,
        tolerations,
        affinity,
        topology_spread_constraints: constraints,
        priority_class_name,
    } = config;
    let grace = settings
        .drain_delay
        .saturating_add(LAST_ENDPOINT + GRACE + MARGIN)
        .as_secs();
    let secrets = settings.image_pull_secrets.iter();
    PodSpec {
        runtime_class_name: settings.runtime_class.clone(),
        service_account_name: Some(POOL.to_owned()),
        automount_service_account_token: Some(true),
        enable_service_links: Some(false),
        termination_grace_period_seconds: Some(i64::try_from(grace).unwrap_or(i64::MAX)),
        image_pull_secrets: filled(
            secrets
                .map(|name| LocalObjectReference { name: name.clone() })
                .collect(),
        ),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(USER),
            run_as_group: Some(USER),
            seccomp_profile: Some(seccomp_default()),
            ..PodSecurityContext::default()
        }),
        node_selector: (!node_selector.is_empty()).then(|| node_selector.clone()),
        tolerations: filled(tolerations.clone()),
        affinity: affinity.clone(),
        priority_class_name: priority_class_name.clone(),
        topology_spread_constraints: Some(spread(constraints)),
        volumes: Some(vec![
            volume(STATE, Some("Memory"), &settings.state_size),
            volume(CACHE, None, &settings.cache_size),
            pool_sharing::volume(),
        ]),
        containers: vec![container(settings)],
        ..PodSpec::default()
    }
}

/// How the pods are spread: as configured, or over nodes.
fn spread(constraints: &[TopologySpreadConstraint]) -> Vec<TopologySpreadConstraint> {
    let default = TopologySpreadConstraint {
        max_skew: 1,
        topology_key: "kubernetes.io/hostname".to_owned(),
        when_unsatisfiable: "ScheduleAnyway".to_owned(),
        ..TopologySpreadConstraint::default()
    };
    let constraints = match constraints {
        [] => vec![default],
        constraints => constraints.to_vec(),
    };
    // A constraint without a selector would count no pods.
    let selected = |constraint: TopologySpreadConstraint| TopologySpreadConstraint {
        label_selector: constraint.label_selector.or_else(|| Some(label_selector())),
        ..constraint
    };
    constraints.into_iter().map(selected).collect()
}

fn container(settings: &PoolSettings) -> Container {
    let mut arguments = vec![
        format!("--state={}", STATE.1),
        format!("--cache={}", CACHE.1),
        // The kubelet waits before it stops the container. The pool itself adds a time for each function.
        "--drain-delay=0s".to_owned(),
        format!("--drain-timeout={}s", GRACE.as_secs()),
        format!("--ready-timeout={}s", settings.ready_timeout.as_secs()),
    ];
    arguments.extend(pool_sharing::arguments());
    let registries = settings.plain_http_registries.iter();
    arguments.extend(registries.map(|host| format!("--plain-http-registry={host}")));
    let pause = i64::try_from(settings.drain_delay.as_secs()).unwrap_or(i64::MAX);
    Container {
        name: CONTAINER.to_owned(),
        image: Some(settings.image.clone()),
        image_pull_policy: settings.image_pull_policy.clone(),
        args: Some(arguments),
        env: Some(FIELDS.into_iter().map(field).collect()),
        ports: Some(vec![
            ContainerPort {
                name: Some("metrics".to_owned()),
                container_port: METRICS_PORT.into(),
                protocol: Some("TCP".to_owned()),
                ..ContainerPort::default()
            },
            pool_sharing::container_port(),
        ]),
        resources: Some(settings.resources.clone()),
        volume_mounts: Some(vec![mount(STATE), mount(CACHE), pool_sharing::mount()]),
        // It answers before it has read its cache.
        startup_probe: Some(probe("/healthz", 1, 60)),
        liveness_probe: Some(probe("/healthz", 10, 6)),
        readiness_probe: Some(probe("/readyz", 1, 3)),
        lifecycle: (pause > 0).then(|| Lifecycle {
            pre_stop: Some(LifecycleHandler {
                sleep: Some(SleepAction { seconds: pause }),
                ..LifecycleHandler::default()
            }),
            ..Lifecycle::default()
        }),
        security_context: Some(SecurityContext {
            run_as_non_root: Some(true),
            read_only_root_filesystem: Some(true),
            allow_privilege_escalation: Some(false),
            capabilities: Some(Capabilities {
                drop: Some(vec!["ALL".to_owned()]),
                ..Capabilities::default()
            }),
            seccomp_profile: Some(seccomp_default()),
            ..SecurityContext::default()
        }),
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        ..Container::default()
    }
}

fn field((name, path): (&str, &str)) -> EnvVar {
    EnvVar {
        name: name.to_owned(),
        value: None,
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector {
                field_path: path.to_owned(),
                ..ObjectFieldSelector::default()
            }),
            ..EnvVarSource::default()
        }),
    }
}

fn volume((name, _): (&str, &str), medium: Option<&str>, limit: &Quantity) -> Volume {
    Volume {
        name: name.to_owned(),
        empty_dir: Some(EmptyDirVolumeSource {
            medium: medium.map(str::to_owned),
            size_limit: Some(limit.clone()),
        }),
        ..Volume::default()
    }
}

fn mount((name, path): (&str, &str)) -> VolumeMount {
    VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        ..VolumeMount::default()
    }
}

fn probe(path: &str, period: i32, failures: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::Int(METRICS_PORT.into()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period),
        failure_threshold: Some(failures),
        timeout_seconds: Some(5),
        ..Probe::default()
    }
}
