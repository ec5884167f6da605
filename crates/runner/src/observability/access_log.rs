//! Access log: one entry for each request with a head that can be parsed, under the target `access`.

use std::time::Duration;

use http::{Method, Request, Uri, Version};

use super::request_context::RequestContext;

/// An entry that waits for the end of its request.
#[derive(Debug)]
pub(crate) struct AccessEntry {
    method: Method,
    uri: Uri,
    version: Version,
    context: RequestContext,
}

impl AccessEntry {
    /// `None` when the access log is disabled, which then costs next to nothing.
    pub(crate) fn of<B>(request: &Request<B>, context: &RequestContext) -> Option<Box<Self>> {
        if !tracing::event_enabled!(target: "access", tracing::Level::INFO) {
            return None;
        }
        Some(Box::new(Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            context: context.clone(),
        }))
    }

    /// Writes the entry.
    pub(crate) fn log(
        &self,
        function: Option<&str>,
        status: u16,
        took: Duration,
        cause: Option<&'static str>,
    ) {
        tracing::info!(
            target: "access",
            function,
            method = %self.method,
            // Queries may contain private data.
            path = self.uri.path(),
            version = ?self.version,
            status,
            cause,
            microseconds = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            peer = %self.context.peer,
            request_id = self.context.request_id.as_str(),
            trace = self.context.trace.as_ref().map(|trace| tracing::field::display(trace.context)),
        );
    }
}
