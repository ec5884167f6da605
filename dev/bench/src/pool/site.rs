//! The site of the measurements: an API server, a registry with distinct modules, and the operator, which gives each
//! function its port.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, PostParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Client, ResourceExt as _};
use sampan_measure::files::{Files, program};
use sampan_measure::functions::functions;
use sampan_measure::http_client::Connection;
use serde_json::json;
use tempfile::TempDir;

use crate::api_server::{self, Server};
use crate::kill_on_exit::KillOnExit;
use crate::pooled::{self, Modules, WAIT_TIMEOUT, port_of};
use crate::programs::free_address;

/// How many functions are created at once.
const MAX_CONCURRENT_CREATES: usize = 16;

/// The running site.
pub(super) struct Site {
    pub(super) files: Files,
    pub(super) folder: TempDir,
    pub(super) server: Server,
    pub(super) client: Client,
    /// The registry's host and port.
    pub(super) registry: String,
    pub(super) modules: Modules,
    module_count: u64,
    // Operator and registry end before the API server.
    _processes: [KillOnExit; 2],
}

impl Site {
    /// Starts everything, and pushes this many distinct modules.
    pub(super) async fn start(files: Files, module_count: u64) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let server = Server::start().await?;
        let client = server.client()?;
        server.define(&program("sampan-operator")?)?;
        let (registry, address) = start_registry(folder.path(), &server).await?;
        let operator = KillOnExit::start(
            &program("sampan-operator")?,
            &[
                format!("--admin={}", free_address()?),
                "--log-format=text".to_owned(),
                // No node pulls it: the pool is a process of this machine.
                "--pool-image=localhost/sampan-pool".to_owned(),
            ],
            &[("KUBECONFIG", server.kubeconfig().display().to_string())],
            &server.log("operator"),
        )
        .await?;
        let site = Self {
            modules: Modules::new(&files)?,
            files,
            folder,
            server,
            client,
            registry: address.to_string(),
            module_count,
            _processes: [operator, registry],
        };
        site.until_defined().await?;
        eprintln!("  pushing {module_count} modules");
        for number in 0..module_count {
            site.push(number).await?;
        }
        Ok(site)
    }

    /// Pushes the distinct module with this number.
    pub(super) async fn push(&self, number: u64) -> Result<()> {
        self.modules.push(number, &self.image(number)).await
    }

    /// The image of the module with this number.
    pub(super) fn image(&self, number: u64) -> String {
        format!("{}/bench/hello-{number}:1", self.registry)
    }

    /// Makes a namespace.
    pub(super) async fn namespace(&self, name: &str) -> Result<()> {
        let namespace = serde_json::from_value(json!({ "metadata": { "name": name } }))?;
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let made = namespaces.create(&PostParams::default(), &namespace).await;
        made.map(drop).context("failed to make a namespace")
    }

    /// Makes pooled functions with these numbers, each with an environment of its own.
    pub(super) async fn make(
        &self,
        namespace: &str,
        numbers: std::ops::Range<usize>,
    ) -> Result<()> {
        futures_util::stream::iter(numbers)
            .map(|number| async move {
                let module = number as u64 % self.module_count;
                self.create(namespace, number, &self.image(module)).await
            })
            .buffer_unordered(MAX_CONCURRENT_CREATES)
            .try_collect::<()>()
            .await
    }

    /// Makes one pooled function.
    pub(super) async fn create(&self, namespace: &str, number: usize, image: &str) -> Result<()> {
        let functions = self.functions(namespace);
        pooled::create(&functions, &name_of(number), number, image).await
    }

    /// Deletes one function.
    pub(super) async fn delete(&self, namespace: &str, number: usize) -> Result<()> {
        let functions = self.functions(namespace);
        functions
            .delete(&name_of(number), &DeleteParams::default())
            .await
            .map(drop)
            .context("failed to delete a function")
    }

    /// The ports of all functions of a namespace, once each has one.
    pub(super) async fn ports(&self, namespace: &str, count: usize) -> Result<Vec<u16>> {
        let events = watcher(self.functions(namespace), watcher::Config::default());
        let mut events = Box::pin(events.applied_objects());
        let mut ports = vec![None; count];
        let mut missing = count;
        let all = async {
            while missing > 0 {
                let function = events.next().await.context("the watch has ended")??;
                let number = function.name_any();
                let number = number.strip_prefix("f").and_then(|text| text.parse().ok());
                let number: usize = number.context("a function has another name")?;
                if let Some(port) = port_of(&function)
                    && let Some(place) = ports.get_mut(number)
                    && place.replace(port).is_none()
                {
                    missing -= 1;
                }
            }
            anyhow::Ok(())
        };
        let all = tokio::time::timeout(WAIT_TIMEOUT, all).await;
        all.context("not all functions have a port in time")??;
        Ok(ports.into_iter().flatten().collect())
    }

    pub(super) fn functions(&self, namespace: &str) -> Api<DynamicObject> {
        functions(self.client.clone(), namespace)
    }

    /// Waits until the API server serves the resource.
    async fn until_defined(&self) -> Result<()> {
        let (functions, begun) = (self.functions("default"), Instant::now());
        while let Err(error) = functions.list(&ListParams::default()).await {
            ensure!(
                begun.elapsed() < WAIT_TIMEOUT,
                "the API server does not serve WasmFunctions: {error}"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }
}

/// The name of the function with this number.
pub(super) fn name_of(number: usize) -> String {
    format!("f{number}")
}

async fn start_registry(folder: &Path, server: &Server) -> Result<(KillOnExit, SocketAddr)> {
    let address = free_address()?;
    let settings = folder.join("registry.yaml");
    let storage = folder.join("registry");
    fs::write(
        &settings,
        format!(
            "version: 0.1\nlog: {{ level: warn, accesslog: {{ disabled: true }} }}\n\
             storage: {{ filesystem: {{ rootdirectory: '{}' }} }}\nhttp: {{ addr: '{address}' }}\n",
            storage.display()
        ),
    )?;
    let registry = KillOnExit::start(
        &api_server::tools()?.join("registry"),
        &["serve".to_owned(), settings.display().to_string()],
        &[("OTEL_TRACES_EXPORTER", "none".to_owned())],
        &server.log("registry"),
    )
    .await?;
    let begun = Instant::now();
    while Connection::open(address).await.is_err() {
        if begun.elapsed() > WAIT_TIMEOUT {
            bail!("the registry does not listen on {address}");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok((registry, address))
}
