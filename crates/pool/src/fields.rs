//! Fields of the pool's own pod, which a `fieldRef` of a function reads.

use std::env;

use sampan_crd::POOL_FIELDS;

/// The variable of each of [`POOL_FIELDS`], which the pool's pod has by the downward API.
const VARIABLES: [&str; POOL_FIELDS.len()] = [
    "POD_NAME",
    "POD_NAMESPACE",
    "POD_UID",
    "NODE_NAME",
    "SERVICE_ACCOUNT",
    "HOST_IP",
    "POD_IP",
    "POD_IPS",
];

/// The values of a pod's fields.
#[derive(Clone, Debug, Default)]
pub struct PodFields([Option<String>; POOL_FIELDS.len()]);

impl PodFields {
    /// Reads the fields from the environment of this process.
    pub fn of_process() -> Self {
        Self::of(|name| env::var(name).ok())
    }

    /// Reads the fields from variables.
    pub fn of(value_of: impl Fn(&str) -> Option<String>) -> Self {
        Self(VARIABLES.map(value_of))
    }

    /// The value at the path of a `fieldRef`.
    pub(crate) fn get(&self, path: &str) -> Option<&str> {
        let place = POOL_FIELDS.iter().position(|field| *field == path)?;
        self.0[place].as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::PodFields;

    #[test]
    fn each_field_has_its_variable() {
        let fields = PodFields::of(|name| (name != "HOST_IP").then(|| format!("<{name}>")));
        let check = |path: &str, expected: Option<&str>| assert_eq!(fields.get(path), expected);
        check("metadata.name", Some("<POD_NAME>"));
        check("metadata.namespace", Some("<POD_NAMESPACE>"));
        check("metadata.uid", Some("<POD_UID>"));
        check("spec.nodeName", Some("<NODE_NAME>"));
        check("spec.serviceAccountName", Some("<SERVICE_ACCOUNT>"));
        check("status.hostIP", None);
        check("status.podIP", Some("<POD_IP>"));
        check("status.podIPs", Some("<POD_IPS>"));
        check("metadata.labels['a']", None);
    }
}
