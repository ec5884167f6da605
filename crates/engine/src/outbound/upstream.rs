//! The upstream of an outbound request: what its URI names and what its function's rules allow.

use std::fmt;

use http::Uri;
use sampan_spec::{OutboundRules, Permit, Scheme};

/// The scheme, host and port of a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Origin {
    pub(crate) scheme: Scheme,
    /// In lower case; an IPv6 address has its brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// An origin that a function may call.
#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    pub(super) origin: Origin,
    /// The addresses to which its name may resolve.
    pub(super) permit: Permit,
}

impl Origin {
    /// The origin of an absolute URI; `None` for other schemes than http and https.
    pub(crate) fn of(uri: &Uri) -> Option<Self> {
        let scheme: Scheme = uri.scheme_str()?.parse().ok()?;
        Some(Self {
            scheme,
            host: uri.host()?.to_ascii_lowercase(),
            port: uri.port_u16().unwrap_or_else(|| scheme.default_port()),
        })
    }

    /// Looks the origin up in the rules; `None` when no rule allows it.
    pub(crate) fn permitted(self, rules: &OutboundRules) -> Option<Upstream> {
        let permit = rules.permit(self.scheme, &self.host, self.port)?;
        Some(Upstream {
            origin: self,
            permit,
        })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scheme, host, port } = self;
        write!(f, "{scheme}://{host}:{port}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_has_one_spelling() {
        let check = |uri: &'static str, expected: Option<&str>| {
            let origin = Origin::of(&Uri::from_static(uri)).map(|origin| origin.to_string());
            assert_eq!(origin.as_deref(), expected, "{uri}");
        };
        check("http://Store/a", Some("http://store:80"));
        check("https://store/", Some("https://store:443"));
        check("http://user:secret@store:81/", Some("http://store:81"));
        check("http://[::1]:81/", Some("http://[::1]:81"));
        check("ftp://store/", None);
        check("/a", None);
    }
}
