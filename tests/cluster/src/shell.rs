//! Runs commands in a pod, for a view from inside the cluster.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{AttachParams, PostParams};
use kube::runtime::wait::conditions;
use serde_json::json;
use tokio::io::AsyncReadExt as _;

use crate::{Namespace, Pending, TEST_TIMEOUT};

/// The image of a shell and the usual small programs; every node has it.
pub const BUSYBOX: &str = "sampan.test/busybox:1";

/// A running pod of one ordinary container with a shell.
pub struct Shell<'a> {
    namespace: &'a Namespace,
    pod: String,
}

impl<'a> Shell<'a> {
    /// Starts the pod, on the named node if there is one, and waits until it runs.
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

    /// Runs a command and returns its stdout; panics if it fails.
    pub fn run<'b>(&'b self, command: &'b [&'b str]) -> Pending<'b, String> {
        Box::pin(async move {
            match self.attempt(command).await {
                Ok(said) => said,
                Err(said) => panic!("{command:?} failed: {said}"),
            }
        })
    }

    /// Runs a command and returns its stdout. The error is all of its output, or the reason why it
    /// was not run, as while containerd is away.
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

    /// Waits until a command succeeds, and returns its stdout.
    pub fn until<'b>(&'b self, command: &'b [&'b str]) -> Pending<'b, String> {
        let attempts = async move {
            loop {
                if let Ok(said) = self.attempt(command).await {
                    return said;
                }
                // There is no notice of what the command checks.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        Box::pin(async move {
            let ended = tokio::time::timeout(TEST_TIMEOUT, attempts).await;
            ended.unwrap_or_else(|_| panic!("{command:?} never succeeded"))
        })
    }
}
