//! A pool as a process of this machine.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use sampan_measure::files::program;
use sampan_measure::http_client::Connection;
use sampan_measure::process::Process;

use super::site::Site;
use crate::kill_on_exit::KillOnExit;
use crate::pooled::WAIT_TIMEOUT;
use crate::programs::free_address;

/// After this time a module without calls has been released. Instances are released before.
pub(super) const IDLE_TIME: Duration = Duration::from_secs(65);

/// A running pool.
pub(super) struct PoolServer {
    child: KillOnExit,
    admin: SocketAddr,
}

impl PoolServer {
    /// Starts a pool for a namespace, with its folders below `folder`.
    pub(super) async fn start(site: &Site, namespace: &str, folder: &Path) -> Result<Self> {
        let admin = free_address()?;
        let path = |name: &str| folder.join(name).display().to_string();
        let child = KillOnExit::start(
            &program("sampan-pool")?,
            &[
                format!("--namespace={namespace}"),
                format!("--admin={admin}"),
                format!("--state={}", path("state")),
                format!("--cache={}", path("cache")),
                format!("--plain-http-registry={}", site.registry),
                "--log-filter=error".to_owned(),
            ],
            &[
                ("KUBECONFIG", site.server.kubeconfig().display().to_string()),
                ("POD_NAME", "pool".to_owned()),
                ("POD_NAMESPACE", namespace.to_owned()),
            ],
            &site.server.log(namespace),
        )
        .await?;
        let pool = Self { child, admin };
        pool.until_ready().await?;
        Ok(pool)
    }

    /// Its process.
    pub(super) fn process(&self) -> Process {
        Process(self.child.pid())
    }

    /// Ends it, and waits for that.
    pub(super) async fn end(self) -> Result<()> {
        self.child.end().await
    }

    async fn until_ready(&self) -> Result<()> {
        let begun = Instant::now();
        loop {
            let ready = async {
                let mut connection = Connection::open(self.admin).await?;
                let (answer, _) = connection.get("/readyz").await?;
                anyhow::Ok(answer.status().is_success())
            };
            match ready.await {
                Ok(true) => return Ok(()),
                other if begun.elapsed() > WAIT_TIMEOUT => {
                    bail!("the pool is not ready: {other:?}")
                }
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }
}

/// The address of a function in a pool of this machine.
pub(super) fn address(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// Waits until each port answers with 200, and calls none twice that does.
pub(super) async fn until_all_answer(ports: &[u16]) -> Result<()> {
    let begun = Instant::now();
    for port in ports {
        while !answers(*port).await {
            ensure!(
                begun.elapsed() < WAIT_TIMEOUT,
                "port {port} does not answer"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    Ok(())
}

/// Whether the function on this port answers with 200.
pub(super) async fn answers(port: u16) -> bool {
    let call = async {
        let mut connection = Connection::open(address(port)).await?;
        let (answer, _) = connection.get("/").await?;
        anyhow::Ok(answer.status().is_success())
    };
    call.await.unwrap_or(false)
}
