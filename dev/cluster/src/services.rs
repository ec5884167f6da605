//! Runs the services beside Kubernetes: a registry of images, and the forwarder into the cluster.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use super::forward::Route;
use super::layout::{API_PORT, Layout, REGISTRY_PORT};
use super::processes::Component;
use super::state::SavedState;

pub(crate) const FORWARDER: &str = "forwarder";
pub(crate) const REGISTRY: &str = "registry";

/// The registry of images, in the first node's network.
pub(crate) fn registry(layout: &Layout) -> Result<Component> {
    let settings = layout.state().join("registry.yaml");
    let storage = layout.state().join("registry");
    let text = format!(
        "version: 0.1\nlog: {{ level: warn, accesslog: {{ disabled: true }} }}\n\
         storage:\n  filesystem: {{ rootdirectory: '{}' }}\n  delete: {{ enabled: true }}\n\
         http: {{ addr: ':{REGISTRY_PORT}' }}\n",
        storage.display()
    );
    fs::write(&settings, text)
        .with_context(|| format!("failed to write {}", settings.display()))?;
    let program = layout.program(REGISTRY);
    Ok(Component {
        name: REGISTRY.to_owned(),
        namespace: Some(layout.node(1).namespace()),
        program: program.canonicalize().context("there is no registry")?,
        arguments: vec!["serve".to_owned(), settings.display().to_string()],
        environment: vec![("OTEL_TRACES_EXPORTER", "none".to_owned())],
        files: vec![settings],
        bind_mounts: Vec::new(),
    })
}

/// The process that makes the API server and the registry reachable from this machine.
pub(crate) fn forwarder(layout: &Layout, saved: &SavedState) -> Result<Component> {
    let node = layout.node(1);
    let route = |listen, port| Route {
        listen,
        namespace: node.namespace_path(),
        target: (node.address(), port).into(),
    };
    let routes = [
        route(saved.api, API_PORT),
        route(saved.registry, REGISTRY_PORT),
    ];
    let mut arguments = vec!["cluster".to_owned(), "forward".to_owned()];
    arguments.extend(routes.iter().map(ToString::to_string));
    Ok(Component {
        name: FORWARDER.to_owned(),
        namespace: None,
        program: copy_of_this(layout)?,
        arguments,
        environment: Vec::new(),
        files: Vec::new(),
        bind_mounts: Vec::new(),
    })
}

/// A copy of this program, which a build does not replace while it runs.
fn copy_of_this(layout: &Layout) -> Result<PathBuf> {
    let copy = layout.state().join(FORWARDER);
    let unfinished = copy.with_extension("new");
    fs::copy("/proc/self/exe", &unfinished)
        .and_then(|_| fs::rename(&unfinished, &copy))
        .with_context(|| format!("failed to write {}", copy.display()))?;
    Ok(copy)
}
