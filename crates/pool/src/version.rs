//! The version of a function that a pool should serve: a pure function of its resource, of the
//! objects that it refers to and of the pool's pod.

use std::collections::HashSet;
use std::sync::Arc;

use sampan_artifact::{DockerConfig, Login, Reference};
use sampan_crd::{PlacementPolicy, PullPolicy, ValidFunction, WasmFunction};
use sampan_spec::Function;

use crate::environment::{Unresolved, expand_argument, references, resolve};
use crate::error::PoolError;
use crate::expansion::Budget;
use crate::fields::PodFields;
use crate::objects::{Known, ObjectKey, Objects};
use crate::resource::Resource;

/// The key of a Secret of the type `kubernetes.io/dockerconfigjson`.
const DOCKER_CONFIG: &str = ".dockerconfigjson";

/// A version to load. It has no `Debug`: it contains secrets.
#[derive(Clone)]
pub(crate) struct Version {
    pub(crate) resource: Arc<Resource>,
    /// With its environment and its arguments.
    pub(crate) function: Arc<Function>,
    pub(crate) image: Image,
}

/// The image of a version.
#[derive(Clone)]
pub(crate) struct Image {
    pub(crate) reference: Reference,
    pub(crate) policy: PullPolicy,
    /// The credentials for its repository, in the order in which they are tried; empty without any.
    pub(crate) logins: Vec<Login>,
    /// The pull secrets that do not exist, which the kubelet ignores as well.
    pub(crate) missing_secrets: Vec<String>,
}

impl Version {
    /// Whether a function that was loaded as `self` also serves `wanted`, so that nothing is loaded
    /// anew. An image that is always pulled is asked for again with each generation.
    pub(crate) fn serves(&self, wanted: &Self) -> bool {
        let is_pulled_again = wanted.image.policy == PullPolicy::Always
            && wanted.resource.generation != self.resource.generation;
        self.function == wanted.function
            && self.image.reference == wanted.image.reference
            && !is_pulled_again
    }

    /// Whether an attempt to load `self` is one to load `wanted` as well.
    pub(crate) fn loads_as(&self, wanted: &Self) -> bool {
        self.serves(wanted)
            && self.image.policy == wanted.image.policy
            && self.image.logins == wanted.image.logins
    }

    /// Whether an attempt to load `self` gets the image of `wanted` as well, with the credentials of
    /// `self`.
    pub(crate) fn gets_image_of(&self, wanted: &Self) -> bool {
        self.has_image_of(wanted) && self.image.policy == wanted.image.policy
    }

    /// Whether the image of `self` is the one of `wanted`, so that only the rest is loaded anew.
    pub(crate) fn has_image_of(&self, wanted: &Self) -> bool {
        self.image.reference == wanted.image.reference
            && (wanted.image.policy != PullPolicy::Always
                || wanted.resource.generation == self.resource.generation)
    }
}

/// All objects to which a resource refers, but for names that none can have.
pub(crate) fn objects_of(resource: &Resource) -> HashSet<ObjectKey> {
    let spec = &resource.spec;
    let env_from = spec.template.as_ref().map(|template| &template.env_from);
    let env_from = env_from.map_or(&[][..], Vec::as_slice);
    let secrets = spec.image_pull_secrets.iter();
    references(&spec.env, env_from)
        .chain(secrets.map(|secret| ObjectKey::secret(&secret.name)))
        .filter(ObjectKey::can_exist)
        .collect()
}

