//! Validates a resource.
//!
//! The first invalid value is reported, with its field and what is allowed instead. Kubernetes' own
//! types below `template` are left to the API server. Its errors become a condition.

use std::collections::HashSet;
use std::num::NonZeroU16;

use k8s_openapi::api::core::v1::{Container, EnvVar};
use sampan_spec::{
    Function, FunctionFile, HttpMode, InstancesFile, LIMITS, LimitsFile, Located, OutboundFile,
    ProcessorShare, ReuseFile, SHARE_PROCESSORS, SHARE_WEIGHT, Scalar, annotations,
};

use crate::amount::Amount;
use crate::auto::{self, ValidAuto};
use crate::function::{Instances, Metrics, Outbound, PoolShare, WasmFunction, WasmFunctionSpec};
use crate::ingress::Ingress;
use crate::invalid::{Invalid, check_size};
use crate::limits::Limits;
use crate::placement::PlacementPolicy;
use crate::pooled;
use crate::processors;
use crate::scale::{self, ValidScale};
use crate::template::Template;
use crate::{CONTAINER, FUNCTION_LABEL, METRICS_PORT, POOL, PORT};

/// The most bytes of a resource. The objects made from it are larger, and must fit the cluster's
/// store.
const MAX_BYTES: usize = 512 * 1024;

/// A validated function.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ValidFunction {
    /// Name, limits, outbound rules, arguments and other settings of its pod. Its environment is
    /// empty here: that of the pod is [`ValidFunction::env`].
    pub function: Function,
    /// The image with the function.
    pub image: String,
    /// Names of the Secrets with the registry's credentials.
    pub image_pull_secrets: Vec<String>,
    /// Where the function is to be served.
    pub placement: ValidPlacement,
    /// The number of pods; `None` leaves it to other clients.
    pub replicas: Option<i32>,
    /// The range of pods in which an autoscaler chooses; `None` without one.
    pub scale: Option<ValidScale>,
    /// The environment, in order, with unique names.
    pub env: Vec<EnvVar>,
    /// Its access from outside of the cluster.
    pub ingress: Option<ValidIngress>,
    /// The metrics port of its pods, if there is one.
    pub metrics_port: Option<NonZeroU16>,
    /// Other settings of its pods.
    pub template: Template,
}

/// Where a function is to be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValidPlacement {
    /// By pods of its own.
    Pod,
    /// By the pool of its namespace.
    Pooled,
    /// By the pool of its namespace, and under load by pods of its own.
    Auto(ValidAuto),
}

impl ValidPlacement {
    /// The placement that the resource asks for.
    pub fn policy(self) -> PlacementPolicy {
        match self {
            Self::Pod => PlacementPolicy::Pod,
            Self::Pooled => PlacementPolicy::Pooled,
            Self::Auto(_) => PlacementPolicy::Auto,
        }
    }
}

/// Access of a function from outside of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ValidIngress {
    /// The host name, with a star or without.
    pub host: String,
    /// The path; begins with a slash.
    pub path: String,
    /// The class of controllers; `None` for the default one.
    pub class_name: Option<String>,
    /// `Some` for TLS, with the Secret's name, or `None` for the controller's own certificate.
    pub tls: Option<Option<String>>,
    /// Annotations of the Ingress.
    pub annotations: Vec<(String, String)>,
}

