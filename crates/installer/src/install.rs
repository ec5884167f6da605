//! Installs the shim and the configuration, restarts containerd and checks it. Reverts a change
//! that fails.

use std::path::Path;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::arguments::{Install, Node};
use crate::config::{self, Entry};
use crate::dump;
use crate::error::{Error, chain};
use crate::files::Root;
use crate::host::Host;
use crate::node::Kubernetes;

/// File name of the shim, as containerd expects it.
pub(crate) const SHIM: &str = "containerd-shim-sampan-v1";
/// The folder of its libraries, beside it. The shim searches it first.
pub(crate) const LIBRARIES: &str = "sampan-lib";
/// The interval at which containerd and the node are polled.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// The contents of the two configuration files; `None` for a missing file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) main: Option<String>,
    pub(crate) drop_in: Option<String>,
}

/// Access to the node and its settings.
pub(crate) struct NodeContext {
    pub(crate) node: Node,
    pub(crate) root: Root,
    pub(crate) host: Host,
    pub(crate) kubernetes: Option<Kubernetes>,
}

impl NodeContext {
    pub(crate) async fn new(node: Node) -> Result<Self, Error> {
        let root = Root::new(&node.root);
        let host = Host::new(&node, root.resolve(&node.socket)).await?;
        let kubernetes = match &node.name {
            Some(name) => Some(Kubernetes::connect(name, &node.label).await?),
            None => None,
        };
        Ok(Self {
            node,
            root,
            host,
            kubernetes,
        })
    }

    pub(crate) fn state(&self) -> Result<State, Error> {
        Ok(State {
            main: self.root.read(&self.node.config)?,
            drop_in: self.root.read(&self.node.drop_in)?,
        })
    }

    /// Writes a state. The drop-in file is written first and removed last, so that every import
    /// exists.
    pub(crate) fn put(&self, state: &State) -> Result<bool, Error> {
        let mut changed = false;
        if state.drop_in.is_some() {
            changed |= self
                .root
                .put(&self.node.drop_in, state.drop_in.as_deref())?;
        }
        changed |= self.root.put(&self.node.config, state.main.as_deref())?;
        if state.drop_in.is_none() {
            changed |= self.root.put(&self.node.drop_in, None)?;
        }
        Ok(changed)
    }

    /// Restarts containerd and waits until it answers.
    pub(crate) async fn restart(&self) -> Result<(), Error> {
        report(&format!("restarting containerd: {}", self.node.restart));
        self.host.run(&["sh", "-c", &self.node.restart]).await?;
        let begun = Instant::now();
        loop {
            let what = match self.host.check_health().await {
                Ok(()) => return Ok(()),
                Err(what) => what,
            };
            if begun.elapsed() > self.node.timeout {
                return Err(Error::Unhealthy {
                    what,
                    waited: begun.elapsed(),
                });
            }
            sleep(POLL_INTERVAL).await;
        }
    }

    fn config_error(&self, source: config::ConfigError) -> Error {
        Error::Config {
            path: self.node.config.clone(),
            source,
        }
    }

    /// The dump of a main configuration.
    async fn dump(&self, config: &Path) -> Result<String, Error> {
        let config = config.display().to_string();
        let words = [&self.node.containerd, "--config", &config, "config", "dump"];
        self.host.run(&words).await
    }
}

/// Installs, and keeps running if requested. It also does so after a reverted change: another
/// attempt would restart containerd twice more, repeatedly.
pub(crate) async fn install(arguments: Install) -> Result<(), Error> {
    let stay = arguments.stay;
    match attempt(arguments).await {
        Err(error @ (Error::RolledBack { .. } | Error::RollbackFailed { .. })) if stay => {
            eprintln!("error: {}", chain(&error));
            eprintln!(
                "help:  {}; delete this pod for another attempt",
                error.help()
            );
            wait_for_stop().await?;
            Err(error)
        }
        outcome => outcome,
    }
}

async fn attempt(arguments: Install) -> Result<(), Error> {
    let context = NodeContext::new(arguments.node).await?;
    clear_ready(arguments.ready_file.as_deref())?;
    let shim = context.node.shim_folder.join(SHIM);
    let libraries = context.node.shim_folder.join(LIBRARIES);
    for library in Root::list(&arguments.libraries)? {
        if let Some(name) = library.file_name() {
            context.root.install(&library, &libraries.join(name))?;
        }
    }
    if context.root.install(&arguments.shim, &shim)? {
        report(&format!("{} is installed", shim.display()));
    }
    let before = context.state()?;
    let after = plan(&context, &before, &shim).await?;
    if after == before {
        report("containerd's configuration has the runtime already");
    } else {
        change(&context, &before, &after).await?;
    }
    if let Some(kubernetes) = &context.kubernetes {
        kubernetes.set_label(true).await?;
        report(&format!(
            "the node has the label {}=true",
            context.node.label
        ));
    }
    report("done: pods with the RuntimeClass of handler sampan can run here");
    signal_ready(arguments.ready_file.as_deref(), arguments.stay).await
}

