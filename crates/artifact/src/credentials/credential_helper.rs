//! Runs Docker credential helpers: programs named `docker-credential-NAME`.
//!
//! Names that are paths are rejected. Output and time are limited.

use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;
use tokio::time::timeout;

use super::{CredentialsError, Login, TOKEN_USER};

/// Time limit of a helper; the user may have to unlock a keychain.
const HELPER_TIMEOUT: Duration = Duration::from_mins(1);
/// The most bytes of a helper's output.
const MAX_BYTES: u64 = 64 << 10;
/// The whole output of a helper without credentials for a registry, as the protocol defines it.
const NOT_FOUND: &str = "credentials not found in native keychain";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HelperOutput {
    #[serde(default)]
    username: String,
    secret: String,
}

/// Asks a helper for the credentials of a registry.
pub(super) async fn get(name: &str, registry: &str) -> Result<Option<Login>, CredentialsError> {
    let proper = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if name.is_empty() || !name.bytes().all(proper) {
        return Err(CredentialsError::HelperName {
            name: name.chars().take(96).collect(),
        });
    }
    let program = format!("docker-credential-{name}");
    match timeout(HELPER_TIMEOUT, run(&program, registry)).await {
        Ok(output) => output,
        // Dropping the future has ended the helper.
        Err(_) => Err(CredentialsError::HelperSlow {
            program,
            seconds: HELPER_TIMEOUT.as_secs(),
        }),
    }
}

async fn run(program: &str, registry: &str) -> Result<Option<Login>, CredentialsError> {
    let failed = |source| CredentialsError::HelperStart {
        program: program.to_owned(),
        source,
    };
    let mut child = Command::new(program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        // A helper writes its own messages to the user.
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper may answer without reading its input.
        if let Err(error) = stdin.write_all(registry.as_bytes()).await
            && error.kind() != std::io::ErrorKind::BrokenPipe
        {
            return Err(failed(error));
        }
    }
    let mut bytes = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout
            .take(MAX_BYTES)
            .read_to_end(&mut bytes)
            .await
            .map_err(failed)?;
    }
    let status = child.wait().await.map_err(failed)?;
    if !status.success() {
        if String::from_utf8_lossy(&bytes).trim() == NOT_FOUND {
            return Ok(None);
        }
        return Err(CredentialsError::HelperFailed {
            program: program.to_owned(),
            registry: registry.to_owned(),
            status,
        });
    }
    // The parser's error could quote the secret, so it is dropped.
    let output: HelperOutput =
        serde_json::from_slice(&bytes).map_err(|_| CredentialsError::HelperAnswer {
            program: program.to_owned(),
        })?;
    Ok(Some(if output.username == TOKEN_USER {
        Login::Identity(output.secret)
    } else {
        Login::Password {
            user: output.username,
            password: output.secret,
        }
    }))
}
