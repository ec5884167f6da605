//! A private PostgreSQL: a cluster of its own in a temporary folder, reached by a Unix socket in that
//! folder and by nothing else. It asks for no installed cluster, makes no user and opens no port, and
//! it goes, folder and all, when its owner does. Its rows are not meant to survive a crash.

mod account;
mod folder;
mod keeper;
mod programs;

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use thiserror::Error;
use tokio_postgres::{Config, NoTls};

use crate::pending::Pending;
use account::Account;
use keeper::Keeper;
use programs::Programs;

pub use account::AccountError;
pub use folder::FolderError;
pub use programs::ProgramsError;

/// The role that may do everything in the cluster.
const ROLE: &str = "sampan";

/// How long the server may take from its start to its first connection.
const READY_TIME: Duration = Duration::from_secs(30);

/// How long to wait between two attempts to connect, and for one of them.
const ATTEMPT_PAUSE: Duration = Duration::from_millis(10);
const ATTEMPT_TIME: Duration = Duration::from_secs(5);

/// What can be chosen about a cluster.
#[derive(Debug, Clone, Default)]
pub struct ClusterOptions {
    /// The folder of PostgreSQL's programs; without it the newest of those that Debian installs, or
    /// what `PATH` has.
    pub programs: Option<PathBuf>,
}

/// Why a cluster could not be started.
#[derive(Debug, Error)]
pub enum ClusterError {
    /// PostgreSQL is not installed, or not where it should be.
    #[error("failed to find PostgreSQL")]
    Programs(#[source] ProgramsError),
    /// There is nobody to run it as.
    #[error("failed to choose who runs PostgreSQL")]
    Account(#[source] AccountError),
    /// It has nowhere to keep its files.
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
        /// How it ended.
        status: ExitStatus,
        /// The end of what it said.
        said: String,
    },
    /// The server ended before anybody could connect.
    #[error("PostgreSQL ended while it started: {said}")]
    Ended {
        /// The end of what it said.
        said: String,
    },
    /// The server runs, and nobody can connect.
    #[error("PostgreSQL took no connection within {} s", READY_TIME.as_secs())]
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
    /// What to do about it.
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
    keeper: Keeper,
    folder: TempDir,
}

impl Cluster {
    /// Makes a cluster and starts it; returns once it takes connections.
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

    /// How to connect to one of its databases; `postgres` is always there.
    pub fn connection(&self, database: &str) -> Config {
        let mut config = Config::new();
        config
            .host_path(folder::socket(self.folder.path()))
            .user(ROLE)
            .dbname(database)
            .connect_timeout(ATTEMPT_TIME);
        config
    }

    /// Creates an empty database. Its name is the caller's own, never a user's.
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

    /// The folder that holds everything of it.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Stops it and waits for its end. Safe to call twice; this blocks.
    pub fn stop(&self) {
        self.keeper.stop();
    }

    fn begin(options: &ClusterOptions) -> Result<Cluster, ClusterError> {
        let programs =
            Programs::find(options.programs.as_deref()).map_err(ClusterError::Programs)?;
        let account = Account::choose().map_err(ClusterError::Account)?;
        let folder = folder::create(account.as_ref()).map_err(ClusterError::Folder)?;
        initialise(&programs, account.as_ref(), folder.path())?;
        let keeper = Keeper::start(&programs.postgres, account.as_ref(), folder.path());
        let keeper = keeper.map_err(|source| ClusterError::Start {
            program: programs.postgres,
            source,
        })?;
        Ok(Cluster { keeper, folder })
    }

    async fn ready(&self) -> Result<(), ClusterError> {
        let config = self.connection("postgres");
        let begun = Instant::now();
        loop {
            let Err(error) = config.connect(NoTls).await else {
                return Ok(());
            };
            if self.keeper.ended() {
                let said = self.keeper.said();
                return Err(ClusterError::Ended { said });
            }
            if begun.elapsed() > READY_TIME {
                return Err(ClusterError::NotReady(error));
            }
            tokio::time::sleep(ATTEMPT_PAUSE).await;
        }
    }
}

/// Fills the folder. Whoever reaches the socket is trusted: only the account and root do.
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
