//! A registry with authentication, on a node's loopback.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use sampan_tests::program;
use serde_json::json;
use tempfile::TempDir;

use crate::{Cluster, Node, TEST_TIMEOUT};

/// The only user, and the password.
const USER: (&str, &str) = ("tester", "a long secret");

/// The password's hash, as in an htpasswd file.
const HASH: &str = "$2b$05$abcdefghijklmnopqrstuu5yuBBWOeS2YRAyqENggD9Sl.rOQSIHm";

/// The registry. It ends when this is dropped.
#[derive(Debug)]
pub struct PrivateRegistry {
    process: Child,
    folder: TempDir,
    node: Node,
    port: u16,
}

impl PrivateRegistry {
    /// Starts it on a port of a node's loopback, where only that node's kubelet reaches it.
    pub fn start(cluster: &Cluster, node: &Node, port: u16) -> PrivateRegistry {
        let folder = tempfile::tempdir().expect("failed to make a folder");
        let (users, settings) = (folder.path().join("users"), folder.path().join("settings"));
        let (user, _) = USER;
        fs::write(&users, format!("{user}:{HASH}\n")).expect("failed to write a file");
        let text = format!(
            "version: 0.1\nlog: {{ level: error, accesslog: {{ disabled: true }} }}\n\
             storage: {{ inmemory: {{}} }}\nhttp: {{ addr: '127.0.0.1:{port}' }}\n\
             auth: {{ htpasswd: {{ realm: test, path: '{}' }} }}\n",
            users.display()
        );
        fs::write(&settings, text).expect("failed to write a file");
        let log = fs::File::create(folder.path().join("log")).expect("failed to make a file");
        let mut command = node.inside("env");
        command
            .arg("OTEL_TRACES_EXPORTER=none")
            .arg(cluster.tools.join("registry"))
            .arg("serve")
            .arg(&settings)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("failed to share a file"))
            .stderr(log);
        let process = command.spawn().expect("failed to start a registry");
        let registry = PrivateRegistry {
            process,
            folder,
            node: node.clone(),
            port,
        };
        registry.wait();
        registry
    }

    /// Its address for the node.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The user's credentials, as in Docker's configuration.
    pub fn credentials(&self) -> String {
        let (username, password) = USER;
        json!({ "auths": { self.address(): { "username": username, "password": password } } })
            .to_string()
    }

    /// Pushes a .wasm file, and returns the image by its tag.
    pub fn push(&self, file: &Path, repository: &str) -> String {
        let image = format!("{}/{repository}:1", self.address());
        let docker = self.folder.path().join("docker");
        fs::create_dir_all(&docker).expect("failed to make a folder");
        fs::write(docker.join("config.json"), self.credentials()).expect("failed to write a file");
        let mut command = self.node.inside("env");
        command
            .arg(format!("DOCKER_CONFIG={}", docker.display()))
            .arg(program("sampan"))
            .arg("push")
            .arg(file)
            .arg(&image);
        let output = command.output().expect("failed to start sampan");
        assert!(output.status.success(), "sampan push: {output:?}");
        image
    }

    fn wait(&self) {
        let begun = Instant::now();
        let url = format!("http://{}/v2/", self.address());
        let asked = || -> Command {
            let mut command = self.node.inside("curl");
            command.args(["--silent", "--output", "/dev/null", &url]);
            command
        };
        while !asked().status().expect("failed to start curl").success() {
            let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(begun.elapsed() < TEST_TIMEOUT, "the registry: {log}");
            thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for PrivateRegistry {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
