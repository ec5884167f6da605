//! Runs the control plane: etcd, the API server, the controller manager and the scheduler, in the
//! first node's network namespace.
//!
//! There is one instance of each. The data may be lost when the machine loses power, which is good
//! enough for tests and experiments.

use anyhow::Result;

use super::keys::Keys;
use super::kubeconfig;
use super::layout::{API_PORT, Layout, PODS, SERVICES};
use super::processes::Component;

pub(crate) const ETCD: &str = "etcd";
pub(crate) const API_SERVER: &str = "kube-apiserver";
pub(crate) const CONTROLLER_MANAGER: &str = "kube-controller-manager";
pub(crate) const SCHEDULER: &str = "kube-scheduler";

/// Requests a second that the controllers and the scheduler may send. With the defaults, an
/// experiment with many pods would measure this limit.
const RATE: [&str; 2] = ["--kube-api-qps=300", "--kube-api-burst=600"];

/// The database and the API server.
pub(crate) fn servers(layout: &Layout, keys: &Keys) -> [Component; 2] {
    [
        component(layout, ETCD, etcd(layout)),
        component(layout, API_SERVER, api_server(layout, keys)),
    ]
}

/// The clients of the API server. Writes their kubeconfigs.
pub(crate) fn controllers(layout: &Layout, keys: &Keys) -> Result<[Component; 2]> {
    let server = inside(layout);
    let config = |client: &str| -> Result<String> {
        let file = layout
            .keys()
            .join(format!("{}.kubeconfig", client.replace(':', "-")));
        kubeconfig::write(&file, &server, keys, client)?;
        Ok(file.display().to_string())
    };
    let manager = config("system:kube-controller-manager")?;
    let scheduler = config("system:kube-scheduler")?;
    Ok([
        component(
            layout,
            CONTROLLER_MANAGER,
            controller_manager(layout, keys, &manager),
        ),
        component(layout, SCHEDULER, delegating(&scheduler)),
    ])
}

/// The API server's address in the cluster.
pub(crate) fn inside(layout: &Layout) -> String {
    format!("https://{}:{API_PORT}", layout.node(1).address())
}

fn component(layout: &Layout, name: &str, arguments: Vec<String>) -> Component {
    let program = layout.program(name);
    Component {
        name: name.to_owned(),
        namespace: Some(layout.node(1).namespace()),
        // The link's target, so that a new version counts as another program.
        program: program.canonicalize().unwrap_or(program),
        arguments,
        environment: Vec::new(),
        files: Vec::new(),
        bind_mounts: Vec::new(),
    }
}

fn etcd(layout: &Layout) -> Vec<String> {
    vec![
        format!("--data-dir={}", layout.state().join("etcd").display()),
        "--listen-client-urls=http://127.0.0.1:2379".to_owned(),
        "--advertise-client-urls=http://127.0.0.1:2379".to_owned(),
        "--listen-peer-urls=http://127.0.0.1:2380".to_owned(),
        "--initial-advertise-peer-urls=http://127.0.0.1:2380".to_owned(),
        "--initial-cluster=default=http://127.0.0.1:2380".to_owned(),
        "--unsafe-no-fsync".to_owned(),
        "--log-level=warn".to_owned(),
    ]
}

fn api_server(layout: &Layout, keys: &Keys) -> Vec<String> {
    let certificate = |name: &str| keys.certificate(name).display().to_string();
    let key = |name: &str| keys.key(name).display().to_string();
    vec![
        "--etcd-servers=http://127.0.0.1:2379".to_owned(),
        format!("--advertise-address={}", layout.node(1).address()),
        format!("--secure-port={API_PORT}"),
        "--authorization-mode=Node,RBAC".to_owned(),
        "--enable-admission-plugins=NodeRestriction".to_owned(),
        "--allow-privileged=true".to_owned(),
        format!("--service-cluster-ip-range={SERVICES}"),
        format!("--client-ca-file={}", certificate("ca")),
        format!("--tls-cert-file={}", certificate("apiserver-server")),
        format!("--tls-private-key-file={}", key("apiserver-server")),
        format!("--kubelet-certificate-authority={}", certificate("ca")),
        format!(
            "--kubelet-client-certificate={}",
            certificate("apiserver-kubelet-client")
        ),
        format!("--kubelet-client-key={}", key("apiserver-kubelet-client")),
        // Node names are not resolvable here.
        "--kubelet-preferred-address-types=InternalIP".to_owned(),
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local".to_owned(),
        format!(
            "--service-account-key-file={}",
            keys.service_account_public().display()
        ),
        format!(
            "--service-account-signing-key-file={}",
            key("service-accounts")
        ),
        format!(
            "--requestheader-client-ca-file={}",
            certificate("front-proxy-ca")
        ),
        "--requestheader-allowed-names=front-proxy-client".to_owned(),
        "--requestheader-extra-headers-prefix=X-Remote-Extra-".to_owned(),
        "--requestheader-group-headers=X-Remote-Group".to_owned(),
        "--requestheader-username-headers=X-Remote-User".to_owned(),
        format!(
            "--proxy-client-cert-file={}",
            certificate("front-proxy-client")
        ),
        format!("--proxy-client-key-file={}", key("front-proxy-client")),
    ]
}

fn controller_manager(layout: &Layout, keys: &Keys, kubeconfig: &str) -> Vec<String> {
    let mut arguments = delegating(kubeconfig);
    arguments.extend([
        format!("--cluster-cidr={PODS}"),
        // Each node's range of pod addresses is fixed, and its network is set up before it
        // registers.
        "--allocate-node-cidrs=false".to_owned(),
        "--use-service-account-credentials=true".to_owned(),
        format!(
            "--service-account-private-key-file={}",
            keys.key("service-accounts").display()
        ),
        // The default would be in a folder of the machine.
        format!(
            "--flex-volume-plugin-dir={}",
            layout.state().join("volume-plugins").display()
        ),
        format!("--root-ca-file={}", keys.certificate("ca").display()),
        format!(
            "--cluster-signing-cert-file={}",
            keys.certificate("ca").display()
        ),
        format!("--cluster-signing-key-file={}", keys.key("ca").display()),
    ]);
    arguments
}

fn delegating(kubeconfig: &str) -> Vec<String> {
    let mut arguments = vec![
        format!("--kubeconfig={kubeconfig}"),
        format!("--authentication-kubeconfig={kubeconfig}"),
        format!("--authorization-kubeconfig={kubeconfig}"),
        // Each component has one instance.
        "--leader-elect=false".to_owned(),
    ];
    arguments.extend(RATE.map(str::to_owned));
    arguments
}
