//! Parses the URLs of the services behind a function, from the environment.
//!
//! Only scheme, authority, path and query are supported. User names, passwords and fragments are
//! errors.

use std::fmt;

use thiserror::Error;

use crate::Error as FunctionError;

/// An absolute `http` or `https` URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    text: String,
    authority: usize,
    path: usize,
}

/// Why a text is not a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidUrl {
    /// It starts with neither `http://` nor `https://`.
    #[error("it doesn't start with http:// or https://")]
    Scheme,
    /// There is nothing between the scheme and the path.
    #[error("it names no host")]
    NoHost,
    /// It holds white space, a control character, something beyond ASCII, a user name or a fragment.
    #[error("it holds `{}`, which doesn't belong there", .0.escape_default())]
    Character(char),
}

impl Url {
    /// Parses a URL.
    pub fn parse(text: &str) -> Result<Url, InvalidUrl> {
        let stray =
            |c: char| !c.is_ascii_graphic() || matches!(c, '@' | '#' | '\\' | '"' | '<' | '>');
        if let Some(stray) = text.chars().find(|c| stray(*c)) {
            return Err(InvalidUrl::Character(stray));
        }
        let authority = ["http://", "https://"]
            .iter()
            .find(|scheme| text.starts_with(**scheme))
            .ok_or(InvalidUrl::Scheme)?
            .len();
        let path = text[authority..]
            .find(['/', '?'])
            .map_or(text.len(), |path| authority + path);
        if path == authority {
            return Err(InvalidUrl::NoHost);
        }
        Ok(Url {
            text: text.to_owned(),
            authority,
            path,
        })
    }

    /// The URL with `path` appended; a `/` at its own end is removed.
    #[must_use]
    pub fn join(mut self, path: &str) -> Url {
        let kept = self.text.trim_end_matches('/').len().max(self.path);
        self.text.truncate(kept);
        self.text.push_str(path);
        self
    }

    /// Whether the scheme is `https`.
    pub fn is_https(&self) -> bool {
        self.text.starts_with("https:")
    }

    /// Host and port: `127.0.0.1:8091`.
    pub fn authority(&self) -> &str {
        &self.text[self.authority..self.path]
    }

    /// Path and query: `/hamlet.txt`, or an empty string, which HTTP takes for `/`.
    pub fn path_with_query(&self) -> &str {
        &self.text[self.path..]
    }

    /// The whole URL.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Url {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

/// The URL in an environment variable.
pub fn url_from_environment(variable: &'static str) -> Result<Url, FunctionError> {
    let text = value(variable).ok_or(FunctionError::NoVariable { variable })?;
    Url::parse(&text).map_err(|source| FunctionError::Variable { variable, source })
}

/// Asks WASI itself, because a component's standard library has no access to the environment; see
/// `wasm/preview1.rs`.
#[cfg(target_family = "wasm")]
fn value(variable: &str) -> Option<String> {
    let variables = wasip2::cli::environment::get_environment();
    let mut variables = variables.into_iter();
    Some(variables.find(|(name, _)| name == variable)?.1)
}

#[cfg(not(target_family = "wasm"))]
fn value(variable: &str) -> Option<String> {
    let value = std::env::var_os(variable)?;
    Some(value.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        fn check(text: &str, expected: Result<(bool, &str, &str), InvalidUrl>) {
            let url = Url::parse(text);
            let parts = url
                .as_ref()
                .map(|url| (url.is_https(), url.authority(), url.path_with_query()));
            assert_eq!(parts.map_err(|error| *error), expected, "{text}");
        }
        check(
            "http://127.0.0.1:8091/hamlet.txt",
            Ok((false, "127.0.0.1:8091", "/hamlet.txt")),
        );
        check("https://example.com", Ok((true, "example.com", "")));
        check("http://[::1]:80?a=b", Ok((false, "[::1]:80", "?a=b")));
        check("ftp://example.com", Err(InvalidUrl::Scheme));
        check("http:///path", Err(InvalidUrl::NoHost));
        check("http://user@example.com", Err(InvalidUrl::Character('@')));
        check("http://example.com/a b", Err(InvalidUrl::Character(' ')));
        check("http://example.com\r\n", Err(InvalidUrl::Character('\r')));
    }

    #[test]
    fn a_path_is_joined_with_one_slash() {
        fn check(base: &str, expected: &str) {
            let url = Url::parse(base).expect("a URL").join("/prest/public/users");
            assert_eq!(url.as_str(), expected);
        }
        check("http://a:1", "http://a:1/prest/public/users");
        check("http://a:1/", "http://a:1/prest/public/users");
        check("http://a:1/base/", "http://a:1/base/prest/public/users");
    }
}
