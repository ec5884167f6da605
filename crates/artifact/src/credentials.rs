//! Registry credentials from Docker's configuration: from the file, or from a credential helper.
//!
//! Secrets are never shown. A helper's name must not be a path. A broken configuration is an error,
//! not an empty one.

mod credential_helper;

use std::collections::BTreeMap;
use std::env;
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::string::FromUtf8Error;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;

use crate::reference::Reference;

/// The most bytes of a configuration file.
const MAX_BYTES: u64 = 1 << 20;
/// The user name of a login that is an identity token for the token service.
const TOKEN_USER: &str = "<token>";

/// Base64 with or without its padding, which some programs leave out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Credentials for a registry.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Login {
    /// A name and a password.
    Password {
        /// The name.
        user: String,
        /// The password.
        password: String,
    },
    /// A token that the registry's token service exchanges for others.
    Identity(String),
    /// A token for the registry itself.
    Registry(String),
}

impl fmt::Debug for Login {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Password { .. } => "Login::Password(..)",
            Self::Identity(_) => "Login::Identity(..)",
            Self::Registry(_) => "Login::Registry(..)",
        })
    }
}

/// Reasons why credentials cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The file cannot be read.
    #[error("{} cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file is not Docker's configuration.
    #[error("{} is not Docker's configuration", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: serde_json::Error,
    },
    /// The file is larger than any configuration.
    #[error("{} has more than {MAX_BYTES} bytes", path.display())]
    Size {
        /// The file.
        path: PathBuf,
    },
    /// An `auth` that is not a user and a password in base64.
    #[error("the \"auth\" for {registry} in {} is not USER:PASSWORD in base64", path.display())]
    Auth {
        /// The file.
        path: PathBuf,
        /// The registry.
        registry: String,
    },
    /// A helper's name with invalid characters.
    #[error("the credential helper's name {name:?} is invalid")]
    HelperName {
        /// The name.
        name: String,
    },
    /// A helper that cannot be run.
    #[error("{program} cannot be run")]
    HelperStart {
        /// The program.
        program: String,
        /// The cause.
        source: io::Error,
    },
    /// A helper that failed.
    #[error("{program} failed for {registry} ({status})")]
    HelperFailed {
        /// The program.
        program: String,
        /// The registry.
        registry: String,
        /// Its exit status.
        status: std::process::ExitStatus,
    },
    /// A helper that did not end in time.
    #[error("{program} did not answer within {seconds} s")]
    HelperSlow {
        /// The program.
        program: String,
        /// The time limit.
        seconds: u64,
    },
    /// A helper with malformed output.
    #[error("the answer of {program} is not that of a credential helper")]
    HelperAnswer {
        /// The program.
        program: String,
    },
}

/// The part of Docker's configuration that concerns registries.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Contents {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
    #[serde(default)]
    creds_store: Option<String>,
    #[serde(default)]
    cred_helpers: BTreeMap<String, String>,
}

/// The entry of one registry.
#[derive(Clone, Default, Deserialize)]
struct Entry {
    #[serde(default)]
    auth: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    identitytoken: String,
    #[serde(default)]
    registrytoken: String,
}

/// Docker's configuration.
pub struct DockerConfig {
    path: PathBuf,
    file: Contents,
}

impl fmt::Debug for DockerConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("DockerConfig")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl DockerConfig {
    /// The path of Docker's configuration: in `$DOCKER_CONFIG`, or in `~/.docker`.
    pub fn default_path() -> Option<PathBuf> {
        let set = |name| env::var_os(name).filter(|value| !value.is_empty());
        let folder = set("DOCKER_CONFIG")
            .map(PathBuf::from)
            .or_else(|| set("HOME").map(|home| Path::new(&home).join(".docker")))?;
        Some(folder.join("config.json"))
    }

