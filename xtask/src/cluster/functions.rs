//! The nine functions on the cluster: pushed to its registry, made as resources, with the services behind two of
//! them on the first node.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::kubeconfig::Kubectl;
use super::layout::{Layout, Node};
use super::processes::{Component, Processes};
use super::ready;
use super::state::Memory;
use crate::cargo;
use crate::cargo::shown;
use crate::functions::Function;
use crate::repository::Repository;

/// Serves the text and the table of users.
const BACKENDS: &str = "backends";
/// Where the functions are.
const NAMESPACE: &str = "default";

/// A service outside of the cluster, and the function that calls it.
struct Backend {
    function: &'static str,
    service: &'static str,
    port: u16,
    /// The variable that tells the function where it is.
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

/// What the functions call, from inside the cluster: a name, and not an address of a node.
fn url(backend: &Backend) -> String {
    format!("http://{}.{NAMESPACE}.svc", backend.service)
}

/// Starts the services and makes the resources that give them names.
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
    })?;
    let resources: Vec<_> = SERVICES
        .iter()
        .flat_map(|backend| named(backend, &node))
        .collect();
    kubectl.apply(&list(&resources))
}

/// A Service whose endpoint is a port of the node.
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

/// Pushes the functions, makes their resources and waits until all are ready.
pub(super) fn deploy(
    repository: &Repository,
    memory: &Memory,
    processes: &Processes,
    kubectl: &Kubectl,
) -> Result<Vec<Function>> {
    let mut functions = Function::select(repository, &[])?;
    functions.retain(Function::is_served);
    let resources = functions
        .iter()
        .map(|function| {
            let image = format!("{}/functions/{}:latest", memory.registry, function.name);
            let folder = repository.staged().join(&function.name);
            let digest = push(repository, &folder, &image)?;
            Ok(resource(function, &format!("{image}@{digest}")))
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

/// Pushes a staged function and tells the digest of what is in the registry now.
fn push(repository: &Repository, folder: &Path, image: &str) -> Result<String> {
    let file = folder.join("function.yaml");
    let mut command = Command::new(repository.program("sampan"));
    command
        .arg("push")
        .arg(&file)
        .arg(image)
        .args(["--output", "json"]);
    cargo::forget_ourselves(&mut command);
    let output = command
        .output()
        .with_context(|| format!("failed to start {}", shown(&command)))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{} failed: {}", shown(&command), said.trim());
    }
    let said: Value =
        serde_json::from_slice(&output.stdout).context("sampan push wrote no JSON")?;
    let digest = said["digest"]
        .as_str()
        .context("sampan push told no digest")?;
    Ok(digest.to_owned())
}

fn resource(function: &Function, image: &str) -> Value {
    let mut spec = json!({ "image": image, "replicas": 1 });
    let mut backends = SERVICES.iter();
    if let Some(backend) = backends.find(|backend| backend.function == function.name) {
        let url = url(backend);
        let value = format!("{url}{}", backend.path);
        spec["env"] = json!([{ "name": backend.variable, "value": value }]);
        spec["outbound"] = json!({ "allow": [url] });
    }
    json!({
        "apiVersion": "sampan.dev/v1alpha1",
        "kind": "WasmFunction",
        "metadata": { "name": function.name, "namespace": NAMESPACE },
        "spec": spec,
    })
}

/// Several resources as one manifest; JSON is YAML.
fn list(resources: &[Value]) -> String {
    json!({ "apiVersion": "v1", "kind": "List", "items": resources }).to_string()
}

/// How each of them is called.
pub(super) fn tell(repository: &Repository, functions: &[Function]) -> Result<()> {
    println!("functions:");
    for function in functions {
        let file = repository
            .staged()
            .join(&function.name)
            .join("function.yaml");
        let text = fs::read_to_string(&file)
            .with_context(|| format!("failed to read {}", file.display()))?;
        let example = text
            .lines()
            .find_map(|line| line.strip_prefix("example: "))
            .map_or("/", |example| example.trim_matches('"'));
        println!("  sampan invoke {} '{example}'", function.name);
    }
    Ok(())
}
