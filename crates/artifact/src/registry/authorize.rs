//! Answers a registry's authentication challenge: basic authentication, or a token of its token
//! service.
//!
//! Credentials are never sent unencrypted to an encrypted registry's token service, and never
//! shown.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use http::StatusCode;
use http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use reqwest::{RequestBuilder, Response};
use serde::Deserialize;
use url::{Url, form_urlencoded};

use super::Registry;
use super::body::Expected;
use super::exchange::Access;
use super::retry::Failure;
use crate::credentials::Login;
use crate::error::{Error, shown};
use crate::progress::Meter;

/// The most bytes of a token service's response.
const MAX_TOKEN_BYTES: u64 = 128 << 10;
/// The client's name for token services.
const CLIENT_ID: &str = "sampan";

/// The value of an Authorization header.
#[derive(Clone)]
pub(super) struct Authorization(HeaderValue);

impl fmt::Debug for Authorization {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Authorization(..)")
    }
}

impl Authorization {
    /// `None` if the secret has characters that no header may have.
    fn new(text: &str) -> Option<Self> {
        let mut value = HeaderValue::from_str(text).ok()?;
        value.set_sensitive(true);
        Some(Self(value))
    }

    fn basic(user: &str, password: &str) -> Option<Self> {
        Self::new(&format!(
            "Basic {}",
            STANDARD.encode(format!("{user}:{password}"))
        ))
    }

    fn bearer(token: &str) -> Option<Self> {
        Self::new(&format!("Bearer {token}"))
    }

    pub(super) fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

/// A challenge of a registry.
#[derive(Debug, PartialEq, Eq)]
enum Challenge {
    Basic,
    Bearer {
        realm: String,
        service: Option<String>,
        scope: Option<String>,
    },
}

#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
}

impl Registry {
    /// Answers the challenge of a response, and keeps the authorization for later requests.
    pub(super) async fn authorize(
        &self,
        response: &Response,
        access: Access,
    ) -> Result<(), Failure> {
        let headers = response.headers().get_all(WWW_AUTHENTICATE);
        let texts = headers.iter().filter_map(|value| value.to_str().ok());
        let challenges: Vec<Challenge> = texts.flat_map(challenges).collect();
        let authorization = match (&self.login, strongest(challenges)) {
            (Some(Login::Registry(token)), _) => Authorization::bearer(token),
            (Some(Login::Password { user, password }), Some(Challenge::Basic)) => {
                Authorization::basic(user, password)
            }
            (
                _,
                Some(Challenge::Bearer {
                    realm,
                    service,
                    scope,
                }),
            ) => {
                let realm = response.url().join(&realm).map_err(|_| Error::Protocol {
                    address: shown(response.url()),
                    problem: "its token service (realm) has no address",
                })?;
                let scope = scope.unwrap_or_else(|| access.scope(self.reference.repository()));
                Authorization::bearer(
                    &self
                        .token(&realm, service.as_deref(), &scope, access)
                        .await?,
                )
            }
            (_, Some(Challenge::Basic)) => None,
            (_, None) => {
                return Err(Error::Protocol {
                    address: shown(response.url()),
                    problem: "it wants credentials and does not say which (WWW-Authenticate)",
                }
                .into());
            }
        };
        let authorization = authorization.ok_or_else(|| self.unauthorized(access))?;
        self.authorizations
            .lock()
            .await
            .insert(access, authorization);
        Ok(())
    }