impl ValidFunction {
    /// Validates a resource.
    ///
    /// # Errors
    ///
    /// [`Invalid`] for the first value that is not allowed.
    pub fn of(resource: &WasmFunction) -> Result<Self, Invalid> {
        let WasmFunctionSpec {
            image,
            image_pull_secrets,
            placement,
            auto,
            replicas,
            scale,
            env,
            args,
            http,
            limits,
            outbound,
            instances,
            ingress,
            metrics,
            pool,
            template,
        } = resource.spec.clone();
        check_size(&resource.spec, MAX_BYTES)?;
        let name = checked_name(resource.metadata.name.clone().unwrap_or_default())?;
        pooled::check(&resource.spec)?;
        let placement = placement.unwrap_or_default();
        auto::check(placement, auto.as_ref(), replicas)?;
        let file = FunctionFile {
            name: Some(name.clone().into()),
            args: Some(args.into_iter().map(|text| Scalar(text).into()).collect()),
            http,
            limits: Some(raw_limits(limits.unwrap_or_default())?),
            outbound: outbound.map(raw_outbound),
            instances: instances.map(raw_instances),
            ..FunctionFile::default()
        };
        let mut function = file.validate(&name)?;
        function.share = checked_share(&pool.unwrap_or_default())?;
        // A file name has no meaning in a pod.
        function.file = None;
        check_absolute(&function.certificate_authorities)?;
        // A resource has a Service, so a command that runs and ends would be a mistake.
        function.http.get_or_insert(HttpMode::Handler);
        let replicas = match replicas {
            Some(wanted) if !(0..=10_000).contains(&wanted) => {
                return Err(Invalid::new(
                    "spec.replicas",
                    format!("{wanted} is not allowed (0 to 10000)"),
                ));
            }
            replicas => replicas,
        };
        let resources = template.as_ref().and_then(|it| it.resources.as_ref());
        let scale = scale.map(|scale| scale::check(&scale, replicas, resources));
        let metrics_port = metrics.as_ref().map(checked_metrics).transpose()?;
        Ok(Self {
            function,
            image: checked_image(image)?,
            image_pull_secrets: image_pull_secrets
                .into_iter()
                .map(|secret| secret.name)
                .collect(),
            placement: match placement {
                PlacementPolicy::Pod => ValidPlacement::Pod,
                PlacementPolicy::Pooled => ValidPlacement::Pooled,
                PlacementPolicy::Auto => {
                    ValidPlacement::Auto(ValidAuto::of(&auto.unwrap_or_default())?)
                }
            },
            replicas,
            scale: scale.transpose()?,
            env: checked_env(env)?,
            ingress: ingress.map(checked_ingress).transpose()?,
            metrics_port,
            template: checked_template(template.unwrap_or_default(), metrics_port)?,
        })
    }
}

fn checked_name(name: String) -> Result<String, Invalid> {
    // The function's own validation checks the other characters.
    if name.starts_with(|first: char| first.is_ascii_digit()) {
        let message = "it begins with a digit, and a Service's name begins with a letter";
        return Err(Invalid::new("metadata.name", message));
    }
    if name == POOL {
        let message = "the objects of a namespace's pool have this name: choose another one";
        return Err(Invalid::new("metadata.name", message));
    }
    Ok(name)
}

fn checked_image(image: String) -> Result<String, Invalid> {
    if image.is_empty()
        || image.contains(|character: char| character.is_whitespace() || character.is_control())
    {
        let message = "it is no image (write REGISTRY/NAME:TAG, without spaces)";
        return Err(Invalid::new("spec.image", message));
    }
    Ok(image)
}

fn raw_limits(Limits(limits): Limits) -> Result<LimitsFile, Invalid> {
    let mut file = LimitsFile::default();
    for (key, value) in limits {
        if !file.set(&key, Scalar(value.to_string())) {
            let known: Vec<&str> = LIMITS.iter().map(|limit| limit.key).collect();
            let message = format!("there is no limit {key:?} (known are {})", known.join(", "));
            return Err(Invalid::new("spec.limits", message));
        }
    }
    Ok(file)
}

fn raw_outbound(outbound: Outbound) -> OutboundFile {
    let raw = |texts: Vec<String>| Some(texts.into_iter().map(Located::from).collect());
    OutboundFile {
        allow: raw(outbound.allow),
        certificate_authorities: raw(outbound.certificate_authorities),
    }
}

/// Rejects relative paths, which have no folder in a pod to start at.
fn check_absolute(paths: &[String]) -> Result<(), Invalid> {
    let relative = paths.iter().position(|path| !path.starts_with('/'));
    relative.map_or(Ok(()), |index| {
        Err(Invalid::new(
            format!("spec.outbound.certificateAuthorities[{index}]"),
            "it is not absolute (write the path at which template.volumeMounts has the file)",
        ))
    })
}

fn raw_instances(instances: Instances) -> InstancesFile {
    let raw = |amount: Option<Amount>| amount.map(|amount| Scalar(amount.to_string()).into());
    InstancesFile {
        reuse: instances.reuse.map(|reuse| ReuseFile {
            requests: raw(reuse.requests),
            idle: raw(reuse.idle),
        }),
    }
}

fn checked_share(pool: &PoolShare) -> Result<ProcessorShare, Invalid> {
    let mut share = ProcessorShare::default();
    if let Some(weight) = pool.weight {
        let allowed = u64::try_from(weight).ok();
        let allowed = allowed.filter(|weight| SHARE_WEIGHT.check(*weight).is_ok());
        let allowed = allowed.and_then(|weight| u32::try_from(weight).ok());
        share.weight = allowed.ok_or_else(|| {
            let (least, most) = (SHARE_WEIGHT.least, SHARE_WEIGHT.most);
            let message = format!("{weight} is not allowed ({least} to {most})");
            Invalid::new("spec.pool.weight", message)
        })?;
    }
    let cap = pool.processors.as_ref();
    let cap = cap.map(|cap| processors::checked("spec.pool.processors", cap, &SHARE_PROCESSORS));
    share.processors = cap.transpose()?;
    Ok(share)
}

