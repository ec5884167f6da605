//! Commands in a pod: how things look from inside the cluster.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{AttachParams, PostParams};
use kube::runtime::wait::conditions;
use serde_json::json;
use tokio::io::AsyncReadExt as _;

use crate::{Namespace, PATIENCE, Pending};

/// A shell and the usual small programs; it is on every node.
pub const BUSYBOX: &str = "sampan.test/busybox:1";

/// A running pod with a shell, of an ordinary container.
pub struct Shell<'a> {
    namespace: &'a Namespace,
    pod: String,
}

impl<'a> Shell<'a> {
    /// Starts it, on the named node if there is one, and waits until it runs.
    pub fn start(namespace: &'a Namespace, node: Option<&'a str>) -> Pending<'a, Shell<'a>> {
        Box::pin(Shell::make(namespace, node))
    }

    async fn make(namespace: &'a Namespace, node: Option<&str>) -> Shell<'a> {
        let pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": { "generateName": "shell-" },
            "spec": {
                "nodeName": node,
                "terminationGracePeriodSeconds": 0,
                "containers": [{
                    "name": "shell",
                    "image": BUSYBOX,
                    "imagePullPolicy": "Never",
                    "command": ["sleep", "86400"],
                }],
            },
        });
        let pod: Pod = serde_json::from_value(pod).expect("the shell's pod is no pod");
        let made = namespace.api().create(&PostParams::default(), &pod).await;
        let made: Pod = made.expect("failed to make a shell's pod");
        let pod = made.metadata.name.expect("a pod has a name");
        namespace
            .wait_for(&pod, "run", conditions::is_pod_running())
            .await;
        Shell { namespace, pod }
    }

    /// The name of its pod.
    pub fn pod(&self) -> &str {
        &self.pod
    }

    /// What a command prints, when it ends well.
    pub fn run<'b>(&'b self, command: &'b [&'b str]) -> Pending<'b, String> {
        Box::pin(async move {
            match self.attempt(command).await {
                Ok(said) => said,
                Err(said) => panic!("{command:?} failed: {said}"),
            }
        })
    }

    /// What a command prints; all that it said when it ends badly, or why it was not run, as while containerd is away.
    pub fn try_run<'b>(&'b self, command: &'b [&'b str]) -> Pending<'b, Result<String, String>> {
        Box::pin(self.attempt(command))
    }

    async fn attempt(&self, command: &[&str]) -> Result<String, String> {
        let pods = self.namespace.api::<Pod>();
        let attach = AttachParams::default()
            .stdin(false)
            .stdout(true)
            .stderr(true);
        let attached = pods.exec(&self.pod, command.iter().copied(), &attach).await;
        let mut attached = attached.map_err(|error| format!("it was not run: {error}"))?;
        let mut stdout = attached.stdout().expect("a command has no stdout");
        let mut stderr = attached.stderr().expect("a command has no stderr");
        let status = attached.take_status().expect("a command has no status");
        let (mut said, mut complaint) = (Vec::new(), Vec::new());
        let (stdout, stderr, status) = tokio::join!(
            stdout.read_to_end(&mut said),
            stderr.read_to_end(&mut complaint),
            status
        );
        stdout.expect("failed to read what a command prints");
        stderr.expect("failed to read what a command prints");
        let status = status.and_then(|status| status.status);
        let said = String::from_utf8_lossy(&said).into_owned();
        if status.as_deref() == Some("Success") {
            return Ok(said);
        }
        Err(said + &String::from_utf8_lossy(&complaint))
    }

    /// Waits until a command ends well, and returns what it prints.
    pub fn until<'b>(&'b self, command: &'b [&'b str]) -> Pending<'b, String> {
        let attempts = async move {
            loop {
                if let Ok(said) = self.attempt(command).await {
                    return said;
                }
                // Nothing tells of what the command looks for.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        Box::pin(async move {
            let ended = tokio::time::timeout(PATIENCE, attempts).await;
            ended.unwrap_or_else(|_| panic!("{command:?} never ended well"))
        })
    }
}
