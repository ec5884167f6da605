//! Chooses the account that PostgreSQL runs as.
//!
//! PostgreSQL rejects root. If this process is root, it uses an existing account with few rights;
//! otherwise PostgreSQL runs as the current user. No account is ever made.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::geteuid;
use thiserror::Error;

const ACCOUNTS: &str = "/etc/passwd";

/// The suitable accounts, the preferred one first: that of Debian's package, and `nobody`.
const CANDIDATES: [&str; 2] = ["postgres", "nobody"];

/// Why there is no account.
#[derive(Debug, Error)]
pub enum AccountError {
    /// The list of accounts cannot be read.
    #[error("failed to read {ACCOUNTS}")]
    Read(#[source] io::Error),
    /// None of the suitable accounts exists.
    #[error(
        "PostgreSQL does not run as root, and neither the account `postgres` nor `nobody` exists"
    )]
    None,
}

/// An account other than root's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) user: u32,
    pub(super) group: u32,
}

impl Account {
    /// The account to change to; `None` if this process is not root.
    pub(super) fn choose() -> Result<Option<Account>, AccountError> {
        if !geteuid().is_root() {
            return Ok(None);
        }
        let accounts = fs::read_to_string(ACCOUNTS).map_err(AccountError::Read)?;
        let account = CANDIDATES
            .iter()
            .find_map(|name| Account::find(&accounts, name));
        account.map(Some).ok_or(AccountError::None)
    }

    fn find(accounts: &str, name: &str) -> Option<Account> {
        accounts.lines().find_map(|line| {
            let mut fields = line.split(':');
            if fields.next() != Some(name) {
                return None;
            }
            let mut number = |index| fields.nth(index).and_then(|field| field.parse().ok());
            let (user, group) = (number(1)?, number(0)?);
            (user != 0).then_some(Account { user, group })
        })
    }
}

/// A command that runs as the account, in the folder. Its environment has nothing that would change
/// PostgreSQL's behaviour. It has a process group of its own, which Ctrl-C does not reach.
pub(super) fn command(program: &Path, account: Option<&Account>, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("LC_ALL", "C")
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0);
    if let Some(account) = account {
        // The groups of root are dropped with it.
        command.uid(account.user).gid(account.group);
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_its_whole_name_and_is_never_root() {
        fn check(line: &str, expected: Option<(u32, u32)>) {
            let accounts = format!("root:x:0:0:root:/root:/bin/bash\n{line}\n");
            let account = Account::find(&accounts, "postgres");
            let numbers = account.map(|account| (account.user, account.group));
            assert_eq!(numbers, expected, "{line}");
        }
        check(
            "postgres:x:101:104:PostgreSQL:/var/lib:/bin/bash",
            Some((101, 104)),
        );
        check("postgres2:x:101:104::/:/bin/sh", None);
        check("postgres:x:0:0::/:/bin/sh", None);
        check("postgres:x:many:104::/:/bin/sh", None);
        check("postgres:x:101", None);
        check("", None);
    }
}
