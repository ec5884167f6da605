//! Command line of the pool.

use std::fs;
use std::io;
use std::net::{AddrParseError, IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use sampan_artifact::Trust;
use sampan_engine::{CacheKey, CompileCommand, NotACacheKey};
use sampan_runner::ServerConfig;
use sampan_spec::{ByteSize, Timespan};

use crate::fields::PodFields;
use crate::memory::{MemoryError, instance_memory};
use crate::peers::PeerSettings;
use crate::serve::Settings;

/// This program, even if its file has been replaced since the start: the compiling child must have
/// the version of its parent.
const SELF_EXE: &str = "/proc/self/exe";

/// How long a restarted pod waits for the list of functions before it is ready with what it served
/// before. A list takes seconds, and without an API server there is none.
const LIST_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves the pooled functions of a namespace, each on the port in its status.poolPort.
///
/// The operator makes the Deployment sampan-pool in each namespace with functions of
/// spec.placement Pooled, so this program is not started by hand. It reads the functions, config
/// maps and Secrets of its namespace and writes nothing. What it serves goes on without the API
/// server, also after a restart.
#[derive(Debug, Parser)]
#[command(name = "sampan-pool", version, max_term_width = 100)]
pub(crate) struct Options {
    /// The namespace. Default: that of the pod's service account, or of the kubeconfig.
    #[arg(long, value_name = "NAMESPACE", env = "POD_NAMESPACE")]
    pub(crate) namespace: Option<String>,
    /// The folder that remembers what is served, for a restart without the API server. It contains
    /// values of Secrets: mount an emptyDir of medium Memory.
    #[arg(long, value_name = "FOLDER", default_value = "/run/sampan")]
    state: PathBuf,
    /// The folder of pulled images and compiled modules: mount an emptyDir.
    #[arg(long, value_name = "FOLDER", default_value = "/var/cache/sampan")]
    cache: PathBuf,
    /// The address that serves /metrics, /healthz, /readyz and /functions.
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "[::]:9090",
        env = "SAMPAN_ADMIN"
    )]
    pub(crate) admin: SocketAddr,
    /// A registry that is asked over HTTP without TLS, as HOST or HOST:PORT. Repeatable; several
    /// are separated by commas.
    #[arg(
        long,
        value_name = "HOST",
        value_delimiter = ',',
        env = "SAMPAN_PLAIN_HTTP_REGISTRIES"
    )]
    plain_http_registry: Vec<String>,
    /// How long the pod accepts requests after SIGTERM, until every proxy has removed it. Each function but the first
    /// adds 50 ms: the endpoints of Services change one after the other.
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "5s", env = "SAMPAN_DRAIN_DELAY")]
    pub(crate) drain_delay: Duration,
    /// How long requests in progress may then take. The rest is cut.
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "30s", env = "SAMPAN_DRAIN_TIMEOUT")]
    drain_timeout: Duration,
    /// How long a starting pod waits for the next function that is loaded. Then it is ready without
    /// the rest, if it serves at least one.
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "2m", env = "SAMPAN_READY_TIMEOUT")]
    ready_timeout: Duration,
    /// How many images are downloaded, and how many modules are loaded, concurrently. Of these, one
    /// for each processor compiles.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=256), default_value = "8", env = "SAMPAN_LOADS")]
    loads: u16,
    /// The most instances of all functions at once. Further requests get 503.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=10_000), default_value = "1000", env = "SAMPAN_INSTANCES")]
    instances: u32,
    /// The most linear memory of all instances. Near it, a function that uses more than an equal part
    /// gets 503. Default: 60 % of the container's memory limit.
    #[arg(long, value_name = "BYTES", value_parser = bytes, env = "SAMPAN_INSTANCE_MEMORY")]
    instance_memory: Option<u64>,
    /// The most open connections of all functions. At the limit, idle ones are closed.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1_000_000), default_value = "10000", env = "SAMPAN_CONNECTIONS")]
    connections: u32,
    /// The file with the key of this pool's compiled modules: 32 random bytes, the same for all pods. With it, pods
    /// give each other their modules, and each is compiled once. Default: every pod compiles all.
    #[arg(long, value_name = "FILE", env = "SAMPAN_PEER_KEY")]
    peer_key: Option<PathBuf>,
    /// The pods of this pool, as HOST:PORT. A host may have many addresses. Repeatable; several are separated by
    /// commas.
    #[arg(
        long,
        value_name = "HOST:PORT",
        value_delimiter = ',',
        env = "SAMPAN_PEERS",
        requires = "peer_key"
    )]
    peers: Vec<String>,
    /// The address that gives compiled modules to the other pods.
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "[::]:9091",
        env = "SAMPAN_PEER_LISTEN"
    )]
    peer_listen: SocketAddr,
    /// Format of log lines.
    #[arg(long, value_enum, default_value = "json", env = "SAMPAN_LOG_FORMAT")]
    pub(crate) log_format: Format,
    /// A log filter, such as info or `info,sampan_pool=debug`. Default: `RUST_LOG`, or info.
    #[arg(long, value_name = "FILTER")]
    pub(crate) log_filter: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Format {
    Text,
    Json,
}

