//! Pooled functions of the benchmarks: distinct modules in a registry, resources, and their ports.

use std::fs;
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures_util::{Stream, StreamExt as _};
use kube::ResourceExt as _;
use kube::api::{Api, DynamicObject, PostParams};
use kube::runtime::watcher::{self, Event, watcher};
use sampan_measure::files::{Files, distinct};
use sampan_measure::functions::resource;
use serde_json::json;
use tempfile::TempDir;
use tokio::process::Command;

/// The function of the measurements, which answers a few bytes and does nothing else.
pub(crate) const HELLO: &str = "hello";
/// The timeout of every wait.
pub(crate) const WAIT_TIMEOUT: Duration = Duration::from_mins(20);

/// Pushes components to a registry.
pub(crate) struct Modules {
    files: Files,
    component: Vec<u8>,
    folder: TempDir,
}

impl Modules {
    /// Reads the component that the distinct ones are made of.
    pub(crate) fn new(files: &Files) -> Result<Self> {
        Ok(Self {
            files: files.clone(),
            component: files.component(HELLO)?,
            folder: tempfile::tempdir()?,
        })
    }

    /// Pushes the distinct module with this number.
    pub(crate) async fn push(&self, number: u64, image: &str) -> Result<()> {
        let file = self.folder.path().join(format!("{HELLO}-{number}.wasm"));
        fs::write(&file, distinct(&self.component, number))
            .with_context(|| format!("failed to write {}", file.display()))?;
        self.push_file(&file, image).await?;
        fs::remove_file(&file).with_context(|| format!("failed to remove {}", file.display()))
    }

    /// Pushes a component.
    pub(crate) async fn push_file(&self, file: &Path, image: &str) -> Result<()> {
        let output = Command::new(self.files.program("sampan"))
            .args(["push", "--plain-http"])
            .arg(file)
            .arg(image)
            .output()
            .await
            .context("failed to start sampan")?;
        ensure!(
            output.status.success(),
            "sampan push {image}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }
}

/// Creates a pooled function. `number` is in its environment, which differs from all others.
pub(crate) async fn create(
    functions: &Api<DynamicObject>,
    name: &str,
    number: usize,
    image: &str,
) -> Result<()> {
    let mut function = DynamicObject::new(name, &resource());
    function.data = json!({ "spec": {
        "image": image,
        "placement": "Pooled",
        "env": [{ "name": "NUMBER", "value": number.to_string() }],
    }});
    let made = functions.create(&PostParams::default(), &function).await;
    made.with_context(|| format!("failed to create {name}"))
        .map(drop)
}

/// The function's port in the pool.
pub(crate) fn port_of(function: &DynamicObject) -> Option<u16> {
    let port = function.data["status"]["poolPort"].as_u64()?;
    u16::try_from(port).ok()
}

/// A watch for the ports of new functions. It begins before they are created, so that no figure
/// has its start in it.
pub(crate) struct PortWatch(Pin<Box<dyn Stream<Item = watcher::Result<Event<DynamicObject>>>>>);

impl PortWatch {
    /// Starts the watch, after the existing functions.
    pub(crate) async fn start(functions: Api<DynamicObject>) -> Result<Self> {
        let mut events = Box::pin(watcher(functions, watcher::Config::default()));
        loop {
            let event = events.next().await.context("the watch has ended")??;
            if let Event::InitDone = event {
                return Ok(Self(events));
            }
        }
    }

    /// The next function that has a port, with that port.
    pub(crate) async fn next(&mut self) -> Result<(String, u16)> {
        let found = async {
            loop {
                let event = self.0.next().await.context("the watch has ended")??;
                if let Event::Apply(function) | Event::InitApply(function) = event
                    && let Some(port) = port_of(&function)
                {
                    return anyhow::Ok((function.name_any(), port));
                }
            }
        };
        let found = tokio::time::timeout(WAIT_TIMEOUT, found).await;
        found.context("no function gets a port")?
    }

    /// Waits until this function has a port.
    pub(crate) async fn port(&mut self, name: &str) -> Result<u16> {
        loop {
            let (found, port) = self.next().await?;
            if found == name {
                return Ok(port);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_that_of_the_status() {
        fn check(status: &serde_json::Value, expected: Option<u16>) {
            let mut function = DynamicObject::new("f", &resource());
            function.data = json!({ "status": status });
            assert_eq!(port_of(&function), expected, "{status}");
        }
        check(&json!({ "poolPort": 10_000 }), Some(10_000));
        check(&json!({ "poolPort": 70_000 }), None);
        check(&json!({}), None);
    }
}
