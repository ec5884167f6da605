//! Starts and stops both services together, for tests, `cargo xtask up` and the experiments.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use thiserror::Error;

use crate::cache::{self, CacheError};
use crate::hamlet::{self, HamletError};
use crate::pending::Pending;
use crate::postgres::{Cluster, ClusterError, ClusterOptions};
use crate::server::{BindError, Listen, Server};
use crate::text::{Text, TextError};
use crate::users::{self, UsersError};

/// The default address of the text server; the functions' files name it.
pub const TEXT_ADDRESS: SocketAddr = loopback(8091);

/// The default address of the REST front; the functions' files name it.
pub const USERS_ADDRESS: SocketAddr = loopback(8092);

/// The services to start. `Options::default()` starts nothing; [`Options::anywhere`] is for tests.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The text server, if wanted.
    pub text: Option<TextOptions>,
    /// PostgreSQL and its REST front, if wanted.
    pub users: Option<UsersOptions>,
}

/// The text server's options.
#[derive(Debug, Clone)]
pub struct TextOptions {
    /// The address to listen on.
    pub listen: Listen,
    /// The file to serve, under its name. By default *Hamlet*, fetched once into the cache.
    pub file: Option<PathBuf>,
}

/// The REST front's options.
#[derive(Debug, Clone)]
pub struct UsersOptions {
    /// The address to listen on.
    pub listen: Listen,
    /// The database behind it.
    pub cluster: ClusterOptions,
}

impl Options {
    /// Both services, on free ports of the loopback address.
    pub fn anywhere() -> Options {
        Options {
            text: Some(TextOptions {
                listen: loopback(0).into(),
                file: None,
            }),
            users: Some(UsersOptions {
                listen: loopback(0).into(),
                cluster: ClusterOptions::default(),
            }),
        }
    }
}

/// Why a service could not be started. Services that were started before it are stopped.
#[derive(Debug, Error)]
pub enum StartError {
    /// There is no folder for the text.
    #[error("failed to find the cache for the text")]
    Cache(#[source] CacheError),
    /// The text cannot be obtained.
    #[error("failed to obtain the text of Hamlet")]
    Hamlet(#[source] HamletError),
    /// The text cannot be served.
    #[error("failed to serve the text")]
    Text(#[source] TextError),
    /// PostgreSQL cannot be started.
    #[error("failed to start a private PostgreSQL")]
    Cluster(#[source] ClusterError),
    /// The table cannot be made.
    #[error("failed to create the table of users")]
    Users(#[source] UsersError),
    /// The server cannot listen on an address.
    #[error("failed to open a port")]
    Bind(#[source] BindError),
}

impl StartError {
    /// A remedy for the error.
    pub fn help(&self) -> &'static str {
        match self {
            StartError::Cache(_) => "set SAMPAN_CACHE to a folder that can be written to",
            StartError::Hamlet(error) => error.help(),
            StartError::Text(_) => "name a readable text file with --text FILE",
            StartError::Cluster(error) => error.help(),
            StartError::Users(_) => "see that the temporary folder has room for 100 MB",
            StartError::Bind(_) => {
                "choose another address with --text-listen or --users-listen; port 0 is any free one"
            }
        }
    }
}

/// Running services. Dropping them stops them at once; [`Backends::stop`] lets requests finish.
#[derive(Debug)]
pub struct Backends {
    // Dropped in this order: the fronts end before the database.
    text: Option<(Server, String)>,
    users: Option<Server>,
    cluster: Option<Cluster>,
}

impl Backends {
    /// Starts the requested services; returns once all of them answer. It must run in a Tokio
    /// runtime. Fetching *Hamlet* takes seconds the first time.
    pub fn start(options: Options) -> Pending<'static, Result<Backends, StartError>> {
        Box::pin(Backends::start_wanted(options))
    }

    async fn start_wanted(options: Options) -> Result<Backends, StartError> {
        let mut backends = Backends {
            text: None,
            users: None,
            cluster: None,
        };
        if let Some(options) = options.text {
            backends.text = Some(start_text(options).await?);
        }
        if let Some(options) = options.users {
            let cluster = Cluster::start(&options.cluster)
                .await
                .map_err(StartError::Cluster)?;
            let cluster = backends.cluster.insert(cluster);
            backends.users = Some(start_users(cluster, options.listen).await?);
        }
        Ok(backends)
    }

    /// The address of the text server.
    pub fn text_address(&self) -> Option<SocketAddr> {
        self.text.as_ref().map(|(server, _)| server.address())
    }

    /// The whole URL of the text, for the variable `TEXT_URL` of `fuzzysearch`.
    pub fn text_url(&self) -> Option<String> {
        let (server, route) = self.text.as_ref()?;
        Some(format!("http://{}{route}", server.address()))
    }

    /// The address of the REST front.
    pub fn users_address(&self) -> Option<SocketAddr> {
        self.users.as_ref().map(Server::address)
    }

    /// The root URL of the REST front, for the variable `USERS_URL` of `user-manager`.
    pub fn users_url(&self) -> Option<String> {
        Some(format!("http://{}", self.users_address()?))
    }

    /// The database behind the REST front, for tests that inspect or stop it.
    pub fn cluster(&self) -> Option<&Cluster> {
        self.cluster.as_ref()
    }

    /// Lets the requests in progress finish, then stops everything and waits for its end.
    pub fn stop(self) -> Pending<'static, ()> {
        Box::pin(self.stop_all())
    }

    async fn stop_all(self) {
        if let Some((server, _)) = self.text {
            server.stop().await;
        }
        if let Some(server) = self.users {
            server.stop().await;
        }
        if let Some(cluster) = self.cluster {
            // An error means that the task panicked. The cluster was dropped then, and so stopped.
            let _stopped = tokio::task::spawn_blocking(move || cluster.stop()).await;
        }
    }
}

async fn start_text(options: TextOptions) -> Result<(Server, String), StartError> {
    let file = match options.file {
        Some(file) => file,
        None => obtain().await?,
    };
    let text = Text::read(&file).await.map_err(StartError::Text)?;
    let route = text.route().to_owned();
    let server = Server::start("text server", options.listen, text.router()).await;
    Ok((server.map_err(StartError::Bind)?, route))
}

async fn start_users(cluster: &Cluster, listen: Listen) -> Result<Server, StartError> {
    let created = cluster.create_database(users::DATABASE).await;
    created.map_err(StartError::Cluster)?;
    let table = users::connect(cluster.connection(users::DATABASE)).await;
    let router = users::router(table.map_err(StartError::Users)?);
    let server = Server::start("REST front", listen, router).await;
    server.map_err(StartError::Bind)
}

async fn obtain() -> Result<PathBuf, StartError> {
    let cache = cache::folder().map_err(StartError::Cache)?;
    let obtained = tokio::task::spawn_blocking(move || hamlet::obtain(&cache)).await;
    match obtained {
        Ok(file) => file.map_err(StartError::Hamlet),
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    }
}

const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}
