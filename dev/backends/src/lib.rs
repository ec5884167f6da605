//! The services behind two of the functions, for tests, `cargo xtask up` and the experiments.
//!
//! `user-manager` gets a private PostgreSQL (`postgres.rs`) with a REST front (`users.rs`). `fuzzysearch` gets a text
//! over HTTP (`text.rs`). [`Backends`] starts and stops them together. Nothing here depends on functions or
//! WebAssembly. Nothing stays behind when the holder of [`Backends`] stops it, drops it or is killed.

mod backends;
mod cache;
mod hamlet;
mod markdown;
mod pending;
mod postgres;
mod server;
mod text;
mod users;

pub use backends::{
    Backends, Options, StartError, TEXT_ADDRESS, TextOptions, USERS_ADDRESS, UsersOptions,
};
pub use cache::{CacheError, folder as cache_folder};
pub use hamlet::{HamletError, obtain as obtain_hamlet};
pub use pending::Pending;
pub use postgres::{
    AccountError, Cluster, ClusterError, ClusterOptions, FolderError, ProgramsError,
};
pub use server::{BindError, Listen};
pub use text::TextError;
pub use users::UsersError;
