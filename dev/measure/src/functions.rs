//! The resource `WasmFunction`, as the API server serves it.

use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};

/// The kind of the resource.
pub fn resource() -> ApiResource {
    let kind = GroupVersionKind::gvk("sampan.dev", "v1alpha1", "WasmFunction");
    ApiResource::from_gvk(&kind)
}

/// The functions of a namespace.
pub fn functions(client: Client, namespace: &str) -> Api<DynamicObject> {
    Api::namespaced_with(client, namespace, &resource())
}
