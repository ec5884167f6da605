//! Functions on a cluster: the connection that `deploy`, `list`, `logs`, `invoke` and `delete` share.
//!
//! Reads leniently, so that resources of a newer version can still be listed and deleted. Refuses to wait for
//! an API server without end: every request has its time.

pub(crate) mod delete;
pub(crate) mod deploy;
pub(crate) mod invoke;
mod kubeconfig;
pub(crate) mod list;
pub(crate) mod logs;
mod pods;
mod seen;
mod watch;

use std::process::ExitCode;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::{Api, Client};
use sampan_crd::{FUNCTION_LABEL, WasmFunction};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime;
use tokio::time::timeout;

use crate::arguments::{ClusterChoice, Output};
use crate::exit::Exit;
use crate::failure::{Asked, Failure};
use crate::output::{pretty_json, print};

use seen::Seen;

/// How long the API server has for one answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// How many resources come with one answer.
const PAGE: u32 = 500;

/// A cluster that can be asked.
#[derive(Clone)]
pub(crate) struct Cluster {
    client: Client,
    /// The namespace that was chosen, or else the context's.
    pub(crate) namespace: String,
    /// The address of the API server, as messages show it.
    server: String,
}

impl Cluster {
    /// Finds the cluster. It is not asked anything yet.
    pub(crate) async fn find(choice: &ClusterChoice) -> Result<Self, Failure> {
        let config = kubeconfig::config(choice).await?;
        let server = config.cluster_url.to_string();
        let server = server.trim_end_matches('/').to_owned();
        let namespace = config.default_namespace.clone();
        let client = Client::try_from(config).map_err(|error| {
            let action = "connect".to_owned();
            let server = &server;
            Failure::cluster(&error, &Asked { server, action })
        })?;
        Ok(Self {
            client,
            namespace,
            server,
        })
    }

    /// The functions of a namespace.
    pub(crate) fn functions(&self, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, &resource())
    }

    /// The functions of all namespaces.
    pub(crate) fn all_functions(&self) -> Api<DynamicObject> {
        Api::all_with(self.client.clone(), &resource())
    }

    /// The pods of a namespace.
    pub(crate) fn pods(&self, namespace: &str) -> Api<Pod> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// The events of a namespace.
    pub(crate) fn events(&self, namespace: &str) -> Api<Event> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// What a failure has to say besides the error.
    pub(crate) fn asked(&self, action: impl Into<String>) -> Asked<'_> {
        Asked {
            server: &self.server,
            action: action.into(),
        }
    }

    /// Asks, and waits for the answer for as long as is sensible.
    pub(crate) async fn ask<T>(
        &self,
        action: impl Into<String>,
        request: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, Failure> {
        match timeout(PATIENCE, request).await {
            Ok(answer) => answer.map_err(|error| Failure::cluster(&error, &self.asked(action))),
            Err(_) => Err(Failure::silent(PATIENCE, &self.asked(action))),
        }
    }

    /// One function.
    pub(crate) async fn function(&self, name: &str) -> Result<Seen, Failure> {
        let functions = self.functions(&self.namespace);
        let action = format!("read {name} in namespace {}", self.namespace);
        let object = self.ask(action, functions.get(name)).await?;
        Seen::of(&object)
    }

    /// Everything of one kind that the parameters select, however much it is.
    pub(crate) async fn list<K>(
        &self,
        action: &str,
        api: &Api<K>,
        parameters: ListParams,
    ) -> Result<Vec<K>, Failure>
    where
        K: Clone + std::fmt::Debug + DeserializeOwned,
    {
        let mut found = Vec::new();
        let mut parameters = parameters.limit(PAGE);
        loop {
            let page = self.ask(action, api.list(&parameters)).await?;
            found.extend(page.items);
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => parameters = parameters.continue_token(&token),
                None => return Ok(found),
            }
        }
    }

    /// The pods of a function.
    pub(crate) async fn pods_of(&self, namespace: &str, name: &str) -> Result<Vec<Pod>, Failure> {
        let action = format!("list the pods of {name} in namespace {namespace}");
        let parameters = ListParams::default().labels(&selector(name));
        self.list(&action, &self.pods(namespace), parameters).await
    }
}

/// The label that a function's pods have.
fn selector(name: &str) -> String {
    format!("{FUNCTION_LABEL}={name}")
}

fn resource() -> ApiResource {
    ApiResource::erase::<WasmFunction>(&())
}

/// Runs what talks to a cluster. Ctrl-C ends the program at once: the cluster goes on by itself.
fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::system("no runtime for the connections", &error))?;
    let outcome = runtime.block_on(work);
    // A thread may still wait for input that nobody reads any more.
    runtime.shutdown_background();
    outcome
}

/// What is printed as JSON when there is no answer.
#[derive(Debug, Serialize)]
struct Refusal<'a> {
    error: &'a str,
    help: &'a str,
    exit_code: u8,
}

/// Ends a command; a failure is also told as JSON where that was asked for.
fn end(outcome: Result<(), Failure>, output: Output) -> Result<ExitCode, Failure> {
    if let (Err(failure), Output::Json) = (&outcome, output) {
        print(&pretty_json(&Refusal {
            error: &failure.message,
            help: &failure.help,
            exit_code: failure.exit.code(),
        })?)?;
    }
    outcome.map(|()| Exit::Success.into())
}