/// Writes the new configuration and restarts containerd; reverts it on failure.
async fn change(context: &NodeContext, before: &State, after: &State) -> Result<(), Error> {
    let offered_before = match &context.kubernetes {
        Some(kubernetes) => kubernetes.offers().await?,
        None => None,
    };
    if let Some(main) = before.main.as_ref().filter(|_| before.main != after.main) {
        context.root.back_up(&context.node.config, main)?;
    }
    let outcome = async {
        context.put(after)?;
        context.restart().await?;
        // A node that reports its handlers must report the runtime; others never report any.
        match &context.kubernetes {
            Some(kubernetes) if offered_before.is_some() => {
                wait_until_offered(context, kubernetes).await
            }
            _ => Ok(()),
        }
    };
    let Err(cause) = outcome.await else {
        return Ok(());
    };
    report(&format!("reverting all changes: {}", chain(&cause)));
    let back = async {
        context.put(before)?;
        context.restart().await?;
        context.root.remove_backup(&context.node.config)
    };
    let cause = Box::new(cause);
    Err(match back.await {
        Ok(()) => Error::RolledBack { cause },
        Err(rollback) => Error::RollbackFailed {
            cause,
            rollback: Box::new(rollback),
        },
    })
}

async fn wait_until_offered(context: &NodeContext, kubernetes: &Kubernetes) -> Result<(), Error> {
    let begun = Instant::now();
    while kubernetes.offers().await? != Some(true) {
        if begun.elapsed() > context.node.timeout {
            return Err(Error::Unhealthy {
                what: "does not offer the runtime to the kubelet".to_owned(),
                waited: begun.elapsed(),
            });
        }
        sleep(POLL_INTERVAL).await;
    }
    Ok(())
}

/// Chooses the first form of the configuration that containerd accepts without losing a setting.
async fn plan(context: &NodeContext, before: &State, shim: &Path) -> Result<State, Error> {
    let shim = shim.display().to_string();
    let entry = |version| Entry {
        version,
        shim: shim.clone(),
    };
    if context.node.template {
        // k3s and RKE2 evaluate the template only when they start.
        let main = config::template_with_block(
            before.main.as_deref(),
            &entry(context.node.template_version),
        );
        return Ok(State {
            main: Some(main),
            drop_in: None,
        });
    }
    let dumped = context.dump(&context.node.config).await?;
    let supported = dump::version(&dumped).map_err(|source| Error::Dump {
        command: format!("{} config dump", context.node.containerd),
        source,
    })?;
    let main = before.main.clone().unwrap_or_default();
    let failed = |source| context.config_error(source);
    let version = config::version(&main, supported).map_err(failed)?;
    let own_file = State {
        main: Some(config::with_import(&main, &context.node.drop_in, version).map_err(failed)?),
        drop_in: Some(entry(version).file()),
    };
    let block = State {
        main: Some(config::with_block(&main, &entry(version)).map_err(failed)?),
        drop_in: None,
    };
    let mut tried = Vec::new();
    for (name, state) in [
        ("a drop-in file", own_file),
        ("a block in the main file", block),
    ] {
        if state == *before {
            return Ok(state);
        }
        match check(context, before, &dumped, &state).await? {
            Ok(()) => {
                report(&format!("containerd accepts the runtime as {name}"));
                return Ok(state);
            }
            Err(why) => tried.push(format!("as {name}: {}", chain(&why))),
        }
    }
    Err(Error::ConfigRejected {
        tried: tried.join("; "),
    })
}

/// Checks a state with a dump, without giving it to the running containerd.
async fn check(
    context: &NodeContext,
    before: &State,
    dumped: &str,
    state: &State,
) -> Result<Result<(), dump::DumpError>, Error> {
    let staged = context.node.config.with_extension("toml.sampan-new");
    context.root.put(&staged, state.main.as_deref())?;
    // The running containerd reads the drop-in only when it starts; by then it is valid or removed.
    context
        .root
        .put(&context.node.drop_in, state.drop_in.as_deref())?;
    let after = context.dump(&staged).await;
    context.root.remove(&staged)?;
    context
        .root
        .put(&context.node.drop_in, before.drop_in.as_deref())?;
    Ok(dump::check(dumped, &after?))
}

/// Removes the readiness file of an earlier process.
pub(crate) fn clear_ready(file: Option<&Path>) -> Result<(), Error> {
    match file {
        Some(path) => Root::new(Path::new("/")).remove(path),
        None => Ok(()),
    }
}

/// Writes the readiness file, and keeps running if requested.
pub(crate) async fn signal_ready(file: Option<&Path>, stay: bool) -> Result<(), Error> {
    if let Some(path) = file {
        std::fs::write(path, "").map_err(|source| Error::File {
            what: "written",
            path: path.to_owned(),
            source,
        })?;
    }
    if stay { wait_for_stop().await } else { Ok(()) }
}

/// Waits for the end of the pod.
async fn wait_for_stop() -> Result<(), Error> {
    let terminate = tokio::signal::unix::SignalKind::terminate();
    let mut terminate =
        tokio::signal::unix::signal(terminate).map_err(|source| Error::Runtime { source })?;
    terminate.recv().await;
    Ok(())
}

/// Writes a line to the pod's log.
pub(crate) fn report(line: &str) {
    println!("{line}");
}
