//! Makes the folder of a cluster: private to its account, and with a path that is short enough for
//! a Unix socket.

use std::env;
use std::fs::Permissions;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use tempfile::{Builder, TempDir};
use thiserror::Error;

use super::account::Account;

const PREFIX: &str = "sampan-postgres-";

/// The greatest length of a Unix socket's path, including its final NUL.
const MAX_SOCKET_PATH_LENGTH: usize = 108;

/// The name of PostgreSQL's socket, with space for the folder's unique suffix.
const SOCKET_NAME: &str = "sampan-postgres-xxxxxx/.s.PGSQL.5432";

/// Alternatives to the user's own temporary folder.
const ALTERNATIVES: [&str; 2] = ["/tmp", "/var/tmp"];

/// Why there is no folder.
#[derive(Debug, Error)]
pub enum FolderError {
    /// No temporary folder is suitable.
    #[error("neither TMPDIR nor /tmp or /var/tmp is short enough and open to all users")]
    NoPlace,
    /// The folder cannot be made.
    #[error("failed to make a folder in {}", folder.display())]
    Create {
        /// The parent.
        folder: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// Makes the folder, and gives it to the account.
pub(super) fn create(account: Option<&Account>) -> Result<TempDir, FolderError> {
    let parents = [env::temp_dir()]
        .into_iter()
        .chain(ALTERNATIVES.map(PathBuf::from));
    let mut fit = parents.filter(|parent| is_short(parent) && is_open(parent, account));
    let parent = fit.next().ok_or(FolderError::NoPlace)?;
    let made = private().tempdir_in(&parent);
    let given = made.and_then(|folder| {
        if let Some(account) = account {
            chown(folder.path(), Some(account.user), Some(account.group))?;
        }
        Ok(folder)
    });
    given.map_err(|source| FolderError::Create {
        folder: parent,
        source,
    })
}

/// The server trusts every client that can enter, so only its owner may.
fn private() -> Builder<'static, 'static> {
    let mut builder = Builder::new();
    builder
        .prefix(PREFIX)
        .permissions(Permissions::from_mode(0o700));
    builder
}

/// The folder of the socket.
pub(super) fn socket(folder: &Path) -> PathBuf {
    folder.to_owned()
}

/// The folder of the data.
pub(super) fn data(folder: &Path) -> PathBuf {
    folder.join("data")
}

fn is_short(parent: &Path) -> bool {
    parent.join(SOCKET_NAME).as_os_str().as_bytes().len() < MAX_SOCKET_PATH_LENGTH
}

/// Whether the account can reach the folder. Without a change of account, no check is needed.
fn is_open(parent: &Path, account: Option<&Account>) -> bool {
    const ENTER: u32 = 0o001;
    let open = |folder: &Path| {
        let metadata = folder.metadata();
        metadata.is_ok_and(|metadata| metadata.mode() & ENTER != 0)
    };
    account.is_none() || parent.ancestors().all(open)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_short_enough_for_a_socket_up_to_its_last_byte() {
        fn check(length: usize, expected: bool) {
            let parent = format!("/{}", "p".repeat(length - 1));
            assert_eq!(is_short(Path::new(&parent)), expected, "{length}");
        }
        check(4, true);
        check(70, true);
        check(71, false);
        check(200, false);
    }

    #[test]
    fn a_closed_parent_is_no_place_for_another_account() {
        let parent = private().tempdir().expect("a temporary folder");
        let account = Account { user: 1, group: 1 };
        assert!(!is_open(parent.path(), Some(&account)));
        assert!(is_open(parent.path(), None));
        assert!(is_open(Path::new("/"), Some(&account)));
    }
}
