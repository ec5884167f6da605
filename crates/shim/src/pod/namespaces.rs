//! The namespaces of a pod that has no process of its own, kept for its containers.
//!
//! CRI gives each container the namespaces of the sandbox's process. There is none, so the paths that
//! CRI writes lead to the supervisor's own namespaces, which are the node's. They are replaced here:
//! the network by the path that CRI made, the host name by a namespace of the container's own with
//! the same name, System V IPC by a namespace that a mount keeps, processes by a
//! namespace that is made for the first container that asks for it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxNamespace, LinuxNamespaceBuilder, LinuxNamespaceType, Spec};
use serde::{Deserialize, Serialize};

use crate::bundle::config::BundleConfig;

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
    /// Where CRI says that the sandbox's process namespace is.
    sandbox_processes: PathBuf,
    /// Where it is, once a container asked for it.
    processes: Option<PathBuf>,
}

/// A container asks for what a pod without a process cannot share.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum Unshareable {
    /// The pod's process namespace, which the supervisor did not make.
    #[error("the shared process namespace of the pod was not made before its container")]
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
    /// What the sandbox in `bundle` says. CRI takes `pid` for its process.
    pub(crate) fn of_sandbox(
        head: &BundleConfig,
        bundle: &Path,
        pid: i32,
    ) -> Result<Self, Unshareable> {
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
                .map(|_| bundle.join(crate::bundle::record::FOLDER).join("ipc")),
            sysctl: head.sysctl().clone(),
            own_processes: head.namespace("pid").is_some(),
            sandbox_processes: PathBuf::from(format!("/proc/{pid}/ns/pid")),
            processes: None,
        })
    }

    /// Whether a container asks for the process namespace of the sandbox, which is not the node's.
    pub(crate) fn shares_processes_with(&self, container: &BundleConfig) -> bool {
        let asked = container.namespace("pid").flatten();
        self.own_processes && asked == Some(self.sandbox_processes.as_path())
    }

    /// Notes where the shared process namespace is.
    pub(crate) fn share_processes_at(&mut self, path: PathBuf) {
        self.processes = Some(path);
    }

    /// Where the pod's IPC namespace is kept, if it has one of its own.
    pub(crate) fn ipc(&self) -> Option<&Path> {
        self.ipc.as_deref()
    }

    /// Replaces the namespaces that CRI took from the sandbox's process. `joins_ipc` says that the
    /// container is to see the pod's IPC; otherwise it gets one of its own.
    pub(crate) fn give(&self, spec: &mut Spec, joins_ipc: bool) -> Result<(), Unshareable> {
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
        let is_sandbox_processes = |namespace: &LinuxNamespace| {
            namespace.typ() == LinuxNamespaceType::Pid
                && namespace.path().as_deref() == Some(self.sandbox_processes.as_path())
        };
        let shares_processes = namespaces.iter().any(is_sandbox_processes);
        // Another path is that of the container that `kubectl debug --target` names.
        namespaces.retain(|namespace| match namespace.typ() {
            LinuxNamespaceType::Network | LinuxNamespaceType::Uts | LinuxNamespaceType::Ipc => {
                false
            }
            _ => !is_sandbox_processes(namespace),
        });
        if shares_processes && self.own_processes {
            let path = self.processes.as_deref().ok_or(Unshareable::Processes)?;
            namespaces.push(namespace(LinuxNamespaceType::Pid, Some(path)));
        }
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
    fn head(namespaces: serde_json::Value) -> BundleConfig {
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
        let sandbox = head(value(sandbox));
        let mut pod = Pod::of_sandbox(&sandbox, Path::new("/b"), 7).expect("a pod");
        if pod.shares_processes_with(&head(value(container))) {
            pod.share_processes_at("/proc/7/fd/9".into());
        }
        let mut spec = spec(value(container));
        let given = pod.give(&mut spec, true).map(|()| {
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
    fn a_pod_that_uses_the_nodes_namespaces_still_does() {
        check(
            NODE,
            r#"[{"type":"pid","path":"/proc/7/ns/pid"},{"type":"mount"},
               {"type":"network","path":"/proc/7/ns/net"},{"type":"ipc","path":"/proc/7/ns/ipc"}]"#,
            Ok(r#"[{"type":"mount"}]"#),
        );
    }

    #[test]
    fn containers_share_the_pods_processes_or_those_of_another_container() {
        let others = r#"{"type":"network","path":"/run/netns/x"},{"type":"uts"},
            {"type":"ipc","path":"/b/sampan/ipc"}"#;
        let given =
            |pid: &str| format!(r#"[{{"type":"mount"}},{{"type":"pid","path":"{pid}"}},{others}]"#);
        check(
            OWN,
            r#"[{"type":"mount"},{"type":"pid","path":"/proc/7/ns/pid"}]"#,
            Ok(&given("/proc/7/fd/9")),
        );
        check(
            OWN,
            r#"[{"type":"pid","path":"/proc/70/ns/pid"},{"type":"mount"}]"#,
            Ok(&format!(
                r#"[{{"type":"pid","path":"/proc/70/ns/pid"}},{{"type":"mount"}},{others}]"#
            )),
        );
    }

    #[test]
    fn what_the_pod_cannot_share_is_refused() {
        check(
            OWN,
            r#"[{"type":"user","path":"/x"}]"#,
            Err(Unshareable::Users),
        );
        let sandbox = head(json!([{ "type": "network" }]));
        assert_eq!(
            Pod::of_sandbox(&sandbox, Path::new("/b"), 7),
            Err(Unshareable::Network)
        );
    }
}
