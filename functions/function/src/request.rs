//! The part of an HTTP request that a function reads: its query.
//!
//! Path, headers and body are deliberately absent, because the functions answer any path and read
//! nothing else.

use crate::Query;

/// The methods that a function answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// The body is sent.
    Get,
    /// As GET, without the body.
    Head,
}

/// A request to a function.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    query: &'a str,
}

impl<'a> Request<'a> {
    /// A request from the target of its first line, a path and a query: `/any/path?n=100`.
    pub fn new(target: &'a str) -> Self {
        let query = target.split_once('?').map_or("", |(_, query)| query);
        Request { query }
    }

    /// A request from its query alone: `n=100`.
    pub fn with_query(query: &'a str) -> Self {
        Request { query }
    }

    /// The query with the parameters.
    pub fn query(&self) -> Query<'a> {
        Query::new(self.query)
    }
}