    /// Reads a configuration. A missing file counts as one without credentials.
    pub fn read(path: &Path) -> Result<Self, CredentialsError> {
        let mut bytes = Vec::new();
        let read =
            File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes));
        match read {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => bytes = b"{}".to_vec(),
            Err(source) => {
                return Err(CredentialsError::Read {
                    path: path.to_owned(),
                    source,
                });
            }
        }
        if bytes.len() as u64 > MAX_BYTES {
            return Err(CredentialsError::Size {
                path: path.to_owned(),
            });
        }
        let file = serde_json::from_slice(&bytes).map_err(|source| CredentialsError::Form {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            path: path.to_owned(),
            file,
        })
    }

    /// Parses a configuration that a cluster's Secret has, under its name for messages. Its keys of
    /// credential helpers are ignored, as by the kubelet: such a Secret must not choose a program to
    /// run.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self, CredentialsError> {
        let path = PathBuf::from(name);
        if bytes.len() as u64 > MAX_BYTES {
            return Err(CredentialsError::Size { path });
        }
        let parsed: Result<Contents, _> = serde_json::from_slice(bytes);
        let contents = parsed.map_err(|source| CredentialsError::Form {
            path: path.clone(),
            source,
        })?;
        let file = Contents {
            auths: contents.auths,
            ..Contents::default()
        };
        Ok(Self { path, file })
    }

    /// Returns all credentials for a repository that the configuration itself has, the most specific
    /// first. Runs no helper.
    ///
    /// As for the kubelet, a label of a host may contain `*`, which stands for any characters but
    /// dots.
    pub fn written_logins(&self, reference: &Reference) -> Result<Vec<Login>, CredentialsError> {
        let mut found = matching(&self.file.auths, reference, matches_host);
        found.sort_by_key(|(specific, ..)| std::cmp::Reverse(*specific));
        let found = found.into_iter();
        let logins = found.map(|(_, key, entry)| self.written(key, entry.clone()).transpose());
        logins.flatten().collect()
    }

    /// Returns the credentials for a repository, if there are any. May run a helper.
    ///
    /// Of all keys that cover the repository, the one with the longest path wins. A helper wins
    /// over an entry with the same path.
    pub async fn login(&self, reference: &Reference) -> Result<Option<Login>, CredentialsError> {
        let entry = most_specific(&self.file.auths, reference);
        let helper = most_specific(&self.file.cred_helpers, reference);
        if let Some((path, key, name)) = helper
            && entry.is_none_or(|(written, ..)| path >= written)
        {
            return credential_helper::get(name, key).await;
        }
        let key = match entry {
            Some((_, key, entry)) => {
                if let Some(login) = self.written(key, entry.clone())? {
                    return Ok(Some(login));
                }
                key
            }
            None => reference.registry(),
        };
        match &self.file.creds_store {
            Some(name) if !name.is_empty() => credential_helper::get(name, key).await,
            _ => Ok(None),
        }
    }

    fn written(&self, registry: &str, entry: Entry) -> Result<Option<Login>, CredentialsError> {
        if !entry.identitytoken.is_empty() {
            return Ok(Some(Login::Identity(entry.identitytoken)));
        }
        if !entry.registrytoken.is_empty() {
            return Ok(Some(Login::Registry(entry.registrytoken)));
        }
        if entry.auth.is_empty() {
            let known = !entry.username.is_empty();
            return Ok(known.then_some(Login::Password {
                user: entry.username,
                password: entry.password,
            }));
        }
        let wrong = || CredentialsError::Auth {
            path: self.path.clone(),
            registry: registry.to_owned(),
        };
        let bytes = BASE64.decode(entry.auth.trim()).map_err(|_| wrong())?;
        let text = String::from_utf8(bytes).map_err(|_: FromUtf8Error| wrong())?;
        let (user, password) = text.split_once(':').ok_or_else(wrong)?;
        Ok(Some(Login::Password {
            user: user.to_owned(),
            // Some versions of Docker pad with zeros.
            password: password.trim_end_matches('\0').to_owned(),
        }))
    }
}

/// How specific a key is: by the length of its path, then without a pattern, then without a scheme.
/// Older versions of Docker wrote URLs.
type Specific = (usize, bool, bool);

/// The key that covers the repository with the longest path, with the length of that path.
fn most_specific<'a, T>(
    entries: &'a BTreeMap<String, T>,
    reference: &Reference,
) -> Option<(usize, &'a str, &'a T)> {
    let matching = matching(entries, reference, |host, registry| host == registry);
    let found = matching.into_iter().max_by_key(|(specific, ..)| *specific);
    found.map(|((path, ..), key, value)| (path, key, value))
}

/// All keys that cover the repository.
fn matching<'a, T>(
    entries: &'a BTreeMap<String, T>,
    reference: &Reference,
    is_host: impl Fn(&str, &str) -> bool,
) -> Vec<(Specific, &'a str, &'a T)> {
    let entries = entries.iter().filter_map(|(key, value)| {
        let (host, path) = covered(key, reference)?;
        let registry = canonical(reference.registry());
        let specific = (path, !host.contains('*'), !key.contains("://"));
        is_host(canonical(host), registry).then_some((specific, key.as_str(), value))
    });
    entries.collect()
}

/// The host of a key, and the length of its path, if that covers the repository:
/// `HOST[:PORT][/PATH]`, as containers-auth.json(5) has it, or the URL of a registry's API.
fn covered<'a>(key: &'a str, reference: &Reference) -> Option<(&'a str, usize)> {
    let (is_url, key) = match key.split_once("://") {
        Some((_, rest)) => (true, rest),
        None => (false, key),
    };
    let (host, path) = key.split_once('/').unwrap_or((key, ""));
    let path = path.trim_matches('/');
    let path = match path.split_once('/').unwrap_or((path, "")) {
        ("v1" | "v2", rest) if is_url => rest,
        _ => path,
    };
    let below = reference.repository().strip_prefix(path);
    let covers =
        path.is_empty() || below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    covers.then_some((host, path.len()))
}

/// Whether a host matches a pattern, label by label. A port must be the same.
fn matches_host(pattern: &str, host: &str) -> bool {
    let (pattern, pattern_port) = pattern.split_once(':').unwrap_or((pattern, ""));
    let (name, port) = host.split_once(':').unwrap_or((host, ""));
    pattern_port == port
        && pattern.split('.').count() == name.split('.').count()
        && std::iter::zip(pattern.split('.'), name.split('.'))
            .all(|(pattern, label)| matches_label(pattern, label))
}

/// Whether a label matches a pattern with `*`. Takes time for each part of the pattern once.
fn matches_label(pattern: &str, label: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(rest) = parts.next().and_then(|first| label.strip_prefix(first)) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    let Some(mut rest) = rest.strip_suffix(last) else {
        return false;
    };
    parts.all(|part| match rest.split_once(part) {
        Some((_, after)) => {
            rest = after;
            true
        }
        None => false,
    })
}

/// One name for the registry that has three.
fn canonical(host: &str) -> &str {
    match host {
        "docker.io" | "registry-1.docker.io" => "index.docker.io",
        host => host,
    }
}

#[cfg(test)]
mod tests;
