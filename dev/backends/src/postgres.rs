//! A private PostgreSQL: a cluster of its own in a temporary folder, with a Unix socket in that
//! folder as its only access.
//!
//! It needs no installed cluster, creates no user and opens no port. It is removed with its folder
//! when its owner is dropped. Its rows are not meant to survive a crash.

mod account;
mod folder;
mod programs;
mod supervisor;

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use thiserror::Error;
use tokio_postgres::{Config, NoTls};

use crate::pending::Pending;
use account::Account;
use programs::Programs;
use supervisor::Supervisor;

pub use account::AccountError;
pub use folder::FolderError;
pub use programs::ProgramsError;

/// The superuser of the cluster.
const ROLE: &str = "sampan";

/// How long the server may take from its start to its first connection.
const READY_TIMEOUT: Duration = Duration::from_secs(30);

/// The delay between two attempts to connect, and the timeout of one.
const RETRY_DELAY: Duration = Duration::from_millis(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The options of a cluster.
#[derive(Debug, Clone, Default)]
pub struct ClusterOptions {
    /// The folder of PostgreSQL's programs. By default the newest version that Debian installed, or
    /// the one in `PATH`.
    pub programs: Option<PathBuf>,
}

/// Why a cluster could not be started.
#[derive(Debug, Error)]
pub enum ClusterError {
    /// PostgreSQL is not installed, or not in the requested folder.
    #[error("failed to find PostgreSQL")]
    Programs(#[source] ProgramsError),
    /// There is no account to run it.
    #[error("failed to choose an account for PostgreSQL")]
    Account(#[source] AccountError),
    /// There is no folder for its files.
    #[error("failed to make a folder for PostgreSQL")]
    Folder(#[source] FolderError),
    /// One of its programs could not be started.
    #[error("failed to start `{}`", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// `initdb` ended with a failure.
    #[error("initdb failed with {status}: {said}")]
    Initialise {
        /// Its exit status.
        status: ExitStatus,
        /// The end of its stderr.
        said: String,
    },
    /// The server ended before its first connection.
    #[error("PostgreSQL ended while it started: {said}")]
    Ended {
        /// The end of its stderr.
        said: String,
    },
    /// The server runs, but does not accept connections.
    #[error("PostgreSQL accepted no connection within {} s", READY_TIMEOUT.as_secs())]
    NotReady(#[source] tokio_postgres::Error),
    /// A statement of the set-up failed.
    #[error("failed to create the database `{name}`")]
    Database {
        /// The database.
        name: String,
        /// The cause.
        source: tokio_postgres::Error,
    },
}

impl ClusterError {
    /// A remedy for the error.
    pub fn help(&self) -> &'static str {
        match self {
            ClusterError::Programs(_) => "apt-get install --no-install-recommends postgresql",
            ClusterError::Account(_) => {
                "run this as an ordinary user, or install the package postgresql, which makes one"
            }
            ClusterError::Folder(_) => {
                "set TMPDIR to a short path of a folder with room for 100 MB"
            }
            ClusterError::Start { .. }
            | ClusterError::Initialise { .. }
            | ClusterError::Ended { .. }
            | ClusterError::NotReady(_)
            | ClusterError::Database { .. } => {
                "see that the temporary folder has room for 100 MB and that this PostgreSQL works"
            }
        }
    }
}

/// A running cluster. Dropping it stops it and waits for its end, which takes a tenth of a second.
#[derive(Debug)]
pub struct Cluster {
    // Dropped in this order: the server ends before its folder goes.
    supervisor: Supervisor,
    folder: TempDir,
}

impl Cluster {
    /// Makes a cluster and starts it; returns once it accepts connections.
    pub fn start(options: &ClusterOptions) -> Pending<'static, Result<Cluster, ClusterError>> {
        Box::pin(Cluster::start_ready(options.clone()))
    }

    async fn start_ready(options: ClusterOptions) -> Result<Cluster, ClusterError> {
        let begun = tokio::task::spawn_blocking(move || Cluster::begin(&options)).await;
        let cluster = match begun {
            Ok(cluster) => cluster?,
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        };
        cluster.ready().await?;
        Ok(cluster)
    }

    /// The settings of a connection to one of its databases; `postgres` always exists.
    pub fn connection(&self, database: &str) -> Config {
        let mut config = Config::new();
        config
            .host_path(folder::socket(self.folder.path()))
            .user(ROLE)
            .dbname(database)
            .connect_timeout(CONNECT_TIMEOUT);
        config
    }

    /// Creates an empty database. The name is a constant of the caller and never a user's input.
    pub async fn create_database(&self, name: &'static str) -> Result<(), ClusterError> {
        let failed = |source| ClusterError::Database {
            name: name.to_owned(),
            source,
        };
        let (client, connection) = self
            .connection("postgres")
            .connect(NoTls)
            .await
            .map_err(failed)?;
        let statement = format!("CREATE DATABASE {name}");
        let created = async {
            let created = client.batch_execute(&statement).await;
            drop(client);
            created
        };
        let (created, closed) = tokio::join!(created, connection);
        created.and(closed).map_err(failed)
    }

    /// The folder with all of its files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Stops it and waits for its end. A second call does nothing; it blocks.
    pub fn stop(&self) {
        self.supervisor.stop();
    }

    fn begin(options: &ClusterOptions) -> Result<Cluster, ClusterError> {
        let programs =
            Programs::find(options.programs.as_deref()).map_err(ClusterError::Programs)?;
        let account = Account::choose().map_err(ClusterError::Account)?;
        let folder = folder::create(account.as_ref()).map_err(ClusterError::Folder)?;
        initialise(&programs, account.as_ref(), folder.path())?;
        let supervisor = Supervisor::start(&programs.postgres, account.as_ref(), folder.path());
        let supervisor = supervisor.map_err(|source| ClusterError::Start {
            program: programs.postgres,
            source,
        })?;
        Ok(Cluster { supervisor, folder })
    }

    async fn ready(&self) -> Result<(), ClusterError> {
        let config = self.connection("postgres");
        let begun = Instant::now();
        loop {
            let Err(error) = config.connect(NoTls).await else {
                return Ok(());
            };
            if self.supervisor.ended() {
                let said = self.supervisor.stderr_tail();
                return Err(ClusterError::Ended { said });
            }
            if begun.elapsed() > READY_TIMEOUT {
                return Err(ClusterError::NotReady(error));
            }
            tokio::time::sleep(RETRY_DELAY).await;
        }
    }
}

/// Fills the folder. The server trusts every client on its socket, which only the account and root
/// can reach.
fn initialise(
    programs: &Programs,
    account: Option<&Account>,
    folder: &Path,
) -> Result<(), ClusterError> {
    let mut command = account::command(&programs.initdb, account, folder);
    command.arg("--pgdata").arg(folder::data(folder));
    command.args(["--username", ROLE, "--auth=trust", "--no-sync"]);
    command.args(["--encoding=UTF8", "--locale=C"]);
    let output = command.output().map_err(|source| ClusterError::Start {
        program: programs.initdb.clone(),
        source,
    })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(ClusterError::Initialise {
        status: output.status,
        said: said.trim().replace('\n', "; "),
    })
}
