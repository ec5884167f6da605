//! JSON document of a program, which its admin server serves, and for whose changes a client can
//! wait.

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::time::Duration;

/// A JSON document with a path of its own on the admin server.
///
/// A `GET` waits until [`Document::changed`] is ready, for [`Document::LONGEST_WAIT`] at most, and
/// then gets what [`Document::read`] returns.
pub trait Document: Send + Sync + 'static {
    /// The path, such as `/functions`; `None` for a server without a document.
    const PATH: Option<&'static str>;

    /// The longest wait for a change.
    const LONGEST_WAIT: Duration;

    /// What a client asks for.
    type Query: Send + Sync;

    /// Parses the query of a request, which is empty if it has none.
    ///
    /// # Errors
    ///
    /// A line for the client of a malformed query.
    fn parse(&self, query: &str) -> Result<Self::Query, String>;

    /// Ready when there is something for this query.
    fn changed(&self, query: &Self::Query) -> impl Future<Output = ()> + Send;

    /// The document for this query, as JSON.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    fn read(&self, query: &Self::Query) -> Result<String, Box<dyn Error + Send + Sync>>;
}

/// The absence of a document.
pub(crate) struct NoDocument;

impl Document for NoDocument {
    const PATH: Option<&'static str> = None;
    const LONGEST_WAIT: Duration = Duration::ZERO;
    type Query = Infallible;

    fn parse(&self, _: &str) -> Result<Infallible, String> {
        Err("there is no document".to_owned())
    }

    async fn changed(&self, query: &Infallible) {
        match *query {}
    }

    fn read(&self, query: &Infallible) -> Result<String, Box<dyn Error + Send + Sync>> {
        match *query {}
    }
}
