//! The list of functions that local mode serves at `/`, as plain text or as HTML for a browser.

use std::collections::BTreeMap;
use std::fmt::Write;

use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response};
use sampan_spec::FunctionName;

use super::one_line::one_line;
use crate::routing::deployed::Callee;
use crate::routing::routes::Entry;

/// A line of the list.
struct Line<'a> {
    name: &'a str,
    /// The path that calls the function, from the server's root.
    path: String,
    state: String,
    about: String,
}

/// The list in the format that `headers` accept. `host` is the client's name for the server.
pub(crate) fn list<F: Callee>(
    entries: &BTreeMap<FunctionName, Entry<F>>,
    headers: &HeaderMap,
    host: &str,
) -> Response<Bytes> {
    let lines: Vec<_> = entries
        .iter()
        .map(|(name, entry)| Line::new(name, entry))
        .collect();
    let (media_type, text) = if wants_html(headers) {
        ("text/html; charset=utf-8", html(&lines))
    } else {
        ("text/plain; charset=utf-8", plain(&lines, host))
    };
    let mut response = Response::new(Bytes::from(text));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

impl<'a> Line<'a> {
    fn new<F: Callee>(name: &'a FunctionName, entry: &'a Entry<F>) -> Self {
        let (state, function) = match entry {
            Entry::Ready(deployed) => ("ready", Some(deployed.function())),
            Entry::Compiling => ("compiling", None),
            Entry::Failed(cause) => (cause.as_str(), None),
        };
        let example = function
            .and_then(|function| function.example.as_deref())
            .unwrap_or("/");
        let slash = if example.starts_with('/') { "" } else { "/" };
        let about = function
            .and_then(|function| function.description.as_deref())
            .unwrap_or("");
        Self {
            name: name.as_str(),
            path: one_line(&format!("/function/{name}{slash}{example}")),
            state: one_line(state),
            about: one_line(about),
        }
    }
}

fn wants_html(headers: &HeaderMap) -> bool {
    let accept = headers
        .get(ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .unwrap_or("");
    accept
        .split(',')
        .any(|range| range.trim().to_ascii_lowercase().starts_with("text/html"))
}

fn plain(lines: &[Line<'_>], host: &str) -> String {
    let mut text = String::new();
    for Line {
        name,
        path,
        state,
        about,
    } in lines
    {
        // Writing to a string cannot fail.
        let _ = write!(text, "{name}  http://{host}{path}  {state}");
        text.push_str(if about.is_empty() { "" } else { "  " });
        text.push_str(about);
        text.push('\n');
    }
    if lines.is_empty() {
        text.push_str("no functions\n");
    }
    text
}

fn html(lines: &[Line<'_>]) -> String {
    let mut text = String::from(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Functions</title>\n\
         <h1>Functions</h1>\n<table>\n",
    );
    for Line {
        name,
        path,
        state,
        about,
    } in lines
    {
        let (path, state, about) = (escape(path), escape(state), escape(about));
        let _ = writeln!(
            text,
            "<tr><td><a href=\"{path}\">{name}</a><td>{state}<td>{about}"
        );
    }
    text.push_str(if lines.is_empty() {
        "<tr><td>no functions\n"
    } else {
        ""
    });
    text.push_str("</table>\n");
    text
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}