    /// Requests a token.
    async fn token(
        &self,
        realm: &Url,
        service: Option<&str>,
        scope: &str,
        access: Access,
    ) -> Result<String, Failure> {
        self.check_target(&self.base, realm)?;
        let request = self.token_request(realm, service, scope);
        let sent = request.send().await;
        let response = sent.map_err(|error| self.broken(realm, error))?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                return Err(self.unauthorized(access).into());
            }
            _ => return Err(self.unexpected(response, access).await),
        }
        let expected = Expected {
            what: "the answer of the registry's token service".to_owned(),
            digest: None,
            size: None,
            limit: MAX_TOKEN_BYTES,
        };
        let (bytes, _) = self.read(response, &expected, &Meter::silent()).await?;
        // The parser's error could quote the token, so it is dropped.
        let token: Option<Token> = serde_json::from_slice(&bytes).ok();
        token
            .map(|token| {
                if token.token.is_empty() {
                    token.access_token
                } else {
                    token.token
                }
            })
            .filter(|token| !token.is_empty())
            .ok_or_else(|| {
                Error::Protocol {
                    address: shown(realm),
                    problem: "its answer holds no token",
                }
                .into()
            })
    }

    fn token_request(&self, realm: &Url, service: Option<&str>, scope: &str) -> RequestBuilder {
        let client = self.client(realm);
        let mut pairs = vec![("scope", scope)];
        pairs.extend(service.map(|service| ("service", service)));
        if let Some(Login::Identity(token)) = &self.login {
            pairs.extend([
                ("grant_type", "refresh_token"),
                ("client_id", CLIENT_ID),
                ("refresh_token", token),
            ]);
            let form = form_urlencoded::Serializer::new(String::new())
                .extend_pairs(pairs)
                .finish();
            return client
                .post(realm.clone())
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(form);
        }
        let mut url = realm.clone();
        url.query_pairs_mut().extend_pairs(pairs);
        let request = client.get(url);
        match &self.login {
            Some(Login::Password { user, password }) => request.basic_auth(user, Some(password)),
            _ => request,
        }
    }
}

/// The supported challenges of one header.
fn challenges(text: &str) -> Vec<Challenge> {
    // A malformed header counts as none, which is an error of its own.
    let parsed = http_auth::parse_challenges(text).unwrap_or_default();
    parsed
        .into_iter()
        .filter_map(|challenge| {
            if challenge.scheme.eq_ignore_ascii_case("basic") {
                return Some(Challenge::Basic);
            }
            if !challenge.scheme.eq_ignore_ascii_case("bearer") {
                return None;
            }
            let parameter = |name: &str| {
                let mut parameters = challenge.params.iter();
                let found = parameters.find(|(key, _)| key.eq_ignore_ascii_case(name));
                found.map(|(_, value)| value.to_unescaped())
            };
            Some(Challenge::Bearer {
                realm: parameter("realm")?,
                service: parameter("service"),
                scope: parameter("scope"),
            })
        })
        .collect()
}

/// Prefers tokens: a stolen token is worth less than a password.
fn strongest(challenges: Vec<Challenge>) -> Option<Challenge> {
    let mut challenges = challenges;
    let bearer = challenges.iter().position(|one| *one != Challenge::Basic);
    let index = bearer.or(if challenges.is_empty() { None } else { Some(0) })?;
    Some(challenges.swap_remove(index))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read() {
        let check =
            |text: &str, expected: &[Challenge]| assert_eq!(challenges(text), expected, "{text}");
        let bearer = |service: Option<&str>, scope: Option<&str>| Challenge::Bearer {
            realm: "https://auth.example/token".to_owned(),
            service: service.map(str::to_owned),
            scope: scope.map(str::to_owned),
        };
        check(
            r#"Bearer realm="https://auth.example/token",service="r.example",scope="repository:a:pull""#,
            &[bearer(Some("r.example"), Some("repository:a:pull"))],
        );
        check(
            r#"bearer REALM="https://auth.example/token""#,
            &[bearer(None, None)],
        );
        check(r#"Basic realm="r""#, &[Challenge::Basic]);
        check(r#"Digest realm="r", nonce="x""#, &[]);
        check(r#"Bearer service="r""#, &[]);
        check("", &[]);
        check("\u{7f}", &[]);
    }

    #[test]
    fn a_token_goes_before_a_password() {
        let bearer = || Challenge::Bearer {
            realm: String::new(),
            service: None,
            scope: None,
        };
        assert_eq!(strongest(vec![Challenge::Basic, bearer()]), Some(bearer()));
        assert_eq!(strongest(vec![Challenge::Basic]), Some(Challenge::Basic));
        assert_eq!(strongest(vec![]), None);
    }

    #[test]
    fn authorizations_are_not_shown() {
        let value = Authorization::basic("me", "secret").expect("a header");
        assert!(!format!("{value:?} {:?}", value.header()).contains("bWU6"));
        assert!(Authorization::bearer("line\nbreak").is_none());
    }
}
