//! A bundle as containerd makes it.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::Node;
use super::network::Network;

/// A folder with a configuration and a root file system.
pub(crate) struct Bundle {
    id: String,
    path: PathBuf,
    config: Value,
    pipes: bool,
    terminal: bool,
}

impl Bundle {
    pub(crate) fn new(node: &Node, id: &str) -> Self {
        let path = node.path().join("bundles").join(id);
        fs::create_dir_all(path.join("rootfs")).expect("a bundle");
        let config = json!({
            "ociVersion": "1.2.0",
            "root": { "path": "rootfs" },
            "process": {
                "args": ["/function.wasm"],
                "env": ["PATH=/bin"],
                "cwd": "/",
                "user": { "uid": 0, "gid": 0 },
            },
            "mounts": [
                { "destination": "/proc", "type": "proc", "source": "proc" },
                { "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid"] },
            ],
            "annotations": {},
            "linux": {
                "cgroupsPath": node.groups().path_of(id),
                "namespaces": [
                    { "type": "pid" }, { "type": "mount" }, { "type": "ipc" },
                    { "type": "uts" }, { "type": "network" },
                ],
            },
        });
        Self {
            id: id.to_owned(),
            path,
            config,
            pipes: false,
            terminal: false,
        }
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// With another configuration.
    #[must_use]
    pub(crate) fn configured(mut self, config: Value) -> Self {
        self.config = config;
        self
    }

    /// Changes the configuration at a JSON pointer, or adds a field there.
    #[must_use]
    pub(crate) fn set(mut self, pointer: &str, value: Value) -> Self {
        if pointer.is_empty() {
            self.config = value;
            return self;
        }
        let (parent, field) = pointer.rsplit_once('/').expect("a pointer");
        let parent = self.config.pointer_mut(parent).expect("it is there");
        if parent.is_array() {
            let index: usize = field.parse().expect("an index");
            parent[index] = value;
        } else {
            parent[field] = value;
        }
        self
    }

    /// Adds an annotation.
    #[must_use]
    pub(crate) fn annotate(mut self, key: &str, value: &str) -> Self {
        self.config["annotations"][key] = json!(value);
        self
    }

    /// Adds an environment variable.
    #[must_use]
    pub(crate) fn env(mut self, variable: &str) -> Self {
        let environment = self.config["process"]["env"].as_array_mut().expect("there");
        environment.push(json!(variable));
        self
    }

    /// Adds a mount.
    #[must_use]
    pub(crate) fn mount(mut self, mount: Value) -> Self {
        let mounts = self.config["mounts"].as_array_mut().expect("there");
        mounts.push(mount);
        self
    }

    /// Adds a bind mount of a path of the node.
    #[must_use]
    pub(crate) fn bind(self, source: &Path, destination: &str, options: &[&str]) -> Self {
        self.mount(json!({
            "destination": destination, "type": "bind", "source": source, "options": options,
        }))
    }

    /// Limits of the control group.
    #[must_use]
    pub(crate) fn resources(mut self, resources: Value) -> Self {
        self.config["linux"]["resources"] = resources;
        self
    }

    /// With this seccomp profile.
    #[must_use]
    pub(crate) fn seccomp(mut self, profile: Value) -> Self {
        self.config["linux"]["seccomp"] = profile;
        self
    }

    /// Adds a namespace of its own.
    #[must_use]
    pub(crate) fn namespace(mut self, kind: &str) -> Self {
        let namespaces = self.config["linux"]["namespaces"].as_array_mut();
        namespaces.expect("there").push(json!({ "type": kind }));
        self
    }

    /// With this host name.
    #[must_use]
    pub(crate) fn hostname(mut self, name: &str) -> Self {
        self.config["hostname"] = json!(name);
        self
    }

    /// In this network namespace.
    #[must_use]
    pub(crate) fn network(self, path: &Path) -> Self {
        self.set(
            "/linux/namespaces/4",
            json!({ "type": "network", "path": path }),
        )
    }

    /// Puts a file into the root file system.
    #[must_use]
    pub(crate) fn file(self, name: &str, bytes: &[u8]) -> Self {
        let path = self.path.join("rootfs").join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(&path, bytes).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("its mode");
        self
    }

