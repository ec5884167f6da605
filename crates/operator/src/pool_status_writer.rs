//! Writes the status of a `WasmPool` when it changes.

use kube::api::{Api, Patch, PatchParams};
use kube::{Client, Resource as _, ResourceExt as _};
use sampan_crd::{WasmPool, WasmPoolStatus};
use serde_json::json;

use crate::apply::MANAGER;
use crate::failure::{Failure, ReconcileError, Request};
use crate::status_writer::resource_version;
use crate::watched_pool::WatchedPool;

/// The last status that this operator has written, which the cache may not have yet.
#[derive(Default)]
pub(crate) struct WrittenStatus(Option<Written>);

struct Written {
    uid: Option<String>,
    version: Option<u64>,
    status: WasmPoolStatus,
}

impl WrittenStatus {
    /// The newest status of a pool that is known, if one was ever written.
    pub(crate) fn newest(&self, pool: &WatchedPool) -> Option<WasmPoolStatus> {
        let shown = resource_version(pool);
        let written = self.0.as_ref().filter(|written| {
            written.uid == pool.meta().uid && shown.is_some() && written.version > shown
        });
        let newest = written.map(|written| &written.status);
        newest.or(pool.status.as_ref()).cloned()
    }

    /// Writes a status that differs from the newest one.
    pub(crate) async fn write(
        &mut self,
        client: &Client,
        namespace: &str,
        pool: &WatchedPool,
        status: WasmPoolStatus,
    ) -> Result<(), Failure> {
        if self.newest(pool).as_ref() == Some(&status) {
            return Ok(());
        }
        let name = pool.name_any();
        let pools: Api<WasmPool> = Api::namespaced(client.clone(), namespace);
        let body = json!({
            "apiVersion": WasmPool::api_version(&()),
            "kind": WasmPool::kind(&()),
            // Does not write to a new resource with the same name.
            "metadata": { "name": name, "uid": pool.meta().uid },
            "status": status,
        });
        let parameters = PatchParams::apply(MANAGER).force();
        let written = pools
            .patch_status(&name, &parameters, &Patch::Apply(&body))
            .await;
        match written {
            Ok(written) => {
                self.0 = Some(Written {
                    uid: written.uid(),
                    version: resource_version(&written),
                    status,
                });
                Ok(())
            }
            Err(error) => {
                let request = Request {
                    verb: "patch",
                    namespace,
                    name: &name,
                    subresource: Some("status"),
                };
                match request.classify::<WasmPool>(client, error).await {
                    ReconcileError::Ending => Ok(()),
                    ReconcileError::Failed(failure) => Err(failure),
                    // There is no other place to report it, and the pool goes on.
                    ReconcileError::Refused(refusal) => {
                        tracing::warn!(namespace, name, %refusal, "the status of a pool is not written");
                        Ok(())
                    }
                }
            }
        }
    }
}
