//! Renders the settings of a node's programs.

use std::path::Path;

use serde_json::json;

use crate::arguments::CgroupDriver;
use crate::images;
use crate::keys::Keys;
use crate::layout::{DNS_SERVICE, Layout, Node, PODS, REGISTRY_PORT};
use crate::state::{METRICS, SavedState};

/// The settings of the project's runtime.
const RUNTIME: &str = "
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.sampan]
runtime_type = 'io.containerd.sampan.v1'
pod_annotations = ['sampan.dev/*']
container_annotations = ['sampan.dev/*']
";

/// The same, with systemd as the cgroup driver.
const RUNTIME_SYSTEMD: &str = "
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.sampan.options]
SystemdCgroup = true
";

/// containerd's settings, with the project's runtime unless an installer is to add it.
pub(super) fn containerd(layout: &Layout, node: &Node, saved: &SavedState) -> String {
    let socket = node.containerd_socket();
    let systemd = saved.cgroup_driver == CgroupDriver::Systemd;
    let runtime = match (saved.sampan, systemd) {
        (true, true) => [RUNTIME, RUNTIME_SYSTEMD].concat(),
        (true, false) => RUNTIME.to_owned(),
        (false, _) => String::new(),
    };
    format!(
        "\
version = 4
imports = ['{drop_ins}/*.toml']
root = '{root}'
state = '{state}'

[plugins.'io.containerd.server.v1.grpc']
address = '{socket}'

[plugins.'io.containerd.server.v1.ttrpc']
address = '{socket}.ttrpc'

[plugins.'io.containerd.shim.v1.manager']
socket_dir = '{sockets}'

[plugins.'io.containerd.server.v1.metrics']
address = '{metrics}'

# Its socket would be one for the whole machine.
[plugins.'io.containerd.nri.v1.nri']
disable = true

[plugins.'io.containerd.internal.v1.opt']
path = '{opt}'

[plugins.'io.containerd.cri.v1.images']
# Takes Wasm artifacts as well, which have no platform that this machine is.
use_local_image_pull = true

[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = '{pause}'

[plugins.'io.containerd.cri.v1.images'.registry]
config_path = '{registries}'

[plugins.'io.containerd.cri.v1.runtime']
# Where the machine lacks CAP_SYS_RESOURCE, no process may lower its score.
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true

[plugins.'io.containerd.cri.v1.runtime'.cni]
bin_dirs = ['{plugins}']
conf_dir = '{networks}'

[plugins.'io.containerd.cri.v1.runtime'.containerd]
default_runtime_name = 'runc'

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
runtime_type = 'io.containerd.runc.v2'

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
BinaryName = '{runc}'
Root = '{runc_state}'
SystemdCgroup = {systemd}
{runtime}",
        drop_ins = node.drop_ins().display(),
        root = node.containerd_root().display(),
        state = node.containerd_state().display(),
        socket = socket.display(),
        sockets = node.shim_sockets().display(),
        metrics = METRICS,
        opt = node.state().join("opt").display(),
        pause = images::PAUSE,
        registries = node.state().join("registries").display(),
        plugins = layout.plugins().display(),
        networks = node.state().join("cni/net.d").display(),
        runc = layout.program("runc").display(),
        runc_state = node.run().join("runc").display(),
    )
}

/// How containerd reaches a registry: this one speaks plain HTTP.
pub(super) fn registry(layout: &Layout) -> String {
    let address = layout.node(1).address();
    format!(
        "\
server = 'http://{address}:{REGISTRY_PORT}'

[host.'http://{address}:{REGISTRY_PORT}']
capabilities = ['pull', 'resolve']
"
    )
}

pub(super) fn network(node: &Node) -> String {
    let network = json!({
        "cniVersion": "1.0.0",
        "name": node.pod_network(),
        "plugins": [
            {
                "type": "bridge",
                "bridge": "pods",
                "isGateway": true,
                "ipMasq": true,
                "hairpinMode": true,
                "ipam": {
                    "type": "host-local",
                    // Leases go with the sandboxes when the machine restarts.
                    "dataDir": node.leases(),
                    "ranges": [[{ "subnet": node.pods() }]],
                    "routes": [{ "dst": "0.0.0.0/0" }],
                },
            },
            { "type": "portmap", "capabilities": { "portMappings": true } },
        ],
    });
    format!("{network:#}\n")
}

pub(super) fn kubelet(keys: &Keys, node: &Node, driver: CgroupDriver) -> String {
    let server = format!("{}-server", node.component("kubelet"));
    let (driver, group, memory) = match driver {
        CgroupDriver::Cgroupfs => ("cgroupfs", node.control_group(), "50Mi"),
        // systemd's slice for pods is below the root. A test machine has little memory. From this
        // threshold a kubelet that checks every ten seconds evicts before the kernel kills.
        CgroupDriver::Systemd => ("systemd", "/".to_owned(), "600Mi"),
    };
    let settings = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": format!("unix://{}", node.containerd_socket().display()),
        "tlsCertFile": keys.certificate(&server),
        "tlsPrivateKeyFile": keys.key(&server),
        "authentication": {
            "anonymous": { "enabled": false },
            "webhook": { "enabled": true },
            "x509": { "clientCAFile": keys.certificate("ca") },
        },
        "authorization": { "mode": "Webhook" },
        "clusterDomain": "cluster.local",
        "clusterDNS": [DNS_SERVICE],
        "resolvConf": node.state().join("resolv.conf"),
        "podLogsDir": node.pod_logs(),
        "volumePluginDir": node.state().join("volume-plugins"),
        "staticPodPath": "",
        "cgroupDriver": driver,
        "cgroupRoot": group,
        // Some machines have only version 1 of control groups.
        "failCgroupV1": false,
        "failSwapOn": false,
        "enforceNodeAllocatable": [],
        "oomScoreAdj": 0,
        "maxPods": 220,
        "registryPullQPS": 0,
        "serializeImagePulls": false,
        "kubeAPIQPS": 200,
        "kubeAPIBurst": 400,
        "eventRecordQPS": 0,
        // Images are loaded once, so they must not be collected. An image on the node is for every
        // pod, even after a pod has pulled it under another name.
        "imagePullCredentialsVerificationPolicy": "NeverVerify",
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "evictionHard": {
            "memory.available": memory,
            "nodefs.available": "1%",
            "nodefs.inodesFree": "1%",
            "imagefs.available": "1%",
        },
    });
    format!("{settings:#}\n")
}

pub(super) fn proxy(node: &Node, kubeconfig: &Path) -> String {
    let settings = json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "nodePortAddresses": ["primary"],
        "clusterCIDR": PODS,
        "clientConnection": { "kubeconfig": kubeconfig },
        "hostnameOverride": node.name(),
        "oomScoreAdj": 0,
        // These would change the whole machine's connection tracking.
        "conntrack": { "maxPerCore": 0, "min": 0 },
    });
    format!("{settings:#}\n")
}
