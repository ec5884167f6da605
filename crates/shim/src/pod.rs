//! A pod without a process of its own: what its sandbox says of namespaces, kept for its containers.
//!
//! CRI gives each container the namespaces of the sandbox's process. There is none, so the paths that
//! CRI writes lead to the supervisor's own namespaces, which are the node's. They are replaced here:
//! the network by the path that CRI made, the host name by a namespace of the container's own with
//! the same name, System V IPC by a namespace that a mount keeps.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxNamespace, LinuxNamespaceBuilder, LinuxNamespaceType, Spec};
use serde::{Deserialize, Serialize};

use crate::head::Head;

/// What containers of a pod share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pod {
    /// The network namespace; `None` when it is the node's.
    network: Option<PathBuf>,
    /// The pod's host name.
    hostname: Option<String>,
    /// The pod has a host name of its own; otherwise it has the node's.
    own_hostname: bool,
    /// Where the IPC namespace is kept once a container needs it; `None` when it is the node's.
    ipc: Option<PathBuf>,
    /// Kernel parameters of the pod's namespaces. Each container sets them, because there is no process
    /// of the pod's that would.
    sysctl: HashMap<String, String>,
    /// The pod's processes are its own; otherwise it sees the node's.
    own_processes: bool,
}

/// A container asks for what a pod without a process cannot share.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum Unshareable {
    /// `shareProcessNamespace`, or the CRI's process namespace mode `POD`.
    #[error(
        "shareProcessNamespace is not supported: a pod of this runtime has no process that could \
         hold the shared process namespace; leave it out, or use another runtime class"
    )]
    Processes,
    /// `hostUsers: false`.
    #[error(
        "hostUsers: false is not supported by this runtime; leave it out, or use another runtime class"
    )]
    Users,
    /// A network namespace that CRI gave no path for.
    #[error("the pod's sandbox names no network namespace by path, which this runtime needs")]
    Network,
}

impl Pod {
    /// What the sandbox in `bundle` says.
    pub(crate) fn of_sandbox(head: &Head, bundle: &Path) -> Result<Self, Unshareable> {
        if head.namespace("user").is_some() {
            return Err(Unshareable::Users);
        }
        let network = match head.namespace("network") {
            None => None,
            Some(Some(path)) => Some(path.to_owned()),
            Some(None) => return Err(Unshareable::Network),
        };
        Ok(Self {
            network,
            hostname: head.hostname.clone(),
            own_hostname: head.namespace("uts").is_some(),
            ipc: head
                .namespace("ipc")
                .map(|_| bundle.join(crate::record::FOLDER).join("ipc")),
            sysctl: head.sysctl().clone(),
            own_processes: head.namespace("pid").is_some(),
        })
    }

    /// Where the pod's IPC namespace is kept, if it has one of its own.
    pub(crate) fn ipc(&self) -> Option<&Path> {
        self.ipc.as_deref()
    }

    /// Replaces the namespaces that CRI took from the sandbox's process, whose number is the supervisor's. `joins_ipc`
    /// tells that the container is to see the pod's IPC; otherwise it gets one of its own.
    pub(crate) fn give(
        &self,
        spec: &mut Spec,
        joins_ipc: bool,
        supervisor: u32,
    ) -> Result<(), Unshareable> {
        let hostname = self.hostname.clone().filter(|_| self.own_hostname);
        let Some(linux) = spec.linux_mut() else {
            return Ok(());
        };
        let mut namespaces = linux.namespaces().clone().unwrap_or_default();
        if namespaces
            .iter()
            .any(|namespace| namespace.typ() == LinuxNamespaceType::User)
        {
            return Err(Unshareable::Users);
        }
        // The namespace of another container's process is a target's, as `kubectl debug --target` asks for.
        let of_sandbox = PathBuf::from(format!("/proc/{supervisor}/ns/pid"));
        let is_of_sandbox = |path: &Option<PathBuf>| path.as_ref() == Some(&of_sandbox);
        let shares_processes = namespaces.iter().any(|namespace| {
            namespace.typ() == LinuxNamespaceType::Pid && is_of_sandbox(namespace.path())
        });
        if shares_processes && self.own_processes {
            return Err(Unshareable::Processes);
        }
        namespaces.retain(|namespace| match namespace.typ() {
            LinuxNamespaceType::Network | LinuxNamespaceType::Uts | LinuxNamespaceType::Ipc => {
                false
            }
            LinuxNamespaceType::Pid => !is_of_sandbox(namespace.path()),
            _ => true,
        });
        if let Some(network) = &self.network {
            namespaces.push(namespace(LinuxNamespaceType::Network, Some(network)));
        }
        if self.own_hostname {
            namespaces.push(namespace(LinuxNamespaceType::Uts, None));
        }
        if let Some(ipc) = &self.ipc {
            let path = joins_ipc.then_some(ipc.as_path());
            namespaces.push(namespace(LinuxNamespaceType::Ipc, path));
        }
        linux.set_namespaces(Some(namespaces));
        if !self.sysctl.is_empty() {
            let mut parameters = self.sysctl.clone();
            parameters.extend(linux.sysctl().clone().unwrap_or_default());
            linux.set_sysctl(Some(parameters));
        }
        spec.set_hostname(hostname);
        Ok(())
    }
}

