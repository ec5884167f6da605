//! Client of a cluster's functions, for `deploy`, `list`, `logs`, `invoke` and `delete`.
//!
//! It reads leniently, so that resources of a newer version can still be listed and deleted. Every
//! request to the API server has a time limit.

pub(crate) mod delete;
pub(crate) mod deploy;
mod function;
pub(crate) mod invoke;
mod kubeconfig;
pub(crate) mod list;
pub(crate) mod logs;
mod pods;
mod pool;
mod serving_pods;
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
use crate::failure::{Failure, RequestContext};
use crate::output::{pretty_json, print};

use function::ClusterFunction;

/// Time limit of one request to the API server.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Resources in one page of a list.
const PAGE_SIZE: u32 = 500;

/// A cluster to which requests can be sent.
#[derive(Clone)]
pub(crate) struct Cluster {
    client: Client,
    /// The chosen namespace, or else the context's.
    pub(crate) namespace: String,
    /// The address of the API server, for messages.
    server: String,
}

impl Cluster {
    /// Finds the cluster. Sends no request yet.
    pub(crate) async fn find(choice: &ClusterChoice) -> Result<Self, Failure> {
        let config = kubeconfig::config(choice).await?;
        let server = config.cluster_url.to_string();
        let server = server.trim_end_matches('/').to_owned();
        let namespace = config.default_namespace.clone();
        let client = Client::try_from(config).map_err(|error| {
            let action = "connect".to_owned();
            let server = &server;
            Failure::cluster(&error, &RequestContext { server, action })
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

    /// Context of a request, for error messages.
    pub(crate) fn request_context(&self, action: impl Into<String>) -> RequestContext<'_> {
        RequestContext {
            server: &self.server,
            action: action.into(),
        }
    }

    /// Runs a request within the time limit.
    pub(crate) async fn request<T>(
        &self,
        action: impl Into<String>,
        request: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, Failure> {
        match timeout(REQUEST_TIMEOUT, request).await {
            Ok(answer) => {
                answer.map_err(|error| Failure::cluster(&error, &self.request_context(action)))
            }
            Err(_) => Err(Failure::silent(
                REQUEST_TIMEOUT,
                &self.request_context(action),
            )),
        }
    }

    /// Reads one function.
    pub(crate) async fn function(&self, name: &str) -> Result<ClusterFunction, Failure> {
        let functions = self.functions(&self.namespace);
        let action = format!("read {name} in namespace {}", self.namespace);
        let object = self.request(action, functions.get(name)).await?;
        ClusterFunction::of(&object)
    }

    /// Lists all objects of one kind that the parameters select, in pages.
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
        let mut parameters = parameters.limit(PAGE_SIZE);
        loop {
            let page = self.request(action, api.list(&parameters)).await?;
            found.extend(page.items);
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => parameters = parameters.continue_token(&token),
                None => return Ok(found),
            }
        }
    }

    /// Lists the pods of a function.
    pub(crate) async fn pods_of(&self, namespace: &str, name: &str) -> Result<Vec<Pod>, Failure> {
        let action = format!("list the pods of {name} in namespace {namespace}");
        let parameters = ListParams::default().labels(&selector(name));
        self.list(&action, &self.pods(namespace), parameters).await
    }
}

/// The label selector of a function's pods.
fn selector(name: &str) -> String {
    format!("{FUNCTION_LABEL}={name}")
}

fn resource() -> ApiResource {
    ApiResource::erase::<WasmFunction>(&())
}

/// Runs the requests of a command. Ctrl-C ends the program at once; the cluster is not affected.
fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::system("no runtime for the connections", &error))?;
    let outcome = runtime.block_on(work);
    // A thread may still wait for input that is not needed any more.
    runtime.shutdown_background();
    outcome
}

/// The JSON output of a failed command.
#[derive(Debug, Serialize)]
struct JsonFailure<'a> {
    error: &'a str,
    help: &'a str,
    exit_code: u8,
}

/// Ends a command. Prints a failure as JSON as well if that format was chosen.
fn end(outcome: Result<(), Failure>, output: Output) -> Result<ExitCode, Failure> {
    if let (Err(failure), Output::Json) = (&outcome, output) {
        print(&pretty_json(&JsonFailure {
            error: &failure.message,
            help: &failure.help,
            exit_code: failure.exit.code(),
        })?)?;
    }
    outcome.map(|()| Exit::Success.into())
}
