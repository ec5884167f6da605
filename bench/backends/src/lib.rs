//! The real services behind two of the functions, for tests, `cargo xtask up` and the experiments.
//!
//! They are a private PostgreSQL with a REST front for `user-manager`, and a text over HTTP for
//! `fuzzysearch`. [`Backends`] starts and stops them together. This crate is independent of
//! functions and WebAssembly. Nothing stays behind, whether [`Backends`] is stopped, is dropped, or
//! its process is killed.

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