fn namespace(kind: LinuxNamespaceType, path: Option<&Path>) -> LinuxNamespace {
    let builder = LinuxNamespaceBuilder::default().typ(kind);
    match path {
        Some(path) => builder.path(path),
        None => builder,
    }
    .build()
    .expect("a namespace needs nothing but its kind")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[expect(
        clippy::needless_pass_by_value,
        reason = "what `json!` makes is handed over where it is made"
    )]
    fn head(namespaces: serde_json::Value) -> Head {
        serde_json::from_value(json!({ "hostname": "pod", "linux": { "namespaces": namespaces } }))
            .expect("a head")
    }

    #[expect(
        clippy::needless_pass_by_value,
        reason = "what `json!` makes is handed over where it is made"
    )]
    fn spec(namespaces: serde_json::Value) -> Spec {
        serde_json::from_value(json!({
            "ociVersion": "1.2.0",
            "linux": { "namespaces": namespaces },
        }))
        .expect("a spec")
    }

    const OWN: &str = r#"[{"type":"pid"},{"type":"ipc"},{"type":"uts"},{"type":"mount"},
        {"type":"network","path":"/run/netns/x"}]"#;
    const NODE: &str = r#"[{"type":"mount"}]"#;

    fn check(sandbox: &str, container: &str, expected: Result<&str, Unshareable>) {
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
        let pod = Pod::of_sandbox(&head(value(sandbox)), Path::new("/b")).expect("a pod");
        let mut spec = spec(value(container));
        let given = pod.give(&mut spec, true, 7).map(|()| {
            let linux = spec.linux().as_ref().expect("there");
            serde_json::to_value(linux.namespaces()).expect("JSON")
        });
        assert_eq!(given, expected.map(value));
    }

    #[test]
    fn containers_get_the_pods_namespaces_and_never_the_nodes() {
        check(
            OWN,
            r#"[{"type":"pid"},{"type":"mount"},{"type":"ipc","path":"/proc/7/ns/ipc"},
               {"type":"uts","path":"/proc/7/ns/uts"},{"type":"network","path":"/proc/7/ns/net"}]"#,
            Ok(
                r#"[{"type":"pid"},{"type":"mount"},{"type":"network","path":"/run/netns/x"},
               {"type":"uts"},{"type":"ipc","path":"/b/sampan/ipc"}]"#,
            ),
        );
    }

    #[test]
    fn a_container_may_join_the_processes_of_another_one() {
        let joined = r#"[{"type":"pid","path":"/proc/8/ns/pid"},{"type":"mount"}]"#;
        check(NODE, joined, Ok(joined));
        check(
            OWN,
            joined,
            Ok(r#"[{"type":"pid","path":"/proc/8/ns/pid"},{"type":"mount"},
               {"type":"network","path":"/run/netns/x"},{"type":"uts"},
               {"type":"ipc","path":"/b/sampan/ipc"}]"#),
        );
    }

    #[test]
    fn a_pod_that_uses_the_nodes_namespaces_still_does() {
        check(
            NODE,
            r#"[{"type":"pid","path":"/proc/7/ns/pid"},{"type":"mount"},
               {"type":"network","path":"/proc/7/ns/net"},{"type":"ipc","path":"/proc/7/ns/ipc"}]"#,
            Ok(r#"[{"type":"mount"}]"#),
        );
    }

    #[test]
    fn what_needs_a_process_of_the_pod_is_refused() {
        check(
            OWN,
            r#"[{"type":"pid","path":"/proc/7/ns/pid"}]"#,
            Err(Unshareable::Processes),
        );
        check(
            OWN,
            r#"[{"type":"user","path":"/x"}]"#,
            Err(Unshareable::Users),
        );
        let sandbox = head(json!([{ "type": "network" }]));
        assert_eq!(
            Pod::of_sandbox(&sandbox, Path::new("/b")),
            Err(Unshareable::Network)
        );
    }
}