    /// Puts a module in text form at `/function.wasm`.
    #[must_use]
    pub(crate) fn module(self, text: &str) -> Self {
        self.module_at("function.wasm", text)
    }

    /// Puts a module in text form somewhere into the root file system.
    #[must_use]
    pub(crate) fn module_at(self, name: &str, text: &str) -> Self {
        let bytes = wat::parse_str(text).expect("the test's module is valid");
        self.file(name, &bytes)
    }

    /// Answers requests with a module in text form the CGI way, in this network.
    #[must_use]
    pub(crate) fn cgi(self, text: &str, network: &Network) -> Self {
        self.module(text)
            .annotate("sampan.dev/http", "cgi")
            .network(network.path())
    }

    /// Runs a script with busybox's shell, which finds busybox's other programs itself.
    #[must_use]
    pub(crate) fn script(self, script: &str) -> Self {
        self.busybox(&["sh", "-c", script])
    }

    /// Runs busybox with these arguments.
    #[must_use]
    pub(crate) fn busybox(self, arguments: &[&str]) -> Self {
        let program = ["/bin/busybox", "/usr/bin/busybox"]
            .iter()
            .find_map(|path| fs::read(path).ok())
            .expect("busybox-static is installed");
        let mut args = vec!["/bin/busybox"];
        args.extend(arguments);
        self.file("bin/busybox", &program)
            .set("/process/args", json!(args))
    }

    /// With a terminal, as `tty: true` and `stdin: true` ask for it: pipes for what is typed and for all output.
    #[must_use]
    pub(crate) fn with_terminal(mut self) -> Self {
        for name in ["stdin", "stdout"] {
            nix::unistd::mkfifo(&self.path.join(name), nix::sys::stat::Mode::S_IRWXU)
                .expect("a pipe");
        }
        self.terminal = true;
        let devpts = json!({
            "destination": "/dev/pts", "type": "devpts", "source": "devpts",
            "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        });
        self.config["process"]["terminal"] = json!(true);
        self.mount(devpts)
    }

    pub(crate) fn has_terminal(&self) -> bool {
        self.terminal
    }

    /// With named pipes for its output.
    #[must_use]
    pub(crate) fn with_pipes(mut self) -> Self {
        for name in ["stdout", "stderr"] {
            self.make_pipe(name);
        }
        self.pipes = true;
        self
    }

    /// Makes a named pipe and returns its path.
    pub(crate) fn make_pipe(&self, name: &str) -> String {
        let mode = nix::sys::stat::Mode::S_IRWXU;
        nix::unistd::mkfifo(&self.path.join(name), mode).expect("a pipe");
        self.pipe(name)
    }

    pub(crate) fn stdout(&self) -> Option<String> {
        (self.pipes || self.terminal).then(|| self.pipe("stdout"))
    }

    pub(crate) fn stdin(&self) -> Option<String> {
        self.terminal.then(|| self.pipe("stdin"))
    }

    pub(crate) fn stderr(&self) -> Option<String> {
        self.pipes.then(|| self.pipe("stderr"))
    }

    fn pipe(&self, name: &str) -> String {
        self.path.join(name).display().to_string()
    }

    /// Opens a pipe for reading, as containerd does.
    pub(crate) fn reader(&self, name: &str) -> fs::File {
        fs::OpenOptions::new()
            .read(true)
            .custom_flags(nix::libc::O_NONBLOCK)
            .open(self.path.join(name))
            .expect("a pipe")
    }

    /// Writes the configuration.
    #[must_use]
    pub(crate) fn finish(self) -> Self {
        let text = serde_json::to_vec(&self.config).expect("JSON");
        fs::write(self.path.join("config.json"), text).expect("a configuration");
        self
    }
}

/// Everything that is in a pipe after its writers are gone.
pub(crate) fn drain(mut pipe: fs::File) -> String {
    let mut text = Vec::new();
    pipe.read_to_end(&mut text).expect("the pipe has ended");
    String::from_utf8_lossy(&text).into_owned()
}
