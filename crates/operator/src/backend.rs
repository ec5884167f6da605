//! Where a function's Service leads: to the function's own pods, or to its port in the pool.

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use sampan_crd::{FUNCTION_LABEL, POOL_LABEL};

/// The port of a function's Service.
pub(crate) const SERVICE_PORT: i32 = 80;

/// What a Service points at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// The function's own pods.
    Pods,
    /// The function's port in the pods of the pool.
    Pool(u16),
}

impl Backend {
    /// What an existing Service points at; `None` for one that another client has changed.
    pub(crate) fn of(service: &Service) -> Option<Self> {
        let spec = service.spec.as_ref()?;
        let selector = spec.selector.as_ref()?;
        let (label, pool) = POOL_LABEL;
        if selector.get(label).is_some_and(|value| value == pool) {
            // Other managers may have added ports of their own.
            let mut ports = spec.ports.iter().flatten();
            let own = ports.find(|port| port.port == SERVICE_PORT)?;
            let Some(IntOrString::Int(port)) = own.target_port else {
                return None;
            };
            return u16::try_from(port).ok().map(Self::Pool);
        }
        selector.contains_key(FUNCTION_LABEL).then_some(Self::Pods)
    }
}
