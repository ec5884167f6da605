//! A node: containerd, the kubelet and kube-proxy.
//!
//! Files, sockets, control groups and the network are the node's own, so that one machine can hold
//! several nodes.

mod settings;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::control_plane;
use super::keys::{Keys, node_user};
use super::kubeconfig;
use super::layout::{Layout, Node};
use super::mounts;
use super::processes::{BindMount, Component};
use super::state::SavedState;

pub(crate) const CONTAINERD: &str = "containerd";
pub(crate) const KUBELET: &str = "kubelet";
pub(crate) const PROXY: &str = "kube-proxy";

/// The folder of device plugins' sockets, which the kubelet has no setting for.
const DEVICE_PLUGINS: &str = "/var/lib/kubelet/device-plugins";

/// The machine's programs that these call: iptables, mount, conntrack.
const MACHINE_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Makes the node's folders, writes containerd's settings, and returns the component.
pub(crate) fn containerd(layout: &Layout, node: &Node, saved: &SavedState) -> Result<Component> {
    for folder in [
        node.state().to_owned(),
        node.run().to_owned(),
        node.shim_sockets(),
        node.kubelet_root(),
        node.pod_logs(),
        node.sampan(),
        node.drop_ins(),
    ] {
        fs::create_dir_all(&folder)
            .with_context(|| format!("failed to make {}", folder.display()))?;
    }
    let file = |name: &str| node.state().join(name);
    let settings = file("containerd.toml");
    write(&settings, &settings::containerd(layout, node, saved))?;
    write(
        &file("cni/net.d/10-pods.conflist"),
        &settings::network(node),
    )?;
    for registry in saved.registries(layout) {
        registry_settings(layout, node, &registry)?;
    }
    let arguments = vec![format!("--config={}", settings.display())];
    let mut containerd = component(layout, node, CONTAINERD, arguments, settings);
    let state = node.sampan().display().to_string();
    containerd.environment.push(("SAMPAN_STATE", state));
    Ok(containerd)
}

/// Makes the node's containerd ask the cluster's registry for images of a host.
pub(crate) fn registry_settings(layout: &Layout, node: &Node, host: &str) -> Result<()> {
    let folder = node.state().join("registries").join(host);
    write(&folder.join("hosts.toml"), &settings::registry(layout))
}

/// Writes the settings of the kubelet and kube-proxy, and returns the components. containerd must
/// answer first.
pub(crate) fn clients(
    layout: &Layout,
    keys: &Keys,
    node: &Node,
    saved: &SavedState,
) -> Result<[Component; 2]> {
    let file = |name: &str| node.state().join(name);
    let server = control_plane::inside(layout);
    let (kubelet_user, proxy_user) = (file("kubelet.kubeconfig"), file("kube-proxy.kubeconfig"));
    kubeconfig::write(&kubelet_user, &server, keys, &node_user(node))?;
    kubeconfig::write(&proxy_user, &server, keys, "system:kube-proxy")?;
    let (kubelet, proxy) = (file("kubelet.yaml"), file("kube-proxy.yaml"));
    write(
        &kubelet,
        &settings::kubelet(keys, node, saved.cgroup_driver),
    )?;
    write(&proxy, &settings::proxy(node, &proxy_user))?;
    let no_names = "# There is no name server beyond the cluster.\n";
    write(&file("resolv.conf"), no_names)?;
    let arguments = vec![
        format!("--config={}", kubelet.display()),
        format!("--kubeconfig={}", kubelet_user.display()),
        format!("--root-dir={}", node.kubelet_root().display()),
        format!("--cert-dir={}", file("kubelet-pki").display()),
        format!("--hostname-override={}", node.name()),
        format!("--node-ip={}", node.address()),
    ];
    let mut kubelet = component(layout, node, KUBELET, arguments, kubelet);
    // Two kubelets that listen here at the same moment end, and a later one removes the socket of
    // an earlier one.
    kubelet.bind_mounts.push(BindMount {
        target: DEVICE_PLUGINS.into(),
        source: node.device_plugins(),
    });
    mounts::share(&node.kubelet_root())?;
    let arguments = vec![format!("--config={}", proxy.display())];
    Ok([kubelet, component(layout, node, PROXY, arguments, proxy)])
}

fn component(
    layout: &Layout,
    node: &Node,
    what: &str,
    arguments: Vec<String>,
    settings: PathBuf,
) -> Component {
    let program = layout.program(what);
    let path = format!("{}:{MACHINE_PATH}", layout.programs().display());
    Component {
        name: node.component(what),
        namespace: Some(node.namespace()),
        // The link's target, so that a new version counts as another program.
        program: program.canonicalize().unwrap_or(program),
        arguments,
        environment: vec![("PATH", path)],
        files: vec![settings],
        bind_mounts: Vec::new(),
    }
}

/// Writes a file unless it has this content already.
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
