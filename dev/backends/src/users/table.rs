//! The table of users: creates it, inserts and reads rows, through a pool of connections.
//!
//! Values are always passed as parameters; the statements consist of constants.

use std::sync::LazyLock;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Pool, PoolError, RecyclingMethod, Runtime};
use thiserror::Error;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Config, NoTls};

use super::page::Page;
use super::row::{Row, User};

/// The most connections to the database.
const CONNECTIONS: usize = 16;

/// How long a request may wait for a connection, and for a new one to be made.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

static CREATE: LazyLock<String> = LazyLock::new(|| {
    let columns = User::COLUMNS.join(" text NOT NULL, ");
    format!(
        "CREATE TABLE IF NOT EXISTS public.users \
         (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, {columns} text NOT NULL)"
    )
});

static INSERT: LazyLock<String> = LazyLock::new(|| {
    let columns = User::COLUMNS.join(", ");
    let places: Vec<_> = (1..=User::COLUMNS.len())
        .map(|place| format!("${place}"))
        .collect();
    let places = places.join(", ");
    format!("INSERT INTO public.users ({columns}) VALUES ({places}) RETURNING id")
});

static READ: LazyLock<String> = LazyLock::new(|| {
    let columns = User::COLUMNS.join(", ");
    format!("SELECT id, {columns} FROM public.users ORDER BY id LIMIT $1 OFFSET $2")
});

const COUNT: &str = "SELECT count(*) FROM public.users";

/// Why a statement failed.
#[derive(Debug, Error)]
pub enum TableError {
    /// The database cannot be reached, or has no free connection.
    #[error("the database cannot be reached")]
    Unreachable(#[source] PoolError),
    /// The connection broke, or the database is shutting down.
    #[error("the connection to the database broke")]
    Broken(#[source] tokio_postgres::Error),
    /// The database rejects the values.
    #[error("the database refuses these values")]
    Values(#[source] tokio_postgres::Error),
    /// Anything else: the statements do not match the database.
    #[error("the database failed")]
    Failed(#[source] tokio_postgres::Error),
}

/// The table, behind a pool.
pub(crate) struct Table {
    pool: Pool,
}

/// Connects, and creates the table if it does not exist.
pub(crate) async fn connect(config: Config) -> Result<Table, TableError> {
    let manager_config = ManagerConfig {
        recycling_method: RecyclingMethod::Fast,
    };
    let manager = Manager::from_config(config, NoTls, manager_config);
    let pool = Pool::builder(manager)
        .max_size(CONNECTIONS)
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(ACQUIRE_TIMEOUT))
        .create_timeout(Some(ACQUIRE_TIMEOUT))
        .recycle_timeout(Some(ACQUIRE_TIMEOUT))
        .build()
        .expect("a pool with time limits and a runtime can be built");
    let table = Table { pool };
    table
        .client()
        .await?
        .batch_execute(&CREATE)
        .await
        .map_err(classify)?;
    Ok(table)
}

impl Table {
    pub(super) async fn insert(&self, user: User) -> Result<Row, TableError> {
        let client = self.client().await?;
        let statement = client.prepare_cached(&INSERT).await.map_err(classify)?;
        let values = user.values();
        let parameters = values.each_ref().map(|value| value as &(dyn ToSql + Sync));
        let inserted = client
            .query_one(&statement, &parameters)
            .await
            .map_err(classify)?;
        let id = inserted.try_get(0).map_err(classify)?;
        Ok(Row { id, user })
    }

    pub(super) async fn read(&self, page: Page) -> Result<Vec<Row>, TableError> {
        let client = self.client().await?;
        let statement = client.prepare_cached(&READ).await.map_err(classify)?;
        let rows = client.query(&statement, &[&page.limit, &page.offset]).await;
        let rows = rows.map_err(classify)?;
        rows.iter()
            .map(row)
            .collect::<Result<_, _>>()
            .map_err(classify)
    }

    pub(super) async fn count(&self) -> Result<i64, TableError> {
        let client = self.client().await?;
        let statement = client.prepare_cached(COUNT).await.map_err(classify)?;
        let row = client.query_one(&statement, &[]).await.map_err(classify)?;
        row.try_get(0).map_err(classify)
    }

    /// Whether the database answers.
    pub(super) async fn check(&self) -> Result<(), TableError> {
        self.client()
            .await?
            .simple_query("")
            .await
            .map_err(classify)?;
        Ok(())
    }

    async fn client(&self) -> Result<deadpool_postgres::Client, TableError> {
        self.pool.get().await.map_err(TableError::Unreachable)
    }
}

fn row(row: &tokio_postgres::Row) -> Result<Row, tokio_postgres::Error> {
    Ok(Row {
        id: row.try_get("id")?,
        user: User {
            name: row.try_get("name")?,
            username: row.try_get("username")?,
            ip_address: row.try_get("ip_address")?,
            user_agent: row.try_get("user_agent")?,
            country: row.try_get("country")?,
            city: row.try_get("city")?,
            street_name: row.try_get("street_name")?,
            zip_code: row.try_get("zip_code")?,
            building_number: row.try_get("building_number")?,
        },
    })
}

/// Classifies an error by the class of the database's code, its first two characters.
fn classify(error: tokio_postgres::Error) -> TableError {
    match error
        .code()
        .map(SqlState::code)
        .and_then(|code| code.get(..2))
    {
        // Data exceptions and constraint violations.
        Some("22" | "23") => TableError::Values(error),
        // Connections, resources, and shutdowns. Without a code the connection itself failed.
        Some("08" | "53" | "57" | "58") | None => TableError::Broken(error),
        Some(_) => TableError::Failed(error),
    }
}
