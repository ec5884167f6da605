//! Credential helpers: programs called `docker-credential-NAME`, asked over their standard streams.
//!
//! Refuses names that are paths, answers without end, and helpers that wait for ever.

use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;
use tokio::time::timeout;

use super::{CredentialsError, Login, TOKEN_USER};

/// How long a helper may take; a person may have to unlock something.
const PATIENCE: Duration = Duration::from_mins(1);
/// The most bytes of an answer.
const MOST_BYTES: u64 = 64 << 10;
/// What the protocol of helpers has as the whole answer when there is nothing for a registry.
const NOTHING: &str = "credentials not found in native keychain";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    #[serde(default)]
    username: String,
    secret: String,
}

/// What the helper keeps for a registry.
pub(super) async fn get(name: &str, registry: &str) -> Result<Option<Login>, CredentialsError> {
    let proper = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if name.is_empty() || !name.bytes().all(proper) {
        return Err(CredentialsError::HelperName {
            name: name.chars().take(96).collect(),
        });
    }
    let program = format!("docker-credential-{name}");
    match timeout(PATIENCE, ask(&program, registry)).await {
        Ok(answer) => answer,
        // Dropping what was waited for has ended the helper.
        Err(_) => Err(CredentialsError::HelperSlow {
            program,
            seconds: PATIENCE.as_secs(),
        }),
    }
}

async fn ask(program: &str, registry: &str) -> Result<Option<Login>, CredentialsError> {
    let failed = |source| CredentialsError::HelperStart {
        program: program.to_owned(),
        source,
    };
    let mut child = Command::new(program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        // A helper that has something to say about itself says it to the user.
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that answers without having read is not wrong.
        if let Err(error) = stdin.write_all(registry.as_bytes()).await
            && error.kind() != std::io::ErrorKind::BrokenPipe
        {
            return Err(failed(error));
        }
    }
    let mut bytes = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout
            .take(MOST_BYTES)
            .read_to_end(&mut bytes)
            .await
            .map_err(failed)?;
    }
    let status = child.wait().await.map_err(failed)?;
    if !status.success() {
        if String::from_utf8_lossy(&bytes).trim() == NOTHING {
            return Ok(None);
        }
        return Err(CredentialsError::HelperFailed {
            program: program.to_owned(),
            registry: registry.to_owned(),
            status,
        });
    }
    // The parser's error could quote the secret: it is not kept.
    let answer: Answer =
        serde_json::from_slice(&bytes).map_err(|_| CredentialsError::HelperAnswer {
            program: program.to_owned(),
        })?;
    Ok(Some(if answer.username == TOKEN_USER {
        Login::Identity(answer.secret)
    } else {
        Login::Password {
            user: answer.username,
            password: answer.secret,
        }
    }))
}
