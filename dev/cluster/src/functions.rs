//! Deploys the nine functions on the cluster.
//!
//! They are pushed to the cluster's registry and created as resources. The services behind two of
//! them run on the first node.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use sampan_build::functions::Function;
use sampan_checkout::cargo;
use sampan_checkout::repository::Repository;
use serde_json::{Value, json};

use super::kubeconfig::Kubectl;
use super::layout::{Layout, Node};
use super::processes::{Component, Processes};
use super::ready;
use super::state::SavedState;

/// The process that serves the text and the table of users.
const BACKENDS: &str = "backends";
/// The namespace of the functions.
const NAMESPACE: &str = "default";

/// A service outside of the cluster, and the function that calls it.
struct Backend {
    function: &'static str,
    service: &'static str,
    port: u16,
    /// The function's variable with the address of the service.
    variable: &'static str,
    path: &'static str,
}

const SERVICES: [Backend; 2] = [
    Backend {
        function: "fuzzysearch",
        service: "text",
        port: 8091,
        variable: "TEXT_URL",
        path: "/hamlet.txt",
    },
    Backend {
        function: "user-manager",
        service: "users",
        port: 8092,
        variable: "USERS_URL",
        path: "",
    },
];

/// The variables and the outbound permissions of a function that calls a service.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct BackendAccess {
    pub(super) environment: BTreeMap<&'static str, String>,
    pub(super) outbound: Vec<String>,
}

impl BackendAccess {
    pub(super) fn of(function: &str) -> BackendAccess {
        let backend = SERVICES.iter().find(|backend| backend.function == function);
        backend.map_or_else(BackendAccess::default, |backend| {
            let url = url(backend);
            let value = format!("{url}{}", backend.path);
            BackendAccess {
                environment: BTreeMap::from([(backend.variable, value)]),
                outbound: vec![url],
            }
        })
    }
}

/// The URL of a service inside the cluster: a name, not the address of a node.
fn url(backend: &Backend) -> String {
    format!("http://{}.{NAMESPACE}.svc", backend.service)
}

/// Starts the services and creates the resources that name them.
pub(super) fn serve_backends(
    repository: &Repository,
    layout: &Layout,
    processes: &Processes,
    kubectl: &Kubectl,
) -> Result<()> {
    let node = layout.node(1);
    let [text, users] = &SERVICES;
    let listen = |backend: &Backend| format!("{}:{}", node.address(), backend.port);
    processes.ensure(&Component {
        name: BACKENDS.to_owned(),
        namespace: Some(node.namespace()),
        program: repository.program("sampan-backends"),
        arguments: vec![
            "serve".to_owned(),
            "--text-listen".to_owned(),
            listen(text),
            "--users-listen".to_owned(),
            listen(users),
        ],
        environment: Vec::new(),
        files: Vec::new(),
        bind_mounts: Vec::new(),
    })?;
    let resources: Vec<_> = SERVICES
        .iter()
        .flat_map(|backend| named(backend, &node))
        .collect();
    kubectl.apply(&list(&resources))
}

/// A Service, and the `EndpointSlice` that points it at a port of the node.
fn named(backend: &Backend, node: &Node) -> [Value; 2] {
    let service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "name": backend.service, "namespace": NAMESPACE },
        "spec": { "ports": [{ "name": "http", "port": 80, "targetPort": backend.port }] },
    });
    let endpoints = json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": format!("{}-node", backend.service),
            "namespace": NAMESPACE,
            "labels": { "kubernetes.io/service-name": backend.service },
        },
        "addressType": "IPv4",
        "endpoints": [{ "addresses": [node.address()], "conditions": { "ready": true } }],
        "ports": [{ "name": "http", "port": backend.port, "protocol": "TCP" }],
    });
    [service, endpoints]
}

/// Pushes the functions, creates their resources and waits until all are ready.
pub(super) fn deploy(
    repository: &Repository,
    layout: &Layout,
    saved: &SavedState,
    processes: &Processes,
    kubectl: &Kubectl,
) -> Result<Vec<Function>> {
    let mut functions = Function::select(repository, &[])?;
    functions.retain(Function::is_served);
    let resources = functions
        .iter()
        .map(|function| {
            let name = format!("functions/{}:latest", function.name);
            let image = format!("{}/{name}", saved.registry);
            let digest = push(repository, &function.staged(repository), &image, &[])?;
            // A pool pulls in a pod, where the registry has this name only.
            let registry = SavedState::registry_in_cluster(layout);
            Ok(resource(function, &format!("{registry}/{name}@{digest}")))
        })
        .collect::<Result<Vec<_>>>()?;
    kubectl.apply(&list(&resources))?;
    let path = "-o=jsonpath={range .items[*]}{.metadata.name} {.metadata.generation} \
                {.status.observedGeneration} \
                {.status.conditions[?(@.type==\"Ready\")].status}{\"\\n\"}{end}";
    ready::wait(processes, "every function", &[BACKENDS], || {
        let said = kubectl.output(&["-n", NAMESPACE, "get", "wasmfunctions", path])?;
        Ok(functions.iter().all(|function| {
            said.lines().any(|line| {
                let words: Vec<_> = line.split(' ').collect();
                matches!(words[..], [name, is, seen, "True"] if name == function.name && is == seen)
            })
        }))
    })?;
    Ok(functions)
}

/// Pushes a function's `function.yaml` or component with these options of `sampan push`, and returns
/// the digest in the registry.
pub(super) fn push(
    repository: &Repository,
    file: &Path,
    image: &str,
    options: &[&str],
) -> Result<String> {
    let mut command = Command::new(repository.program("sampan"));
    command
        .arg("push")
        .arg(file)
        .arg(image)
        .args(["--output", "json"])
        .args(options);
    cargo::remove_package_variables(&mut command);
    let said = cargo::output(&mut command)?;
    let said: Value = serde_json::from_slice(&said).context("sampan push wrote invalid JSON")?;
    let digest = said["digest"]
        .as_str()
        .context("sampan push reported no digest")?;
    Ok(digest.to_owned())
}

fn resource(function: &Function, image: &str) -> Value {
    let mut spec = json!({ "image": image, "replicas": 1 });
    let access = BackendAccess::of(&function.name);
    if !access.outbound.is_empty() {
        let variables = access.environment.iter();
        spec["env"] = variables
            .map(|(name, value)| json!({ "name": name, "value": value }))
            .collect();
        spec["outbound"] = json!({ "allow": access.outbound });
    }
    json!({
        "apiVersion": "sampan.dev/v1alpha1",
        "kind": "WasmFunction",
        "metadata": { "name": function.name, "namespace": NAMESPACE },
        "spec": spec,
    })
}

/// Several resources as one manifest. JSON is valid YAML.
fn list(resources: &[Value]) -> String {
    json!({ "apiVersion": "v1", "kind": "List", "items": resources }).to_string()
}

/// Prints an example call of each function.
pub(super) fn print_examples(repository: &Repository, functions: &[Function]) -> Result<()> {
    println!("functions:");
    for function in functions {
        let example = function.example(repository)?;
        println!("  sampan invoke {} '{example}'", function.name);
    }
    Ok(())
}