/// Reasons why options cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OptionsError {
    #[error("the memory for instances is not known")]
    Memory(#[from] MemoryError),
    #[error("{} cannot be read: give --peer-key the file of the pool's key", file.display())]
    ReadKey {
        file: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} has no key for --peer-key", file.display())]
    Key {
        file: PathBuf,
        #[source]
        source: NotACacheKey,
    },
    #[error("--peer-key needs the pod's address in POD_IP")]
    NoAddress,
    #[error("POD_IP is no address")]
    Address(#[source] AddrParseError),
}

impl Options {
    /// The most threads that loads occupy: of new modules, and of known ones.
    pub(crate) fn load_threads(&self) -> usize {
        2 * usize::from(self.loads)
    }

    /// The settings of the pool. `trust` is for registries, `compile` the argument with which this
    /// program compiles.
    ///
    /// # Errors
    ///
    /// [`OptionsError`], when the memory limit of the container or the key of the pool is needed and not known.
    pub(crate) fn settings(
        &self,
        trust: Trust,
        compile: &str,
        fields: PodFields,
    ) -> Result<Settings, OptionsError> {
        let instance_memory = match self.instance_memory {
            Some(bytes) => Some(bytes),
            None => instance_memory()?,
        };
        let peers = self.peers(&fields)?;
        Ok(Settings {
            peers,
            state: self.state.clone(),
            cache: self.cache.clone(),
            compiler: CompileCommand {
                program: Path::new(SELF_EXE).to_owned(),
                arguments: vec![compile.to_owned()],
                // The allocator reserves address space in steps of a gibibyte, which would count
                // against limits.compileMemory.
                environment: vec![(sampan_allocator::ARENAS.to_owned(), "0".to_owned())],
            },
            instances: self.instances,
            instance_memory,
            processors: processors(),
            server: ServerConfig {
                drain: self.drain_timeout,
                max_connections: usize::try_from(self.connections).unwrap_or(usize::MAX),
                ..ServerConfig::new(Vec::new())
            },
            plain_http_registries: self.plain_http_registry.clone(),
            trust,
            loads: self.loads.into(),
            ready_timeout: self.ready_timeout,
            list_timeout: LIST_TIMEOUT,
            fields,
        })
    }

    fn peers(&self, fields: &PodFields) -> Result<Option<PeerSettings>, OptionsError> {
        let Some(file) = &self.peer_key else {
            return Ok(None);
        };
        let file = || file.clone();
        let bytes = fs::read(file()).map_err(|source| OptionsError::ReadKey {
            file: file(),
            source,
        })?;
        let key = CacheKey::new(&bytes).map_err(|source| OptionsError::Key {
            file: file(),
            source,
        })?;
        let address = fields.get("status.podIP").ok_or(OptionsError::NoAddress)?;
        let address: IpAddr = address.parse().map_err(OptionsError::Address)?;
        Ok(Some(PeerSettings {
            key,
            listen: self.peer_listen,
            own: SocketAddr::new(address, self.peer_listen.port()),
            pods: self.peers.clone(),
        }))
    }
}

/// The processors that this process may use.
pub(crate) fn processors() -> usize {
    // An error means that the system does not give the number, as the standard library documents.
    available_parallelism().map_or(1, NonZeroUsize::get)
}

/// Parses a time such as 500ms, 30s or 10m.
fn time(text: &str) -> Result<Duration, String> {
    let Timespan(time) = text.parse().map_err(|error| format!("{error}"))?;
    if time > Duration::from_hours(24) {
        return Err("it is more than a day".to_owned());
    }
    Ok(time)
}

/// Parses a size such as 512Mi or 2Gi.
fn bytes(text: &str) -> Result<u64, String> {
    let size: ByteSize = text.parse().map_err(|error| format!("{error}"))?;
    Ok(size.bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines_are_parsed() {
        fn check(arguments: &[&str], accepted: bool) {
            let parsed = Options::try_parse_from(["sampan-pool"].iter().chain(arguments));
            assert_eq!(parsed.is_ok(), accepted, "{arguments:?}: {parsed:?}");
        }
        check(&[], true);
        check(&["--drain-delay", "0s", "--ready-timeout", "500ms"], true);
        check(&["--drain-delay", "5"], false);
        check(&["--drain-delay", "25h"], false);
        check(&["--loads", "0"], false);
        check(&["--instance-memory", "512Mi"], true);
        check(&["--instance-memory", "half"], false);
        check(&["--admin", "9090"], false);
        check(&["--unknown"], false);
        check(&["--peer-key", "/key", "--peers", "sampan-pool:9091"], true);
        check(&["--peers", "sampan-pool:9091"], false);
    }

    #[test]
    fn a_pool_with_a_key_shares_modules() {
        fn check(key: Option<&[u8]>, address: Option<&str>, expected: Result<&str, &str>) {
            let folder = tempfile::tempdir().expect("a folder");
            let file = folder.path().join("key");
            if let Some(key) = key {
                fs::write(&file, key).expect("it is written");
            }
            let path = file.to_str().expect("it is text");
            let options =
                Options::parse_from(["sampan-pool", "--peer-key", path, "--peers", "a:1,b:2"]);
            let fields =
                PodFields::of(|name| address.filter(|_| name == "POD_IP").map(str::to_owned));
            let found = match options.settings(Trust::Public, "compile", fields) {
                Ok(settings) => {
                    let peers = settings.peers.expect("there is a key");
                    assert_eq!(peers.pods, ["a:1", "b:2"]);
                    Ok(peers.own.to_string())
                }
                Err(error) => Err(error.to_string().replace(path, "FILE")),
            };
            let expected = expected.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(found, expected);
        }
        let key = [1; CacheKey::LENGTH];
        check(Some(&key), Some("10.0.0.1"), Ok("10.0.0.1:9091"));
        check(Some(&key), Some("fd00::1"), Ok("[fd00::1]:9091"));
        let missing = "FILE cannot be read: give --peer-key the file of the pool's key";
        check(None, Some("10.0.0.1"), Err(missing));
        check(
            Some(&key[1..]),
            Some("10.0.0.1"),
            Err("FILE has no key for --peer-key"),
        );
        check(
            Some(&key),
            None,
            Err("--peer-key needs the pod's address in POD_IP"),
        );
        check(Some(&key), Some("here"), Err("POD_IP is no address"));
    }

    #[test]
    fn registries_without_tls_are_a_list() {
        let arguments = [
            "sampan-pool",
            "--plain-http-registry",
            "a:1,b",
            "--plain-http-registry",
            "c",
        ];
        let options = Options::parse_from(arguments);
        let settings = options.settings(Trust::Public, "compile", PodFields::default());
        let settings = settings.expect("this machine's limit is known");
        assert_eq!(settings.plain_http_registries, ["a:1", "b", "c"]);
    }
}
