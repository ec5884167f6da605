//! Compares the output of `containerd config dump` before and after a change.
//!
//! Some versions merge files by replacing whole sections, and would silently drop other settings.
//! So no version is trusted: the two dumps are compared. Pure functions.

use toml::{Table, Value};

use crate::runtimes::{RUNTIME, plugin, runtimes_mut};

/// Errors of a dump.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DumpError {
    /// The dump is not TOML.
    #[error("the dump of containerd is not TOML")]
    Toml,
    /// The runtime is not in the dump.
    #[error("the dump of containerd lacks the runtime {RUNTIME:?}")]
    Missing,
    /// Another setting has changed.
    #[error("containerd would lose or change {0} of its configuration")]
    Changed(String),
}

/// The version of the configuration in a dump of the node's containerd.
pub(crate) fn version(dump: &str) -> Result<i64, DumpError> {
    let table: Table = dump.parse().map_err(|_| DumpError::Toml)?;
    table
        .get("version")
        .and_then(Value::as_integer)
        .ok_or(DumpError::Toml)
}

/// Checks that the runtime was added, and that nothing else changed.
pub(crate) fn check(before: &str, after: &str) -> Result<(), DumpError> {
    let parse = |text: &str| text.parse::<Table>().map_err(|_| DumpError::Toml);
    let (mut before, mut after) = (parse(before)?, parse(after)?);
    let mut added = false;
    for table in [&mut before, &mut after] {
        // The imports differ by design.
        table.remove("imports");
        added = false;
        for plugin in [plugin(2), plugin(3)] {
            if let Some(runtimes) = runtimes_mut(table, plugin) {
                added |= runtimes.remove(RUNTIME).is_some();
            }
        }
    }
    if !added {
        return Err(DumpError::Missing);
    }
    match difference("", &Value::Table(before), &Value::Table(after)) {
        None => Ok(()),
        Some(path) => Err(DumpError::Changed(path)),
    }
}

/// The path of the first difference between two values.
fn difference(path: &str, before: &Value, after: &Value) -> Option<String> {
    let (Value::Table(one), Value::Table(other)) = (before, after) else {
        return (before != after).then(|| path.to_owned());
    };
    let keys = one
        .keys()
        .chain(other.keys().filter(|key| !one.contains_key(*key)));
    for key in keys {
        let path = if path.is_empty() {
            key.clone()
        } else {
            format!("{path}.{key}")
        };
        let found = match (one.get(key), other.get(key)) {
            (Some(before), Some(after)) => difference(&path, before, after),
            _ => Some(path),
        };
        if found.is_some() {
            return found;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "version = 3
imports = []
[plugins.'io.containerd.cri.v1.runtime'.containerd]
default_runtime_name = 'runc'
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
runtime_type = 'io.containerd.runc.v2'
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
SystemdCgroup = true
";
    const OURS: &str = "[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.sampan]
runtime_type = 'io.containerd.sampan.v1'
";

    #[test]
    fn only_the_runtime_may_be_added() {
        let check = |after: &str, expected: Result<(), DumpError>| {
            assert_eq!(super::check(BEFORE, after), expected, "{after}");
        };
        check(&format!("{BEFORE}{OURS}"), Ok(()));
        let imports = BEFORE.replace("imports = []", "imports = ['/x']");
        check(&format!("{imports}{OURS}"), Ok(()));
        check(BEFORE, Err(DumpError::Missing));
        check("version = ", Err(DumpError::Toml));
        // A containerd that replaces sections.
        check(
            &format!("version = 3\n{OURS}"),
            Err(DumpError::Changed(
                "plugins.io.containerd.cri.v1.runtime.containerd.default_runtime_name".into(),
            )),
        );
        let cgroup = BEFORE.replace("SystemdCgroup = true", "SystemdCgroup = false");
        check(
            &format!("{cgroup}{OURS}"),
            Err(DumpError::Changed(
                "plugins.io.containerd.cri.v1.runtime.containerd.runtimes.runc.options.SystemdCgroup".into(),
            )),
        );
        check(
            &format!("extra = 1\n{BEFORE}{OURS}"),
            Err(DumpError::Changed("extra".into())),
        );
    }

    #[test]
    fn an_upgrade_of_our_own_entry_is_no_change() {
        let old = format!("{BEFORE}{OURS}runtime_path = '/old'\n");
        assert_eq!(check(&old, &format!("{BEFORE}{OURS}")), Ok(()));
    }

    #[test]
    fn the_version_is_read() {
        assert_eq!(version(BEFORE), Ok(3));
        assert_eq!(version("x"), Err(DumpError::Toml));
    }
}
