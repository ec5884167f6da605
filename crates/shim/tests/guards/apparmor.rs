//! A profile of AppArmor, on a node that has it.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Mutex;

/// The profile's name.
pub(crate) const NAME: &str = "sampan-guards-test";

/// What an ordinary container may do, with one folder that it may not write to.
const TEXT: &str = r"
profile sampan-guards-test flags=(attach_disconnected,mediate_deleted) {
  file,
  network,
  capability,
  signal,
  ptrace peer=sampan-guards-test,
  deny /etc/** w,
}
";

/// How many tests use the profile.
static USERS: Mutex<usize> = Mutex::new(0);

/// The profile, as long as it is loaded.
pub(crate) struct Profile;

impl Profile {
    /// Loads it, where the node has AppArmor.
    pub(crate) fn load() -> Option<Self> {
        if !is_enabled() {
            return None;
        }
        let mut users = USERS.lock().expect("not poisoned");
        if *users == 0 {
            parse("--replace");
        }
        *users += 1;
        Some(Self)
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        // A test that failed is no reason to keep it.
        let mut users = USERS
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        *users -= 1;
        if *users == 0 {
            parse("--remove");
        }
    }
}

pub(crate) fn is_enabled() -> bool {
    let enabled = std::fs::read_to_string("/sys/module/apparmor/parameters/enabled");
    enabled.is_ok_and(|enabled| enabled.starts_with('Y'))
}

fn parse(action: &str) {
    let mut parser = Command::new("apparmor_parser")
        .args([action, "--skip-cache"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("apparmor_parser starts where AppArmor is enabled");
    let mut input = parser.stdin.take().expect("a pipe");
    input.write_all(TEXT.as_bytes()).expect("it reads");
    drop(input);
    assert!(parser.wait().expect("it ends").success(), "{action}");
}
