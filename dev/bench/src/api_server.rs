//! An API server with its etcd on this machine's loopback: two plain processes in a temporary
//! folder.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use kube::config::AuthInfo;
use kube::{Client, Config};
use tempfile::TempDir;

use crate::kill_on_exit::KillOnExit;
use crate::programs::free_address;

/// The variable with the folder of the programs.
const TOOLS: &str = "SAMPAN_TOOLS";
/// How long the server may take to answer.
const READY_TIMEOUT: Duration = Duration::from_mins(2);
/// The administrator's token. The server listens on loopback, and lives as long as one measurement.
const TOKEN: &str = "bench";

/// A server that answers.
#[derive(Debug)]
pub(crate) struct Server {
    folder: TempDir,
    tools: PathBuf,
    address: SocketAddr,
    /// The server first: it ends before its store does.
    _processes: [KillOnExit; 2],
}

impl Server {
    pub(crate) async fn start() -> Result<Server> {
        let tools = tools()?;
        let folder = tempfile::Builder::new().prefix("sampan-bench-").tempdir()?;
        let file = |name: &str| folder.path().join(name);
        let key = rcgen::KeyPair::generate().context("failed to make a key")?;
        write(&file("key.pem"), &key.serialize_pem())?;
        write(&file("public.pem"), &key.public_key_pem())?;
        write(
            &file("tokens"),
            &format!("{TOKEN},bench,1,\"system:masters\"\n"),
        )?;
        let [store, peer, address] = [free_address()?, free_address()?, free_address()?];
        let path = |name: &str| file(name).display().to_string();
        let flag = |name: &str, value: &dyn std::fmt::Display| format!("--{name}={value}");
        let (store, peer) = (format!("http://{store}"), format!("http://{peer}"));
        let etcd = KillOnExit::start(
            &tools.join("etcd"),
            &[
                flag("data-dir", &path("etcd")),
                "--unsafe-no-fsync".to_owned(),
                flag("log-level", &"error"),
                flag("listen-client-urls", &store),
                flag("advertise-client-urls", &store),
                flag("listen-peer-urls", &peer),
                flag("initial-advertise-peer-urls", &peer),
                flag("initial-cluster", &format!("default={peer}")),
            ],
            &[],
            &file("etcd.log"),
        )
        .await?;
        let api = KillOnExit::start(
            &tools.join("kube-apiserver"),
            &[
                flag("etcd-servers", &store),
                flag("bind-address", &address.ip()),
                flag("secure-port", &address.port()),
                flag("cert-dir", &path("certificates")),
                flag("token-auth-file", &path("tokens")),
                flag("authorization-mode", &"RBAC"),
                flag("service-cluster-ip-range", &"10.0.0.0/16"),
                flag("endpoint-reconciler-type", &"none"),
                flag("service-account-issuer", &"https://sampan.test"),
                flag("service-account-key-file", &path("public.pem")),
                flag("service-account-signing-key-file", &path("key.pem")),
                flag("disable-admission-plugins", &"ServiceAccount"),
            ],
            &[],
            &file("kube-apiserver.log"),
        )
        .await?;
        let server = Server {
            folder,
            tools,
            address,
            _processes: [api, etcd],
        };
        write(&server.kubeconfig(), &kubeconfig(address))?;
        server.ready().await?;
        Ok(server)
    }

    /// A client with all rights.
    pub(crate) fn client(&self) -> Result<Client> {
        let mut config = Config::new(format!("https://{}", self.address).parse()?);
        config.accept_invalid_certs = true;
        config.auth_info = AuthInfo {
            token: Some(TOKEN.to_owned().into()),
            ..AuthInfo::default()
        };
        Ok(Client::try_from(config)?)
    }

    /// The kubeconfig for other programs.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    /// The file for the output of a program.
    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.log"))
    }

    /// Creates the custom resource definition, as the operator's program prints it.
    pub(crate) fn define(&self, operator: &Path) -> Result<()> {
        let definition = Command::new(operator).arg("crd").output();
        let definition = definition.context("failed to start sampan-operator")?;
        ensure!(
            definition.status.success(),
            "sampan-operator printed no definition"
        );
        let mut kubectl = Command::new(self.tools.join("kubectl"))
            .args(["apply", "--server-side", "-f", "-", "--kubeconfig"])
            .arg(self.kubeconfig())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .context("failed to start kubectl")?;
        let mut input = kubectl.stdin.take().context("kubectl has no input")?;
        input.write_all(&definition.stdout)?;
        drop(input);
        ensure!(
            kubectl.wait()?.success(),
            "kubectl failed to apply the definition"
        );
        Ok(())
    }

    async fn ready(&self) -> Result<()> {
        let (client, begun) = (self.client()?, Instant::now());
        loop {
            let request = http::Request::get("/readyz").body(Vec::new())?;
            match client.request_text(request).await {
                Ok(_) => return Ok(()),
                Err(_) if begun.elapsed() < READY_TIMEOUT => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                Err(error) => bail!("the API server does not become ready: {error}"),
            }
        }
    }
}

/// The folder of the programs.
pub(crate) fn tools() -> Result<PathBuf> {
    let tools = std::env::var_os(TOOLS).map(PathBuf::from);
    tools.with_context(|| format!("{TOOLS} is not set; start this with `cargo xtask bench`"))
}

fn kubeconfig(address: SocketAddr) -> String {
    serde_json::json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{
            "name": "bench",
            "cluster": { "server": format!("https://{address}"), "insecure-skip-tls-verify": true },
        }],
        "users": [{ "name": "bench", "user": { "token": TOKEN } }],
        "contexts": [{ "name": "bench", "context": { "cluster": "bench", "user": "bench" } }],
        "current-context": "bench",
    })
    .to_string()
}

fn write(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).with_context(|| format!("failed to write {}", file.display()))
}
