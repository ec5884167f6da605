//! Environment of a function, from its resource and the objects that it refers to, as the kubelet
//! makes that of a container.
//!
//! The result is a pure function of the resource, the objects and the fields of the pool's pod.
//! Variables of Services, of the image and of the container runtime are not part of it.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{EnvFromSource, EnvVar, EnvVarSource};

use crate::error::PoolError;
use crate::expansion::{Budget, OverBudget, expand};
use crate::fields::PodFields;
use crate::objects::{Known, ObjectData, ObjectKey, Objects};

/// Variables by name.
pub(crate) type Variables = BTreeMap<String, String>;

/// Why there is no environment.
#[derive(Debug)]
pub(crate) enum Unresolved {
    /// The API server has not yet sent an object.
    Waiting,
    Failed(PoolError),
}

impl From<PoolError> for Unresolved {
    fn from(error: PoolError) -> Self {
        Self::Failed(error)
    }
}

impl From<OverBudget> for Unresolved {
    fn from(OverBudget: OverBudget) -> Self {
        Self::Failed(PoolError::EnvironmentTooLarge)
    }
}

/// The objects to which an environment refers, in order and with repetitions.
pub(crate) fn references<'a>(
    env: &'a [EnvVar],
    env_from: &'a [EnvFromSource],
) -> impl Iterator<Item = ObjectKey> + 'a {
    let whole = env_from.iter().filter_map(|source| {
        let (key, _) = whole_object(source)?;
        Some(key)
    });
    let single = env.iter().filter_map(|variable| {
        let (key, ..) = object_key(variable.value_from.as_ref()?)?;
        Some(key)
    });
    whole.chain(single)
}

/// Makes the environment within a budget. `envFrom` comes first, in order; `env` replaces its
/// variables, and refers to them and to those before.
pub(crate) fn resolve(
    env: &[EnvVar],
    env_from: &[EnvFromSource],
    objects: &Objects,
    fields: &PodFields,
    budget: &mut Budget,
) -> Result<Variables, Unresolved> {
    let mut variables = Variables::new();
    for source in env_from {
        let Some((key, optional)) = whole_object(source) else {
            continue;
        };
        let Some(data) = find(objects, &key, optional)? else {
            continue;
        };
        let prefix = source.prefix.as_deref().unwrap_or_default();
        for (name, value) in data.iter() {
            budget.take(prefix.len().saturating_add(name.len()))?;
            budget.take(value.len())?;
            let name = format!("{prefix}{name}");
            let value = text(value, &key, &name)?;
            variables.insert(name, value);
        }
    }
    for variable in env {
        budget.take(variable.name.len())?;
        if let Some(value) = value(variable, &variables, objects, fields, budget)? {
            variables.insert(variable.name.clone(), value);
        }
    }
    Ok(variables)
}

/// Expands references to variables in an argument.
pub(crate) fn expand_argument(
    argument: &str,
    variables: &Variables,
    budget: &mut Budget,
) -> Result<String, OverBudget> {
    let value_of = |name: &str| variables.get(name).map(String::as_str);
    expand(argument, value_of, budget)
}

/// The value of a variable; `None` for one whose optional source does not exist.
fn value(
    variable: &EnvVar,
    before: &Variables,
    objects: &Objects,
    fields: &PodFields,
    budget: &mut Budget,
) -> Result<Option<String>, Unresolved> {
    let literal = variable.value.as_deref().unwrap_or_default();
    let Some(source) = &variable.value_from else {
        return Ok(Some(expand_argument(literal, before, budget)?));
    };
    if let Some(field) = &source.field_ref {
        let path = &field.field_path;
        let value = fields
            .get(path)
            .ok_or_else(|| PoolError::NoField { path: path.clone() })?;
        budget.take(value.len())?;
        return Ok(Some(value.to_owned()));
    }
    let Some((object, key, optional)) = object_key(source) else {
        // A check of the resource refuses the other sources; one without any is an empty value.
        return Ok(Some(String::new()));
    };
    let Some(data) = find(objects, &object, optional)? else {
        return Ok(None);
    };
    match data.get(key) {
        Some(value) => {
            budget.take(value.len())?;
            Ok(Some(text(value, &object, &variable.name)?))
        }
        None if optional => Ok(None),
        None => Err(PoolError::NoKey {
            object,
            key: key.to_owned(),
        }
        .into()),
    }
}

/// The data of an object; `None` for an optional one that does not exist.
fn find<'a>(
    objects: &'a Objects,
    key: &ObjectKey,
    optional: bool,
) -> Result<Option<&'a ObjectData>, Unresolved> {
    match objects.get(key) {
        Known::Present(data) => Ok(Some(data)),
        Known::Absent if optional => Ok(None),
        Known::Absent => Err(PoolError::NoObject(key.clone()).into()),
        Known::Forbidden => Err(PoolError::Forbidden(key.kind).into()),
        Known::Unknown => Err(Unresolved::Waiting),
    }
}

/// A value as text, which variables of WASI are.
fn text(value: &[u8], object: &ObjectKey, variable: &str) -> Result<String, PoolError> {
    let is_text = |text: &&str| !text.contains('\0');
    match std::str::from_utf8(value).ok().filter(is_text) {
        Some(text) => Ok(text.to_owned()),
        None => Err(PoolError::NoText {
            object: object.clone(),
            variable: variable.to_owned(),
        }),
    }
}

/// The object of which every key becomes a variable, and whether it may be missing.
fn whole_object(source: &EnvFromSource) -> Option<(ObjectKey, bool)> {
    if let Some(reference) = &source.config_map_ref {
        let optional = reference.optional.unwrap_or(false);
        return Some((ObjectKey::config_map(&reference.name), optional));
    }
    let reference = source.secret_ref.as_ref()?;
    let optional = reference.optional.unwrap_or(false);
    Some((ObjectKey::secret(&reference.name), optional))
}

/// The object and the key that a variable has its value from, and whether they may be missing.
fn object_key(source: &EnvVarSource) -> Option<(ObjectKey, &str, bool)> {
    if let Some(reference) = &source.config_map_key_ref {
        let optional = reference.optional.unwrap_or(false);
        let object = ObjectKey::config_map(&reference.name);
        return Some((object, &reference.key, optional));
    }
    let reference = source.secret_key_ref.as_ref()?;
    let optional = reference.optional.unwrap_or(false);
    let object = ObjectKey::secret(&reference.name);
    Some((object, &reference.key, optional))
}

#[cfg(test)]
mod tests;
