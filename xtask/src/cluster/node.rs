//! A node: containerd, the kubelet and kube-proxy, with files, sockets, control groups and a network of
//! its own, so that several of them live on one machine.

mod settings;

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::control_plane;
use super::keys::{Keys, node_user};
use super::kubeconfig;
use super::layout::{Layout, Node};
use super::processes::Component;

pub(crate) const CONTAINERD: &str = "containerd";
pub(crate) const KUBELET: &str = "kubelet";
pub(crate) const PROXY: &str = "kube-proxy";

/// Where programs of the machine are, which these call: iptables, mount, conntrack.
const MACHINE_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Writes what the node's programs read, and tells how each is run.
pub(crate) fn components(
    layout: &Layout,
    keys: &Keys,
    node: &Node,
    registries: &[String],
) -> Result<Vec<Component>> {
    for folder in [
        node.state().to_owned(),
        node.run().to_owned(),
        node.shim_sockets(),
        node.kubelet_root(),
        node.pod_logs(),
        node.sampan(),
    ] {
        fs::create_dir_all(&folder)
            .with_context(|| format!("failed to make {}", folder.display()))?;
    }
    let file = |name: &str| node.state().join(name);
    write(&file("containerd.toml"), &settings::containerd(layout, node))?;
    write(&file("cni/net.d/10-pods.conflist"), &settings::network(node))?;
    write(&file("kubelet.yaml"), &settings::kubelet(keys, node))?;
    write(&file("resolv.conf"), "# There is no name server beyond the cluster.\n")?;
    for registry in registries {
        let hosts = file("registries").join(registry).join("hosts.toml");
        write(&hosts, &settings::registry(layout))?;
    }
    let server = control_plane::inside(layout);
    let (kubelet_client, proxy_client) = (file("kubelet.kubeconfig"), file("proxy.kubeconfig"));
    kubeconfig::write(&kubelet_client, &server, keys, &node_user(node))?;
    kubeconfig::write(&proxy_client, &server, keys, "system:kube-proxy")?;
    write(&file("kube-proxy.yaml"), &settings::proxy(node, &proxy_client))?;

    let component = |what: &str, arguments: Vec<String>, files: &[&str]| {
        let program = layout.program(what);
        Component {
            name: node.component(what),
            namespace: Some(node.namespace()),
            // The link's target, so that a new version is another program.
            program: program.canonicalize().unwrap_or(program),
            arguments,
            environment: vec![("PATH", format!("{}:{MACHINE_PATH}", layout.programs().display()))],
            files: files.iter().map(|name| file(name)).collect(),
        }
    };
    let path = |name: &str| file(name).display().to_string();
    let mut containerd = component(
        CONTAINERD,
        vec![format!("--config={}", path("containerd.toml"))],
        &["containerd.toml"],
    );
    containerd
        .environment
        .push(("SAMPAN_STATE", node.sampan().display().to_string()));
    let kubelet = component(
        KUBELET,
        vec![
            format!("--config={}", path("kubelet.yaml")),
            format!("--kubeconfig={}", kubelet_client.display()),
            format!("--root-dir={}", node.kubelet_root().display()),
            format!("--cert-dir={}", path("kubelet-pki")),
            format!("--hostname-override={}", node.name()),
            format!("--node-ip={}", node.address()),
        ],
        &["kubelet.yaml"],
    );
    let proxy = component(
        PROXY,
        vec![format!("--config={}", path("kube-proxy.yaml"))],
        &["kube-proxy.yaml"],
    );
    Ok(vec![containerd, kubelet, proxy])
}

/// Writes a file unless it says so already.
fn write(file: &Path, text: &str) -> Result<()> {
    let write = || {
        if fs::read(file).is_ok_and(|is| is == text.as_bytes()) {
            return Ok(());
        }
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(file, text)
    };
    write().with_context(|| format!("failed to write {}", file.display()))
}
