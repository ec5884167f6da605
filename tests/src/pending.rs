//! What a test waits for, with its type hidden.

use std::pin::Pin;

/// A future in a box. The body of an `async fn` is compiled by the crate that polls it: behind this type it
/// is compiled here once, and not again for every test program.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
