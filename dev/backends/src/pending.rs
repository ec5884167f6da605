//! Boxed futures, which hide their type.

use std::pin::Pin;

/// A boxed future. The crate that polls an `async fn` compiles its body. Behind this type the
/// database's client and the servers are compiled once, in this crate, and not again in every test
/// program.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
