//! Installing: the shim, the configuration, a restart, a look whether it worked. What did not is taken back.

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

/// The shim's name, by which containerd knows it.
pub(crate) const SHIM: &str = "containerd-shim-sampan-v1";
/// The folder of its libraries, beside it; the shim looks for them there before anywhere else.
pub(crate) const LIBRARIES: &str = "sampan-lib";
/// How often containerd and the node are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// What the two files of a configuration hold; nothing for a file that is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) main: Option<String>,
    pub(crate) drop_in: Option<String>,
}

/// Everything that is needed to change a node.
pub(crate) struct Work {
    pub(crate) node: Node,
    pub(crate) root: Root,
    pub(crate) host: Host,
    pub(crate) kubernetes: Option<Kubernetes>,
}

impl Work {
    pub(crate) async fn new(node: Node) -> Result<Self, Error> {
        let root = Root::new(&node.root);
        let host = Host::new(&node, root.at(&node.socket)).await?;
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

    /// Writes a state. Our own file is written first and removed last, so that no import leads nowhere.
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
        tell(&format!("restarting containerd: {}", self.node.restart));
        self.host.run(&["sh", "-c", &self.node.restart]).await?;
        let begun = Instant::now();
        loop {
            let what = match self.host.healthy().await {
                Ok(()) => return Ok(()),
                Err(what) => what,
            };
            if begun.elapsed() > self.node.patience {
                return Err(Error::NotBack {
                    what,
                    waited: begun.elapsed(),
                });
            }
            sleep(LOOK).await;
        }
    }

    fn config_error(&self, source: config::ConfigError) -> Error {
        Error::Config {
            path: self.node.config.clone(),
            source,
        }
    }

    /// What containerd makes of a main configuration.
    async fn dump(&self, config: &Path) -> Result<String, Error> {
        let config = config.display().to_string();
        let words = [&self.node.containerd, "--config", &config, "config", "dump"];
        self.host.run(&words).await
    }
}

/// Installs, and stays if asked to: also after what was taken back, for another attempt would restart containerd
/// twice more, and again and again.
pub(crate) async fn install(arguments: Install) -> Result<(), Error> {
    let stay = arguments.stay;
    match attempt(arguments).await {
        Err(error @ (Error::RolledBack { .. } | Error::Stuck { .. })) if stay => {
            eprintln!("error: {}", chain(&error));
            eprintln!(
                "help:  {}; delete this pod for another attempt",
                error.help()
            );
            stopped().await?;
            Err(error)
        }
        outcome => outcome,
    }
}

async fn attempt(arguments: Install) -> Result<(), Error> {
    let work = Work::new(arguments.node).await?;
    unready(arguments.ready_file.as_deref())?;
    let shim = work.node.shim_folder.join(SHIM);
    let libraries = work.node.shim_folder.join(LIBRARIES);
    for library in Root::list(&arguments.libraries)? {
        if let Some(name) = library.file_name() {
            work.root.install(&library, &libraries.join(name))?;
        }
    }
    if work.root.install(&arguments.shim, &shim)? {
        tell(&format!("{} is installed", shim.display()));
    }
    let before = work.state()?;
    let after = plan(&work, &before, &shim).await?;
    if after == before {
        tell("containerd's configuration has the runtime already");
    } else {
        change(&work, &before, &after).await?;
    }
    if let Some(kubernetes) = &work.kubernetes {
        kubernetes.mark(true).await?;
        tell(&format!("the node has the label {}=true", work.node.label));
    }
    tell("done: pods with the RuntimeClass of handler sampan can run here");
    ready(arguments.ready_file.as_deref(), arguments.stay).await
}

/// Writes the new configuration and restarts containerd; takes it back if that does not work.
async fn change(work: &Work, before: &State, after: &State) -> Result<(), Error> {
    let told_before = match &work.kubernetes {
        Some(kubernetes) => kubernetes.offers().await?,
        None => None,
    };
    if let Some(main) = before.main.as_ref().filter(|_| before.main != after.main) {
        work.root.keep(&work.node.config, main)?;
    }
    let outcome = async {
        work.put(after)?;
        work.restart().await?;
        // A node that tells what it offers must offer ours; others never say.
        match &work.kubernetes {
            Some(kubernetes) if told_before.is_some() => offered(work, kubernetes).await,
            _ => Ok(()),
        }
    };
    let Err(cause) = outcome.await else {
        return Ok(());
    };
    tell(&format!("taking everything back: {}", chain(&cause)));
    let back = async {
        work.put(before)?;
        work.restart().await?;
        work.root.forget(&work.node.config)
    };
    let cause = Box::new(cause);
    Err(match back.await {
        Ok(()) => Error::RolledBack { cause },
        Err(then) => Error::Stuck {
            cause,
            then: Box::new(then),
        },
    })
}