fn checked_env(env: Vec<EnvVar>) -> Result<Vec<EnvVar>, Invalid> {
    let mut seen = HashSet::new();
    for (index, variable) in env.iter().enumerate() {
        let refuse = |message: &str| Err(Invalid::new(format!("spec.env[{index}]"), message));
        if variable.name.is_empty() || variable.name.contains(|c: char| c == '=' || c.is_control())
        {
            return refuse("a name has at least one character, no = and no control characters");
        }
        if variable.name == "PORT" {
            return refuse("PORT is taken: the function's server listens there");
        }
        if !seen.insert(&variable.name) {
            return refuse("the same name is there twice");
        }
        if variable.value.is_some() && variable.value_from.is_some() {
            return refuse("a variable has a value or a valueFrom, not both");
        }
        if variable
            .value
            .as_ref()
            .is_some_and(|value| value.contains('\0'))
        {
            return refuse("the value has a NUL character");
        }
    }
    Ok(env)
}

fn checked_ingress(ingress: Ingress) -> Result<ValidIngress, Invalid> {
    let Ingress {
        class_name,
        host,
        path,
        tls,
        annotations,
    } = ingress;
    if host.is_empty() {
        return Err(Invalid::new("spec.ingress.host", "it is empty"));
    }
    let path = path.unwrap_or_else(|| "/".to_owned());
    if !path.starts_with('/') {
        return Err(Invalid::new(
            "spec.ingress.path",
            "it does not begin with /",
        ));
    }
    Ok(ValidIngress {
        host,
        path,
        class_name,
        tls: tls.map(|tls| tls.secret_name),
        annotations: annotations.into_iter().collect(),
    })
}

fn checked_metrics(metrics: &Metrics) -> Result<NonZeroU16, Invalid> {
    let refuse = |message: String| Invalid::new("spec.metrics.port", message);
    let port = metrics.port.unwrap_or(METRICS_PORT);
    if port == PORT {
        return Err(refuse(format!(
            "{PORT} is taken: the function's server listens there"
        )));
    }
    NonZeroU16::new(port).ok_or_else(|| refuse("0 is no port".to_owned()))
}

/// Rejects settings that the operator owns, and ports that the function listens on.
fn checked_template(
    template: Template,
    metrics_port: Option<NonZeroU16>,
) -> Result<Template, Invalid> {
    let ours = |key: &str| key.starts_with(annotations::PREFIX) || key == "app.kubernetes.io/name";
    debug_assert!(ours(FUNCTION_LABEL), "selectors rest on it");
    if let Some(key) = template.labels.keys().find(|key| ours(key)) {
        return Err(Invalid::new(
            "spec.template.labels",
            format!("{key} is the operator's"),
        ));
    }
    if let Some(key) = template
        .annotations
        .keys()
        .find(|key| key.starts_with(annotations::PREFIX))
    {
        return Err(Invalid::new(
            "spec.template.annotations",
            format!("{key} is the operator's"),
        ));
    }
    for (field, containers) in [
        ("sidecars", &template.sidecars),
        ("initContainers", &template.init_containers),
    ] {
        if containers
            .iter()
            .any(|container| container.name == CONTAINER)
        {
            let message = format!("the name {CONTAINER} is that of the function's own container");
            return Err(Invalid::new(format!("spec.template.{field}"), message));
        }
        // An init container that is not restarted has ended before the function listens.
        let beside = |container: &&Container| {
            field == "sidecars" || container.restart_policy.as_deref() == Some("Always")
        };
        let ports = containers
            .iter()
            .filter(beside)
            .flat_map(|container| container.ports.iter().flatten());
        for port in ports.filter(|port| port.protocol.as_deref().is_none_or(|name| name == "TCP")) {
            checked_sidecar_port(port.container_port, metrics_port)
                .map_err(|message| Invalid::new(format!("spec.template.{field}"), message))?;
        }
    }
    Ok(template)
}

/// All containers of a pod share its ports.
fn checked_sidecar_port(port: i32, metrics_port: Option<NonZeroU16>) -> Result<(), String> {
    if port == i32::from(PORT) {
        return Err(format!(
            "port {port} is taken: the function's server listens there"
        ));
    }
    match metrics_port {
        Some(metrics) if port == i32::from(metrics.get()) => Err(format!(
            "port {port} is taken by the function's metrics: set spec.metrics.port to another"
        )),
        _ => Ok(()),
    }
}
