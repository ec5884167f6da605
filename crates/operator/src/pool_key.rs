//! The Secret with the key by which the pods of a pool share compiled modules.
//!
//! The operator makes it without reading it: it has no right to get Secrets. So each attempt to make one has a new key
//! and a field manager of its own. If there is a key already, the API server refuses the attempt as a conflict.

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use kube::{Client, Error};
use sampan_crd::POOL_KEY;

use crate::apply::MANAGER;
use crate::build::key_secret;
use crate::failure::{Failure, ReconcileError, Request};

/// The length of a key, in bytes.
const KEY_LENGTH: usize = 32;

/// The length of the random part of a field manager's name, in bytes.
const MANAGER_LENGTH: usize = 8;

/// Makes the key of a namespace's pool, unless there is one.
///
/// # Errors
///
/// When the API server refuses it, or cannot be asked.
pub(crate) async fn make_key(
    client: &Client,
    namespace: &str,
    pool: &ObjectMeta,
) -> Result<(), ReconcileError> {
    let (mut key, mut manager) = ([0; KEY_LENGTH], [0; MANAGER_LENGTH]);
    for bytes in [&mut key[..], &mut manager[..]] {
        getrandom::fill(bytes)
            .map_err(|source| ReconcileError::Failed(Failure::Random { source }))?;
    }
    let manager = format!("{MANAGER}-{}", hex::encode(manager));
    let secret = key_secret(pool.labels.clone(), key.to_vec());
    let made = secrets(client, namespace)
        .patch(
            POOL_KEY,
            &PatchParams::apply(&manager),
            &Patch::Apply(&secret),
        )
        .await;
    match made {
        Ok(_) => Ok(()),
        // There is a key of another manager.
        Err(Error::Api(status)) if status.code == 409 => Ok(()),
        Err(error) => Err(request("patch", namespace)
            .classify::<Secret>(client, error)
            .await),
    }
}

/// Deletes the key of a namespace's pool.
///
/// # Errors
///
/// When the API server refuses it, or cannot be asked.
pub(crate) async fn remove_key(client: &Client, namespace: &str) -> Result<(), ReconcileError> {
    let deleted = secrets(client, namespace)
        .delete(POOL_KEY, &DeleteParams::default())
        .await;
    match deleted {
        Ok(_) => Ok(()),
        Err(Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(request("delete", namespace)
            .classify::<Secret>(client, error)
            .await),
    }
}

fn secrets(client: &Client, namespace: &str) -> Api<Secret> {
    Api::namespaced(client.clone(), namespace)
}

fn request<'a>(verb: &'static str, namespace: &'a str) -> Request<'a> {
    Request {
        verb,
        namespace,
        name: POOL_KEY,
        subresource: None,
    }
}