async fn offered(work: &Work, kubernetes: &Kubernetes) -> Result<(), Error> {
    let begun = Instant::now();
    while kubernetes.offers().await? != Some(true) {
        if begun.elapsed() > work.node.patience {
            return Err(Error::NotBack {
                what: "does not offer the runtime to the kubelet".to_owned(),
                waited: begun.elapsed(),
            });
        }
        sleep(LOOK).await;
    }
    Ok(())
}

/// The first way to have the runtime in the configuration that containerd takes without losing anything.
async fn plan(work: &Work, before: &State, shim: &Path) -> Result<State, Error> {
    let shim = shim.display().to_string();
    let entry = |version| Entry {
        version,
        shim: shim.clone(),
    };
    if work.node.template {
        // What the template becomes is known only when k3s or RKE2 starts.
        let main =
            config::template_with_block(before.main.as_deref(), &entry(work.node.template_version));
        return Ok(State {
            main: Some(main),
            drop_in: None,
        });
    }
    let dumped = work.dump(&work.node.config).await?;
    let speaks = dump::version(&dumped).map_err(|source| Error::Dump {
        command: format!("{} config dump", work.node.containerd),
        source,
    })?;
    let main = before.main.clone().unwrap_or_default();
    let failed = |source| work.config_error(source);
    let version = config::version(&main, speaks).map_err(failed)?;
    let own_file = State {
        main: Some(config::with_import(&main, &work.node.drop_in, version).map_err(failed)?),
        drop_in: Some(entry(version).file()),
    };
    let block = State {
        main: Some(config::with_block(&main, &entry(version)).map_err(failed)?),
        drop_in: None,
    };
    let mut tried = Vec::new();
    for (name, state) in [
        ("a file of its own", own_file),
        ("a block in the main file", block),
    ] {
        if state == *before {
            return Ok(state);
        }
        match check(work, before, &dumped, &state).await? {
            Ok(()) => {
                tell(&format!("containerd takes the runtime as {name}"));
                return Ok(state);
            }
            Err(why) => tried.push(format!("as {name}, {}", chain(&why))),
        }
    }
    Err(Error::NotTaken {
        tried: tried.join("; "),
    })
}

/// Asks containerd what it would make of a state, without giving it to the one that runs.
async fn check(
    work: &Work,
    before: &State,
    dumped: &str,
    state: &State,
) -> Result<Result<(), dump::DumpError>, Error> {
    let staged = work.node.config.with_extension("toml.sampan-new");
    work.root.put(&staged, state.main.as_deref())?;
    // The running containerd reads it only when it starts, and by then it is right or gone again.
    work.root
        .put(&work.node.drop_in, state.drop_in.as_deref())?;
    let after = work.dump(&staged).await;
    work.root.remove(&staged)?;
    work.root
        .put(&work.node.drop_in, before.drop_in.as_deref())?;
    Ok(dump::check(dumped, &after?))
}

/// Takes back what a process before this one has told the readiness probe.
pub(crate) fn unready(file: Option<&Path>) -> Result<(), Error> {
    match file {
        Some(path) => Root::new(Path::new("/")).remove(path),
        None => Ok(()),
    }
}

/// Tells a readiness probe, and stays.
pub(crate) async fn ready(file: Option<&Path>, stay: bool) -> Result<(), Error> {
    if let Some(path) = file {
        std::fs::write(path, "").map_err(|source| Error::File {
            what: "written",
            path: path.to_owned(),
            source,
        })?;
    }
    if stay { stopped().await } else { Ok(()) }
}

/// Waits for the end of the pod.
async fn stopped() -> Result<(), Error> {
    let terminate = tokio::signal::unix::SignalKind::terminate();
    let mut terminate =
        tokio::signal::unix::signal(terminate).map_err(|source| Error::Runtime { source })?;
    terminate.recv().await;
    Ok(())
}

/// A line for whoever reads the pod's log.
pub(crate) fn tell(line: &str) {
    println!("{line}");
}