/// The version that a resource asks for. Credentials that cannot be had matter only if the image is
/// another one than that of the `live` version.
pub(crate) fn wanted(
    resource: &Arc<Resource>,
    objects: &Objects,
    fields: &PodFields,
    live: Option<&Version>,
) -> Result<Version, Unresolved> {
    let valid = validated(resource)?;
    let (env, env_from) = (&valid.env, &valid.template.env_from);
    let mut budget = Budget::new();
    let variables = resolve(env, env_from, objects, fields, &mut budget)?;
    let mut function = valid.function;
    for argument in &mut function.arguments {
        *argument = expand_argument(argument, &variables, &mut budget)?;
    }
    function.environment = variables.into_iter().collect();
    let reference = reference(&valid.image)?;
    let policy = valid.template.image_pull_policy;
    let logins = logins(&valid.image_pull_secrets, &reference, objects);
    let mut version = Version {
        resource: Arc::clone(resource),
        function: Arc::new(function),
        image: Image {
            policy: policy.unwrap_or_else(|| default_policy(&valid.image)),
            reference,
            logins: Vec::new(),
            missing_secrets: Vec::new(),
        },
    };
    match logins {
        Ok((logins, missing)) => {
            (version.image.logins, version.image.missing_secrets) = (logins, missing);
        }
        Err(_) if live.is_some_and(|live| live.has_image_of(&version)) => {}
        Err(error) => return Err(error),
    }
    Ok(version)
}

/// The version of a resource whose environment and arguments were resolved before.
pub(crate) fn restored(
    resource: Resource,
    environment: Vec<(String, String)>,
    arguments: Vec<String>,
) -> Result<Version, PoolError> {
    let valid = validated(&resource)?;
    let mut function = valid.function;
    (function.environment, function.arguments) = (environment, arguments);
    let policy = valid.template.image_pull_policy;
    Ok(Version {
        resource: Arc::new(resource),
        function: Arc::new(function),
        image: Image {
            reference: reference(&valid.image)?,
            policy: policy.unwrap_or_else(|| default_policy(&valid.image)),
            logins: Vec::new(),
            missing_secrets: Vec::new(),
        },
    })
}

/// Validates a resource as one of a pool. One that moves to pods of its own is served here until
/// then, and may already have the fields that only such pods use.
fn validated(resource: &Resource) -> Result<ValidFunction, PoolError> {
    let mut spec = resource.spec.clone();
    if !spec.placement.unwrap_or_default().uses_pool() {
        spec.placement = Some(PlacementPolicy::Pooled);
        spec.auto = None;
        spec.replicas = None;
        spec.scale = None;
        spec.metrics = None;
    }
    Ok(ValidFunction::of(&WasmFunction::new(&resource.name, spec))?)
}

fn reference(image: &str) -> Result<Reference, PoolError> {
    image.parse().map_err(|source| PoolError::ImageName {
        image: image.to_owned(),
        source,
    })
}

/// The policy of an image without one, as the API server sets it.
fn default_policy(image: &str) -> PullPolicy {
    let name = image.rsplit('/').next().unwrap_or(image);
    if name.contains('@') {
        return PullPolicy::IfNotPresent;
    }
    match name.split_once(':') {
        None | Some((_, "latest")) => PullPolicy::Always,
        Some(_) => PullPolicy::IfNotPresent,
    }
}

/// The credentials for a repository, and the Secrets that do not exist.
fn logins(
    secrets: &[String],
    reference: &Reference,
    objects: &Objects,
) -> Result<(Vec<Login>, Vec<String>), Unresolved> {
    let (mut logins, mut missing) = (Vec::new(), Vec::new());
    for name in secrets {
        let key = ObjectKey::secret(name);
        let data = match objects.get(&key) {
            Known::Present(data) => data,
            Known::Absent => {
                missing.push(name.clone());
                continue;
            }
            Known::Forbidden => return Err(PoolError::Forbidden(key.kind).into()),
            Known::Unknown => return Err(Unresolved::Waiting),
        };
        // As for the kubelet, a Secret of another type has no credentials.
        let Some(bytes) = data.get(DOCKER_CONFIG) else {
            continue;
        };
        let config = DockerConfig::parse(&key.to_string(), bytes).map_err(PoolError::from)?;
        for login in config.written_logins(reference).map_err(PoolError::from)? {
            if !logins.contains(&login) {
                logins.push(login);
            }
        }
    }
    Ok((logins, missing))
}

#[cfg(test)]
mod tests;
